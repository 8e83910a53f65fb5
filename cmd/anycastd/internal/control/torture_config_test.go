package control

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/anycastd/anycastd/bgp"
	"github.com/anycastd/anycastd/cmd/anycastd/internal/config"
	"github.com/anycastd/anycastd/policy"
)

// The names and numbers that configurations of a torture are made of.
var (
	tortureGateways = []string{"g1", "g2", "g3", "g4", "g5"}
	tortureAnycast  = []struct{ prefix, addr string }{
		{"203.0.113.0/24", "203.0.113.1"}, {"203.0.113.0/24", "203.0.113.2"}, {"192.0.2.53/32", "192.0.2.53"},
		{"2001:db8:a::/48", "2001:db8:a::1"}, {"2001:db8:b::/48", "2001:db8:b::1"},
	}
	tortureZones = []string{"example.net.", "example.org."}
)

// oneOf returns one of all.
func oneOf[T any](r *rand.Rand, all ...T) T { return all[r.IntN(len(all))] }

// some returns a random part of all, in its order, each with this probability.
func some[T any](r *rand.Rand, p float64, all []T) (out []T) {
	for _, x := range all {
		if r.Float64() < p {
			out = append(out, x)
		}
	}
	return out
}

// tortured returns the configuration that a run starts with.
func tortured(r *rand.Rand) *config.Config {
	cfg := &config.Config{
		Name: "n1", Interface: "lo", Ports: oneOf(r, []uint16{500}, []uint16{500, 4500}), PortConflict: oneOf(r, "fail", "fail", "nft"), Probes: map[string]config.Probe{},
		Policy: policy.Config{
			Node: "n1", Seed: "torture", Choose: policy.Sticky, Key: policy.BySource, Overload: 0.9,
			StaleAfter: oneOf(r, 0, 30*time.Second), DrainWait: 5 * time.Second, Settle: 2 * time.Second,
			Site: policy.Site{WhenDark: policy.WithdrawSite, WhenShort: policy.Ignore, WhenOverloaded: policy.Ignore, OverloadFor: 10 * time.Second, ReliefFor: 10 * time.Second},
		},
		BGP: config.BGP{
			ASN: 64512, Worse: bgp.Attributes{MED: 100},
			Neighbors: []bgp.Neighbor{{Address: netip.MustParseAddr("192.0.2.1"), ASN: 64500}},
		},
	}
	for range 3 {
		cfg = mutated(r, cfg, addGateway)
	}
	for range 6 {
		cfg = mutated(r, cfg, mutations()...)
	}
	cfg.Policy.Prefixes, cfg.Policy.Addresses = nil, nil
	for _, i := range []int{0, 3, r.IntN(len(tortureAnycast))} {
		addAnycast(cfg, i)
	}
	addZone(r, cfg)
	return cfg
}

// mutated returns a copy of cfg to which one of changes has been made.
func mutated(r *rand.Rand, cfg *config.Config, changes ...func(*rand.Rand, *config.Config)) *config.Config {
	c := *cfg
	c.Ports, c.Zones, c.Probes = slices.Clone(c.Ports), slices.Clone(c.Zones), maps.Clone(c.Probes)
	p := &c.Policy
	p.Addresses, p.Prefixes = slices.Clone(p.Addresses), slices.Clone(p.Prefixes)
	p.Gateways, p.Pools, p.Zones = slices.Clone(p.Gateways), slices.Clone(p.Pools), slices.Clone(p.Zones)
	oneOf(r, changes...)(r, &c)
	return &c
}

