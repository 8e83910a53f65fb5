package policy

import (
	"fmt"
	"math"
	"time"
)

// noLoad is the load of a gateway of which none is known.
const noLoad = -1

// FigureHolds is for how long a gateway whose figures have stopped is taken to
// be at least as loaded as it was: VPN sessions last.
const FigureHolds = time.Hour

// bearing is what a gateway's load comes to.
type bearing struct {
	figure Load
	held   bool    // the figure is there, and not older than FigureHolds
	fresh  bool    // nor than StaleAfter
	load   float64 // that is reckoned with, as share of the capacity; noLoad: nothing is known
	share  Share
}

// bearings finds what the loads of all gateways come to, in their order. One
// without a fresh figure counts as loaded as the others are on average, if at
// least half of all have one, and at least as loaded as it was: never as idle.
func (d *decision) bearings() []bearing {
	all := make([]bearing, len(d.cfg.Gateways))
	var known mean
	over := 0
	for i := range all {
		b := &all[i]
		*b = d.bearing(&d.cfg.Gateways[i])
		if b.fresh {
			b.share = d.share(d.cfg.Gateways[i].Name, b)
		}
		if b.fresh && b.load >= 0 {
			known.add(b.load, 1)
			if b.share.Over {
				over++
			}
		}
	}
	others := float64(noLoad)
	if n := known.weight; n > 0 && 2*n >= len(all) {
		others = known.of(noLoad)
		if 2*over < n { // they are not known to be overloaded, so neither is this one
			others = math.Min(others, math.Nextafter(d.cfg.overload(), 0))
		}
	}
	for i := range all {
		if b := &all[i]; !b.fresh {
			b.load = math.Max(b.load, others)
			b.share = d.share(d.cfg.Gateways[i].Name, b)
		}
	}
	return all
}

// bearing is what g's own figure comes to, without its share.
func (d *decision) bearing(g *Gateway) bearing {
	b := bearing{load: noLoad}
	l, ok := d.view.Loads[g.Name]
	if !ok {
		return b
	}
	b.figure = l
	b.held = !d.passed(l.At, FigureHolds)
	b.fresh = d.cfg.StaleAfter <= 0 || !d.passed(l.At, d.cfg.StaleAfter)
	if !b.held {
		return b
	}
	if l.CPU >= 0 {
		b.load = l.CPU
	}
	if c := g.capacity(&l); c > 0 {
		b.load = math.Max(b.load, float64(l.Sessions)/float64(c))
	}
	return b
}

// share is the share of the gateway with this name that b bids.
func (d *decision) share(name string, b *bearing) Share {
	last, ok := d.view.Shares[name]
	if !ok {
		last = Share{Level: FullShare}
	}
	if b.load < 0 {
		return Share{Level: FullShare}
	}
	var at time.Time
	switch {
	case b.fresh && b.load == b.figure.CPU && !b.figure.CPUAt.IsZero():
		at = b.figure.CPUAt
	case b.fresh:
		at = b.figure.At
	}
	next := nextShare(b.load, d.cfg.overload(), last, at, d.now)
	if !next.Over && next.High.IsZero() && next.Level < FullShare {
		d.again(next.Since.Add(backStep))
	}
	return next
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

// How a gateway that was overloaded comes back.
const (
	backBand = 1. / 8           // of overload: that far below it a gateway has all of its weight again
	backStep = 20 * time.Second // below overload at all, it gets another sixteenth each time this is over
)

// nextShare returns the share of a gateway with this load, by its own figure of
// the time at, or by what it is taken to have if at is zero. Below overload
// nothing moves, and a single figure above moves nobody either: by the second one
// in a row the gateway gets no newcomers while another takes them. Among such its
// share follows what it has left, in steps wide enough that a flicker moves
// nobody. When it has recovered it comes back step by step as its load falls, or
// as time goes by, and then keeps what it has.
func nextShare(load, overload float64, last Share, at, now time.Time) Share {
	if load >= overload {
		return overShare(load, overload, last, at)
	}
	last.High = time.Time{}
	if last.Over {
		last = Share{Since: now}
	}
	if last.Level == FullShare {
		return last
	}
	byTime := last.Level + int(now.Sub(last.Since)/backStep)
	byLoad := int(FullShare * (overload - load) / (overload * backBand))
	if level := min(max(byTime, byLoad), FullShare); level > last.Level {
		last.Level, last.Since = level, now
	}
	return last
}

// overShare is nextShare from overload on.
func overShare(load, overload float64, last Share, at time.Time) Share {
	if !last.Over && !at.IsZero() && (last.High.IsZero() || !at.After(last.High)) {
		if last.High.IsZero() {
			last.High = at
		}
		return last
	}
	left := 1
	if overload < 1 {
		left = max(1, min(int(math.Ceil(FullShare*(1-load)/(1-overload)-1e-9)), FullShare))
	}
	if d := left - last.Level; last.Over && -1 <= d && d <= 1 {
		left = last.Level
	}
	return Share{Level: left, Over: true, High: last.High}
}

// by says what the load is known by.
func (b *bearing) by() string {
	if b.load == b.figure.CPU {
		return "CPU"
	}
	return b.figure.Source
}

// String says what b is, for a reason.
func (b *bearing) String() string {
	var s string
	switch {
	case b.figure.At.IsZero() && b.load < 0:
		return ""
	case !b.fresh && b.load < 0:
		return "load unknown: the last " + b.figure.Source + " is too old"
	case b.figure.At.IsZero():
		s = fmt.Sprintf("load unknown, taken as %.0f %% like the others'", 100*b.load)
	case !b.fresh:
		s = fmt.Sprintf("load unknown since %s, taken as %.0f %%", b.figure.At.UTC().Format(time.TimeOnly+"Z"), 100*b.load)
	case b.load < 0:
		return fmt.Sprintf("%d sessions by %s, capacity unknown", b.figure.Sessions, b.figure.Source)
	default:
		s = fmt.Sprintf("load %.0f %% by %s", 100*b.load, b.by())
	}
	switch {
	case b.share.Over:
		s += ", overloaded"
	case b.share.Level < FullShare:
		s += fmt.Sprintf(", coming back with %d/%d of its weight", b.share.Level, FullShare)
	}
	return s
}
