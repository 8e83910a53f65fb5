package bgp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// acceptPause is waited after a failure to accept, as without file descriptors.
const acceptPause = 100 * time.Millisecond

// listen opens the port that neighbors dial, on each of the Config's addresses.
func (c Config) listen() ([]*net.TCPListener, error) {
	if c.ListenPort <= 0 {
		return nil, nil
	}
	addrs := c.Listen
	if len(addrs) == 0 {
		addrs = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	var all []*net.TCPListener
	for _, addr := range addrs {
		l, err := listen(netip.AddrPortFrom(addr, uint16(c.ListenPort)))
		if len(c.Listen) == 0 && addr.Is6() && errors.Is(err, syscall.EAFNOSUPPORT) {
			continue // a host without IPv6
		}
		if err != nil {
			closeAll(all)
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

func closeAll(all []*net.TCPListener) {
	for _, l := range all {
		l.Close()
	}
}

// listen opens one address.
func listen(addr netip.AddrPort) (*net.TCPListener, error) {
	network := "tcp4"
	if addr.Addr().Is6() {
		network = "tcp6"
	}
	config := net.ListenConfig{KeepAlive: -1, Control: func(_, _ string, raw syscall.RawConn) error {
		return control(raw, func(fd int) error { return prepareListener(fd, addr.Addr()) })
	}}
	config.SetMultipathTCP(false) // it has no TCP MD5
	l, err := config.Listen(context.Background(), network, addr.String())
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("port %d of %v is in use, as by another BGP daemon: ss -ltnp 'sport = :%[1]d' names it: %[3]w", addr.Port(), addr.Addr(), err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%v, to listen on, is not on this host: %w", addr.Addr(), err)
	case err != nil:
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

// prepareListener sets the options of a listening socket. To each neighbor's
// connection its own are applied later; until then our TTL must do for one that
// checks it, and theirs is kept for us to check (RFC 5082 section 3).
func prepareListener(fd int, addr netip.Addr) error {
	level, ttl, class := unix.IPPROTO_IP, unix.IP_TTL, unix.IP_TOS
	if addr.Is6() {
		level, ttl, class = unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, unix.IPV6_TCLASS
	}
	return errors.Join(
		unix.SetsockoptInt(fd, level, ttl, maxTTL),
		unix.SetsockoptInt(fd, level, class, classSelector6),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_SAVE_SYN, 1))
}

// accept gives each connection to the neighbor's guard until l is closed. A
// stranger's is closed at once.
func (s *Speaker) accept(l *net.TCPListener) {
	trouble := ""
	for {
		tcp, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			if err.Error() != trouble {
				trouble = err.Error()
				s.log.Error().Err(err).Msg("bgp connections are not accepted")
			}
			time.Sleep(acceptPause)
			continue
		}
		trouble = ""
		remote := addrOf(tcp.RemoteAddr())
		if g := s.guard(remote); g != nil {
			g.accept(tcp)
			continue
		}
		s.log.Debug().Stringer("address", remote).Msg("bgp connection from an address that is no neighbor's")
		tcp.Close()
	}
}

// admit holds a connection that the neighbor has made to its settings.
func (s session) admit(tcp *net.TCPConn) error {
	local := addrOf(tcp.LocalAddr()).WithZone("")
	if want := s.LocalAddress; want.IsValid() && want.WithZone("") != local {
		return fmt.Errorf("it dialed %v, not our local address %v", local, want)
	}
	switch ttl, least := arrivedWith(tcp), s.farthest(); {
	case ttl < least && ttl == 0:
		return errors.New("it may be too far away: with what TTL its packets come is not known (ttl security; is the kernel in a flood of SYNs?)")
	case ttl < least:
		return fmt.Errorf("it is too far away: its packets come with TTL %d, not %d or more (ttl security)", ttl, least)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	return control(raw, s.prepare)
}

// addrOf is the address of one end of a TCP connection, or of a listener.
func addrOf(end net.Addr) netip.Addr { return end.(*net.TCPAddr).AddrPort().Addr().Unmap() }
