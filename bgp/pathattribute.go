package bgp

import (
	"bytes"
	"fmt"
	"slices"
)

// Flags of a path attribute (RFC 4271 section 4.3).
const (
	optional      = 0x80
	transitive    = 0x40
	longAttribute = 0x10 // its length takes two octets
)

// Types of path attributes.
const (
	originAttribute         = 1  // RFC 4271 section 5.1.1
	asPathAttribute         = 2  // RFC 4271 section 5.1.2
	nextHopAttribute        = 3  // RFC 4271 section 5.1.3
	medAttribute            = 4  // RFC 4271 section 5.1.4
	localPrefAttribute      = 5  // RFC 4271 section 5.1.5
	atomicAttribute         = 6  // RFC 4271 section 5.1.6
	aggregatorAttribute     = 7  // RFC 4271 section 5.1.7
	communitiesAttribute    = 8  // RFC 1997
	originatorAttribute     = 9  // RFC 4456 section 8
	clusterListAttribute    = 10 // RFC 4456 section 8
	mpReachAttribute        = 14 // RFC 4760 section 3
	mpUnreachAttribute      = 15 // RFC 4760 section 4
	extendedAttribute       = 16 // RFC 4360 section 2
	as4PathAttribute        = 17 // RFC 6793 section 3
	as4AggregatorAttribute  = 18 // RFC 6793 section 3
	ipv6ExtendedAttribute   = 25 // RFC 5701 section 2
	largeCommunityAttribute = 32 // RFC 8092 section 3
)

// maxOrigin is INCOMPLETE, the last of the origins (RFC 4271 section 4.3).
const maxOrigin = 2

// maxSegment is the last type of an AS_PATH's segments: AS_SET is 1 and
// AS_SEQUENCE 2 (RFC 4271 section 4.3), the two of a confederation are 3 and 4
// (RFC 5065 section 3).
const maxSegment = 4

// attributes are an UPDATE's path attributes, as far as they say which routes
// are meant, and whether they can be.
type attributes struct {
	seen           [256]bool
	reach, unreach section // of no family: not there, or of one that is not ours
	reaches        bool    // some family's routes are announced
	others         bool    // there is more than an MP_UNREACH_NLRI
	malformed      string  // the first fault for which routes are taken for withdrawn; ""
}

// parseAttributes reads an UPDATE's list of path attributes, and holds each to
// its flags and form (RFC 7606 sections 3, 4 and 7). Of several of one type the
// first counts (section 3 g).
func parseAttributes(list octets, fourOctet bool) (attributes, *refusal) {
	var a attributes
	for len(list) > 0 {
		start := list
		flags, kind, value, ok := list.attribute()
		names := kind == mpReachAttribute || kind == mpUnreachAttribute
		switch {
		case names && !ok:
			return a, refuse(updateError, malformedAttributes, nil, "its UPDATE ends within its %s", attributeName(kind))
		case names && a.seen[kind]: // RFC 7606 section 3 g
			return a, refuse(updateError, malformedAttributes, nil, "its UPDATE has two %s", attributeName(kind))
		case !ok: // RFC 7606 section 4
			a.others = true
			a.fault("its UPDATE ends within an attribute")
			return a, nil
		case a.seen[kind]:
			continue
		}
		a.seen[kind] = true
		a.others = a.others || kind != mpUnreachAttribute
		a.check(flags, kind, value, fourOctet)
		if names && !a.readRoutes(kind, value) { // RFC 4760 section 7, RFC 7606 section 7.11
			whole := start[:len(start)-len(list)]
			return a, refuse(updateError, optionalAttributeError, bytes.Clone(whole), "its UPDATE has a malformed %s", attributeName(kind))
		}
	}
	return a, nil
}

// attribute cuts off a path attribute (RFC 4271 section 4.3). Of one that is cut
// off, flags and type are known if they are there.
func (o *octets) attribute() (flags, kind byte, value octets, ok bool) {
	head, ok := o.take(2)
	if !ok {
		return 0, 0, nil, false
	}
	size := 1
	if head[0]&longAttribute != 0 {
		size = 2
	}
	value, ok = o.field(size)
	return head[0], head[1], value, ok
}

// check makes a malformed if an attribute is.
func (a *attributes) check(flags, kind byte, value octets, fourOctet bool) {
	want, known := attributeFlags(kind)
	switch {
	case !known && flags&optional == 0:
		// RFC 4271 section 6.3 would end the session, for what may come from the
		// other end of the Internet.
		a.fault("its UPDATE has an unknown well-known attribute %d", kind)
	case known && (flags^want)&(optional|transitive) != 0: // RFC 7606 section 3 c
		a.fault("its UPDATE has %s with the flags 0x%02x", attributeName(kind), flags)
	case !wellFormed(kind, value, fourOctet):
		a.fault("its UPDATE has a malformed %s", attributeName(kind))
	}
}

