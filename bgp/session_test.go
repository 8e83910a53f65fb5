package bgp

import (
	"net/netip"
	"testing"
	"time"
)

func TestSessionsOfferTheFamiliesThatTheyCanCarry(t *testing.T) {
	n4, n6 := Neighbor{Address: their4, ASN: 65002}, Neighbor{Address: their6, ASN: 65002}
	only6, hop6 := n4, n4
	only6.Families, hop6.NextHop = IPv6Unicast, our6
	for name, tc := range map[string]struct {
		neighbors []Neighbor
		hops      []netip.Addr
		want      Families // of the first one
	}{
		"IPv4 session":                      {[]Neighbor{n4}, nil, IPv4Unicast},
		"IPv4 session, IPv4 next hop":       {[]Neighbor{n4}, []netip.Addr{our4}, IPv4Unicast},
		"IPv4 session, IPv6 next hop":       {[]Neighbor{n4}, []netip.Addr{our6}, both},
		"IPv4 session, its IPv6 next hop":   {[]Neighbor{hop6}, nil, both},
		"IPv4 session, told to be of IPv6":  {[]Neighbor{only6}, nil, IPv6Unicast},
		"IPv6 session alone, by RFC 8950":   {[]Neighbor{n6}, nil, both},
		"IPv6 session beside an IPv4 one":   {[]Neighbor{n6, n4}, nil, IPv6Unicast},
		"IPv6 session, IPv4 next hop":       {[]Neighbor{n6, n4}, []netip.Addr{our4}, both},
		"IPv4 session beside an IPv6 one":   {[]Neighbor{n4, n6}, nil, IPv4Unicast},
		"IPv4 session, next hops for both":  {[]Neighbor{n4, n6}, []netip.Addr{our4, our6}, both},
		"IPv6 session, its own next hop is": {[]Neighbor{n6, n4}, []netip.Addr{our6}, IPv6Unicast},
	} {
		t.Run(name, func(t *testing.T) {
			c := Config{ASN: 65001, NextHops: tc.hops}
			if got := c.sessions(tc.neighbors)[tc.neighbors[0].Address].Families; got != tc.want {
				t.Errorf("want %v, got %v", tc.want, got)
			}
		})
	}
}

func TestRoutesAreToldOnlyWithANextHopThatTheNeighborTakes(t *testing.T) {
	knows, not := open{Families: both, ExtendedNextHop: true}, open{Families: both}
	for name, tc := range map[string]struct {
		session
		theirs open
		local  netip.Addr
		want   Families
	}{
		"IPv4 session":                          {session{}, knows, our4, IPv4Unicast},
		"IPv6 session, RFC 8950":                {session{}, knows, our6, both},
		"IPv6 session, no RFC 8950":             {session{}, not, our6, IPv6Unicast},
		"IPv6 session, IPv4 next hop":           {session{hop4: our4}, not, our6, both},
		"IPv4 session, IPv6 next hop":           {session{hop6: our6}, not, our4, both},
		"IPv4 session, its IPv6 next hop":       {session{Neighbor: Neighbor{NextHop: our6}}, knows, our4, both},
		"likewise, but no RFC 8950":             {session{Neighbor: Neighbor{NextHop: our6}}, not, our4, IPv6Unicast},
		"the neighbor has another family":       {session{}, open{Families: IPv6Unicast}, our4, 0},
		"a link-local end is as good as others": {session{}, knows, netip.MustParseAddr("fe80::1%eth0"), both},
	} {
		t.Run(name, func(t *testing.T) {
			tc.session.Families = both
			if got := tc.carried(tc.theirs, tc.local); got != tc.want {
				t.Errorf("want %v, got %v", tc.want, got)
			}
		})
	}
}

func TestHoldTimeIsTheShorterOneAndKeepalivesFitIt(t *testing.T) {
	const s = time.Second
	for _, tc := range []struct{ hold, keepalive, theirs, wantHold, wantKeepalive time.Duration }{
		{9 * s, 0, 9 * s, 9 * s, 3 * s},
		{9 * s, 0, 180 * s, 9 * s, 3 * s},
		{9 * s, 0, 3 * s, 3 * s, s},
		{9 * s, 0, 5 * s, 5 * s, s},
		{90 * s, 10 * s, 60 * s, 60 * s, 10 * s},
		{90 * s, 10 * s, 9 * s, 9 * s, 3 * s},
		{10 * s, 0, 10 * s, 10 * s, 3 * s},
	} {
		n := session{Neighbor: Neighbor{HoldTime: tc.hold, Keepalive: tc.keepalive}.withDefaults()}
		if hold, keepalive := n.hold(tc.theirs); hold != tc.wantHold || keepalive != tc.wantKeepalive {
			t.Errorf("%+v: got %v and %v", tc, hold, keepalive)
		}
	}
}

func TestPacketsHaveTheTTLOfTheSession(t *testing.T) {
	for name, tc := range map[string]struct {
		session
		ttl, least int
	}{
		"internal":               {session{}, 0, 0},
		"external":               {session{external: true}, 1, 0},
		"internal, 3 hops":       {session{Neighbor: Neighbor{Multihop: 3}}, 3, 0},
		"external, 3 hops":       {session{external: true, Neighbor: Neighbor{Multihop: 3}}, 3, 0},
		"ttl security":           {session{external: true, Neighbor: Neighbor{TTLSecurity: true}}, 255, 255},
		"ttl security, 3 hops":   {session{Neighbor: Neighbor{TTLSecurity: true, Multihop: 3}}, 255, 253},
		"ttl security, 255":      {session{Neighbor: Neighbor{TTLSecurity: true, Multihop: 255}}, 255, 1},
		"ttl security, internal": {session{Neighbor: Neighbor{TTLSecurity: true}}, 255, 255},
	} {
		if got, least := tc.hops(), tc.farthest(); got != tc.ttl || least != tc.least {
			t.Errorf("%s: want %d and %d, got %d and %d", name, tc.ttl, tc.least, got, least)
		}
	}
}
