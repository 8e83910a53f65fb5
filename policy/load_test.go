package policy

import (
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestAShareFollowsTheLoad(t *testing.T) {
	first, second := start.Add(-10*time.Second), start.Add(-5*time.Second)
	full, seen := Share{Level: FullShare}, Share{Level: FullShare, High: first}
	over := func(level int) Share { return Share{Level: level, Over: true, High: first} }
	for name, tc := range map[string]struct {
		load float64
		last Share
		want Share
	}{
		"idle":                               {0, full, full},
		"below overload nothing moves":       {0.899, full, full},
		"at overload, by one figure":         {0.9, full, Share{Level: FullShare, High: second}},
		"by two":                             {0.9, seen, over(16)},
		"two, but not in a row":              {0.89, seen, full},
		"half of what is left is used":       {0.95, seen, over(8)},
		"a flicker moves nobody":             {0.956, over(8), over(8)},
		"more than a flicker":                {0.97, over(8), over(5)},
		"full":                               {1, seen, over(1)},
		"beyond full":                        {1.7, seen, over(1)},
		"just below again: no newcomers yet": {0.899, over(16), Share{Level: 0, Since: start}},
		"on the way back":                    {0.85, over(16), Share{Level: 7, Since: start}},
		"higher again, but below overload: it stays": {0.88, Share{Level: 7, Since: second}, Share{Level: 7, Since: second}},
		"time goes by": {0.88, Share{Level: 7, Since: start.Add(-2 * backStep)}, Share{Level: 9, Since: start}},
		"for long":     {0.88, Share{Level: 7, Since: start.Add(-time.Hour)}, Share{Level: 16, Since: start}},
		"recovered":    {0.78, Share{Level: 7, Since: second}, Share{Level: 16, Since: start}},
	} {
		if got := nextShare(tc.load, 0.9, tc.last, second, start); got != tc.want {
			t.Errorf("%s: want %+v, got %+v", name, tc.want, got)
		}
	}
}

func TestAShareMovesOnlyWhereTheRuleSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		overload := rapid.Float64Range(0.01, 1).Draw(t, "overload")
		last, at := Share{Level: FullShare}, start
		for range 50 {
			load := rapid.Float64Range(0, 1.5).Draw(t, "load")
			at = at.Add(time.Duration(rapid.Int64Range(1, int64(time.Minute)).Draw(t, "later")))
			is := nextShare(load, overload, last, at, at)
			switch {
			case is.Level < 0 || is.Level > FullShare || is.Over && is.Level == 0:
				t.Fatalf("%v after %v at load %v of %v", is, last, load, overload)
			case is.Over != (load >= overload && (last.Over || !last.High.IsZero())):
				t.Fatalf("load %v of %v after %+v: over is %v", load, overload, last, is.Over)
			case !is.Over && !last.Over && load >= overload && is.Level != last.Level:
				t.Fatalf("a single figure moved %+v to %+v", last, is)
			case !is.Over && !last.Over && is.Level < last.Level:
				t.Fatalf("below overload it lost weight: %v after %v", is, last)
			}
			last = is
		}
	})
}

// sent is what has been counted for a gateway so far.
func (v *View) sent(gateway string) uint64 {
	if v.Table == nil {
		return 0
	}
	return v.Table.Sent(gateway)
}

func TestAStaleFigureIsUnknownAndNeverIdle(t *testing.T) {
	cfg, view := site()
	cfg.StaleAfter, cfg.Overload = 15*time.Second, 0.9
	cfg.Gateways[0].Capacity = 100
	view.Loads = map[string]Load{"gw0": {Sessions: 95, CPU: -1, At: start, Source: "report"}}
	view.Shares = map[string]Share{"gw0": {Level: 5, Over: true}}
	for _, tc := range []struct {
		at      time.Duration
		load    float64
		burden  string
		reached bool
	}{
		{0, 0.95, "load 95 % by report, overloaded", false},
		{15 * time.Second, noLoad, "load unknown since 00:00:00Z, taken as 95 %, overloaded", false},
		{59 * time.Minute, noLoad, "load unknown since 00:00:00Z, taken as 95 %, overloaded", false},
		{time.Hour, noLoad, "load unknown since 00:00:00Z, taken as 10 %", true},
	} {
		view.Loads["gw1"] = Load{Sessions: 10, Capacity: 100, CPU: -1, At: start.Add(tc.at), Sent: view.sent("gw1")}
		p := decide(cfg, view, tc.at)
		g := p.Gateways[0]
		if g.Load != tc.load || g.Burden() != tc.burden {
			t.Errorf("at %v: want %v %q, got %v %q", tc.at, tc.load, tc.burden, g.Load, g.Burden())
		}
		reached := map[string]bool{}
		for n := range uint32(50) {
			c := clientOf(n)
			c.SPI = uint64(tc.at) // another attempt each time
			reached[p.Table.Pick(c).Gateway] = true
		}
		if reached["gw0"] != tc.reached {
			t.Errorf("at %v: want gw0 reached: %v, got %v", tc.at, tc.reached, reached["gw0"])
		}
	}
}