// mutations are the changes that a reload can make.
func mutations() []func(*rand.Rand, *config.Config) {
	ofGateway := func(change func(*rand.Rand, *config.Config, *policy.Gateway)) func(*rand.Rand, *config.Config) {
		return func(r *rand.Rand, c *config.Config) {
			if n := len(c.Policy.Gateways); n > 0 {
				change(r, c, &c.Policy.Gateways[r.IntN(n)])
			}
		}
	}
	return []func(*rand.Rand, *config.Config){
		addGateway, addGateway, removeGateway, rePool, rePool,
		ofGateway(func(r *rand.Rand, _ *config.Config, g *policy.Gateway) { g.Addresses = gatewayAddresses(r, g.Name) }),
		ofGateway(func(r *rand.Rand, _ *config.Config, g *policy.Gateway) { g.Weight = oneOf(r, 100, 100, 100, 200, 0) }),
		ofGateway(func(r *rand.Rand, _ *config.Config, g *policy.Gateway) { g.Capacity = oneOf(r, 0, 1000) }),
		ofGateway(func(r *rand.Rand, _ *config.Config, g *policy.Gateway) {
			g.FQDN, g.RedirectBy = g.Name+".example.net", oneOf(r, policy.ByAddress, policy.ByFQDN)
		}),
		ofGateway(func(r *rand.Rand, c *config.Config, g *policy.Gateway) { c.Probes[g.Name] = tortureProbe(r) }),
		func(r *rand.Rand, c *config.Config) {
			c.Policy.Choose = oneOf(r, policy.Sticky, policy.Sticky, policy.LeastLoaded, policy.SelfFirst)
		},
		func(r *rand.Rand, c *config.Config) { c.Policy.Key = oneOf(r, policy.BySource, policy.BySourceSPI) },
		func(r *rand.Rand, c *config.Config) { c.Policy.Overload = oneOf(r, 0.9, 0.9, 0.8) },
		func(r *rand.Rand, c *config.Config) { c.Policy.StaleAfter = oneOf(r, 0, 30*time.Second, time.Minute) },
		func(r *rand.Rand, c *config.Config) {
			c.Policy.DrainWait = oneOf(r, 0, time.Second, 5*time.Second, 5*time.Second, 20*time.Second)
		},
		// Not the ports: a reload that changes them opens and closes sockets in no order.
		reSite, reSite, reRoutes,
		func(r *rand.Rand, c *config.Config) { addAnycast(c, r.IntN(len(tortureAnycast))) },
		func(r *rand.Rand, c *config.Config) { addAnycast(c, r.IntN(len(tortureAnycast))) },
		removeAnycast,
		addZone, removeZone,
	}
}

// addGateway adds one of the gateways, if it is missing.
func addGateway(r *rand.Rand, c *config.Config) {
	name := oneOf(r, tortureGateways...)
	if slices.ContainsFunc(c.Policy.Gateways, func(g policy.Gateway) bool { return g.Name == name }) {
		return
	}
	g := policy.Gateway{Name: name, RedirectBy: policy.ByAddress, Weight: 100, Capacity: oneOf(r, 0, 1000, 1000), Self: name == "g1"}
	g.Addresses = gatewayAddresses(r, name)
	c.Policy.Gateways = append(c.Policy.Gateways, g)
	c.Probes[name] = tortureProbe(r)
}

// tortureProbe is how a gateway is probed, if at all.
func tortureProbe(r *rand.Rand) config.Probe {
	if r.IntN(12) == 0 {
		return config.Probe{}
	}
	return config.Probe{Every: time.Second, Timeout: time.Second, Rise: 2, Fall: 3}
}

// gatewayAddresses returns addresses that only the gateway of this name has.
func gatewayAddresses(r *rand.Rand, name string) []netip.Addr {
	host := 10*slices.Index(tortureGateways, name) + r.IntN(2)
	four := netip.MustParseAddr(fmt.Sprintf("198.51.100.%d", host+1))
	six := netip.MustParseAddr(fmt.Sprintf("2001:db8:1::%d", host+1))
	return oneOf(r, []netip.Addr{four, six}, []netip.Addr{four, six}, []netip.Addr{four, six}, []netip.Addr{four}, []netip.Addr{six})
}

// removeGateway takes a gateway out, of the pools too.
func removeGateway(r *rand.Rand, c *config.Config) {
	p := &c.Policy
	if len(p.Gateways) < 2 {
		return
	}
	i := r.IntN(len(p.Gateways))
	name := p.Gateways[i].Name
	p.Gateways = slices.Delete(p.Gateways, i, i+1)
	delete(c.Probes, name)
	for i := range p.Pools {
		p.Pools[i].Gateways = slices.DeleteFunc(slices.Clone(p.Pools[i].Gateways), func(n string) bool { return n == name })
	}
}

