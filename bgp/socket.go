package bgp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	maxTTL = 255

	// classSelector6 marks our packets as routing (RFC 4594 section 3.1): CS6,
	// in the upper six bits of the octet.
	classSelector6 = 48 << 2

	// ipv6MinHopCount is IPV6_MINHOPCOUNT of linux/in6.h, which package unix
	// does not have.
	ipv6MinHopCount = 73
)

// control runs f on the socket of raw.
func control(raw syscall.RawConn, f func(fd int) error) error {
	var err error
	if e := raw.Control(func(fd uintptr) { err = f(int(fd)) }); e != nil {
		return e
	}
	return err
}

// prepare sets the options of a socket to or from the neighbor of s.
func (s session) prepare(fd int) error {
	type option struct {
		level, name, value int
		what               string
	}
	ttl := s.hops()
	if ttl == 0 {
		ttl = -1 // what the host has for others
	}
	options := []option{
		{unix.IPPROTO_IP, unix.IP_TOS, classSelector6, "TOS"},
		{unix.IPPROTO_IP, unix.IP_TTL, ttl, "TTL"},
		{unix.IPPROTO_IP, unix.IP_MINTTL, s.farthest(), "least TTL"},
	}
	if s.Address.Is6() {
		options = []option{
			{unix.IPPROTO_IPV6, unix.IPV6_TCLASS, classSelector6, "traffic class"},
			{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, ttl, "hop limit"},
			{unix.IPPROTO_IPV6, ipv6MinHopCount, s.farthest(), "least hop limit"},
		}
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return fmt.Errorf("set the %s: %w", o.what, err)
		}
	}
	if s.Interface != "" {
		if err := unix.BindToDevice(fd, s.Interface); err != nil {
			return fmt.Errorf("bind to interface %s: %w", s.Interface, err)
		}
	}
	return nil
}

// sign sets the key by which the segments to and from addr are signed (RFC
// 2385); "" removes it. Other sockets' keys are not touched.
func sign(fd int, addr netip.Addr, password string) error {
	sig := &unix.TCPMD5Sig{Keylen: uint16(len(password))}
	copy(sig.Key[:], password)
	// Addr is a sockaddr: after family and port, the address in IPv4, and after
	// four more octets in IPv6.
	if addr.Is4() {
		sig.Addr.Family = unix.AF_INET
		copy(sig.Addr.Data[2:], addr.AsSlice())
	} else {
		sig.Addr.Family = unix.AF_INET6
		copy(sig.Addr.Data[6:], addr.AsSlice())
	}
	err := unix.SetsockoptTCPMD5Sig(fd, unix.IPPROTO_TCP, unix.TCP_MD5SIG, sig)
	if password == "" && errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// arrivedWith returns the TTL with which a connection's first segment came; 0
// if that is not known. The listener must have had TCP_SAVE_SYN.
func arrivedWith(conn *net.TCPConn) int {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	var header [128]byte // IP and TCP
	n := uint32(len(header))
	err = control(raw, func(fd int) error {
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, unix.TCP_SAVED_SYN,
			uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&n)), 0)
		if errno != 0 {
			return errno
		}
		return nil
	})
	switch {
	case err != nil || n < 20:
		return 0
	case header[0]>>4 == 4:
		return int(header[8]) // RFC 791 section 3.1
	}
	return int(header[7]) // RFC 8200 section 3
}
