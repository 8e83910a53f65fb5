package control

import (
	"context"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/anycastd/anycastd/bgp"
	"github.com/anycastd/anycastd/dnspub"
	"github.com/anycastd/anycastd/policy"
)

// check checks all that must hold after each event.
func (x *torture) check() {
	x.wait()
	x.checks++
	x.expire()
	if len(x.broken) > 0 {
		x.fail("%s", x.broken[0])
	}
	maps.DeleteFunc(x.told.proven, func(a netip.Addr, _ bool) bool { _, there := x.loop.view.Own[a]; return !there })
	x.checkRoutes()
	x.checkClients()
	x.checkStable()
	x.checkMarks()
	x.checkReasons()
	if x.checks%4 == 0 {
		x.checkPure()
	}
	x.checkTurns() // last: what has been looked at without a lock happens before what comes
	x.set(func() {})
}

// checkTurns: invariant 7, the loop turns and answers whatever hangs.
func (x *torture) checkTurns() {
	ctx, cancel := context.WithTimeout(x.t.Context(), time.Second)
	defer cancel()
	if err := x.loop.Turns(ctx); err != nil {
		x.fail("7 (turns): the loop does not turn: %v", err)
	}
	if x.checks%8 != 0 {
		return
	}
	s, err := x.loop.Status(ctx)
	if err != nil {
		x.fail("7 (turns): no status: %v", err)
	}
	x.checkStatus(&s)
}

// checkStatus: invariant 5 for what operators see.
func (x *torture) checkStatus(s *Status) {
	reasons := map[string]string{"site": s.Site.Reason}
	for _, g := range s.Gateways {
		reasons["gateway "+g.Name] = g.Reason
		for _, h := range g.Health {
			reasons["health "+h.Address.String()] = h.Reason
		}
	}
	for _, a := range s.Addresses {
		reasons["address "+a.Address.String()] = a.Reason
	}
	for _, r := range s.Routes {
		reasons["route "+r.Prefix.String()] = r.Reason
	}
	for _, r := range s.Records {
		reasons["record "+r.Name+" "+r.Address.String()] = r.Reason
	}
	for _, p := range s.Peers {
		reasons["peer "+p.Address.String()] = p.Reason
	}
	for of, reason := range reasons {
		if reason == "" {
			x.fail("5 (reasons): status has none for %s", of)
		}
	}
}

// checkReasons: invariant 5 for the plan, and that the log has told of each wish.
func (x *torture) checkReasons() {
	p := &x.loop.plan
	for i := range p.Gateways {
		if p.Gateways[i].Reason == "" {
			x.fail("5 (reasons): the plan has none for gateway %s", p.Gateways[i].Name)
		}
	}
	for _, a := range p.Addresses {
		if a.Reason == "" {
			x.fail("5 (reasons): the plan has none for address %v", a.Addr)
		}
	}
	for _, r := range p.Records {
		if r.Reason == "" {
			x.fail("5 (reasons): the plan has none for record %s %v", r.Name, r.Addr)
		}
	}
	for _, r := range p.Routes {
		if r.Reason == "" {
			x.fail("5 (reasons): the plan has none for route %v", r.Prefix)
		}
		if told := x.since.wish[r.Prefix]; told != string(r.Wish) {
			x.fail("5 (reasons): the plan says %s for %v, the log said last %q", r.Wish, r.Prefix, told)
		}
	}
}

