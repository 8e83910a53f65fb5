package ikefront

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/anycastd/anycastd/ikefront/ike"
)

// receiveBuffer is the kernel's queue of a socket in octets: some 10,000
// requests, what arrives in the time of a scheduling hiccup.
const receiveBuffer = 8 << 20

// socket is one UDP socket with its goroutine's state.
type socket struct {
	conn   *net.UDPConn
	raw    syscall.RawConn
	natt   bool
	shared *shared
	counts Counters
	batch  *batch
	done   chan struct{} // closed when serve has ended
}

// open opens a socket for at that is bound to bind.
func open(at, bind netip.AddrPort, shared *shared) (*socket, error) {
	network := "udp4"
	if at.Addr().Is6() {
		network = "udp6"
	}
	var optErr error
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		if err := c.Control(func(fd uintptr) { optErr = setOptions(int(fd), at.Addr().Is6()) }); err != nil {
			return err
		}
		return optErr
	}}
	conn, err := lc.ListenPacket(context.Background(), network, bind.String())
	if err != nil {
		return nil, err
	}
	udp := conn.(*net.UDPConn)
	raw, err := udp.SyscallConn()
	if err != nil {
		udp.Close()
		return nil, err
	}
	b, err := newBatch()
	if err != nil {
		udp.Close()
		return nil, err
	}
	return &socket{conn: udp, raw: raw, natt: at.Port() == ike.NATTPort, shared: shared, batch: b, done: make(chan struct{})}, nil
}

// setOptions sets what must stand before the bind: several sockets on one
// port, an address that may not be there yet or lies in a prefix that is local
// as a whole (AnyIP), and the destination address with each datagram.
func setOptions(fd int, v6 bool) error {
	// Needs CAP_NET_ADMIN; without it the host's rmem_max bounds the queue.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	opts := []struct{ level, name int }{
		{unix.SOL_SOCKET, unix.SO_REUSEPORT}, {unix.SOL_IP, unix.IP_FREEBIND}, {unix.SOL_IP, unix.IP_PKTINFO},
	}
	if v6 {
		opts = []struct{ level, name int }{
			{unix.SOL_SOCKET, unix.SO_REUSEPORT}, {unix.SOL_IPV6, unix.IPV6_V6ONLY},
			{unix.SOL_IPV6, unix.IPV6_FREEBIND}, {unix.SOL_IPV6, unix.IPV6_RECVPKTINFO},
		}
	}
	for _, o := range opts {
		if err := unix.SetsockoptInt(fd, o.level, o.name, 1); err != nil {
			return fmt.Errorf("socket option %d/%d: %w", o.level, o.name, err)
		}
	}
	return nil
}

// serve answers until the socket is closed.
func (s *socket) serve() error {
	defer s.batch.free()
	step := s.step // one closure for all turns: the loop must not allocate
	var failed error
	turn := func(fd uintptr) bool {
		more, err := step(int(fd))
		failed = err
		return more || err != nil
	}
	for {
		if err := s.raw.Read(turn); err != nil {
			if errors.Is(err, net.ErrClosed) {
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
	n, err := s.batch.receive(fd)
	switch err {
	case nil:
	case unix.EAGAIN:
		return false, nil
	case unix.EINTR, unix.ENOBUFS, unix.ENOMEM: // passing; ask again
		return true, nil
	default:
		return false, err
	}
	by := rules{table: s.shared.table.Load(), cookies: s.shared.cookies.Load(), shared: s.shared, now: time.Now()}
	for i := range n {
		in, src := s.batch.request(i)
		reply, d := answer(s.batch.reply(), in, src, s.natt, &by)
		if d.answered() {
			s.batch.queue(i, reply, d)
			continue
		}
		s.counts[d].Add(1)
	}
	s.batch.send(fd, &s.counts)
	return true, nil
}
