package ikefront

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/anycastd/anycastd/ikefront/ike"
)

// The kernel's queue of a socket, in octets: for few endpoints some 10,000
// requests, what arrives in the time of a scheduling hiccup. Many endpoints share
// what a flood of all of them may take of the host's memory.
const (
	maxQueue  = 8 << 20
	minQueue  = 512 << 10
	allQueues = 32 << 20 // for each CPU
)

// queueFor returns the size of a queue where there are so many endpoints.
func queueFor(endpoints int) int {
	return min(max(allQueues/max(endpoints, 1), minQueue), maxQueue)
}

// socket is one UDP socket with its goroutine's state.
type socket struct {
	at     netip.AddrPort // the endpoint that it serves
	conn   *net.UDPConn
	raw    syscall.RawConn
	natt   bool
	shared *shared
	counts *Counters
	gate   gate
	done   chan struct{} // closed when serve has ended

	filtered uint64 // by the gate, in the last second; only the Front knows
	told     bool   // that the gate can't be shut; only the Front knows
}

// open opens a socket for at that is bound to bound, has a queue of so many
// octets, and counts in counts.
func open(at, bound netip.AddrPort, queue int, shared *shared, counts *Counters) (*socket, error) {
	network := "udp4"
	if at.Addr().Is6() {
		network = "udp6"
	}
	var optErr error
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		if err := c.Control(func(fd uintptr) { optErr = setOptions(int(fd), at.Addr().Is6(), queue) }); err != nil {
			return err
		}
		return optErr
	}}
	conn, err := lc.ListenPacket(context.Background(), network, bound.String())
	if err != nil {
		return nil, err
	}
	udp := conn.(*net.UDPConn)
	raw, err := udp.SyscallConn()
	if err != nil {
		udp.Close()
		return nil, err
	}
	s := &socket{
		at: at, conn: udp, raw: raw, natt: at.Port() == ike.NATTPort, shared: shared, counts: counts,
		gate: gate{raw: raw}, done: make(chan struct{}),
	}
	s.gate.program, err = bpf.Assemble(newFilter(s.natt, shared.refuse))
	return s, err
}

// lastBatches bounds what is still answered when a socket is to be closed.
const lastBatches = 1024

// finish ends the socket's goroutine and answers what it had not come to.
func (s *socket) finish() {
	_ = s.conn.SetReadDeadline(time.Unix(1, 0)) // it fails on a closed socket alone
	<-s.done
	_ = s.raw.Control(func(fd uintptr) {
		for range lastBatches {
			if more, err := s.step(int(fd)); !more || err != nil {
				return
			}
		}
	})
}

// setOptions sets what must stand before the bind: several sockets on one
// port, an address that may not be there yet or lies in a prefix that is local
// as a whole (AnyIP), and the destination address with each datagram.
func setOptions(fd int, v6 bool, queue int) error {
	// Needs CAP_NET_ADMIN; without it the host's rmem_max bounds the queue.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, queue) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, queue)
	}
	// Go sets SO_BROADCAST; with it a request from a forged broadcast address
	// would be answered to all hosts of that link. An answer has at most 577
	// octets with its headers, which any path takes whole. So it may be
	// indivisible, needs no identification (RFC 6864), and stays deaf to forged
	// news of a path's MTU.
	opts := []struct{ level, name, value int }{
		{unix.SOL_SOCKET, unix.SO_BROADCAST, 0}, {unix.SOL_SOCKET, unix.SO_REUSEPORT, 1},
		{unix.SOL_IP, unix.IP_FREEBIND, 1}, {unix.SOL_IP, unix.IP_PKTINFO, 1},
		{unix.SOL_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE},
	}
	if v6 {
		opts = []struct{ level, name, value int }{
			{unix.SOL_SOCKET, unix.SO_REUSEPORT, 1}, {unix.SOL_IPV6, unix.IPV6_V6ONLY, 1},
			{unix.SOL_IPV6, unix.IPV6_FREEBIND, 1}, {unix.SOL_IPV6, unix.IPV6_RECVPKTINFO, 1},
		}
	}
	for _, o := range opts {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return fmt.Errorf("socket option %d/%d: %w", o.level, o.name, err)
		}
	}
	return nil
}

// serve answers until the socket is closed or to be closed.
func (s *socket) serve() error {
	step := s.step // one closure for all turns: the loop must not allocate
	var failed error
	turn := func(fd uintptr) bool {
		more, err := step(int(fd))
		failed = err
		return more || err != nil
	}
	for {
		if err := s.raw.Read(turn); err != nil {
			if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
				return nil
			}
			return err
		}
		if failed != nil {
			return failed
		}
	}
}

// step receives what is there and answers it; false: nothing was there.
func (s *socket) step(fd int) (bool, error) {
	b, err := s.shared.batches.get()
	if err != nil {
		return false, err
	}
	defer s.shared.batches.put(b)
	n, err := b.receive(fd)
	switch err {
	case nil:
	case unix.EAGAIN:
		return false, nil
	case unix.EINTR, unix.ENOBUFS, unix.ENOMEM: // passing; ask again
		return true, nil
	default:
		return false, err
	}
	by, junk := s.shared.rules(s.at.Addr()), 0
	b.warm(n, &by)
	for i := range n {
		in, src := b.request(i)
		reply, d := answer(b.reply(), in, src, s.natt, &by)
		b.became(i, reply, d)
		if d.junk(by.refuse) {
			junk++
		}
	}
	b.send(fd, by.limits.total.take(b.queued, by.now, by.limits.totals))
	b.count(n, s.counts)
	if watchers := s.shared.watchers.Load(); watchers != nil {
		watchers.tell(s, b, n, &by)
	}
	if s.gate.feel(junk, by.now) {
		s.gate.shut(fd)
	}
	return true, nil
}