// checkRoutes: invariant 1, nothing is announced that can't be served.
func (x *torture) checkRoutes() {
	for _, r := range x.loop.plan.Routes {
		asked := slices.ContainsFunc(x.loop.asked.routes, func(b bgp.Route) bool { return b.Prefix == r.Prefix })
		if asked != (r.Wish != policy.Withdrawn) {
			x.fail("1 (announced): the plan says %s for %v, the speaker has been asked for it: %v", r.Wish, r.Prefix, asked)
		}
		why := x.against(r.Prefix)
		if why == "" {
			delete(x.badSince, r.Prefix)
			x.checkKept(&r)
			continue
		}
		if _, ok := x.badSince[r.Prefix]; !ok {
			x.badSince[r.Prefix] = time.Now()
		}
		if up := r.Wish == policy.Announced || r.Wish == policy.Worse; up {
			x.fail("1 (announced): %v is %s (%s), though %s", r.Prefix, r.Wish, r.Reason, why)
		}
		const longest = 20 * time.Second // drain_wait in any configuration
		if bad := time.Since(x.badSince[r.Prefix]); r.Wish != policy.Withdrawn && bad > longest {
			x.fail("1 (announced): %v is still %s after %v of: %s", r.Prefix, r.Wish, bad, why)
		}
	}
	x.checkAnnounced()
}

// checkKept: invariant 1, without any gateway a route stays if the operator wants
// that and nothing else is wrong. A front that is late is not waited for.
func (x *torture) checkKept(r *policy.RoutePlan) {
	up := r.Wish == policy.Announced || r.Wish == policy.Worse
	late := x.modes["front"] != nil || time.Since(x.ill["front"]) < 2*time.Second
	if up || late || !r.Ever || x.cfg.Policy.Site.WhenDark == policy.WithdrawSite || !x.dark() {
		return
	}
	for _, a := range x.cfg.Policy.Addresses {
		if r.Prefix.Contains(a) && !x.ready(a, false) {
			return
		}
	}
	x.fail("1 (announced): %v is %s (%s), though when_dark is %q", r.Prefix, r.Wish, r.Reason, x.cfg.Policy.Site.WhenDark)
}

// checkAnnounced: invariant 1 for the world, where the speaker is well.
func (x *torture) checkAnnounced() {
	const patience = 60 * time.Second // drain_wait, and the longest back-off
	if x.modes["speaker"] != nil || time.Since(x.ill["speaker"]) < patience {
		return
	}
	for _, r := range x.routes {
		if since, bad := x.badSince[r.Prefix]; bad && time.Since(since) > patience {
			x.fail("1 (announced): %v has been announced for %v though %s", r.Prefix, time.Since(since), x.against(r.Prefix))
		}
	}
}

// against says what certainly speaks against announcing p; "": nothing.
func (x *torture) against(p netip.Prefix) string {
	switch {
	case !slices.Contains(x.cfg.Policy.Prefixes, p):
		return "it has left the configuration"
	case x.marks.Node != nil:
		return "the node is drained"
	case x.served(p.Addr().Is6()) == no && x.cfg.Policy.Site.WhenDark == policy.WithdrawSite:
		return "no gateway is usable"
	case !x.mayServe(p, true):
		return "an address in it is not up"
	}
	return ""
}

// checkClients: invariant 2, where newcomers go, and those who ask again.
func (x *torture) checkClients() {
	for range 10 {
		c := x.client()
		x.checkClient(c, x.table.Peek(c), true)
	}
	for _, c := range x.returning {
		x.checkClient(c, x.table.Peek(c), false)
	}
	x.checkUnknownLoad()
	x.checkShares()
}

// checkShares checks that who counts as overloaded is, and that no load is taken
// for known that is too old.
func (x *torture) checkShares() {
	for i := range x.cfg.Policy.Gateways {
		g, is := &x.cfg.Policy.Gateways[i], &x.loop.plan.Gateways[i]
		if over := x.over(g); over == yes && !is.Share.Over || over == no && is.Share.Over {
			x.fail("2 (newcomers): %s counts as overloaded: %v, by its last figures %v", g.Name, is.Share.Over, x.loads[g.Name])
		}
		if _, old, _ := x.figure(g); old && is.Load >= 0 {
			x.fail("2 (newcomers): %s counts as loaded by %v, though its last figure is too old", g.Name, is.Load)
		}
	}
}

