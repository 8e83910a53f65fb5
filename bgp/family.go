package bgp

import (
	"encoding/binary"
	"slices"
	"strings"
)

// Numbers of address families (RFC 4760 section 6, RFC 4724 section 3).
const (
	afiIPv4     = 1
	afiIPv6     = 2
	safiUnicast = 1
)

// family is the family of these numbers, 0 if it is not one of ours.
func family(afi octets, safi byte) Families {
	switch {
	case safi != safiUnicast:
		return 0
	case binary.BigEndian.Uint16(afi) == afiIPv4:
		return IPv4Unicast
	case binary.BigEndian.Uint16(afi) == afiIPv6:
		return IPv6Unicast
	}
	return 0
}

// each returns the families of f one by one.
func (f Families) each() []Families {
	return slices.DeleteFunc([]Families{IPv4Unicast, IPv6Unicast}, func(g Families) bool { return !f.Has(g) })
}

// afi is the number of f, which is one family.
func (f Families) afi() byte {
	if f == IPv4Unicast {
		return afiIPv4
	}
	return afiIPv6
}

// words names f's families: "IPv4 or IPv6".
func (f Families) words() string {
	var names []string
	for _, one := range f.each() {
		names = append(names, map[Families]string{IPv4Unicast: "IPv4", IPv6Unicast: "IPv6"}[one])
	}
	return strings.Join(names, " or ")
}
