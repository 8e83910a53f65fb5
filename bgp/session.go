package bgp

import (
	"net/netip"
	"slices"
	"time"
)

// session is a neighbor with its defaults put in, and what of the rest of the
// Config its sessions depend on. It is comparable, and equal ones need no change.
type session struct {
	Neighbor              // Families are those to offer
	external   bool       // of another AS than ours
	hop4, hop6 netip.Addr // next hops of the Config
}

// sessions returns the session to hold with each neighbor, by its address.
func (c Config) sessions(neighbors []Neighbor) map[netip.Addr]session {
	// IPv4 with an IPv6 next hop (RFC 8950 section 4): the fabric has no IPv4
	// sessions, so this is its only way to learn IPv4 routes.
	extended := !slices.ContainsFunc(neighbors, func(n Neighbor) bool { return n.Address.Is4() })
	all := make(map[netip.Addr]session, len(neighbors))
	for _, n := range neighbors {
		s := session{Neighbor: n.withDefaults(), external: n.ASN != c.ASN}
		for _, hop := range c.NextHops {
			if hop.Is4() {
				s.hop4 = hop
			} else {
				s.hop6 = hop
			}
		}
		if s.Families == 0 {
			s.Families = s.usual(extended)
		}
		all[n.Address] = s
	}
	return all
}

// withDefaults puts in what a zero stands for.
func (n Neighbor) withDefaults() Neighbor {
	if n.Port == 0 {
		n.Port = 179 // RFC 4271 section 8.2.1
	}
	if n.HoldTime == 0 {
		n.HoldTime = DefaultHoldTime
	}
	if n.Keepalive == 0 {
		n.Keepalive = (n.HoldTime / 3).Truncate(time.Second) // RFC 4271 section 4.4
	}
	if n.ConnectRetry == 0 {
		n.ConnectRetry = DefaultConnectRetry
	}
	return n
}

// usual is what is offered to a neighbor that names no families: its own, and
// the other one where a next hop of it is known. IPv4 needs none of its own if
// it may be extended.
func (s session) usual(extended bool) Families {
	f := IPv6Unicast
	if s.Address.Is4() {
		f = IPv4Unicast
	}
	if s.hop6.IsValid() || s.NextHop.Is6() {
		f |= IPv6Unicast
	}
	if s.hop4.IsValid() || s.NextHop.Is4() || extended {
		f |= IPv4Unicast
	}
	return f
}

// self is what stands for the next hop in routes that name none, on a session
// with local as our end.
func (s session) self(local netip.Addr) netip.Addr {
	if s.NextHop.IsValid() {
		return s.NextHop
	}
	return local.WithZone("")
}

// carried returns the families of which routes can be told to a neighbor that
// has said o, with local as our end. IPv6 routes have an IPv6 next hop, and so
// may IPv4 routes for those who know that (RFC 8950 section 4).
func (s session) carried(o open, local netip.Addr) Families {
	f := s.Families & o.Families
	self := s.self(local)
	if !s.hop4.IsValid() && self.Is6() && !o.ExtendedNextHop {
		f &^= IPv4Unicast
	}
	if !s.hop6.IsValid() && self.Is4() {
		f &^= IPv6Unicast
	}
	return f
}

// hold returns the hold time that is agreed on with a neighbor that wants
// theirs, and how often to send a keepalive then (RFC 4271 sections 4.2, 4.4).
func (s session) hold(theirs time.Duration) (hold, keepalive time.Duration) {
	if theirs >= s.HoldTime {
		return s.HoldTime, s.Keepalive
	}
	return theirs, min(s.Keepalive, (theirs / 3).Truncate(time.Second))
}

// hops is the TTL of our packets, 0 for the host's own (RFC 4271 section 8.1.1
// has an external neighbor on a shared link).
func (s session) hops() int {
	switch {
	case s.TTLSecurity:
		return maxTTL
	case s.Multihop > 0:
		return s.Multihop
	case s.external:
		return 1
	}
	return 0
}

// farthest is the least TTL that the neighbor's packets may come with (RFC 5082
// section 3), 0 for any.
func (s session) farthest() int {
	if !s.TTLSecurity {
		return 0
	}
	return maxTTL + 1 - max(1, s.Multihop)
}

// open is our OPEN.
func (s session) open(asn uint32, routerID netip.Addr) open {
	o := open{
		ASN: asn, HoldTime: s.HoldTime, RouterID: routerID,
		Multiprotocol: true, Families: s.Families, FourOctet: true, Refresh: true,
		ExtendedNextHop: s.Families.Has(IPv4Unicast),
	}
	if s.GracefulRestart > 0 {
		// We tell all routes at once, so that nothing kept has to be dropped.
		o.Restart = &restart{Time: s.GracefulRestart, Families: s.Families, Kept: s.Families}
	}
	return o
}

// feed is what GoBGP is told of a session with a neighbor that has said o.
func (s session) feed(o open, local netip.Addr) feed {
	_, keepalive := s.hold(o.HoldTime)
	f := feed{open: o, local: s.self(local), families: s.carried(o, local), keepalive: keepalive}
	f.open.Multiprotocol, f.open.Families, f.open.HoldTime = true, f.families, maxHoldTime
	if s.GracefulRestart > 0 && o.Restart != nil {
		f.restart = s.GracefulRestart
	} else {
		f.open.Restart = nil
	}
	return f
}
