package main

import (
	"encoding/binary"
	"net/netip"
)

// sources are the addresses that requests come from: those of a prefix, one
// after the other. Of IPv6 each lies in a /56 of its own, as far as the prefix
// has enough: to the responder, who limits by prefix, it is another client.
type sources struct {
	prefix netip.Prefix
	n      uint64 // how many there are
}

// siteBits is the length of the prefix that an IPv6 client has to itself.
const siteBits = 56

// newSources returns the sources of a prefix, 2^32 at most.
func newSources(p netip.Prefix) sources {
	bits := p.Addr().BitLen() - p.Bits()
	if p.Addr().Is6() && p.Bits() < siteBits {
		bits = siteBits - p.Bits()
	}
	return sources{p, 1 << min(bits, 32)}
}

// at returns the i-th source; after the last one comes the first.
func (s *sources) at(i uint64) netip.Addr {
	i %= s.n
	if s.prefix.Addr().Is4() {
		a := s.prefix.Addr().As4()
		binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(a[:])+uint32(i))
		return netip.AddrFrom4(a)
	}
	a := s.prefix.Addr().As16()
	part := a[8:]
	if s.prefix.Bits() < siteBits {
		part, i = a[:8], i<<(64-siteBits)
	}
	binary.BigEndian.PutUint64(part, binary.BigEndian.Uint64(part)+i)
	return netip.AddrFrom16(a)
}
