package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// buffer is what a socket is to hold of answers unread, and of probes to hosts
// whose link address is still asked for, in octets: some 10,000 of either.
const buffer = 4 << 20

// sendWait is for how long a full send buffer may hold up the other targets.
const sendWait = 10 * time.Millisecond

// wire is the network of one address family as a Prober needs it.
type wire interface {
	send(msg []byte, to netip.AddrPort) error
	receive(buf []byte) (n int, from netip.AddrPort, ok bool) // what has come in already; ok is false: nothing has
}

// socket is the wire of the kernel.
type socket struct {
	conn *net.UDPConn
	raw  syscall.RawConn
	fd   int // valid until conn is closed
}

// listen opens a socket. source is the zero Addr, or what it is bound to.
func listen(family string, source netip.Addr) (*socket, error) {
	conn, err := net.ListenUDP(family, net.UDPAddrFromAddrPort(netip.AddrPortFrom(source, 0)))
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadBuffer(buffer) // as much as the host allows
	_ = conn.SetWriteBuffer(buffer)
	s := &socket{conn: conn}
	if s.raw, err = conn.SyscallConn(); err == nil {
		err = s.raw.Control(func(fd uintptr) { s.fd = int(fd) })
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return s, nil
}

// wait tells ready whenever there is something to receive, until s is closed
// or ctx ends. It reads nothing: what one goroutine has read, another cannot
// know of.
func (s *socket) wait(ctx context.Context, ready chan<- struct{}) {
	for {
		err := s.raw.Read(func(fd uintptr) bool {
			_, _, err := unix.Recvfrom(int(fd), nil, unix.MSG_PEEK|unix.MSG_DONTWAIT)
			return err != unix.EAGAIN
		})
		if err != nil { // closed
			return
		}
		select {
		case ready <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
}

// send sends msg.
func (s *socket) send(msg []byte, to netip.AddrPort) error {
	s.conn.SetWriteDeadline(time.Now().Add(sendWait))
	_, err := s.conn.WriteToUDPAddrPort(msg, to)
	var op *net.OpError
	if errors.As(err, &op) { // where to is known
		return op.Err
	}
	return err
}

// receive reads one datagram into buf.
func (s *socket) receive(buf []byte) (n int, from netip.AddrPort, ok bool) {
	n, sa, err := unix.Recvfrom(s.fd, buf, unix.MSG_DONTWAIT)
	for err == unix.EINTR {
		n, sa, err = unix.Recvfrom(s.fd, buf, unix.MSG_DONTWAIT)
	}
	if err != nil {
		return 0, netip.AddrPort{}, false
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		from = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		from = netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return n, from, true
}
