package bgp

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	gobgpapi "github.com/osrg/gobgp/v3/api"
	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// MaxPrepend is how many times more a route may name our AS; many a neighbor
// drops routes with a much longer path.
const MaxPrepend = 16

// Attributes are what a route says to be chosen, or not, among others for its
// prefix. The zero value says nothing.
type Attributes struct {
	Communities []uint32            // RFC 1997; in any order
	Large       []LargeCommunity    // RFC 8092; in any order
	Extended    []ExtendedCommunity // RFC 4360; in any order

	// MED is told to internal and external neighbors, who compare it only
	// between routes from the same AS (RFC 4271 section 9.1.2.2). 0: not sent,
	// which is to them as good as 0.
	MED uint32

	// LocalPref is told to internal neighbors alone (RFC 4271 section 5.1.5).
	// Nil: 100.
	LocalPref *uint32

	// Prepend is how often the AS_PATH has our AS beside the one time that
	// external sessions put in, 0 to MaxPrepend. An internal neighbor takes any
	// for a loop, and drops the route (RFC 4271 section 9.1.2).
	Prepend int
}

// ExtendedCommunity is one of RFC 4360, as on the wire: its type, a subtype, and
// six octets that these give a meaning to.
type ExtendedCommunity [8]byte

// Types of extended communities by what is behind the subtype (RFC 4360
// section 3, RFC 5668 section 2).
const (
	OfTwoOctetAS  = 0 // an AS of 2 octets, a number of 4
	OfIPv4        = 1 // an address, a number of 2 octets
	OfFourOctetAS = 2 // an AS of 4 octets, a number of 2
)

// Subtypes of these (RFC 4360 sections 4 and 5).
const (
	RouteTarget = 2
	RouteOrigin = 3
)

// String is c as in "rt:64500:100" or "soo:192.0.2.1:100", and in hexadecimal
// digits if it is of another kind.
func (c ExtendedCommunity) String() string {
	kind := map[byte]string{RouteTarget: "rt", RouteOrigin: "soo"}[c[1]]
	long, short := binary.BigEndian.Uint32, binary.BigEndian.Uint16
	switch {
	case kind != "" && c[0] == OfTwoOctetAS:
		return fmt.Sprintf("%s:%d:%d", kind, short(c[2:]), long(c[4:]))
	case kind != "" && c[0] == OfIPv4:
		return fmt.Sprintf("%s:%v:%d", kind, netip.AddrFrom4([4]byte(c[2:6])), short(c[6:]))
	case kind != "" && c[0] == OfFourOctetAS:
		return fmt.Sprintf("%s:%d:%d", kind, long(c[2:]), short(c[6:]))
	}
	return fmt.Sprintf("0x%x", c[:])
}

// compare orders extended communities.
func (c ExtendedCommunity) compare(d ExtendedCommunity) int { return slices.Compare(c[:], d[:]) }

// LargeCommunity is one of RFC 8092: an AS, and two numbers that it gives a
// meaning to.
type LargeCommunity [3]uint32

// String is c in the form of RFC 8092 section 4.1, "64500:1:2".
func (c LargeCommunity) String() string { return fmt.Sprintf("%d:%d:%d", c[0], c[1], c[2]) }

// compare orders large communities.
func (c LargeCommunity) compare(d LargeCommunity) int { return slices.Compare(c[:], d[:]) }

// IsZero reports whether a says nothing.
func (a Attributes) IsZero() bool { return a.Equal(Attributes{}) }

// Equal reports whether a and b say the same: the order of communities and
// repeats among them do not matter.
func (a Attributes) Equal(b Attributes) bool {
	a, b = a.sorted(), b.sorted()
	return slices.Equal(a.Communities, b.Communities) && slices.Equal(a.Large, b.Large) && slices.Equal(a.Extended, b.Extended) &&
		a.MED == b.MED && a.Prepend == b.Prepend && a.localPref() == b.localPref()
}

// localPref is what internal neighbors are told.
func (a Attributes) localPref() uint32 {
	if a.LocalPref == nil {
		return defaultLocalPref
	}
	return *a.LocalPref
}

// defaultLocalPref is what GoBGP puts in where a route has none.
const defaultLocalPref = 100

// With returns what a says and beside it what b says: the communities and
// prepends of both, and b's MED and local preference where it has them.
func (a Attributes) With(b Attributes) Attributes {
	return Attributes{
		Communities: slices.Concat(a.Communities, b.Communities),
		Large:       slices.Concat(a.Large, b.Large),
		Extended:    slices.Concat(a.Extended, b.Extended),
		MED:         cmp.Or(b.MED, a.MED),
		LocalPref:   cmp.Or(b.LocalPref, a.LocalPref),
		Prepend:     a.Prepend + b.Prepend,
	}
}

// sorted returns a copy whose communities are sorted and without repeats.
func (a Attributes) sorted() Attributes {
	a.Communities, a.Large, a.Extended = slices.Clone(a.Communities), slices.Clone(a.Large), slices.Clone(a.Extended)
	slices.Sort(a.Communities)
	slices.SortFunc(a.Large, LargeCommunity.compare)
	slices.SortFunc(a.Extended, ExtendedCommunity.compare)
	a.Communities, a.Large, a.Extended = slices.Compact(a.Communities), slices.Compact(a.Large), slices.Compact(a.Extended)
	return a
}

