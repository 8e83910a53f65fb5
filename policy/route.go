package policy

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// condition must hold before a prefix is announced.
type condition struct {
	met func(*decision, netip.Prefix) Fact
	// graceful: when it is lost the node can still answer, so the fabric is
	// asked to move first (RFC 8326); else the route goes at once.
	graceful bool
	wish     bool // it is the operator's, and no fault whose relapses are held down
}

// bringUp returns the order of bring-up: each step presupposes the ones before.
// The last step, BGP announce before DNS, is in records.
func bringUp() []condition {
	return []condition{
		{met: (*decision).inService, graceful: true, wish: true},
		{met: own(func(o Own) Fact { return o.Installed }, "not on the host yet")},
		{met: own(func(o Own) Fact { return o.Listening }, "no socket yet")},
		{met: (*decision).served, graceful: true},
		{met: own(func(o Own) Fact { return o.Answers }, "own probe not answered yet")},
	}
}

// noLonger is why something leaves after a reload.
const noLonger = "no longer configured"

// routes says what is to be done with the prefixes of the configuration, and
// with those that have left it: these go as in a stop, and are gone when
// nothing can arrive by them any more.
func (d *decision) routes() []RoutePlan {
	var out []RoutePlan
	for _, p := range d.cfg.Prefixes {
		out = append(out, d.route(p))
	}
	byText := func(a, b netip.Prefix) int { return strings.Compare(a.String(), b.String()) }
	for _, p := range slices.SortedFunc(maps.Keys(d.view.Routes), byText) {
		if slices.Contains(d.cfg.Prefixes, p) {
			continue
		}
		if r := d.lower(p, d.view.Routes[p], noLonger, true); !d.quiet(r.RouteState) {
			out = append(out, r)
		}
	}
	return out
}

// route says what is to be done with prefix p.
func (d *decision) route(p netip.Prefix) RoutePlan {
	last := d.view.Routes[p]
	if last.Wish == "" {
		last.Wish = Withdrawn
	}
	for _, c := range bringUp() {
		if fact := c.met(d, p); !fact.OK {
			last.Clear = time.Time{}
			if last.Wish.up() && !c.wish && d.plan.Site.Fitness != Dark { // a dark site is held down itself
				last.fall(d.now)
			}
			return d.lower(p, last, fact.Reason, c.graceful)
		}
	}
	if d.action() == WithdrawSite {
		return d.lower(p, last, d.plan.Site.String(), true)
	}
	return d.raise(p, last)
}

// raise announces p, in the way that suits the site's fitness, unless it has
// been before and is held down.
func (d *decision) raise(p netip.Prefix, last RouteState) RoutePlan {
	if last.Ever && !last.Wish.up() {
		if why, held := d.held(&last.HoldDown); held {
			return d.lower(p, last, "well again, but "+why, true)
		}
	}
	switch {
	case d.action() == MakeWorse:
		return RoutePlan{p, d.turn(last, Worse), d.plan.Site.String()}
	case d.plan.Site.Fitness == Dark:
		return RoutePlan{p, d.turn(last, Announced), d.plan.Site.String() + ", and when_dark keeps the route"}
	}
	return RoutePlan{p, d.turn(last, Announced), "in service"}
}

// lower takes p down one step: by graceful shutdown, and after DrainWait
// withdrawn; at once if not graceful.
func (d *decision) lower(p netip.Prefix, last RouteState, reason string, graceful bool) RoutePlan {
	if !graceful || last.Wish == Withdrawn || d.cfg.DrainWait <= 0 {
		return RoutePlan{p, d.turn(last, Withdrawn), reason}
	}
	if last.Wish.up() {
		last = d.turn(last, GracefulShutdown)
	}
	until := last.Since.Add(d.cfg.DrainWait)
	if !d.now.Before(until) {
		return RoutePlan{p, d.turn(last, Withdrawn), reason}
	}
	d.again(until)
	return RoutePlan{p, last, reason}
}

// turn returns last with the given wish, from now on if that is new.
func (d *decision) turn(last RouteState, wish RouteWish) RouteState {
	if last.Wish != wish {
		last.Worse = last.Wish == Worse && wish == GracefulShutdown
		last.Wish, last.Since = wish, d.now
	}
	last.Ever = last.Ever || wish.up()
	return last
}

// inService says whether the operator wants the node to be announced.
func (d *decision) inService(netip.Prefix) Fact {
	switch {
	case d.view.Stopping:
		return Fact{false, "the daemon stops"}
	case d.view.Node != nil && d.lasts(d.view.Node):
		return Fact{false, "node drained: " + d.view.Node.String()}
	}
	return Fact{true, ""}
}

// own returns the condition that fact holds for every address in a prefix. To
// a prefix that is announced an address may be added: it counts from when it
// is up, so that its way there does not take the others down.
func own(fact func(Own) Fact, otherwise string) func(*decision, netip.Prefix) Fact {
	return func(d *decision, p netip.Prefix) Fact {
		for _, a := range d.within(p) {
			f := fact(d.view.Own[a])
			if f.OK {
				continue
			}
			if f.Reason == "" {
				f.Reason = otherwise
			}
			return Fact{false, a.String() + ": " + f.Reason}
		}
		return Fact{true, ""}
	}
}

// within returns the addresses in p that its announcement depends on: the
// proven ones if p is announced, by graceful shutdown too, and has any, else all.
func (d *decision) within(p netip.Prefix) []netip.Addr {
	var all, proven []netip.Addr
	for _, a := range d.cfg.Addresses {
		if !p.Contains(a) {
			continue
		}
		all = append(all, a)
		if d.view.Own[a].Proven {
			proven = append(proven, a)
		}
	}
	if wish := d.view.Routes[p].Wish; (wish.up() || wish == GracefulShutdown) && len(proven) > 0 {
		return proven
	}
	return all
}

// served says whether clients of p's family get a gateway. Once they have, the
// operator may want the route to stay though they don't.
func (d *decision) served(p netip.Prefix) Fact {
	if d.plan.Table.Serves(p.Addr()) {
		return Fact{true, ""}
	}
	stays := d.plan.Site.Fitness == Dark && d.cfg.whenDark() != WithdrawSite && d.view.Routes[p].Ever
	return Fact{stays, "no usable gateway for " + familyOf(p.Addr()).String() + " clients"}
}
