package policy

import (
	"fmt"
	"hash/fnv"
	"time"
)

// Fitness is how fit the site is to be sent clients.
type Fitness string

// The states of a site.
const (
	Fit        Fitness = "fit"
	Short      Fitness = "short"      // of usable gateways
	Overloaded Fitness = "overloaded" // on average
	Dark       Fitness = "dark"       // no gateway is usable at all
)

// SiteState is a site's fitness and its past.
type SiteState struct {
	Fitness  Fitness // "": no gateway has been usable yet
	Since    time.Time
	High     time.Time // since when the mean load has been at Overload or above; zero: it is not
	Low      time.Time // since when it has been unknown, or at Relief or below; zero: it is not
	Clear    time.Time // since when nothing speaks against coming back; zero: something does
	Returned time.Time // when it came back last
	Relapses int       // unfit again within RelapseWithin of having come back, in a row
}

// SitePlan says how fit the site is.
type SitePlan struct {
	SiteState
	Usable int     // gateways
	Load   float64 // mean of the usable gateways' by weight, 0 to 1 and more; below 0: unknown
	Reason string
}

// site says how fit the site is: at once when it becomes unfit, and when it
// has been fit again for long enough, so that two sites that share the clients
// never swing against each other.
func (d *decision) site() SitePlan {
	p := SitePlan{SiteState: d.view.Site}
	p.Usable, p.Load = d.usableNow()
	d.clock(&p)
	cause := d.cause(&p)
	switch {
	case cause != Fit && p.Fitness == "" && cause == Dark:
		p.Reason = "no gateway has been usable yet"
	case cause != Fit:
		d.fall(&p, cause)
	case p.Fitness == Fit || p.Fitness == "":
		d.enter(&p, Fit)
		p.Reason = fmt.Sprintf("%d usable gateways, %s", p.Usable, loadInWords(p.Load))
	default:
		d.rise(&p)
	}
	return p
}

// usableNow counts the gateways that take newcomers, and finds their mean load.
func (d *decision) usableNow() (usable int, load float64) {
	sum, weight := 0.0, 0
	for i := range d.plan.Gateways {
		g := &d.plan.Gateways[i]
		if !g.Usable {
			continue
		}
		usable++
		if g.Load >= 0 {
			sum, weight = sum+g.Load*float64(d.cfg.Gateways[i].Weight), weight+d.cfg.Gateways[i].Weight
		}
	}
	if weight == 0 {
		return usable, noLoad
	}
	return usable, sum / float64(weight)
}

// clock keeps since when the load is high or low.
func (d *decision) clock(p *SitePlan) {
	since := func(t *time.Time, now bool) {
		switch {
		case !now:
			*t = time.Time{}
		case t.IsZero():
			*t = d.now
		}
	}
	since(&p.High, d.cfg.Site.Overload > 0 && p.Load >= d.cfg.Site.Overload)
	since(&p.Low, p.Load <= d.cfg.Site.Relief)
}

// cause says what speaks against the site, Fit if nothing does.
func (d *decision) cause(p *SitePlan) Fitness {
	s := &d.cfg.Site
	switch {
	case p.Usable == 0:
		return Dark
	case p.Usable < s.MinGateways:
		p.Reason = fmt.Sprintf("%d usable gateways, fewer than %d", p.Usable, s.MinGateways)
		return Short
	case s.Overload <= 0:
		return Fit
	case p.Fitness == Overloaded && !d.passed(p.Low, s.ReliefFor):
		p.Reason = fmt.Sprintf("overloaded: %s, not at %.0f %% or less for %v yet", loadInWords(p.Load), 100*s.Relief, s.ReliefFor)
		return Overloaded
	case d.passed(p.High, s.OverloadFor):
		p.Reason = fmt.Sprintf("overloaded: %s, at %.0f %% or more for %v", loadInWords(p.Load), 100*s.Overload, s.OverloadFor)
		return Overloaded
	}
	return Fit
}

// passed says whether it is for long enough after since, and asks for another
// decision when it will be. Nothing has passed since the zero time.
func (d *decision) passed(since time.Time, long time.Duration) bool {
	if since.IsZero() {
		return false
	}
	until := since.Add(long)
	if d.now.Before(until) {
		d.again(until)
		return false
	}
	return true
}

// fall makes the site unfit by cause.
func (d *decision) fall(p *SitePlan, cause Fitness) {
	if p.Fitness == Fit {
		p.Relapses++
		if p.Returned.IsZero() || d.now.Sub(p.Returned) > RelapseWithin {
			p.Relapses = 0
		}
	}
	p.Clear = time.Time{}
	d.enter(p, cause)
	if cause == Dark {
		p.Reason = "no gateway is usable"
	}
}

// rise makes the site fit again once it has been held down for long enough.
func (d *decision) rise(p *SitePlan) {
	if p.Clear.IsZero() {
		p.Clear = d.now
	}
	hold := d.hold(p.Relapses)
	if !d.passed(p.Clear, hold) {
		p.Reason = fmt.Sprintf("%s until a moment ago, and held down for %v from then on after %d relapses", p.Fitness, hold.Round(time.Second), p.Relapses)
		return
	}
	p.Clear, p.Returned = time.Time{}, d.now
	d.enter(p, Fit)
	p.Reason = fmt.Sprintf("fit again: %d usable gateways, %s", p.Usable, loadInWords(p.Load))
}

// hold returns for how long a site stays down that has had so many relapses:
// the first time not at all, then Hold, doubled each time. It differs by a
// fifth up or down from node to node, lest all come back at once.
func (d *decision) hold(relapses int) time.Duration {
	if relapses == 0 || d.cfg.Site.Hold <= 0 {
		return 0
	}
	hold := min(d.cfg.Site.Hold<<min(relapses-1, 20), MaxHold)
	h := fnv.New32a()
	fmt.Fprint(h, d.cfg.Node, relapses)
	return hold*4/5 + time.Duration(uint64(hold)*2/5*uint64(h.Sum32()%1000)/1000)
}

// enter makes f the fitness, from now on if that is new.
func (d *decision) enter(p *SitePlan, f Fitness) {
	if p.Fitness != f {
		p.Fitness, p.Since = f, d.now
	}
}

// String says how fit the site is, without figures that come and go.
func (p *SitePlan) String() string {
	words := map[Fitness]string{Fit: "site is fit", Short: "site is short of usable gateways", Overloaded: "site is overloaded", Dark: "site had no usable gateway"}[p.Fitness]
	if !p.Clear.IsZero() {
		words += ", and is held down a while after that"
	}
	return words
}

// action says what the routes of an unfit site do.
func (d *decision) action() SiteAction {
	switch d.plan.Site.Fitness {
	case Short:
		return d.cfg.Site.WhenShort
	case Overloaded:
		return d.cfg.Site.WhenOverloaded
	case Dark:
		return WithdrawSite
	}
	return Ignore
}

// loadInWords says what the mean load is.
func loadInWords(load float64) string {
	if load < 0 {
		return "load unknown"
	}
	return fmt.Sprintf("mean load %.0f %%", 100*load)
}
