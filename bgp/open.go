package bgp

import (
	"encoding/binary"
	"math"
	"net/netip"
	"time"
)

// version is that of BGP-4 (RFC 4271 section 4.2).
const version = 4

// asTrans stands for an AS number of four octets where only two fit (RFC 6793
// section 9).
const asTrans = 23456

// Types of an OPEN's optional parameters.
const (
	capabilities   = 2   // RFC 5492 section 4
	extendedLength = 255 // not a parameter: longer ones follow (RFC 9072 section 2)
)

// open is what an OPEN says of its sender, as far as we know the words.
type open struct {
	ASN             uint32        // not 0; of four octets where it knows them
	HoldTime        time.Duration // 0: no keepalives; else whole seconds from 3 s to 65535 s
	RouterID        netip.Addr    // IPv4, not 0.0.0.0
	Multiprotocol   bool          // names its families (RFC 4760); who does not has IPv4 alone
	Families        Families      // those of ours among them; 0: others only
	FourOctet       bool          // AS numbers of four octets in its UPDATEs (RFC 6793)
	Refresh         bool          // takes ROUTE-REFRESH (RFC 2918)
	ExtendedNextHop bool          // takes IPv4 routes with an IPv6 next hop (RFC 8950)
	Restart         *restart      // nil: no graceful restart (RFC 4724)
}

// expected is what a neighbor's OPEN is held against.
type expected struct {
	ASN      uint32     // the neighbor's
	LocalASN uint32     // ours
	RouterID netip.Addr // ours
	Families Families   // that we offer; not 0
}

// parseOpen reads m, an OPEN (RFC 4271 section 4.2), and refuses it as section
// 6.2 says.
func parseOpen(m message) (open, *refusal) {
	body := m.body()
	fixed, ok := body.take(minOpen - headerLength - 1)
	if !ok {
		return open{}, malformedOpen("ends in its fixed part")
	}
	if fixed[0] != version {
		return open{}, refuse(openError, unsupportedVersion, []byte{0, version}, "it speaks BGP version %d, not 4", fixed[0])
	}
	o := open{
		ASN:      uint32(binary.BigEndian.Uint16(fixed[1:])),
		HoldTime: time.Duration(binary.BigEndian.Uint16(fixed[3:])) * time.Second,
		RouterID: netip.AddrFrom4([4]byte(fixed[5:9])),
	}
	if o.HoldTime > 0 && o.HoldTime < minHoldTime {
		return open{}, refuse(openError, unacceptableHoldTime, nil, "its OPEN wants a hold time of %v, which may not be under %v", o.HoldTime, minHoldTime)
	}
	if o.RouterID.IsUnspecified() { // RFC 6286 section 2.2
		return open{}, refuse(openError, badIdentifier, nil, "its OPEN has the BGP Identifier 0.0.0.0")
	}
	two := o.ASN
	if refused := o.readParameters(body); refused != nil {
		return open{}, refused
	}
	if !o.Multiprotocol {
		o.Families = IPv4Unicast
	}
	switch {
	case o.ASN == 0:
		return open{}, refuse(openError, badPeerAS, nil, "its OPEN names AS 0, which is reserved (RFC 7607)")
	case two != o.ASN && two != asTrans:
		return open{}, refuse(openError, badPeerAS, nil, "its OPEN names AS %d, and in four octets AS %d", two, o.ASN)
	}
	return o, nil
}

// malformedOpen is the refusal of an OPEN that has no subcode of its own.
func malformedOpen(what string) *refusal {
	return refuse(openError, unspecific, nil, "its OPEN %s", what)
}

// readParameters reads what follows an OPEN's fixed part: the optional
// parameters, in RFC 4271's form or in RFC 9072's.
func (o *open) readParameters(body octets) *refusal {
	size := 1 // octets of a parameter's length
	if len(body) > 1 && body[0] != 0 && body[1] == extendedLength {
		body, size = body[2:], 2
	}
	all, ok := body.field(size)
	if !ok || len(body) > 0 {
		return malformedOpen("says another length of its optional parameters than it has")
	}
	for len(all) > 0 {
		kind, _ := all.take(1)
		value, ok := all.field(size)
		switch {
		case !ok:
			return malformedOpen("has an optional parameter that is longer than all of them")
		case kind[0] != capabilities:
			return refuse(openError, unsupportedParameter, nil,
				"its OPEN has an optional parameter of type %d, where only capabilities (2) are known", kind[0])
		}
		if refused := o.readCapabilities(value); refused != nil {
			return refused
		}
	}
	return nil
}

// check refuses an OPEN of another speaker than the one that is wanted, and one
// with which no route could ever be told.
func (o open) check(want expected) *refusal {
	switch {
	case o.ASN != want.ASN:
		return refuse(openError, badPeerAS, nil, "its OPEN names AS %d, not %d", o.ASN, want.ASN)
	case o.RouterID == want.RouterID && o.ASN == want.LocalASN: // RFC 6286 section 2.2
		return refuse(openError, badIdentifier, nil, "its BGP Identifier %v is ours too", o.RouterID)
	case o.Families&want.Families == 0:
		return refuse(openError, unsupportedCapability, appendFamilies(nil, want.Families), "it does not speak %s", want.Families.words())
	}
	return nil
}

// message is o as an OPEN that has nothing else in it. Families are named where
// o is Multiprotocol, and then there must be one: none would read as IPv4.
func (o open) message() message {
	two := uint16(asTrans)
	if o.ASN <= math.MaxUint16 {
		two = uint16(o.ASN)
	}
	id := o.RouterID.As4()
	body := binary.BigEndian.AppendUint16([]byte{version}, two)
	body = binary.BigEndian.AppendUint16(body, uint16(o.HoldTime/time.Second))
	body = append(body, id[:]...)
	if all := o.appendCapabilities(nil); len(all) > 0 {
		body = append(body, byte(2+len(all)), capabilities, byte(len(all)))
		return newMessage(openKind, append(body, all...)...)
	}
	return newMessage(openKind, append(body, 0)...)
}
