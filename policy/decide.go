package policy

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Decide says what must be true, given what is wanted and what is known. It
// is pure: view's own record of the past is all that it goes on.
func Decide(cfg *Config, view *View, now time.Time) Plan {
	d := decision{cfg: cfg, view: view, now: now}
	d.loads = d.bearings()
	d.plan.Table = newTable(cfg, d.admit, view.Table)
	d.plan.Gateways = d.gateways()
	d.plan.Site = d.site()
	d.plan.Routes = d.routes()
	d.plan.Addresses = d.addresses()
	d.plan.Records = d.records()
	return d.plan
}

// decision is a Decide under way.
type decision struct {
	cfg   *Config
	view  *View
	now   time.Time
	loads map[string]bearing // by gateway
	plan  Plan
}

// admit says whether g takes clients of family f, and as what.
func (d *decision) admit(g *Gateway, f family) (member, bool) {
	target, fact := d.usable(g, f)
	b := d.loads[g.Name]
	m := member{target: target, weight: g.Weight, share: b.share, self: g.Self, known: b.known, capacity: uint64(g.capacity(&b.figure)), base: d.view.Sent[g.Name]}
	if b.known {
		m.sessions, m.base = uint64(b.figure.Sessions), b.figure.Sent
	}
	return m, fact.OK
}

// usable says whether g takes clients of family f, and by which target.
func (d *decision) usable(g *Gateway, f family) (Target, Fact) {
	t := Target{Gateway: g.Name}
	t.Addr, _ = g.family(f)
	t.Other, _ = g.family(1 - f)
	if why, drained := d.drained(g); drained {
		return t, Fact{false, why}
	}
	if g.Weight <= 0 {
		return t, Fact{false, "weight 0"}
	}
	if g.RedirectBy == ByFQDN {
		t.FQDN = g.FQDN
		return t, d.anyAlive(g)
	}
	if !t.Addr.IsValid() {
		return t, Fact{false, "no " + f.String() + " address"}
	}
	return t, d.alive(t.Addr)
}

// drained says whether g takes no newcomers by the operator's wish or its own.
func (d *decision) drained(g *Gateway) (why string, drained bool) {
	if mark, ok := d.view.Drained[g.Name]; ok && d.lasts(&mark) {
		return "drained: " + mark.String(), true
	}
	if b := d.loads[g.Name]; b.known && b.figure.Draining {
		return "draining, as its own " + b.figure.Source + " says", true
	}
	return "", false
}

// lasts says whether mark still holds, and asks for another decision when it
// will not.
func (d *decision) lasts(mark *Drain) bool {
	if mark.Until.IsZero() {
		return true
	}
	if !d.now.Before(mark.Until) {
		return false
	}
	d.again(mark.Until)
	return true
}

// String says why, and until when.
func (m *Drain) String() string {
	if m.Until.IsZero() {
		return m.Reason
	}
	return m.Reason + ", until " + m.Until.UTC().Format(time.RFC3339)
}

// alive says whether address a has been proved to live.
func (d *decision) alive(a netip.Addr) Fact {
	h, ok := d.view.Health[a]
	if !ok || h.State == Unknown {
		return Fact{false, a.String() + " not proved alive yet"}
	}
	return Fact{h.State == Up, a.String() + " " + h.Reason}
}

// anyAlive says whether a gateway named by FQDN lives on any address: which
// one the client will resolve is not ours to know. Without addresses there is
// nothing to probe.
func (d *decision) anyAlive(g *Gateway) Fact {
	if len(g.Addresses) == 0 {
		return Fact{true, "no address to probe: " + g.FQDN + " is taken as alive"}
	}
	var reasons []string
	for _, a := range g.Addresses {
		f := d.alive(a)
		if f.OK {
			return f
		}
		reasons = append(reasons, f.Reason)
	}
	return Fact{false, strings.Join(reasons, "; ")}
}

// gateways sums up which gateways take newcomers.
func (d *decision) gateways() []GatewayPlan {
	pools := map[string][]string{}
	for _, p := range d.plan.Table.pools {
		for _, name := range p.members {
			pools[name] = append(pools[name], p.name)
		}
	}
	var out []GatewayPlan
	for i := range d.cfg.Gateways {
		g := &d.cfg.Gateways[i]
		b := d.loads[g.Name]
		gp := GatewayPlan{Name: g.Name, Pools: pools[g.Name], Share: b.share, Load: b.load, Burden: b.String()}
		var reasons []string
		for _, f := range []family{ipv4, ipv6} {
			_, fact := d.usable(g, f)
			if _, has := g.family(f); !has && len(g.Addresses) > 0 {
				continue
			}
			gp.Usable = gp.Usable || fact.OK
			if !slices.Contains(reasons, fact.Reason) {
				reasons = append(reasons, fact.Reason)
			}
		}
		gp.Reason = strings.Join(reasons, "; ")
		out = append(out, gp)
	}
	return out
}

