package policy

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// standing is how it stands with a gateway when a decision is made.
type standing struct {
	target  [2]Target // by family
	usable  [2]bool   // by family
	reason  string
	bearing bearing
}

// standings finds how it stands with all gateways, in their order.
func (d *decision) standings() []standing {
	all := make([]standing, len(d.cfg.Gateways))
	for i, b := range d.bearings() {
		all[i].bearing = b
		d.judge(&d.cfg.Gateways[i], &all[i])
	}
	return all
}

// judge says whether g takes newcomers, and why.
func (d *decision) judge(g *Gateway, s *standing) {
	for _, f := range families {
		t := &s.target[f]
		t.Gateway = g.Name
		t.Addr, _ = g.family(f)
		t.Other, _ = g.family(1 - f)
		if g.RedirectBy == ByFQDN {
			t.FQDN = g.FQDN
		}
	}
	switch why, drained := d.drained(g, &s.bearing); {
	case drained:
		s.reason = why
	case g.Weight <= 0:
		s.reason = "weight 0"
	case g.RedirectBy == ByFQDN:
		var alive bool
		alive, s.reason = d.anyAlive(g)
		s.usable = [2]bool{alive, alive}
	case len(g.Addresses) == 0:
		s.reason = "no address"
	default:
		d.judgeAddresses(g, s)
	}
}

// judgeAddresses says whether g can be named by each of its addresses.
func (d *decision) judgeAddresses(g *Gateway, s *standing) {
	for _, f := range families {
		a, ok := g.family(f)
		if !ok {
			continue
		}
		fact := d.alive(a)
		s.usable[f] = fact.OK
		if s.reason != "" {
			s.reason += "; "
		}
		s.reason += fact.Reason
	}
}

// why says why g, whose standing is s, is usable for family f or not.
func (d *decision) why(g *Gateway, s *standing, f family) string {
	if _, has := g.family(f); !has && g.RedirectBy != ByFQDN && len(g.Addresses) > 0 {
		return "no " + f.String() + " address"
	}
	if a, has := g.family(f); has && s.usable[f] && g.RedirectBy != ByFQDN {
		return d.alive(a).Reason
	}
	return s.reason
}

// drained says whether g takes no newcomers by the operator's wish or its own.
func (d *decision) drained(g *Gateway, b *bearing) (why string, drained bool) {
	if mark, ok := d.view.Drained[g.Name]; ok && d.lasts(&mark) {
		return "drained: " + mark.String(), true
	}
	if b.held && b.figure.Draining {
		return "draining, as it says itself", true
	}
	return "", false
}

// lasts says whether mark still holds, and asks for another decision when it
// will not.
func (d *decision) lasts(mark *Drain) bool {
	return mark.Until.IsZero() || !d.passed(mark.Until, 0)
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
	if why, gone := d.view.Gone[a]; gone {
		return Fact{false, a.String() + " " + why}
	}
	h, ok := d.view.Health[a]
	if !ok || h.State == Unknown {
		return Fact{false, a.String() + " not proved alive yet"}
	}
	return Fact{h.State == Up, a.String() + " " + h.Reason}
}

// anyAlive says whether a gateway named by FQDN lives on any address: which
// one the client will resolve is not ours to know. Without addresses there is
// nothing to probe.
func (d *decision) anyAlive(g *Gateway) (alive bool, why string) {
	if len(g.Addresses) == 0 {
		return true, "no address to probe: " + g.FQDN + " is taken as alive"
	}
	var reasons []string
	for _, a := range g.Addresses {
		f := d.alive(a)
		if f.OK {
			return true, f.Reason
		}
		reasons = append(reasons, f.Reason)
	}
	return false, strings.Join(reasons, "; ")
}

// admit says whether gateway i takes clients of family f, and as what.
func (d *decision) admit(i int, f family) (member, bool) {
	g, s := &d.cfg.Gateways[i], &d.standing[i]
	b := &s.bearing
	m := member{target: s.target[f], weight: g.Weight, share: b.share, self: g.Self, known: b.fresh, reckoned: b.load >= 0, capacity: uint64(g.capacity(&b.figure))}
	m.base = d.view.Sent[g.Name]
	if b.fresh {
		m.base = b.figure.Sent
	}
	m.sessions = uint64(max(b.load, 0) * float64(m.capacity)) // of a busy CPU as many as its share stands for
	if b.held {
		m.sessions = max(m.sessions, uint64(b.figure.Sessions))
	}
	return m, s.usable[f]
}

// gateways sums up which gateways take newcomers.
func (d *decision) gateways() []GatewayPlan {
	pools := make([][]string, len(d.cfg.Gateways))
	for _, p := range d.plan.Table.pools {
		for _, i := range p.members {
			pools[i] = append(pools[i], p.name)
		}
	}
	out := make([]GatewayPlan, 0, len(d.cfg.Gateways))
	for i := range d.cfg.Gateways {
		s := &d.standing[i]
		g := GatewayPlan{
			Name: d.cfg.Gateways[i].Name, Usable: s.usable[ipv4] || s.usable[ipv6], Pools: pools[i],
			Share: s.bearing.share, Load: noLoad, Reason: s.reason, bearing: s.bearing,
		}
		if s.bearing.fresh {
			g.Load = s.bearing.load
		}
		out = append(out, g)
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

// byName returns the indices of gateways in the order of their names.
func byName(gateways []Gateway) []int {
	order := make([]int, len(gateways))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(gateways[a].Name, gateways[b].Name) })
	return order
}
