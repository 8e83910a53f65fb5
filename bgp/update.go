package bgp

import (
	"net/netip"
	"slices"
)

// update is what an UPDATE says of unicast routes (RFC 4271 section 4.3, RFC
// 4760), of whatever session: of families that are not agreed on, too.
type update struct {
	// Sorted, masked, without repeats, and none of them in both: what is
	// withdrawn and announced at once is announced (RFC 4271 section 4.3).
	Announced, Withdrawn []netip.Prefix

	EndOfRIB Families // all routes of these have been told (RFC 4724 section 2)

	// Malformed is why the routes that this UPDATE announces are in Withdrawn
	// (RFC 7606 section 2), "its UPDATE has no NEXT_HOP"; "" if they are not.
	Malformed string
}

// section is a part of an UPDATE that lists prefixes of one family.
type section struct {
	family Families
	nlri   octets
}

// parseUpdate reads m, an UPDATE of a session with AS numbers of four octets, or
// of two. It is refused, which ends the session, only where it is not certain
// which routes are meant (RFC 7606 section 3).
func parseUpdate(m message, fourOctet bool) (update, *refusal) {
	nlri := m.body()
	withdrawn, whole := nlri.field(2)
	list, also := nlri.field(2)
	if !whole || !also {
		return update{}, refuse(updateError, malformedAttributes, nil, "its UPDATE has withdrawn routes and attributes that are longer than itself")
	}
	a, refused := parseAttributes(list, fourOctet)
	if refused != nil {
		return update{}, refused
	}
	a.require(len(nlri) > 0)
	if a.malformed != "" && a.others && len(nlri) == 0 && !a.reaches { // RFC 7606 section 5.2
		return update{}, refuse(updateError, malformedAttributes, nil, "%s, and no routes to take for withdrawn", a.malformed)
	}
	return a.routes(section{IPv4Unicast, withdrawn}, section{IPv4Unicast, nlri})
}

// routes is what an UPDATE says that has these attributes beside its own two
// lists of IPv4 routes.
func (a *attributes) routes(withdrawn, announced section) (u update, refused *refusal) {
	u.Malformed = a.malformed
	going, coming := []section{withdrawn, a.unreach}, []section{announced, a.reach}
	if a.malformed != "" {
		going, coming = append(going, coming...), nil
	}
	if u.Withdrawn, refused = prefixes(going); refused != nil {
		return update{}, refused
	}
	if u.Announced, refused = prefixes(coming); refused != nil {
		return update{}, refused
	}
	u.Withdrawn = slices.DeleteFunc(u.Withdrawn, func(p netip.Prefix) bool {
		_, too := slices.BinarySearchFunc(u.Announced, p, netip.Prefix.Compare)
		return too
	})
	if len(u.Withdrawn) == 0 && len(u.Announced) == 0 {
		u.EndOfRIB = a.endOfRIB()
	}
	return u, nil
}

// endOfRIB is the family whose routes are all told by an UPDATE without any: one
// with no attribute, or with an MP_UNREACH_NLRI alone (RFC 4724 section 2).
func (a *attributes) endOfRIB() Families {
	switch {
	case a.others || a.malformed != "":
		return 0
	case a.seen[mpUnreachAttribute]:
		return a.unreach.family
	}
	return IPv4Unicast
}

// prefixes returns those of all sections, sorted and without repeats. They take
// 32 octets each, for at least one of the message.
func prefixes(sections []section) ([]netip.Prefix, *refusal) {
	n := 0
	for _, s := range sections {
		for ; len(s.nlri) > 0; n++ {
			if _, refused := s.next(); refused != nil {
				return nil, refused
			}
		}
	}
	all := make([]netip.Prefix, 0, n)
	for _, s := range sections {
		for len(s.nlri) > 0 {
			p, _ := s.next()
			all = append(all, p)
		}
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all), nil
}

// next cuts off the first prefix (RFC 4271 section 4.3): its length in bits and
// as many octets as that needs. Bits beyond the length mean nothing.
func (s *section) next() (netip.Prefix, *refusal) {
	var address [16]byte
	most := 128
	if s.family == IPv4Unicast {
		most = 32
	}
	length, _ := s.nlri.take(1)
	bits := int(length[0])
	if bits > most {
		return netip.Prefix{}, refuse(updateError, invalidNetwork, nil, "its UPDATE has an %s prefix of %d bits", s.family.words(), bits)
	}
	octets, ok := s.nlri.take((bits + 7) / 8)
	if !ok {
		return netip.Prefix{}, refuse(updateError, invalidNetwork, nil, "its UPDATE ends within an %s prefix", s.family.words())
	}
	copy(address[:], octets)
	addr := netip.AddrFrom16(address)
	if s.family == IPv4Unicast {
		addr = netip.AddrFrom4([4]byte(address[:4]))
	}
	return netip.PrefixFrom(addr, bits).Masked(), nil
}