// family returns g's address in family f.
func (g *Gateway) family(f family) (netip.Addr, bool) {
	for _, a := range g.Addresses {
		if familyOf(a) == f {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// String returns "IPv4" or "IPv6".
func (f family) String() string {
	if f == ipv4 {
		return "IPv4"
	}
	return "IPv6"
}

// addresses says which anycast addresses are to be on the host and answered
// from: first on the host, then answered from, until a stop has withdrawn every
// route and settled; then sockets go before addresses.
func (d *decision) addresses() []AddressPlan {
	closing := d.view.Stopping && d.settled()
	listening, installed := false, false
	for _, own := range d.view.Own {
		listening = listening || own.Listening.OK
		installed = installed || own.Installed.OK
	}
	var out []AddressPlan
	for _, a := range d.cfg.Addresses {
		own := d.view.Own[a]
		ap := AddressPlan{Addr: a, Install: true, Listen: own.Installed.OK || own.Listening.OK, Reason: "anycast address of this node"}
		if closing {
			ap.Listen, ap.Install, ap.Reason = false, listening, "the daemon stops"
		}
		out = append(out, ap)
	}
	out = append(out, d.leavingAddresses()...)
	d.plan.Stopped = closing && !listening && !installed
	return out
}

// leavingAddresses returns the addresses that are no longer configured, each
// until its socket is closed and it is off the host. Both stay as long as a
// prefix that leaves, too, may still bring packets there, even if not all of
// its sockets are open.
func (d *decision) leavingAddresses() []AddressPlan {
	var out []AddressPlan
	for _, a := range slices.SortedFunc(maps.Keys(d.view.Own), netip.Addr.Compare) {
		own := d.view.Own[a]
		if slices.Contains(d.cfg.Addresses, a) || !own.Listening.OK && !own.Installed.OK {
			continue
		}
		serve := slices.ContainsFunc(d.plan.Routes, func(r RoutePlan) bool {
			return r.Prefix.Contains(a) && !slices.Contains(d.cfg.Prefixes, r.Prefix)
		})
		out = append(out, AddressPlan{Addr: a, Install: serve || own.Listening.OK, Listen: serve, Reason: noLonger})
	}
	return out
}

// settled says whether all routes are withdrawn for long enough that nothing
// arrives any more.
func (d *decision) settled() bool {
	settled := true
	for _, r := range d.plan.Routes {
		settled = d.quiet(r.RouteState) && settled
	}
	return settled
}

// quiet says whether a route is withdrawn for long enough that nothing arrives
// any more by it, and asks for another decision when it will be.
func (d *decision) quiet(r RouteState) bool {
	if r.Wish != Withdrawn {
		return false
	}
	until := r.Since.Add(d.cfg.Settle)
	if r.Ever && d.now.Before(until) {
		d.again(until)
		return false
	}
	return true
}

// again asks for another decision at t, if none is asked for earlier.
func (d *decision) again(t time.Time) {
	if d.plan.Next.IsZero() || t.Before(d.plan.Next) {
		d.plan.Next = t
	}
}

// records returns what is to be published: the service names as soon as the
// prefix of their address has been announced, and from then on, for other
// front-ends share the name; the gateways' own names at once, so that a client
// redirected by FQDN always finds them.
func (d *decision) records() []RecordPlan {
	var out []RecordPlan
	type record struct {
		name string
		addr netip.Addr
	}
	seen := map[record]bool{} // of gateways that share a name and address
	for _, z := range d.cfg.Zones {
		for _, name := range z.Names {
			for _, a := range d.cfg.Addresses {
				publish, reason := d.published(a)
				out = append(out, RecordPlan{z.Name, name, a, z.TTL, publish, reason})
			}
		}
		if !z.Gateways {
			continue
		}
		for _, g := range d.cfg.Gateways {
			if d.zoneOf(g.FQDN) != z.Name {
				continue
			}
			for _, a := range g.Addresses {
				if r := (record{g.FQDN, a}); !seen[r] {
					seen[r] = true
					out = append(out, RecordPlan{z.Name, g.FQDN + ".", a, z.TTL, true, "address of gateway " + g.Name})
				}
			}
		}
	}
	return out
}

// zoneOf returns the closest zone that host lies in: a name belongs to the
// zone below, not to its parent.
func (d *decision) zoneOf(host string) string {
	closest := ""
	for _, z := range d.cfg.Zones {
		if inZone(host, z.Name) && len(z.Name) > len(closest) {
			closest = z.Name
		}
	}
	return closest
}

// inZone says whether host, without a final dot, lies in zone, with one.
func inZone(host, zone string) bool {
	host += "."
	return len(host) > 1 && (zone == "." || host == zone || strings.HasSuffix(host, "."+zone))
}

// published says whether the anycast address a belongs into the DNS.
func (d *decision) published(a netip.Addr) (bool, string) {
	for _, r := range d.plan.Routes {
		if r.Prefix.Contains(a) && d.view.Spoken[r.Prefix] {
			return true, "anycast address"
		}
	}
	return false, fmt.Sprintf("waits until a neighbor has heard the prefix of %s", a)
}
