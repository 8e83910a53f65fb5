package main

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anycastd/anycastd/bgp"
	"github.com/anycastd/anycastd/cmd/anycastd/internal/config"
	"github.com/anycastd/anycastd/policy"
)

func TestANeighborOnThisHostIsToldANextHopThatOthersCanUse(t *testing.T) {
	addr := netip.MustParseAddr
	for name, tc := range map[string]struct {
		own, hops []string
		want      string // next hops of neighbors 127.0.0.1, ::1 and 192.0.2.1, or an error
	}{
		"the router ID, and the first of IPv6": {[]string{"198.51.100.9", "192.0.2.10", "2001:db8:f::10", "2001:db8:f::11"}, nil, "192.0.2.10 2001:db8:f::10 invalid IP"},
		"the router ID is nowhere":             {[]string{"198.51.100.9", "2001:db8:f::10"}, nil, "198.51.100.9 2001:db8:f::10 invalid IP"},
		"never an anycast address":             {[]string{"203.0.113.1", "198.51.100.9", "2001:db8:f::10"}, nil, "198.51.100.9 2001:db8:f::10 invalid IP"},
		"the configuration knows better":       {[]string{"192.0.2.10"}, []string{"198.51.100.1", "2001:db8::1"}, "invalid IP invalid IP invalid IP"},
		"this host has none":                   {[]string{"192.0.2.10"}, nil, "neighbor ::1 is on this host, and no next hop is known: this host has no other address of that family"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := &config.Config{Policy: policy.Config{Addresses: []netip.Addr{addr("203.0.113.1")}}, BGP: config.BGP{
				RouterID:  addr("192.0.2.10"),
				Neighbors: []bgp.Neighbor{{Address: addr("127.0.0.1")}, {Address: addr("::1")}, {Address: addr("192.0.2.1")}},
			}}
			var own []netip.Addr
			for _, a := range tc.own {
				own = append(own, addr(a))
			}
			for _, a := range tc.hops {
				cfg.BGP.NextHops = append(cfg.BGP.NextHops, addr(a))
			}
			err := nextHops(cfg, own)
			var got []string
			for _, n := range cfg.BGP.Neighbors {
				got = append(got, n.NextHop.String())
			}
			if err != nil {
				got = []string{err.Error()}
			}
			if diff := cmp.Diff(tc.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestANextHopThatFRRWouldDropIsWarnedOf(t *testing.T) {
	addr := netip.MustParseAddr
	const why = ", which is this host's: BIRD takes it, FRR drops the route without a word unless a route map sets another"
	own := []netip.Addr{addr("192.0.2.10"), addr("192.0.2.20"), addr("2001:db8::10")}
	for name, tc := range map[string]struct {
		neighbor bgp.Neighbor
		hops     []netip.Addr
		want     []string
	}{
		"over loopback":                          {bgp.Neighbor{Address: addr("127.0.0.1"), NextHop: addr("192.0.2.10")}, nil, []string{"neighbor 127.0.0.1 is told the next hop 192.0.2.10" + why}},
		"over loopback, one that is elsewhere":   {bgp.Neighbor{Address: addr("127.0.0.1"), NextHop: addr("192.0.2.254")}, nil, nil},
		"of either family":                       {bgp.Neighbor{Address: addr("::1")}, []netip.Addr{addr("192.0.2.10"), addr("2001:db8::10")}, []string{"neighbor ::1 is told the next hop 192.0.2.10 2001:db8::10" + why}},
		"at an address of this host's":           {bgp.Neighbor{Address: addr("192.0.2.10")}, nil, []string{"neighbor 192.0.2.10 is told the next hop 192.0.2.10" + why}},
		"at one of this host's, from another":    {bgp.Neighbor{Address: addr("192.0.2.10"), LocalAddress: addr("192.0.2.20")}, nil, []string{"neighbor 192.0.2.10 is told the next hop 192.0.2.20" + why}},
		"at one of this host's, a next hop else": {bgp.Neighbor{Address: addr("192.0.2.10")}, []netip.Addr{addr("192.0.2.254")}, nil},
		"on a host of its own":                   {bgp.Neighbor{Address: addr("192.0.2.1"), LocalAddress: addr("192.0.2.10")}, []netip.Addr{addr("2001:db8::10")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := &config.Config{BGP: config.BGP{Neighbors: []bgp.Neighbor{tc.neighbor}, NextHops: tc.hops}}
			if diff := cmp.Diff(tc.want, refused(cfg, own)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