// checkDrained: invariant 2, who is drained gets nobody as soon as Drain has returned.
func (x *torture) checkDrained(name string) {
	if _, drained := x.marks.Gateways[name]; !drained {
		return
	}
	for range 10 {
		if t := x.table.Peek(x.client()); t != nil && t.Gateway == name {
			x.fail("2 (newcomers): %s still gets newcomers when Drain has returned", name)
		}
	}
}

// checkClient checks that c may be sent to target.
func (x *torture) checkClient(c policy.Client, target *policy.Target, newcomer bool) {
	v6, groups := c.Source.Is6(), x.groups(c.Source)
	if target == nil {
		for _, name := range slices.Concat(groups...) {
			if g := x.gateway(name); g != nil && x.usable(g, v6) == yes {
				x.fail("2 (newcomers): %v gets no gateway, though %s is usable", c.Source, name)
			}
		}
		return
	}
	g := x.gateway(target.Gateway)
	if g == nil {
		x.fail("2 (newcomers): %v goes to %s, which is not configured", c.Source, target.Gateway)
	}
	group := slices.IndexFunc(groups, func(names []string) bool { return slices.Contains(names, g.Name) })
	if group < 0 {
		x.fail("2 (newcomers): %v goes to %s, which is in none of %v", c.Source, g.Name, groups)
	}
	if x.usable(g, v6) == no {
		_, drained := x.marks.Gateways[g.Name]
		x.fail("2 (newcomers): %v goes to %s, which is not usable: drained %v, alive %v", c.Source, g.Name, drained, x.alive(g, v6))
	}
	if newcomer {
		x.checkPreference(c, g, group, groups)
	}
}

// checkPreference checks that no better gateway than g was there for c: not an
// overloaded one while another takes newcomers, nor a later fallback.
func (x *torture) checkPreference(c policy.Client, g *policy.Gateway, group int, groups [][]string) {
	v6 := c.Source.Is6()
	for i, names := range groups {
		for _, name := range names {
			other := x.gateway(name)
			if !x.takes(other, v6) {
				continue
			}
			switch {
			case i < group:
				x.fail("2 (newcomers): %v goes to %s of group %d, though %s takes newcomers: %v", c.Source, g.Name, group, name, groups)
			case i == group && x.over(g) == yes:
				x.fail("2 (newcomers): %v goes to %s, which is overloaded, though %s takes newcomers: %v", c.Source, g.Name, name, groups)
			case i == group && other.Self && x.cfg.Policy.Choose == policy.SelfFirst && g != other:
				x.fail("2 (newcomers): %v goes to %s, though %s is this very host's", c.Source, g.Name, name)
			}
		}
	}
}

// checkUnknownLoad: of the gateways of a pool, one whose load is unknown counts
// as loaded as the others on average, so that it gets fewer newcomers than one
// that is well below.
func (x *torture) checkUnknownLoad() {
	c := x.client()
	groups := x.groups(c.Source)
	if x.cfg.Policy.Choose != policy.LeastLoaded || len(groups) == 0 {
		return
	}
	unknown, emptiest := x.unknownBesideEmpty(groups[0], c.Source.Is6())
	if unknown == "" {
		return
	}
	got := map[string]int{}
	for range 4096 { // the fewest that leave nothing to chance
		if t := x.table.Peek(x.clientLike(c.Source)); t != nil {
			got[t.Gateway]++
		}
	}
	if got[unknown] > got[emptiest] {
		x.fail("2 (newcomers): %s, whose load is unknown, gets more than %s, which is emptier than most: %v", unknown, emptiest, got)
	}
}

