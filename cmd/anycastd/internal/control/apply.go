package control

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/anycastd/anycastd/bgp"
	"github.com/anycastd/anycastd/cmd/anycastd/internal/load"
	"github.com/anycastd/anycastd/dnspub"
	"github.com/anycastd/anycastd/ikefront/probe"
	"github.com/anycastd/anycastd/netlink"
	"github.com/anycastd/anycastd/policy"
)

// How the node watches its own anycast addresses.
const (
	selfEvery   = time.Second
	selfTimeout = 500 * time.Millisecond
	selfFall    = 3
	selfRise    = 3 // so that whoever makes probes get lost can't make the route flap fast
)

// gatewayPort is where gateways are probed, and where a redirected client goes.
const gatewayPort = 500

// desired is what a plan asks of each part.
type desired struct {
	prefixes  []netip.Prefix
	rewrites  []netlink.Rewrite
	endpoints []netip.AddrPort
	targets   []probe.Target
	watched   map[netip.AddrPort]bool // the addresses of targets
	loads     []load.Source
	routes    []bgp.Route
	neighbors []bgp.Neighbor
	records   map[string][]dnspub.Record // by zone
}

// steps is the order in which a plan is handed on. Bring-up goes down the
// list because a plan asks for a step only when those before it hold;
// tear-down goes up for the same reason.
func steps() []func(*Loop) {
	return []func(*Loop){
		(*Loop).applyAddresses, (*Loop).applyRewrites, (*Loop).applySockets, (*Loop).applyTable, (*Loop).applyProbes, (*Loop).applyLoads,
		(*Loop).applyNeighbors, (*Loop).applyRoutes, (*Loop).applyRecords,
	}
}

// apply hands the plan on to the effectors, as far as it is news to them.
func (l *Loop) apply() {
	for _, step := range steps() {
		step(l)
	}
}

// applyAddresses asks for the addresses on the host. One stays until nothing
// is rewritten there.
func (l *Loop) applyAddresses() {
	var want []netip.Prefix
	for _, a := range l.plan.Addresses {
		if a.Install || l.ports.rewrittenAt(a.Addr) {
			want = append(want, netip.PrefixFrom(a.Addr, a.Addr.BitLen()))
		}
	}
	if !slices.Equal(want, l.asked.prefixes) {
		l.asked.prefixes = want
		l.addresses.desire(want)
	}
}

// applyRewrites asks for the rewrites of all endpoints that are wanted or
// still open: without them another daemon would be asked there.
func (l *Loop) applyRewrites() {
	if l.rewrites == nil {
		return
	}
	at := l.endpoints()
	for other, open := range l.ports.open {
		if open && !slices.Contains(at, other) {
			at = append(at, other)
		}
	}
	slices.SortFunc(at, netip.AddrPort.Compare)
	var want []netlink.Rewrite
	for _, at := range at {
		want = append(want, netlink.Rewrite{Addr: at.Addr(), Port: at.Port(), Bound: l.cfg.Bound(at.Port())})
	}
	if !slices.Equal(want, l.asked.rewrites) {
		l.asked.rewrites = want
		l.rewrites.desire(want)
	}
}

// applySockets asks for the sockets, where ports are rewritten once they are.
func (l *Loop) applySockets() {
	want := slices.DeleteFunc(l.endpoints(), func(at netip.AddrPort) bool {
		return l.rewrites != nil && !l.ports.rewritten[at]
	})
	if !slices.Equal(want, l.asked.endpoints) {
		l.asked.endpoints = want
		l.sockets.desire(want)
	}
}

// endpoints returns the service ports of all addresses to be answered from.
func (l *Loop) endpoints() []netip.AddrPort {
	var out []netip.AddrPort
	for _, a := range l.plan.Addresses {
		if !a.Listen {
			continue
		}
		for _, port := range l.cfg.Ports {
			out = append(out, netip.AddrPortFrom(a.Addr, port))
		}
	}
	return out
}

// applyTable gives the front the table, which takes one atomic store.
func (l *Loop) applyTable() { l.parts.Front.Set(l.plan.Table) }

