package bgp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// dial connects to the neighbor of s.
func (s session) dial(ctx context.Context) (*net.TCPConn, error) {
	dialer := net.Dialer{
		Timeout:   s.ConnectRetry,
		KeepAlive: -1, // the hold timer does it
		Control: func(_, _ string, raw syscall.RawConn) error {
			return control(raw, func(fd int) error {
				if s.Password != "" {
					if err := sign(fd, s.Address, s.Password); err != nil {
						return fmt.Errorf("set the TCP MD5 key: %w", err)
					}
				}
				return s.prepare(fd)
			})
		},
	}
	dialer.SetMultipathTCP(false) // it has no TCP MD5
	if s.LocalAddress.IsValid() {
		local := s.LocalAddress
		if local.IsLinkLocalUnicast() && local.Zone() == "" {
			local = local.WithZone(s.Address.Zone())
		}
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))
	}
	conn, err := dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(s.Address, s.Port).String())
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// connectError is why a connection to the neighbor could not be made, in words.
func (s session) connectError(err error) string {
	var timeout net.Error
	switch {
	case s.missingInterface() != "":
		return "interface " + s.missingInterface() + " does not exist"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route to the neighbor, or no answer on the link"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "the local address is not on this host"
	case errors.As(err, &timeout) && timeout.Timeout() && s.TTLSecurity:
		return "no answer (unreachable, filtered, TCP MD5 passwords that differ, or no ttl security there)"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer (unreachable, filtered, or TCP MD5 passwords that differ)"
	}
	// Without the addresses, which its own says already.
	if op := new(net.OpError); errors.As(err, &op) {
		return op.Err.Error()
	}
	return err.Error()
}

// missingInterface is the interface that the neighbor needs and this host does
// not have, or "".
func (s session) missingInterface() string {
	for _, name := range []string{s.Address.Zone(), s.Interface} {
		if name == "" {
			continue
		}
		if _, err := net.InterfaceByName(name); err != nil {
			return name
		}
	}
	return ""
}
