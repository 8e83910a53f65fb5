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

// each decides each second from from on, up to and with to.
func (s step) each(t *testing.T, cfg *Config, view *View, from time.Duration) (p Plan) {
	t.Helper()
	for at := from; at <= s.at; at += time.Second {
		p = step{at, s.fitness, s.wish}.check(t, cfg, view)
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
	step{29 * time.Second, Fit, Announced}.each(t, cfg, view, 0)
	p = step{30 * time.Second, Overloaded, Worse}.check(t, cfg, view)
	if want := "mean load was 85 % for 30s, and has not been 60 % or less for 5m0s: 2 usable, mean load 90 %"; p.Site.Reason != want {
		t.Errorf("want %q, got %q", want, p.Site.Reason)
	}
	load(61)
	step{10 * time.Minute, Overloaded, Worse}.each(t, cfg, view, 31*time.Second)
	load(50)
	step{14 * time.Minute, Overloaded, Worse}.each(t, cfg, view, 10*time.Minute)
	load(95)
	step{15 * time.Minute, Overloaded, Worse}.each(t, cfg, view, 14*time.Minute)
	load(50)
	step{20 * time.Minute, Overloaded, Worse}.each(t, cfg, view, 15*time.Minute)
	step{20*time.Minute + 30*time.Second, Fit, Announced}.check(t, cfg, view)
}

func TestAFlickerOfTheLoadChangesNothing(t *testing.T) {
	cfg, view, load := ladder()
	for at := range 600 { // high for less than overload_for, again and again
		load(60 + 35*(at%40/21))
		step{time.Duration(at) * time.Second, Fit, Announced}.check(t, cfg, view)
	}
	cfg, view, load = ladder()
	for at := range 60 { // one figure in 25 that is lower does not stop the clock
		load(95)
		if at%25 == 24 {
			load(84)
		}
		decide(cfg, view, time.Duration(at)*time.Second)
	}
	if view.Site.Fitness != Overloaded {
		t.Errorf("want %s, got %s", Overloaded, view.Site.Fitness)
	}
}

func TestUnknownLoadMakesNoSiteWorseAndIsNoRelief(t *testing.T) {
	cfg, view, load := ladder()
	cfg.StaleAfter = 15 * time.Second
	step{0, Fit, Announced}.check(t, cfg, view)
	load(90)
	step{0, Fit, Announced}.check(t, cfg, view)
	step{30 * time.Second, Fit, Announced}.check(t, cfg, view) // the figures are stale since 15 s
	step{5 * time.Minute, Fit, Announced}.check(t, cfg, view)
	cfg.StaleAfter = 10 * time.Minute // fresh again
	step{5 * time.Minute, Fit, Announced}.check(t, cfg, view)
	step{5*time.Minute + 30*time.Second, Overloaded, Worse}.check(t, cfg, view)
	step{59 * time.Minute, Overloaded, Worse}.check(t, cfg, view) // silence
	step{time.Hour + 6*time.Minute, Overloaded, Worse}.check(t, cfg, view)
	step{time.Hour + 11*time.Minute, Fit, Announced}.check(t, cfg, view)
}

func TestAShortSiteIsStillOverloaded(t *testing.T) {
	cfg, view, load := ladder()
	cfg.Site.WhenShort = Ignore
	load(90)
	decide(cfg, view, 0)
	step{30 * time.Second, Overloaded, Worse}.check(t, cfg, view)
	view.Drained["gw0"] = Drain{}
	step{31 * time.Second, Overloaded, Worse}.check(t, cfg, view)
	cfg.Site.WhenShort = WithdrawSite
	step{32 * time.Second, Short, GracefulShutdown}.check(t, cfg, view)
	delete(view.Drained, "gw0")
	step{33 * time.Second, Overloaded, Worse}.check(t, cfg, view)
}

func TestASiteIsNotShortBeforeItsGatewaysHaveBeenHeardOf(t *testing.T) {
	cfg, view, _ := ladder()
	second := cfg.Gateways[1].Addresses
	delete(view.Health, second[0])
	delete(view.Health, second[1])
	step{0, Fit, Announced}.check(t, cfg, view)
	step{time.Millisecond, Fit, Announced}.check(t, cfg, view)
	view.Health[second[0]], view.Health[second[1]] = Health{State: Down}, Health{State: Down}
	step{time.Second, Short, Worse}.check(t, cfg, view)
}

func TestWhatADarkSiteDoesIsTheOperatorsChoice(t *testing.T) {
	for action, want := range map[SiteAction]RouteWish{"": GracefulShutdown, WithdrawSite: GracefulShutdown, MakeWorse: Worse, Ignore: Announced} {
		cfg, view, _ := ladder()
		cfg.Site.WhenDark = action
		view.Drained["gw0"], view.Drained["gw1"] = Drain{}, Drain{}
		if p := decide(cfg, view, 0); p.Routes[0].Wish != Withdrawn {
			t.Errorf("%s, before any gateway was usable: got %s", action, p.Routes[0].Wish)
		}
		clear(view.Drained)
		step{0, Fit, Announced}.check(t, cfg, view)
		view.Drained["gw0"], view.Drained["gw1"] = Drain{}, Drain{}
		p := step{time.Second, Dark, want}.check(t, cfg, view)
		if action == Ignore && p.Routes[0].Reason != "site has no usable gateway, and when_dark keeps the route" {
			t.Errorf("got %q", p.Routes[0].Reason)
		}
	}
}

func TestADrainThatFollowsWorseIsTold(t *testing.T) {
	cfg, view, _ := ladder()
	view.Drained["gw0"] = Drain{}
	step{0, Short, Worse}.check(t, cfg, view)
	view.Node = &Drain{}
	if p := (step{time.Second, Short, GracefulShutdown}).check(t, cfg, view); !p.Routes[0].Worse {
		t.Error("want it to be worse still while it goes")
	}
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
	if want := "site has no usable gateway until a moment ago, and is held down for a while"; p.Routes[0].Reason != want {
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
