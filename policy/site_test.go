package policy

import (
	"testing"
	"time"
)

// ladder is site with a mean load that can be set, and marks for it.
func ladder() (*Config, *View, func(load int)) {
	cfg, view := site()
	cfg.Overload = 1
	cfg.Site = Site{
		MinGateways: 2, WhenShort: MakeWorse, WhenOverloaded: MakeWorse, Overload: 0.85, Relief: 0.6,
		OverloadFor: 30 * time.Second, ReliefFor: 5 * time.Minute, Hold: 10 * time.Second,
	}
	view.Loads = map[string]Load{}
	return cfg, view, func(load int) {
		for _, g := range cfg.Gateways {
			view.Loads[g.Name] = Load{Sessions: load, Capacity: 100, CPU: -1, At: start}
		}
	}
}

// step is what a decision at a time is to say.
type step struct {
	at      time.Duration
	fitness Fitness
	wish    RouteWish
}

// check decides at s.at and compares.
func (s step) check(t *testing.T, cfg *Config, view *View) Plan {
	t.Helper()
	p := decide(cfg, view, s.at)
	if p.Site.Fitness != s.fitness || p.Routes[0].Wish != s.wish {
		t.Errorf("at %v: want %s, %s; got %s, %s: %s, %s", s.at, s.fitness, s.wish, p.Site.Fitness, p.Routes[0].Wish, p.Site.Reason, p.Routes[0].Reason)
	}
	return p
}

func TestAnOverloadedSiteIsMadeWorseAfterAWhileAndComesBackAfterALonger(t *testing.T) {
	cfg, view, load := ladder()
	load(90)
	p := step{0, Fit, Announced}.check(t, cfg, view)
	if !p.Next.Equal(start.Add(30 * time.Second)) {
		t.Errorf("want the next decision after overload_for, got %v", p.Next)
	}
	step{29 * time.Second, Fit, Announced}.check(t, cfg, view)
	p = step{30 * time.Second, Overloaded, Worse}.check(t, cfg, view)
	if want := "overloaded: mean load 90 %, at 85 % or more for 30s"; p.Site.Reason != want {
		t.Errorf("want %q, got %q", want, p.Site.Reason)
	}
	load(70)
	step{time.Minute, Overloaded, Worse}.check(t, cfg, view)
	step{time.Hour, Overloaded, Worse}.check(t, cfg, view)
	load(60)
	step{time.Hour, Overloaded, Worse}.check(t, cfg, view)
	load(70)
	step{time.Hour + time.Minute, Overloaded, Worse}.check(t, cfg, view)
	load(50)
	step{2 * time.Hour, Overloaded, Worse}.check(t, cfg, view)
	step{2*time.Hour + 299*time.Second, Overloaded, Worse}.check(t, cfg, view)
	step{2*time.Hour + 300*time.Second, Fit, Announced}.check(t, cfg, view)
}

func TestAFlickerOfTheLoadChangesNothing(t *testing.T) {
	cfg, view, load := ladder()
	for at := range 100 {
		load(90 - 10*(at%2))
		step{time.Duration(at) * 20 * time.Second, Fit, Announced}.check(t, cfg, view)
	}
}

func TestUnknownLoadMakesNoSiteWorseAndInTheEndReleasesIt(t *testing.T) {
	cfg, view, load := ladder()
	step{0, Fit, Announced}.check(t, cfg, view)
	load(90)
	step{0, Fit, Announced}.check(t, cfg, view)
	step{30 * time.Second, Overloaded, Worse}.check(t, cfg, view)
	clear(view.Loads)
	step{time.Minute, Overloaded, Worse}.check(t, cfg, view)
	step{6 * time.Minute, Fit, Announced}.check(t, cfg, view)
}

func TestTooFewGatewaysAndHoldDownThatGrows(t *testing.T) {
	cfg, view, _ := ladder()
	at := time.Duration(0)
	lose := func() {
		view.Drained["gw0"] = Drain{}
		step{at, Short, Worse}.check(t, cfg, view)
		delete(view.Drained, "gw0")
	}
	step{at, Fit, Announced}.check(t, cfg, view)
	lose()
	step{at, Fit, Announced}.check(t, cfg, view) // the first time it comes back at once
	for _, hold := range []time.Duration{10, 20, 40, 80, 160, 320, 600, 600} {
		at += time.Second
		lose()
		hold *= time.Second
		p := step{at, Short, Worse}.check(t, cfg, view)
		waits := p.Next.Sub(start.Add(at))
		if waits < hold*4/5 || waits > hold*6/5 {
			t.Errorf("want it held down for about %v, got %v", hold, waits)
		}
		step{at + waits - 1, Short, Worse}.check(t, cfg, view)
		at += waits
		step{at, Fit, Announced}.check(t, cfg, view)
	}
	at += RelapseWithin + 1
	lose()
	step{at, Fit, Announced}.check(t, cfg, view) // long ago: as the first time
}

func TestASiteThatGoesDarkAgainAndAgainIsHeldDown(t *testing.T) {
	cfg, view, _ := ladder()
	cfg.DrainWait = 0
	dark := func(at time.Duration) {
		view.Drained = map[string]Drain{"gw0": {}, "gw1": {}}
		step{at, Dark, Withdrawn}.check(t, cfg, view)
		view.Drained = map[string]Drain{}
	}
	step{0, Fit, Announced}.check(t, cfg, view)
	dark(time.Second)
	step{2 * time.Second, Fit, Announced}.check(t, cfg, view)
	dark(3 * time.Second)
	p := step{4 * time.Second, Dark, Withdrawn}.check(t, cfg, view)
	if want := "site had no usable gateway, and is held down a while after that"; p.Routes[0].Reason != want {
		t.Errorf("want %q, got %q", want, p.Routes[0].Reason)
	}
	step{30 * time.Second, Fit, Announced}.check(t, cfg, view)
}

func TestEachActionOfAnUnfitSite(t *testing.T) {
	for action, want := range map[SiteAction]RouteWish{Ignore: Announced, MakeWorse: Worse, WithdrawSite: GracefulShutdown, "": Announced} {
		cfg, view, _ := ladder()
		cfg.Site.WhenShort = action
		step{0, Fit, Announced}.check(t, cfg, view)
		view.Drained["gw0"] = Drain{}
		step{time.Second, Short, want}.check(t, cfg, view)
	}
}

func TestNodesOfASiteComeBackAtDifferentTimes(t *testing.T) {
	holds := map[time.Duration]bool{}
	for _, node := range []string{"a", "b", "c", "d"} {
		d := decision{cfg: &Config{Node: node, Site: Site{Hold: time.Minute}}}
		holds[d.hold(1)] = true
	}
	if len(holds) < 3 {
		t.Errorf("want different holds, got %v", holds)
	}
}
