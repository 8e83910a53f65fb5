package bgp

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// Codes of the capabilities that we know; others are skipped, as RFC 5492
// section 3 wants it.
const (
	multiprotocol   = 1  // RFC 4760 section 8
	routeRefresh    = 2  // RFC 2918 section 2
	extendedNextHop = 5  // RFC 8950 section 4
	gracefulRestart = 64 // RFC 4724 section 3
	fourOctetAS     = 65 // RFC 6793 section 3
)

// ipv4OverIPv6 is a triple of RFC 8950 section 4: unicast IPv4 routes with a next
// hop of IPv6.
const ipv4OverIPv6 = "\x00\x01\x00\x01\x00\x02"

// Bits of the capability of graceful restart (RFC 4724 section 3; N is of RFC
// 8538 section 2).
const (
	restarting          = 0x8000 // R, of the first two octets
	keepsOnNotification = 0x4000 // N, of the first two octets
	maxRestart          = 0x0FFF // s, of the first two octets
	kept                = 0x80   // F, of a family's last octet
)

// restart is the capability of graceful restart (RFC 4724 section 3).
type restart struct {
	Restarting   bool          // it has just started again
	Notification bool          // it also keeps routes after a NOTIFICATION (RFC 8538 section 2)
	Time         time.Duration // whole seconds, 0 to 4095 s
	Families     Families      // of which it keeps the other's routes
	Kept         Families      // of which it has kept them
}

// readCapabilities reads one parameter's capabilities (RFC 5492 section 4).
func (o *open) readCapabilities(all octets) *refusal {
	for len(all) > 0 {
		code, _ := all.take(1)
		value, ok := all.field(1)
		if !ok {
			return malformedOpen("has a capability that is longer than all of them")
		}
		if !capabilityFits(code[0], len(value)) {
			return malformedOpen(fmt.Sprintf("has a capability %d of %d octets, which is malformed", code[0], len(value)))
		}
		o.readCapability(code[0], value)
	}
	return nil
}

// capabilityFits reports whether a capability may be n octets long: of those
// that we do not know any length is right.
func capabilityFits(code byte, n int) bool {
	switch code {
	case multiprotocol, fourOctetAS:
		return n == 4
	case routeRefresh:
		return n == 0
	case extendedNextHop:
		return n%len(ipv4OverIPv6) == 0
	case gracefulRestart:
		return n%4 == 2
	}
	return true
}

// readCapability reads one capability, whose length fits.
func (o *open) readCapability(code byte, value octets) {
	switch code {
	case multiprotocol:
		o.Multiprotocol = true
		o.Families |= family(value[:2], value[3])
	case routeRefresh:
		o.Refresh = true
	case extendedNextHop:
		for triple := range slices.Chunk(value, len(ipv4OverIPv6)) {
			o.ExtendedNextHop = o.ExtendedNextHop || string(triple) == ipv4OverIPv6
		}
	case gracefulRestart:
		o.Restart = parseRestart(value)
	case fourOctetAS:
		o.FourOctet, o.ASN = true, binary.BigEndian.Uint32(value)
	}
}

// parseRestart reads the capability of graceful restart: flags and time in two
// octets, and four of each family.
func parseRestart(value octets) *restart {
	first := binary.BigEndian.Uint16(value)
	r := &restart{Restarting: first&restarting != 0, Notification: first&keepsOnNotification != 0, Time: time.Duration(first&maxRestart) * time.Second}
	for entry := range slices.Chunk(value[2:], 4) {
		f := family(entry[:2], entry[2])
		r.Families |= f
		if entry[3]&kept != 0 {
			r.Kept |= f
		}
	}
	return r
}

// appendCapabilities appends o's capabilities, 40 octets at most.
func (o open) appendCapabilities(b []byte) []byte {
	if o.Multiprotocol {
		b = appendFamilies(b, o.Families)
	}
	if o.Refresh {
		b = append(b, routeRefresh, 0)
	}
	if o.ExtendedNextHop {
		b = append(append(b, extendedNextHop, byte(len(ipv4OverIPv6))), ipv4OverIPv6...)
	}
	if o.Restart != nil {
		b = o.Restart.append(b)
	}
	if o.FourOctet {
		b = binary.BigEndian.AppendUint32(append(b, fourOctetAS, 4), o.ASN)
	}
	return b
}

// appendFamilies appends a capability for each family of f.
func appendFamilies(b []byte, f Families) []byte {
	for _, one := range f.each() {
		b = append(b, multiprotocol, 4, 0, one.afi(), 0, safiUnicast)
	}
	return b
}

// append appends r as a capability.
func (r restart) append(b []byte) []byte {
	first := uint16(r.Time / time.Second)
	if r.Restarting {
		first |= restarting
	}
	if r.Notification {
		first |= keepsOnNotification
	}
	families := r.Families.each()
	b = binary.BigEndian.AppendUint16(append(b, gracefulRestart, byte(2+4*len(families))), first)
	for _, f := range families {
		var flags byte
		if r.Kept.Has(f) {
			flags = kept
		}
		b = append(b, 0, f.afi(), safiUnicast, flags)
	}
	return b
}