// unknownBesideEmpty returns a gateway whose load is unknown and the emptiest
// of those beside it, if that is well below their mean; "" if there are no such.
func (x *torture) unknownBesideEmpty(names []string, v6 bool) (unknown, emptiest string) {
	sum, n, least := 0, 0, 0
	for _, name := range names {
		g := x.gateway(name)
		if g == nil || x.usable(g, v6) == no {
			continue
		}
		l, old, _ := x.figure(g)
		switch {
		case !old && !x.takes(g, v6) || x.usable(g, v6) != yes || g.Weight != 100 || x.loop.view.Shares[name].Level != policy.FullShare:
			return "", ""
		case old:
			unknown = name
			continue
		case capacityOf(g, &l) != 1000:
			return "", ""
		}
		sessions := l.Sessions + int(x.table.Sent(name)-l.sent)
		if emptiest == "" || sessions < least {
			emptiest, least = name, sessions
		}
		sum, n = sum+sessions, n+1
	}
	if n < 2 || sum/n < least+100 {
		return "", ""
	}
	return unknown, emptiest
}

// snapshot is where the sample of clients went, and what that depended on.
type snapshot struct {
	went   []string
	states map[string]gatewayState
}

// gatewayState is all about a gateway that decides on its newcomers.
type gatewayState struct {
	usable [2]verdict // by family
	share  policy.Share
	roomy  bool
}

// checkStable: invariant 6, a client stays as long as its gateway stays as it
// is and no other of its gateways has gained.
func (x *torture) checkStable() {
	is := &snapshot{states: map[string]gatewayState{}}
	for i := range x.cfg.Policy.Gateways {
		g := &x.cfg.Policy.Gateways[i]
		is.states[g.Name] = gatewayState{[2]verdict{x.usable(g, false), x.usable(g, true)}, x.loop.plan.Gateways[i].Share, x.roomy(g)}
	}
	for _, c := range x.sample {
		name := ""
		if t := x.table.Peek(c); t != nil {
			name = t.Gateway
		}
		is.went = append(is.went, name)
	}
	was := x.before
	x.before = is
	if was == nil || x.reloaded || x.cfg.Policy.Choose != policy.Sticky {
		x.reloaded = false
		return
	}
	for i, c := range x.sample {
		if was.went[i] != "" && was.went[i] != is.went[i] && x.steady(c, was, is, was.went[i]) {
			x.fail("6 (stable): %v went to %s and now goes to %q, though nothing has changed for it: before %+v, now %+v", c.Source, was.went[i], is.went[i], was.states, is.states)
		}
	}
}

// steady says whether nothing has changed that could move c from its gateway.
func (x *torture) steady(c policy.Client, was, is *snapshot, own string) bool {
	f := 0
	if c.Source.Is6() {
		f = 1
	}
	if was.states[own] != is.states[own] || is.states[own].usable[f] != yes {
		return false
	}
	for _, name := range slices.Concat(x.groups(c.Source)...) {
		a, b := was.states[name], is.states[name]
		lost := b.usable[f] == no && a.usable[f] == yes
		full := a.usable[f] == yes && !a.roomy || b.usable[f] == yes && !b.roomy // some go elsewhere for that
		if a != b && !lost || b.usable[f] == maybe || full {
			return false
		}
	}
	return true
}

// checkMarks: invariant 8, the marks that were asked for are in effect, and
// those that were kept are in the store.
func (x *torture) checkMarks() {
	v := &x.loop.view
	over := func(d *policy.Drain) bool { return !d.Until.IsZero() && !time.Now().Before(d.Until) }
	drained := map[string]policy.Drain{}
	for name, d := range v.Drained {
		if !over(&d) {
			drained[name] = d
		}
	}
	if !maps.Equal(drained, x.marks.Gateways) {
		x.fail("8 (marks): drained are %v, asked for was %v", drained, x.marks.Gateways)
	}
	if node := v.Node; node != nil && over(node) || !reflect.DeepEqual(node, x.marks.Node) {
		x.fail("8 (marks): the node's drain is %v, asked for was %v", node, x.marks.Node)
	}
	unexpired := func(m Marks) Marks {
		m.Gateways = maps.Clone(m.Gateways)
		maps.DeleteFunc(m.Gateways, func(_ string, d policy.Drain) bool { return over(&d) })
		if m.Node != nil && over(m.Node) {
			m.Node = nil
		}
		return m
	}
	is, want := unexpired(x.saved), unexpired(x.kept)
	if reflect.DeepEqual(is, unexpired(x.marks)) { // kept meanwhile, though at first it could not be
		want = is
	}
	if !maps.Equal(is.Gateways, want.Gateways) || !reflect.DeepEqual(is.Node, want.Node) {
		x.fail("8 (marks): kept are %v, to be kept was %v", is, want)
	}
}

