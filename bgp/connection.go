package bgp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// lastWordTime is for the NOTIFICATION that ends a connection to be sent, and
// then for the neighbor to close its end.
const lastWordTime = 400 * time.Millisecond

// connection is one TCP connection with a neighbor. Whoever wants its end
// cancels its context with the cause: a *refusal is sent to the neighbor.
type connection struct {
	tcp    *net.TCPConn
	ctx    context.Context
	cancel context.CancelCauseFunc
	left   chan struct{} // closed when the last word is said
	tally  *tally
	dialed bool

	stage string    // OpenSent, OpenConfirm or Established; under the guard's mu
	open  open      // the neighbor's, once it is in OpenConfirm
	up    time.Time // since when it has been established

	write sync.Mutex // held over each message
	torn  bool       // a message was not sent whole

	in [maxLength]byte // the last message received

	prefixes map[netip.Prefix]struct{} // that it has told, if they are counted
}

// tally counts what passed over a neighbor's connections.
type tally struct {
	sent, received [refreshKind + 1]atomic.Uint64 // by type of message
	prefixes       atomic.Int64                   // that the session has told, if they are counted
}

// messages is one direction of a tally.
func messages(n *[refreshKind + 1]atomic.Uint64) Messages {
	return Messages{
		Open: n[openKind].Load(), Update: n[updateKind].Load(), Notification: n[notificationKind].Load(),
		Keepalive: n[keepaliveKind].Load(), RouteRefresh: n[refreshKind].Load(),
	}
}

// newConnection is a connection until parent ends, or its own context.
func newConnection(parent context.Context, tcp *net.TCPConn, dialed bool, tally *tally) *connection {
	ctx, cancel := context.WithCancelCause(parent)
	c := &connection{tcp: tcp, ctx: ctx, cancel: cancel, left: make(chan struct{}), tally: tally, dialed: dialed, stage: openSent}
	context.AfterFunc(ctx, func() {
		defer close(c.left)
		c.leave(context.Cause(ctx))
	})
	return c
}

// local is our end.
func (c *connection) local() netip.Addr { return addrOf(c.tcp.LocalAddr()) }

// send sends m whole. It waits no longer than patience.
func (c *connection) send(m message, patience time.Duration) error {
	c.write.Lock()
	defer c.write.Unlock()
	c.tcp.SetWriteDeadline(time.Now().Add(patience))
	if err := c.ctx.Err(); err != nil { // only now: the end puts an earlier deadline
		return err
	}
	return c.put(m)
}

// put is send without its locks and deadlines.
func (c *connection) put(m message) error {
	if _, err := c.tcp.Write(m); err != nil {
		c.torn = true
		return err
	}
	c.tally.sent[m.kind()].Add(1)
	return nil
}

// receive waits for the next message, no longer than patience. It is valid until
// receive is called again. The neighbor's NOTIFICATION is an error.
func (c *connection) receive(patience time.Duration) (message, error) {
	c.tcp.SetReadDeadline(time.Now().Add(patience))
	if err := c.ctx.Err(); err != nil { // only now, as in send
		return nil, err
	}
	m, err := readMessage(c.tcp, &c.in)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, refuse(holdTimerError, unspecific, nil, "nothing heard for %v", patience)
	}
	if err != nil {
		return nil, err
	}
	c.tally.received[m.kind()].Add(1)
	if m.kind() == notificationKind {
		return nil, told(parseNotification(m))
	}
	return m, nil
}

// leave says the last word, cause, if the neighbor is to hear it. Its answer, if
// there is one, is then still read, so that the kernel does not throw away what
// was sent (RFC 1122 section 4.2.2.13).
func (c *connection) leave(cause error) {
	var refused *refusal
	if !errors.As(cause, &refused) {
		c.tcp.Close()
		return
	}
	c.tcp.SetDeadline(time.Now().Add(lastWordTime))
	c.write.Lock()
	defer c.write.Unlock()
	if c.torn {
		return
	}
	c.tcp.SetWriteDeadline(time.Now().Add(lastWordTime))
	if c.put(refused.message()) == nil {
		c.tcp.CloseWrite()
	}
}

// close ends the connection, if it has not ended yet for another cause, and
// returns why it has.
func (c *connection) close(cause error) error {
	c.cancel(cause)
	<-c.left
	c.tcp.SetReadDeadline(time.Now().Add(lastWordTime))
	io.Copy(io.Discard, io.LimitReader(c.tcp, 1<<20))
	c.tcp.Close()
	return context.Cause(c.ctx)
}

// told is the neighbor's NOTIFICATION as an error.
type told notification

// Error is what the neighbor sent, in words.
func (t told) Error() string { return "neighbor sent " + notification(t).String() }

// endReason is why a connection has ended, in words.
func endReason(cause error) string {
	var refused *refusal
	switch {
	case errors.As(cause, &refused):
		return fmt.Sprintf("%s: we sent %s", refused.reason, notification{refused.code, refused.subcode, ""})
	case errors.Is(cause, io.EOF), errors.Is(cause, io.ErrUnexpectedEOF), errors.Is(cause, syscall.ECONNRESET), errors.Is(cause, syscall.EPIPE):
		return closed
	case errors.Is(cause, os.ErrDeadlineExceeded):
		return "the neighbor takes no more octets"
	}
	if op := new(net.OpError); errors.As(cause, &op) {
		return "connection lost: " + op.Err.Error()
	}
	return cause.Error()
}