// messages is a in GoBGP's terms, for a speaker of AS asn.
func (a Attributes) messages(asn uint32) []proto.Message {
	var all []proto.Message
	if a.Prepend > 0 {
		path := &gobgpapi.AsSegment{Type: gobgpapi.AsSegment_AS_SEQUENCE, Numbers: slices.Repeat([]uint32{asn}, a.Prepend)}
		all = append(all, &gobgpapi.AsPathAttribute{Segments: []*gobgpapi.AsSegment{path}})
	}
	if a.MED > 0 {
		all = append(all, &gobgpapi.MultiExitDiscAttribute{Med: a.MED})
	}
	if a.LocalPref != nil {
		all = append(all, &gobgpapi.LocalPrefAttribute{LocalPref: *a.LocalPref})
	}
	if len(a.Communities) > 0 {
		all = append(all, &gobgpapi.CommunitiesAttribute{Communities: a.Communities})
	}
	if len(a.Large) > 0 {
		large := &gobgpapi.LargeCommunitiesAttribute{}
		for _, c := range a.Large {
			large.Communities = append(large.Communities, &gobgpapi.LargeCommunity{GlobalAdmin: c[0], LocalData1: c[1], LocalData2: c[2]})
		}
		all = append(all, large)
	}
	if len(a.Extended) > 0 {
		all = append(all, a.extendedMessage())
	}
	return all
}

// extendedMessage is a's extended communities in GoBGP's terms. To it they are
// of no type that it knows: so it sends the octets as they are.
func (a Attributes) extendedMessage() proto.Message {
	m := &gobgpapi.ExtendedCommunitiesAttribute{}
	for _, c := range a.Extended {
		octets, _ := anypb.New(&gobgpapi.UnknownExtended{Type: uint32(c[0]), Value: c[1:]}) // a message of two fields is always marshaled
		m.Communities = append(m.Communities, octets)
	}
	return m
}

// attributesOf reads the attributes of d's route, sorted. As it is ours, its
// AS_PATH has nothing but prepends.
func attributesOf(d *gobgpapi.Destination) (Attributes, error) {
	var a Attributes
	for _, path := range d.Paths {
		for _, attr := range path.Pattrs {
			m, err := attr.UnmarshalNew()
			if err != nil {
				return Attributes{}, err
			}
			if err := a.read(m); err != nil {
				return Attributes{}, err
			}
		}
	}
	return a.sorted(), nil
}

// read adds one of GoBGP's attributes to a, if it is of a kind that a has.
func (a *Attributes) read(m proto.Message) error {
	switch m := m.(type) {
	case *gobgpapi.AsPathAttribute:
		for _, s := range m.Segments {
			a.Prepend += len(s.Numbers)
		}
	case *gobgpapi.MultiExitDiscAttribute:
		a.MED = m.Med
	case *gobgpapi.LocalPrefAttribute:
		a.LocalPref = &m.LocalPref
	case *gobgpapi.CommunitiesAttribute:
		a.Communities = m.Communities
	case *gobgpapi.LargeCommunitiesAttribute:
		for _, c := range m.Communities {
			a.Large = append(a.Large, LargeCommunity{c.GlobalAdmin, c.LocalData1, c.LocalData2})
		}
	case *gobgpapi.ExtendedCommunitiesAttribute:
		return a.readExtended(m)
	}
	return nil
}

// readExtended adds GoBGP's extended communities to a.
func (a *Attributes) readExtended(m *gobgpapi.ExtendedCommunitiesAttribute) error {
	for _, octets := range m.Communities {
		var e gobgpapi.UnknownExtended
		if err := octets.UnmarshalTo(&e); err != nil {
			return err
		}
		c := ExtendedCommunity{byte(e.Type)}
		copy(c[1:], e.Value)
		a.Extended = append(a.Extended, c)
	}
	return nil
}

// MarshalZerologObject logs a, what it does not say left out but for
// communities, of which a route in service is seen to have none.
func (a Attributes) MarshalZerologObject(e *zerolog.Event) {
	e.Strs("communities", words(a.Communities))
	if len(a.Large) > 0 {
		e.Strs("large_communities", texts(a.Large))
	}
	if len(a.Extended) > 0 {
		e.Strs("extended_communities", texts(a.Extended))
	}
	if a.MED > 0 {
		e.Uint32("med", a.MED)
	}
	if a.LocalPref != nil {
		e.Uint32("local_pref", *a.LocalPref)
	}
	if a.Prepend > 0 {
		e.Int("prepend", a.Prepend)
	}
}

// texts writes communities that have a text form of their own.
func texts[C fmt.Stringer](communities []C) []string {
	var all []string
	for _, c := range communities {
		all = append(all, c.String())
	}
	return all
}

// words writes communities as "65535:0" (RFC 1997: two halves of 16 bits).
func words(communities []uint32) []string {
	all := make([]string, 0, len(communities))
	for _, c := range communities {
		all = append(all, fmt.Sprintf("%d:%d", c>>16, c&0xFFFF))
	}
	return all
}