// checkPure: invariant 4, the same view at the same time gives the same plan;
// and the plan in force is that of what is known.
func (x *torture) checkPure() {
	if len(x.loop.inbox.loads) > 0 {
		return
	}
	cfg, now := &x.loop.cfg.Policy, time.Now()
	a, b := copied(&x.loop.view), copied(&x.loop.view)
	one, other := policy.Decide(cfg, &a, now), policy.Decide(cfg, &b, now)
	for _, c := range x.sample {
		s, t, u := one.Table.Peek(c), other.Table.Peek(c), x.table.Peek(c)
		if !reflect.DeepEqual(s, t) {
			x.fail("4 (pure): the same view sends %v to %v and %v", c.Source, s, t)
		}
		if !reflect.DeepEqual(s, u) {
			x.fail("4 (pure): the table in force sends %v to %v, what is known to %v", c.Source, u, s)
		}
	}
	one.Table, other.Table = nil, nil
	if !reflect.DeepEqual(one, other) {
		x.fail("4 (pure): the same view gives %+v and %+v", one, other)
	}
	for i, r := range one.Routes {
		if is := x.loop.plan.Routes; i >= len(is) || is[i].Prefix != r.Prefix || is[i].Wish != r.Wish {
			x.fail("4 (pure): in force is %+v, by what is known it is %+v", is, one.Routes)
		}
	}
	for i, a := range one.Addresses {
		if is := x.loop.plan.Addresses; i >= len(is) || is[i] != a {
			x.fail("4 (pure): in force is %+v, by what is known it is %+v", is, one.Addresses)
		}
	}
}

// copied returns a copy of v that shares nothing but the table.
func copied(v *policy.View) policy.View {
	c := *v
	c.Health, c.Loads, c.Sent, c.Drained = maps.Clone(v.Health), maps.Clone(v.Loads), maps.Clone(v.Sent), maps.Clone(v.Drained)
	c.Own, c.Spoken, c.Routes, c.Shares = maps.Clone(v.Own), maps.Clone(v.Spoken), maps.Clone(v.Routes), maps.Clone(v.Shares)
	return c
}

// checkOutside: invariant 9, with all parts well the world is as planned, and
// what can be announced is.
func (x *torture) checkOutside() {
	x.expire()
	p := &x.loop.plan
	var addresses []netip.Addr
	var endpoints []netip.AddrPort
	for _, a := range p.Addresses {
		if a.Install {
			addresses = append(addresses, a.Addr)
		}
		for _, port := range x.cfg.Ports {
			if a.Listen {
				endpoints = append(endpoints, netip.AddrPortFrom(a.Addr, port))
			}
		}
	}
	if !slices.Equal(addresses, x.addresses) {
		x.fail("9 (converges): on the host are %v, planned %v", x.addresses, addresses)
	}
	if !slices.Equal(endpoints, x.listening) {
		x.fail("9 (converges): open are %v, planned %v", x.listening, endpoints)
	}
	x.checkRoutesOutside()
	for _, z := range x.cfg.Zones {
		var want []dnspub.Record
		for _, r := range p.Records {
			if r.Zone == z.Name && r.Publish {
				want = append(want, dnspub.Record{Name: r.Name, Address: r.Addr, TTL: r.TTL})
			}
		}
		waits := len(want) == 0 && x.loop.asked.records[z.Name] == nil // a zone is not touched before there is something to publish
		if !waits && !slices.Equal(want, x.records[z.Name]) {
			x.fail("9 (converges): in zone %s are %v, planned %v", z.Name, x.records[z.Name], want)
		}
	}
}

