package main

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/anycastd/anycastd/cmd/anycastd/internal/config"
)

// nextHops gives each neighbor on this very host, to whom we speak over
// loopback, a next hop that others can use, unless the configuration has one of
// its family: the router ID where that is an address of this host, else the
// first one that is no anycast address. That there is none is an error.
func nextHops(cfg *config.Config, own []netip.Addr) error {
	for i := range cfg.BGP.Neighbors {
		n := &cfg.BGP.Neighbors[i]
		same := func(a netip.Addr) bool { return a.Is4() == n.Address.Is4() }
		if !n.Address.IsLoopback() || n.NextHop.IsValid() || slices.ContainsFunc(cfg.BGP.NextHops, same) {
			continue
		}
		j := slices.Index(own, cfg.BGP.RouterID)
		if j < 0 || !same(own[j]) {
			j = slices.IndexFunc(own, func(a netip.Addr) bool { return same(a) && !slices.Contains(cfg.Policy.Addresses, a) })
		}
		if j < 0 {
			return hinted{
				fmt.Errorf("neighbor %s is on this host, and no next hop is known: this host has no other address of that family", n.Address),
				"say [bgp] next_hop, an address by which the fabric reaches this host",
			}
		}
		n.NextHop = own[j]
	}
	return nil
}

// ownAddresses are the unicast addresses of this host that others can reach, in
// the order of its links.
func ownAddresses() []netip.Addr {
	all, _ := net.InterfaceAddrs() // without any the caller says so
	var out []netip.Addr
	for _, a := range all {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && p.Addr().IsGlobalUnicast() {
			out = append(out, p.Addr())
		}
	}
	return out
}

// refused returns a warning for each neighbor on this very host to whom routes
// are told with a next hop that is this host's own: BIRD takes it, FRR drops the
// route without a word. With a neighbor at an address of this host's that others
// can reach, our end of the session has it, too.
func refused(cfg *config.Config, own []netip.Addr) []string {
	var out []string
	for _, n := range cfg.BGP.Neighbors {
		hops := append(slices.Clone(cfg.BGP.NextHops), n.NextHop)
		if !slices.ContainsFunc(hops, func(a netip.Addr) bool { return a.IsValid() && a.Is4() == n.Address.Is4() }) {
			hops = append(hops, cmp.Or(n.LocalAddress, n.Address))
		}
		hops = slices.DeleteFunc(hops, func(a netip.Addr) bool { return !slices.Contains(own, a) })
		if len(hops) == 0 || !n.Address.IsLoopback() && !slices.Contains(own, n.Address) {
			continue
		}
		out = append(out, fmt.Sprintf("neighbor %s is told the next hop %s, which is this host's: BIRD takes it, FRR drops the route without a word unless a route map sets another", n.Address, strings.Trim(fmt.Sprint(hops), "[]")))
	}
	return out
}