// require makes a malformed if an attribute is missing without which no route
// can be announced (RFC 4271 section 5, RFC 7606 section 3 d); field is whether
// there are some in the UPDATE's own field, which have their next hop apart.
func (a *attributes) require(field bool) {
	if !field && !a.reaches {
		return
	}
	for _, kind := range []byte{originAttribute, asPathAttribute, nextHopAttribute} {
		if !a.seen[kind] && (field || kind != nextHopAttribute) {
			a.fault("its UPDATE has no %s", attributeName(kind))
		}
	}
}

// fault keeps the first fault.
func (a *attributes) fault(format string, args ...any) {
	if a.malformed == "" {
		a.malformed = fmt.Sprintf(format, args...)
	}
}

// readRoutes reads an MP_REACH_NLRI or MP_UNREACH_NLRI (RFC 4760 sections 3 and
// 4) up to its prefixes, and reports whether they begin where they should.
func (a *attributes) readRoutes(kind byte, value octets) bool {
	numbers, ok := value.take(3)
	if !ok {
		return false
	}
	s := section{family: family(numbers[:2], numbers[2])}
	if kind == mpUnreachAttribute {
		if s.family != 0 {
			s.nlri = value
		}
		a.unreach = s
		return true
	}
	if s.family == 0 {
		a.reaches = true
		return true
	}
	hop, ok := value.field(1)
	_, reserved := value.take(1)
	s.nlri = value
	a.reach, a.reaches = s, len(value) > 0
	return ok && reserved && nextHopFits(s.family, len(hop))
}

// nextHopFits reports whether routes of f may have a next hop of n octets: an
// address, to which IPv6 may add a link-local one (RFC 2545 section 3), also for
// IPv4 routes (RFC 8950 section 3).
func nextHopFits(f Families, n int) bool {
	return n == 16 || n == 32 || n == 4 && f == IPv4Unicast
}

// attributeName is the name of a path attribute.
func attributeName(kind byte) string {
	switch kind {
	case extendedAttribute:
		return "EXTENDED_COMMUNITIES"
	case ipv6ExtendedAttribute:
		return "IPV6_EXTENDED_COMMUNITIES"
	case largeCommunityAttribute:
		return "LARGE_COMMUNITY"
	case mpReachAttribute:
		return "MP_REACH_NLRI"
	case mpUnreachAttribute:
		return "MP_UNREACH_NLRI"
	case as4PathAttribute:
		return "AS4_PATH"
	case as4AggregatorAttribute:
		return "AS4_AGGREGATOR"
	}
	return name(kind, "attribute", "ORIGIN", "AS_PATH", "NEXT_HOP", "MULTI_EXIT_DISC", "LOCAL_PREF", "ATOMIC_AGGREGATE",
		"AGGREGATOR", "COMMUNITIES", "ORIGINATOR_ID", "CLUSTER_LIST")
}

// attributeFlags is which of optional and transitive an attribute has, if it is
// one that we know.
func attributeFlags(kind byte) (flags byte, known bool) {
	switch kind {
	case originAttribute, asPathAttribute, nextHopAttribute, localPrefAttribute, atomicAttribute:
		return transitive, true
	case medAttribute, originatorAttribute, clusterListAttribute, mpReachAttribute, mpUnreachAttribute:
		return optional, true
	case aggregatorAttribute, communitiesAttribute, extendedAttribute, as4PathAttribute, as4AggregatorAttribute,
		ipv6ExtendedAttribute, largeCommunityAttribute:
		return optional | transitive, true
	}
	return 0, false
}

// wellFormed reports whether an attribute is none for which its routes are taken
// for withdrawn. Those of which RFC 7606 section 7 says that they are discarded,
// and those that we do not know, always are; what it discards from external
// neighbors alone (sections 7.5, 7.9, 7.10) is held to what internal ones must.
func wellFormed(kind byte, value octets, fourOctet bool) bool {
	multiple := func(n int) bool { return len(value) > 0 && len(value)%n == 0 }
	switch kind {
	case originAttribute:
		return len(value) == 1 && value[0] <= maxOrigin
	case asPathAttribute:
		return pathFits(value, fourOctet)
	case nextHopAttribute, medAttribute, localPrefAttribute, originatorAttribute:
		return len(value) == 4
	case communitiesAttribute, clusterListAttribute:
		return multiple(4)
	case extendedAttribute:
		return multiple(8)
	case largeCommunityAttribute: // RFC 8092 section 6
		return multiple(12)
	case ipv6ExtendedAttribute:
		return multiple(20)
	}
	return true
}

// pathFits reports whether an AS_PATH is one of segments with at least one AS
// number each (RFC 7606 section 7.2), none of them 0 (RFC 7607 section 2).
func pathFits(path octets, fourOctet bool) bool {
	size := 2
	if fourOctet {
		size = 4
	}
	for len(path) > 0 {
		head, _ := path.take(2)
		if len(head) < 2 || head[0] == 0 || head[0] > maxSegment || head[1] == 0 {
			return false
		}
		numbers, ok := path.take(int(head[1]) * size)
		if !ok {
			return false
		}
		for number := range slices.Chunk(numbers, size) {
			if len(bytes.Trim(number, "\x00")) == 0 {
				return false
			}
		}
	}
	return true
}
