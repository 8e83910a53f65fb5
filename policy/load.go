package policy

import (
	"fmt"
	"math"
	"time"
)

// noLoad is the load of a gateway of which none is known.
const noLoad = -1

// bearing is what a gateway's load comes to.
type bearing struct {
	figure Load
	known  bool    // the figure is there and fresh
	load   float64 // share of the capacity in use, by sessions or CPU, whichever is more; noLoad: unknown
	share  Share
}

// bearings finds what the loads of all gateways come to.
func (d *decision) bearings() map[string]bearing {
	all := make(map[string]bearing, len(d.cfg.Gateways))
	for i := range d.cfg.Gateways {
		all[d.cfg.Gateways[i].Name] = d.bearing(&d.cfg.Gateways[i])
	}
	return all
}

// bearing is what g's load comes to.
func (d *decision) bearing(g *Gateway) bearing {
	b := bearing{load: noLoad}
	last, ok := d.view.Shares[g.Name]
	if !ok {
		last = Share{Level: FullShare}
	}
	if b.figure, b.known = d.figure(g); !b.known {
		b.share = d.unknownShare(b.figure.At, last)
		return b
	}
	if b.figure.CPU >= 0 {
		b.load = b.figure.CPU
	}
	if c := g.capacity(&b.figure); c > 0 {
		b.load = math.Max(b.load, float64(b.figure.Sessions)/float64(c))
	}
	b.share = nextShare(b.load, d.cfg.overload(), last)
	return b
}

// forgetAfter is how many times StaleAfter a gateway whose load has become
// unknown keeps the share that it had: one that was overloaded is so still.
const forgetAfter = 4

// unknownShare returns the share of a gateway whose last figure, of this time,
// has become too old. In the end it takes part by its weight alone.
func (d *decision) unknownShare(at time.Time, last Share) Share {
	if at.IsZero() || d.passed(at, forgetAfter*d.cfg.StaleAfter) {
		return Share{Level: FullShare}
	}
	return last
}

// figure returns the last figure of g's load, and whether it is fresh.
func (d *decision) figure(g *Gateway) (Load, bool) {
	l, ok := d.view.Loads[g.Name]
	if !ok || d.cfg.StaleAfter <= 0 {
		return l, ok
	}
	until := l.At.Add(d.cfg.StaleAfter)
	if !d.now.Before(until) {
		return l, false
	}
	d.again(until)
	return l, true
}

// capacity returns how many sessions g can hold, 0 if that is unknown. The
// gateway itself knows better than the configuration.
func (g *Gateway) capacity(l *Load) int {
	if l.Capacity > 0 {
		return l.Capacity
	}
	return g.Capacity
}

// overload returns the load from which a gateway gets no newcomers.
func (c *Config) overload() float64 {
	if c.Overload <= 0 {
		return 1
	}
	return c.Overload
}

// nextShare returns the share of a gateway with this load. Below overload
// nothing moves. From there on it gets no newcomers while another gateway does;
// among such its share follows what it has left, in steps wide enough that a
// flicker moves nobody. When it has recovered it comes back step by step as its
// load falls, and then keeps what it has.
func nextShare(load, overload float64, last Share) Share {
	if load >= overload {
		left := int(math.Ceil(FullShare * (1 - load) / (1 - overload + 1e-9)))
		left = max(1, min(left, FullShare))
		if d := left - last.Level; last.Over && -1 <= d && d <= 1 {
			left = last.Level
		}
		return Share{left, true}
	}
	if last.Over {
		last.Level = 0
	}
	const band = 1. / 8 // of overload, in which a gateway comes back
	back := int(FullShare * (overload - load) / (overload * band))
	return Share{max(last.Level, min(back, FullShare)), false}
}

// String says what b is, for a reason.
func (b *bearing) String() string {
	switch {
	case !b.known && b.figure.At.IsZero():
		return ""
	case !b.known:
		return "load unknown: the last " + b.figure.Source + " is too old"
	case b.load < 0:
		return fmt.Sprintf("%d sessions by %s, capacity unknown", b.figure.Sessions, b.figure.Source)
	}
	s := fmt.Sprintf("load %.0f %% by %s", 100*b.load, b.figure.Source)
	switch {
	case b.share.Over:
		s += ", overloaded"
	case b.share.Level < FullShare:
		s += fmt.Sprintf(", coming back with %d/%d of its weight", b.share.Level, FullShare)
	}
	return s
}
