package control

import (
	"cmp"
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/anycastd/anycastd/dnspub"
	"github.com/anycastd/anycastd/ikefront"
	"github.com/anycastd/anycastd/policy"
)

// Status returns the present status.
func (l *Loop) Status(ctx context.Context) (Status, error) {
	var s Status
	err := l.ask(ctx, l.questions, func() { s = l.status() })
	return s, err
}

// Explain says where c goes and why, by the running table. The loop only says
// what it knows: with thousands of gateways an explanation takes longer than it
// should stand still.
func (l *Loop) Explain(ctx context.Context, c policy.Client, identity string) (policy.Explanation, error) {
	var cfg *policy.Config
	var plan policy.Plan
	var view policy.View
	err := l.ask(ctx, l.questions, func() {
		cfg, plan, view = &l.cfg.Policy, l.plan, l.view
		view.Health, view.Loads, view.Shares = maps.Clone(view.Health), maps.Clone(view.Loads), maps.Clone(view.Shares)
		view.Sent, view.Drained = maps.Clone(view.Sent), maps.Clone(view.Drained)
	})
	if err != nil {
		return policy.Explanation{}, err
	}
	return policy.Explain(cfg, &plan, &view, time.Now(), c, identity), nil
}

// status puts the status together.
func (l *Loop) status() Status {
	s := Status{Node: l.cfg.Name, Started: l.started, Packets: map[string]uint64{}, Warnings: []string{}}
	s.State, s.Reason = l.state()
	s.Ready = s.State == inService || s.State == madeWorse
	s.Drained, s.Site, s.Probes = drainedAs(l.view.Node), l.site(), l.parts.Prober.Counts()
	s.Reports = l.parts.Loads.Counts()
	s.Gateways, s.Addresses, s.Routes = l.gateways(), l.ownAddresses(), l.routesAsSeen()
	s.Records, s.Peers = l.records(), l.peers()
	s.Endpoints, s.Cookies = l.countEndpoints(s.Packets), l.parts.Front.CookiesDemanded()
	for _, w := range l.cfg.Warnings {
		s.Warnings = append(s.Warnings, w.Error())
	}
	s.Warnings = append(s.Warnings, l.markWarnings()...)
	return s
}

// drainedAs is a mark in a status.
func drainedAs(d *policy.Drain) *Drained {
	if d == nil {
		return nil
	}
	out := &Drained{Reason: d.Reason, Since: d.Since}
	if !d.Until.IsZero() {
		out.Until = &d.Until
	}
	return out
}

// share returns what a status shows of a load.
func share(load float64) *float64 {
	if load < 0 {
		return nil
	}
	return &load
}

// site says how fit the site is.
func (l *Loop) site() Site {
	p := &l.plan.Site
	return Site{State: string(p.Fitness), Since: p.Since, Usable: p.Usable, Load: l.siteLoad(), Reason: p.Reason}
}

// siteLoad is the site's mean load, nil if it is unknown.
func (l *Loop) siteLoad() *float64 {
	if l.plan.Site.LoadAt.IsZero() {
		return nil
	}
	return share(l.plan.Site.Load)
}

// countEndpoints lists the endpoints that are or were open, and adds all that they
// have counted to packets.
func (l *Loop) countEndpoints(packets map[string]uint64) []Endpoint {
	for d := range ikefront.Disposition(ikefront.Dispositions) {
		packets[d.String()] = 0
	}
	all := l.parts.Front.Endpoints()
	out := []Endpoint{}
	for _, at := range slices.SortedFunc(maps.Keys(all), netip.AddrPort.Compare) {
		e := Endpoint{Endpoint: at, Filtering: all[at].Filtering}
		for _, counts := range all[at].Sockets {
			socket := map[string]uint64{}
			for d, n := range counts {
				if n > 0 {
					socket[ikefront.Disposition(d).String()] = n
					packets[ikefront.Disposition(d).String()] += n
				}
			}
			e.Sockets = append(e.Sockets, socket)
		}
		out = append(out, e)
	}
	return out
}

// The states of a node that does all of its job.
const (
	inService = "in service"
	madeWorse = "in service, made worse"
)

// state sums the routes up.
func (l *Loop) state() (state, reason string) {
	count := map[policy.RouteWish]int{}
	up, deaf, ever := 0, 0, false
	why, unheard := "", l.unheard()
	for _, r := range l.plan.Routes {
		count[r.Wish]++
		ever = ever || r.Ever
		if r.Wish != policy.Announced {
			reason = r.Prefix.String() + ": " + r.Reason
		}
		if r.Wish == policy.Announced || r.Wish == policy.Worse {
			up++
			if nobody := unheard(r.Prefix); nobody != "" {
				deaf++
				why, reason = nobody, r.Prefix.String()+": "+nobody
			}
		}
	}
	switch {
	case l.view.Stopping:
		return "stopping", reason
	case up > 0 && deaf == up:
		return "unheard", why
	case deaf > 0 || up > 0 && up < len(l.plan.Routes):
		return "partly in service", reason
	case count[policy.Announced] == len(l.plan.Routes) && l.parts.Speaker == nil:
		return inService, "every prefix may be announced, but no neighbor is configured"
	case count[policy.Announced] == len(l.plan.Routes):
		return inService, "every prefix is announced"
	case up == len(l.plan.Routes):
		return madeWorse, reason
	case count[policy.GracefulShutdown] > 0:
		return "draining", reason
	case !ever:
		return "starting", reason
	}
	return "out of service", reason
}