func TestAGatewayOfUnknownLoadIsTakenAsTheOthersAreIfHalfOfAllAreKnown(t *testing.T) {
	cfg, view := site()
	cfg.Gateways = gateways(4)
	for _, tc := range []struct {
		known int
		want  float64
	}{{0, noLoad}, {1, noLoad}, {2, 0.8}, {3, 0.8}} {
		view.Loads = map[string]Load{}
		for _, g := range cfg.Gateways[:tc.known] {
			view.Loads[g.Name] = Load{Sessions: 80, Capacity: 100, CPU: -1, At: start}
		}
		if got := decide(cfg, view, 0).Gateways[3].bearing.load; math.Abs(got-tc.want) > 1e-9 {
			t.Errorf("%d of 4 known: want %v, got %v", tc.known, tc.want, got)
		}
	}
}

func TestNoDecisionAsksForAnotherOneAtOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg, view := site()
		cfg.Overload, cfg.StaleAfter = 0.9, 15*time.Second
		view.Loads = map[string]Load{}
		at := time.Duration(0)
		for range 5 {
			delete(view.Loads, "gw1")
			if rapid.Bool().Draw(t, "both") {
				view.Loads["gw1"] = Load{Sessions: 95, Capacity: 100, CPU: -1, At: start.Add(at)}
			}
			view.Loads["gw0"] = Load{Sessions: rapid.IntRange(70, 100).Draw(t, "sessions"), Capacity: 100, CPU: -1, At: start.Add(at)}
			if p := decide(cfg, view, at); !p.Next.IsZero() && !p.Next.After(start.Add(at)) {
				t.Fatalf("at %v: wants to decide again at %v", at, p.Next.Sub(start))
			}
			at += time.Duration(rapid.IntRange(1, 120).Draw(t, "seconds")) * time.Second
		}
	})
}

func TestCPUCountsWhereItIsMore(t *testing.T) {
	cfg, view := site()
	cfg.Gateways[0].Capacity = 100
	view.Loads = map[string]Load{"gw0": {Sessions: 10, CPU: 0.97, At: start}, "gw1": {Sessions: 10, CPU: -1, At: start}}
	p := decide(cfg, view, 0)
	if g := p.Gateways[0]; g.Load != 0.97 {
		t.Errorf("want 0.97, got %v", g.Load)
	}
	if g := p.Gateways[1]; g.Load != noLoad || g.Burden() != "10 sessions by , capacity unknown" {
		t.Errorf("without a capacity: got %v %q", g.Load, g.Burden())
	}
}

func TestADrainMarkEndsWhenItsTimeIsOver(t *testing.T) {
	cfg, view := site()
	view.Drained = map[string]Drain{"gw0": {Reason: "upgrade", Since: start, Until: start.Add(time.Minute)}}
	view.Node = &Drain{Reason: "reboot", Until: start.Add(time.Hour)}
	p := decide(cfg, view, 0)
	if want := "drained: upgrade, until 2026-01-01T00:01:00Z"; p.Gateways[0].Reason != want || p.Gateways[0].Usable {
		t.Errorf("want %q, got %+v", want, p.Gateways[0])
	}
	if want := "withdrawn: node drained: reboot, until 2026-01-01T01:00:00Z"; !strings.HasPrefix(wishes(p), want) {
		t.Errorf("want %q, got %q", want, wishes(p))
	}
	if !p.Next.Equal(start.Add(time.Minute)) {
		t.Errorf("want the next decision in a minute, got %v", p.Next)
	}
	if p = decide(cfg, view, time.Minute); !p.Gateways[0].Usable || !p.Next.Equal(start.Add(time.Hour)) {
		t.Errorf("after a minute: got %+v, next %v", p.Gateways[0], p.Next)
	}
	if p = decide(cfg, view, time.Hour); !strings.HasPrefix(wishes(p), "announced") {
		t.Errorf("after an hour: got %q", wishes(p))
	}
}

func TestAGatewayThatSaysItDrainsGetsNoNewcomers(t *testing.T) {
	cfg, view := site()
	cfg.StaleAfter = 15 * time.Second
	view.Loads = map[string]Load{"gw0": {Draining: true, CPU: -1, At: start, Source: "report"}}
	if g := decide(cfg, view, 0).Gateways[0]; g.Usable || g.Reason != "draining, as it says itself" {
		t.Errorf("got %+v", g)
	}
	if g := decide(cfg, view, time.Minute).Gateways[0]; g.Usable {
		t.Errorf("when nothing is heard of it any more: got %+v", g)
	}
	if g := decide(cfg, view, time.Hour).Gateways[0]; !g.Usable {
		t.Errorf("long after: got %+v", g)
	}
}

func TestAGatewayWhoseIPv6IsDeadStillServesIPv4(t *testing.T) {
	cfg, view := site()
	dead := cfg.Gateways[0].Addresses[1]
	view.Health[dead] = Health{State: Down, Reason: "no answer"}
	table := decide(cfg, view, 0).Table
	four, six := map[string]bool{}, map[string]bool{}
	for n := range uint32(100) {
		four[table.Pick(clientOf(n)).Gateway] = true
		c := Client{Source: any6}
		b := c.Source.As16()
		b[7] = byte(n)
		c.Source = netip.AddrFrom16(b)
		six[table.Pick(c).Gateway] = true
	}
	if !four["gw0"] || six["gw0"] {
		t.Errorf("want gw0 for IPv4 clients alone, got IPv4 %v, IPv6 %v", four, six)
	}
}