// checkRoutesOutside is checkOutside for routes.
func (x *torture) checkRoutesOutside() {
	want := map[netip.Prefix]bgp.Attributes{}
	for _, r := range x.loop.plan.Routes {
		switch r.Wish {
		case policy.Announced:
			want[r.Prefix] = x.says(false)
		case policy.Worse:
			want[r.Prefix] = x.says(true)
		case policy.GracefulShutdown:
			a := x.says(r.Worse)
			a.Communities = append(a.Communities, bgp.GracefulShutdown)
			want[r.Prefix] = a
		}
		site := &x.loop.plan.Site
		up := r.Wish == policy.Announced || r.Wish == policy.Worse
		if good := x.against(r.Prefix) == "" && x.mayServe(r.Prefix, false) && x.served(r.Prefix.Addr().Is6()) == yes && site.Fitness == policy.Fit; good && !up {
			x.fail("9 (converges): %v is %s (%s), though nothing speaks against it", r.Prefix, r.Wish, r.Reason)
		}
	}
	is := map[netip.Prefix]bgp.Attributes{}
	for _, r := range x.routes {
		is[r.Prefix] = r.Attributes
	}
	if !maps.EqualFunc(want, is, func(a, b bgp.Attributes) bool { return a.Equal(b) }) {
		x.fail("9 (converges): announced are %v, planned %v", is, want)
	}
}

// says is what a route says that stays.
func (x *torture) says(worse bool) bgp.Attributes {
	a := x.cfg.BGP.Announce
	a.Communities = slices.Clone(a.Communities)
	if !worse {
		return a
	}
	w := x.cfg.BGP.Worse
	a.Communities, a.Prepend = append(a.Communities, w.Communities...), a.Prepend+w.Prepend
	if w.MED > 0 {
		a.MED = w.MED
	}
	if w.LocalPref != nil {
		a.LocalPref = w.LocalPref
	}
	return a
}

// checkIdle: invariant 9, a site whose gateways have been idle for long is fit,
// unless there are too few of them or it is held down. While none is usable its
// load stays what it was.
func (x *torture) checkIdle() {
	s, is := &x.cfg.Policy.Site, &x.loop.plan.Site
	enough := is.Usable > 0 && is.Usable >= s.MinGateways
	if is.Overloaded && is.Usable > 0 || enough && s.Hold == 0 && is.Fitness != policy.Fit {
		x.fail("9 (converges): the site is %s (%s), overloaded %v, though all gateways are idle", is.Fitness, is.Reason, is.Overloaded)
	}
}

// checkStopBegins: invariant 3, a stop says graceful shutdown first.
func (x *torture) checkStopBegins(stop func()) {
	x.wait()
	var up []netip.Prefix
	for _, r := range x.loop.plan.Routes {
		if r.Wish == policy.Announced || r.Wish == policy.Worse {
			up = append(up, r.Prefix)
		}
	}
	stop()
	x.wait()
	x.note("stop")
	for _, p := range up {
		if wish := x.since.wish[p]; x.cfg.Policy.DrainWait > 0 && x.mayServe(p, false) && wish != string(policy.GracefulShutdown) {
			x.fail("3 (order): when the stop begins %v is %s", p, wish)
		}
	}
}

// checkStopped: invariant 3, after a stop nothing is left if all parts have
// been well for long.
func (x *torture) checkStopped() {
	if len(x.broken) > 0 {
		x.fail("%s", x.broken[0])
	}
	for _, part := range tortureParts {
		if x.modes[part] != nil || time.Since(x.ill[part]) < time.Minute {
			return
		}
	}
	if len(x.routes)+len(x.listening)+len(x.addresses) > 0 {
		x.fail("3 (order): after a stop there are %v, %v, %v", x.routes, x.listening, x.addresses)
	}
}