// gateways lists the gateways.
func (l *Loop) gateways() []Gateway {
	out := []Gateway{}
	for i := range l.cfg.Policy.Gateways {
		out = append(out, l.gateway(&l.cfg.Policy.Gateways[i], &l.plan.Gateways[i]))
	}
	return out
}

// gateway says how it stands with g.
func (l *Loop) gateway(g *policy.Gateway, p *policy.GatewayPlan) Gateway {
	out := Gateway{
		Name: g.Name, Usable: p.Usable, Reason: p.Reason, Weight: g.Weight, RedirectBy: string(g.RedirectBy),
		FQDN: g.FQDN, Pools: append([]string{}, p.Pools...), Addresses: append([]netip.Addr{}, g.Addresses...),
		Health: []Health{}, Load: share(p.Load), Capacity: g.Capacity, Level: p.Share.Level, Overloaded: p.Share.Over, Sent: l.plan.Table.Sent(g.Name),
	}
	if burden := p.Burden(); burden != "" {
		out.Reason += "; " + burden
	}
	for _, a := range g.Addresses {
		h, ok := l.view.Health[a]
		if !ok {
			h = policy.Health{State: policy.Unknown, Reason: "not proved alive yet"}
		}
		if why, gone := l.view.Gone[a]; gone {
			h = policy.Health{State: policy.Down, Reason: why}
		}
		out.Health = append(out.Health, Health{a, string(h.State), h.Reason})
	}
	if d, ok := l.view.Drained[g.Name]; ok {
		out.Drained = drainedAs(&d)
	}
	if figure, ok := l.view.Loads[g.Name]; ok && time.Since(figure.At) < l.cfg.Policy.StaleAfter {
		out.Sessions, out.Source = &figure.Sessions, figure.Source
		out.Capacity = cmp.Or(figure.Capacity, g.Capacity)
	}
	return out
}

// ownAddresses lists the anycast addresses.
func (l *Loop) ownAddresses() []Address {
	out := []Address{}
	for _, p := range l.plan.Addresses {
		own := l.view.Own[p.Addr]
		a := Address{
			Address: p.Addr, Interface: l.cfg.Interface,
			Installed: own.Installed.OK, Listening: own.Listening.OK, Answers: own.Answers.OK, Reason: own.Installed.Reason,
		}
		for _, f := range []policy.Fact{own.Listening, own.Answers} {
			if own.Installed.OK && f.Reason != "" {
				a.Reason = f.Reason
				break
			}
		}
		if a.Reason == "" {
			a.Reason = p.Reason
		}
		out = append(out, a)
	}
	return out
}

// routesAsSeen lists the prefixes, with the speaker's own trouble if it has any.
func (l *Loop) routesAsSeen() []Route {
	out, unheard := []Route{}, l.unheard()
	for _, r := range l.plan.Routes {
		route := Route{Prefix: r.Prefix, State: string(r.Wish), Since: r.Since, Reason: r.Reason}
		switch {
		case l.parts.Speaker == nil:
			route.Reason += "; but no neighbor is configured"
		case l.routeErr != nil:
			route.Reason += "; but " + l.routeErr.Error()
		case unheard(r.Prefix) != "":
			route.Reason += "; but " + unheard(r.Prefix)
		}
		out = append(out, route)
	}
	return out
}

// records lists the records of the plan, with what the servers answered.
func (l *Loop) records() []Record {
	found := map[string][]dnspub.Status{}
	for name, z := range l.zones {
		found[name] = z.publisher.Status()
	}
	out := []Record{}
	for _, r := range l.plan.Records {
		rec := Record{Zone: r.Zone, Name: r.Name, Type: "A", Address: r.Addr, TTL: r.TTL, Reason: r.Reason}
		if r.Addr.Is6() {
			rec.Type = "AAAA"
		}
		if r.Publish {
			rec.Published, rec.Reason = seen(found[r.Zone], rec)
		}
		out = append(out, rec)
	}
	return out
}

// seen says what a publisher's status tells of rec.
func seen(found []dnspub.Status, rec Record) (bool, string) {
	for _, s := range found {
		if s.Name == rec.Name && s.Type == rec.Type {
			return s.Published, s.Reason
		}
	}
	return false, rec.Reason + "; not asked for yet"
}