// rePool makes other pools: gold and silver by source, perhaps one for the
// rest, with fallbacks.
func rePool(r *rand.Rand, c *config.Config) {
	c.Policy.Pools = nil
	if r.IntN(3) == 0 {
		return
	}
	var names []string
	for _, g := range c.Policy.Gateways {
		names = append(names, g.Name)
	}
	all := []string{"gold", "silver", "rest"}[:2+r.IntN(2)]
	for i, name := range all {
		p := policy.Pool{Name: name, Gateways: some(r, 0.5, names)}
		if name != "rest" {
			p.Sources = []netip.Prefix{poolPrefix(i, false), poolPrefix(i, true)}
		}
		p.Fallback = some(r, 0.6, slices.DeleteFunc(slices.Clone(all), func(n string) bool { return n == name }))
		r.Shuffle(len(p.Fallback), func(i, j int) { p.Fallback[i], p.Fallback[j] = p.Fallback[j], p.Fallback[i] })
		c.Policy.Pools = append(c.Policy.Pools, p)
	}
}

// poolPrefix is where the clients of pool i come from.
func poolPrefix(i int, v6 bool) netip.Prefix {
	if v6 {
		return netip.MustParsePrefix(fmt.Sprintf("2001:db8:c%d::/48", i))
	}
	return netip.MustParsePrefix(fmt.Sprintf("10.%d.0.0/16", i))
}

// reSite makes other settings for the site.
func reSite(r *rand.Rand, c *config.Config) {
	c.Policy.Site = policy.Site{
		WhenDark:    oneOf(r, policy.WithdrawSite, policy.WithdrawSite, policy.WithdrawSite, policy.Ignore, policy.MakeWorse),
		MinGateways: r.IntN(4), WhenShort: oneOf(r, policy.Ignore, policy.MakeWorse, policy.WithdrawSite, policy.WithdrawSite),
		Overload: oneOf(r, 0, 0.85), Relief: 0.7, OverloadFor: 10 * time.Second, ReliefFor: 10 * time.Second,
		WhenOverloaded: oneOf(r, policy.Ignore, policy.MakeWorse, policy.WithdrawSite), Hold: oneOf(r, 0, 10*time.Second, 30*time.Second),
	}
}

// reRoutes makes routes say something else.
func reRoutes(r *rand.Rand, c *config.Config) {
	low := uint32(50)
	c.BGP.Announce = oneOf(r, bgp.Attributes{}, bgp.Attributes{Communities: []uint32{7}, MED: 10, Prepend: 1})
	c.BGP.Worse = oneOf(r, bgp.Attributes{MED: 100}, bgp.Attributes{Communities: []uint32{8}, LocalPref: &low, Prepend: 2})
}

// addAnycast adds an anycast address, and its prefix.
func addAnycast(c *config.Config, i int) {
	prefix, addr := netip.MustParsePrefix(tortureAnycast[i].prefix), netip.MustParseAddr(tortureAnycast[i].addr)
	if p := &c.Policy; !slices.Contains(p.Addresses, addr) {
		p.Addresses = append(p.Addresses, addr)
	}
	if p := &c.Policy; !slices.Contains(p.Prefixes, prefix) {
		p.Prefixes = append(p.Prefixes, prefix)
	}
}

// removeAnycast takes an address out, and its prefix if that is left empty.
func removeAnycast(r *rand.Rand, c *config.Config) {
	p := &c.Policy
	if len(p.Addresses) < 2 {
		return
	}
	i := r.IntN(len(p.Addresses))
	p.Addresses = slices.Delete(p.Addresses, i, i+1)
	p.Prefixes = slices.DeleteFunc(p.Prefixes, func(prefix netip.Prefix) bool { return !slices.ContainsFunc(p.Addresses, prefix.Contains) })
}

// addZone adds a zone, if it is missing.
func addZone(r *rand.Rand, c *config.Config) {
	name := oneOf(r, tortureZones...)
	if slices.ContainsFunc(c.Zones, func(z config.DNSZone) bool { return z.Name == name }) {
		return
	}
	c.Zones = append(c.Zones, config.DNSZone{Name: name, Server: oneOf(r, "192.0.2.53:53", "192.0.2.54:53")})
	c.Policy.Zones = append(c.Policy.Zones, policy.Zone{Name: name, Names: []string{"vpn." + name}, Gateways: r.IntN(2) == 0, TTL: 60})
}

// removeZone takes the first zone out.
func removeZone(_ *rand.Rand, c *config.Config) {
	if len(c.Zones) > 1 {
		c.Zones, c.Policy.Zones = c.Zones[1:], c.Policy.Zones[1:]
	}
}
