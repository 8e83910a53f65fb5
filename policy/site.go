package policy

import (
	"fmt"
	"math"
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
	Fitness    Fitness // "": no gateway has been usable yet
	Since      time.Time
	Load       float64   // mean of the usable gateways' by weight, smoothed; 0 to 1 and more
	LoadAt     time.Time // when that was; zero: it is unknown
	High       time.Time // since when Load has been at Overload or above; zero: it is not
	Low        time.Time // since when it has been at Relief or below, or unknown for long; zero: it is not
	Heard      bool      // every gateway has been heard of or found silent at some time
	Overloaded bool      // whatever Fitness is: High for long enough, and not Low for long enough since
	HoldDown
}

// SitePlan says how fit the site is.
type SitePlan struct {
	SiteState
	Usable int // gateways
	Reason string
}

// site says how fit the site is: at once when it becomes unfit, and when it
// has been fit again for long enough, so that two sites that share the clients
// never swing against each other.
func (d *decision) site() SitePlan {
	p := SitePlan{SiteState: d.view.Site}
	d.weigh(&p)
	cause := d.cause(&p)
	switch {
	case cause == Dark && p.Fitness == "":
		p.Reason = "no gateway has been usable yet"
	case cause != Fit:
		d.fall(&p, cause)
	case p.Fitness == Fit || p.Fitness == "":
		d.enter(&p, Fit)
		p.Reason = p.figures()
	default:
		d.rise(&p)
	}
	return p
}

// mean is a mean by weight.
type mean struct {
	sum    float64
	weight int
}

// add takes a value in.
func (m *mean) add(value float64, weight int) {
	m.sum, m.weight = m.sum+value*float64(weight), m.weight+weight
}

// of returns the mean, otherwise if there is none.
func (m *mean) of(otherwise float64) float64 {
	if m.weight == 0 {
		return otherwise
	}
	return m.sum / float64(m.weight)
}

// weigh counts the usable gateways and finds their mean load. Fresh figures
// alone make it; while there are none it stays as it was, for as long as a figure
// holds. Those that are no longer fresh can only keep it from being low.
func (d *decision) weigh(p *SitePlan) {
	var fresh, held mean
	for i := range d.standing {
		s, weight := &d.standing[i], d.cfg.Gateways[i].Weight
		if !s.usable[ipv4] && !s.usable[ipv6] {
			continue
		}
		p.Usable++
		if s.bearing.load >= 0 {
			held.add(s.bearing.load, weight)
		}
		if s.bearing.load >= 0 && s.bearing.fresh {
			fresh.add(s.bearing.load, weight)
		}
	}
	p.Heard = p.Heard || !d.pending()
	known := fresh.weight > 0
	if known {
		d.smooth(p, fresh.of(0))
	} else if d.passed(p.LoadAt, FigureHolds) {
		p.LoadAt = time.Time{}
	}
	d.clock(p, known, held.of(0))
}

// smoothing is the time constant of the mean load: 63 % of a change has had its
// effect after that, so that a single figure stops no clock.
const smoothing = 10 * time.Second

// smooth takes the present mean load in.
func (d *decision) smooth(p *SitePlan, load float64) {
	if p.LoadAt.IsZero() {
		p.Load = load
	} else {
		p.Load += (load - p.Load) * -math.Expm1(-float64(d.now.Sub(p.LoadAt))/float64(smoothing))
	}
	p.LoadAt = d.now
}

// clock keeps since when the load is high or low, and what follows from it:
// known says that it is by fresh figures, held is the mean with those that are not.
func (d *decision) clock(p *SitePlan, known bool, held float64) {
	s := &d.cfg.Site
	since := func(t *time.Time, now bool) {
		switch {
		case !now:
			*t = time.Time{}
		case t.IsZero():
			*t = d.now
		}
	}
	since(&p.High, s.Overload > 0 && known && p.Load >= s.Overload)
	since(&p.Low, p.LoadAt.IsZero() || known && p.Load <= s.Relief && held <= s.Relief)
	switch {
	case s.Overload <= 0:
		p.Overloaded = false
	case p.Overloaded:
		p.Overloaded = !d.passed(p.Low, s.ReliefFor)
	default:
		p.Overloaded = d.passed(p.High, s.OverloadFor)
	}
}

// cause says what speaks against the site, Fit if nothing does. Of two things
// it is the one that asks more of the routes.
func (d *decision) cause(p *SitePlan) Fitness {
	s := &d.cfg.Site
	short := p.Usable < s.MinGateways && p.Heard
	switch {
	case p.Usable == 0:
		return Dark
	case short && p.Overloaded:
		if s.WhenShort.severity() > s.WhenOverloaded.severity() {
			return Short
		}
		return Overloaded
	case short:
		return Short
	case p.Overloaded:
		return Overloaded
	}
	return Fit
}

// severity orders the actions.
func (a SiteAction) severity() int {
	return map[SiteAction]int{MakeWorse: 1, WithdrawSite: 2}[a]
}

// pending says whether some gateway has not been heard of yet, as at the start.
func (d *decision) pending() bool {
	for i := range d.cfg.Gateways {
		for _, a := range d.cfg.Gateways[i].Addresses {
			if h, ok := d.view.Health[a]; !ok || h.State == Unknown {
				return true
			}
		}
	}
	return false
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
		p.fall(d.now)
	}
	p.Clear = time.Time{}
	d.enter(p, cause)
	s := &d.cfg.Site
	switch cause {
	case Dark:
		p.Reason = "no gateway is usable"
	case Short:
		p.Reason = fmt.Sprintf("fewer than %d usable gateways: %s", s.MinGateways, p.figures())
	case Overloaded:
		p.Reason = fmt.Sprintf("mean load was %.0f %% for %v, and has not been %.0f %% or less for %v: %s", 100*s.Overload, s.OverloadFor, 100*s.Relief, s.ReliefFor, p.figures())
	}
}

// rise makes the site fit again once it has been held down for long enough.
func (d *decision) rise(p *SitePlan) {
	if why, held := d.held(&p.HoldDown); held {
		p.Reason = fmt.Sprintf("no longer %s, but %s: %s", p.Fitness, why, p.figures())
		return
	}
	d.enter(p, Fit)
	p.Reason = p.figures()
}

// enter makes f the fitness, from now on if that is new.
func (d *decision) enter(p *SitePlan, f Fitness) {
	if p.Fitness != f {
		p.Fitness, p.Since = f, d.now
	}
}

// figures says how many gateways are usable and how loaded they are.
func (p *SitePlan) figures() string {
	if p.LoadAt.IsZero() {
		return fmt.Sprintf("%d usable, load unknown", p.Usable)
	}
	return fmt.Sprintf("%d usable, mean load %.0f %%", p.Usable, 100*p.Load)
}

// String says how fit the site is, without figures that come and go.
func (p *SitePlan) String() string {
	words := map[Fitness]string{Fit: "site is fit", Short: "site is short of usable gateways", Overloaded: "site is overloaded", Dark: "site has no usable gateway"}[p.Fitness]
	if !p.Clear.IsZero() {
		words += " until a moment ago, and is held down for a while"
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
		return d.cfg.whenDark()
	}
	return Ignore
}

// whenDark is what the routes do when no gateway is usable any more.
func (c *Config) whenDark() SiteAction {
	if c.Site.WhenDark == "" {
		return WithdrawSite
	}
	return c.Site.WhenDark
}