// applyProbes asks for the probes of gateways and of our own endpoints.
func (l *Loop) applyProbes() {
	var want []probe.Target
	for i := range l.cfg.Policy.Gateways {
		g := &l.cfg.Policy.Gateways[i]
		p := l.cfg.Probes[g.Name]
		for _, at := range l.probedAt(g) {
			want = append(want, probe.Target{Addr: at, Kind: probe.Kind(p.Kind), Every: p.Every, Timeout: p.Timeout, Rise: p.Rise, Fall: p.Fall})
		}
	}
	for _, at := range l.asked.endpoints {
		if l.view.Own[at.Addr()].Listening.OK {
			want = append(want, probe.Target{Addr: at, Every: selfEvery, Timeout: selfTimeout, Rise: selfRise, Fall: selfFall})
		}
	}
	if slices.Equal(want, l.asked.targets) {
		return
	}
	l.asked.targets, l.asked.watched = want, map[netip.AddrPort]bool{}
	for _, t := range want {
		l.asked.watched[t.Addr] = true
	}
	for at := range l.probes {
		if !l.asked.watched[at] {
			delete(l.probes, at)
		}
	}
	l.parts.Prober.Set(want)
}

// probedAt returns where g is probed.
func (l *Loop) probedAt(g *policy.Gateway) []netip.AddrPort {
	if l.cfg.Probes[g.Name].Every == 0 {
		return nil
	}
	var out []netip.AddrPort
	for _, a := range g.Addresses {
		out = append(out, netip.AddrPortFrom(a, gatewayPort))
	}
	return out
}

// applyLoads asks for the loads that gateways are asked for.
func (l *Loop) applyLoads() {
	var want []load.Source
	for _, g := range l.cfg.Policy.Gateways {
		if v, ok := l.cfg.VICI[g.Name]; ok {
			want = append(want, load.Source{Gateway: g.Name, Network: v.Network, Address: v.Address, Every: v.Every})
		}
	}
	if !slices.Equal(want, l.asked.loads) {
		l.asked.loads = want
		l.parts.Loads.Set(want)
	}
}

// applyNeighbors asks for the sessions of the configuration.
func (l *Loop) applyNeighbors() {
	if l.neighbors == nil {
		return
	}
	want := Neighbors(l.cfg)
	if !slices.Equal(want, l.asked.neighbors) {
		l.asked.neighbors = want
		l.neighbors.desire(want)
	}
}

// applyRoutes asks for the announcements.
func (l *Loop) applyRoutes() {
	var want []bgp.Route
	for _, r := range l.plan.Routes {
		switch r.Wish {
		case policy.Announced:
			want = append(want, bgp.Route{Prefix: r.Prefix, Attributes: l.attributes(false)})
		case policy.Worse:
			want = append(want, bgp.Route{Prefix: r.Prefix, Attributes: l.attributes(true)})
		case policy.GracefulShutdown:
			want = append(want, bgp.Route{Prefix: r.Prefix, Attributes: l.shutdown(r.Worse)})
		}
	}
	same := func(a, b bgp.Route) bool { return a.Prefix == b.Prefix && a.Equal(b.Attributes) }
	if !slices.EqualFunc(want, l.asked.routes, same) {
		l.asked.routes = want
		if l.routes == nil {
			go l.post(func() { l.seeRoutes(want, nil) }) // announcing is somebody else's job
			return
		}
		l.routes.desire(want)
	}
}

// attributes are those of a route that stays, worse or not.
func (l *Loop) attributes(worse bool) bgp.Attributes {
	if worse {
		return l.cfg.BGP.Announce.With(l.cfg.BGP.Worse)
	}
	return l.cfg.BGP.Announce
}

// shutdown are the attributes of a route that is soon to be withdrawn. One that
// was worse stays so: a neighbor that does not know 65535:0 must not prefer it now.
func (l *Loop) shutdown(worse bool) bgp.Attributes {
	return l.attributes(worse).With(bgp.Attributes{Communities: []uint32{bgp.GracefulShutdown}})
}

// applyRecords asks for the records that the plan wants published by now.
func (l *Loop) applyRecords() {
	want := map[string][]dnspub.Record{}
	for _, r := range l.plan.Records {
		if r.Publish {
			want[r.Zone] = append(want[r.Zone], dnspub.Record{Name: r.Name, Address: r.Addr, TTL: r.TTL})
		}
	}
	if l.asked.records == nil {
		l.asked.records = map[string][]dnspub.Record{}
	}
	for name, z := range l.zones {
		if !slices.Equal(want[name], l.asked.records[name]) {
			l.asked.records[name] = want[name]
			z.keeper.desire(want[name])
		}
	}
}

// listen is the Set of the sockets.
func (l *Loop) listen(_ context.Context, want []netip.AddrPort) error {
	failed := l.parts.Front.Listen(want)
	l.post(func() { l.seeSockets(want, failed) })
	var errs []error
	for _, at := range want {
		if err := failed[at]; err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
