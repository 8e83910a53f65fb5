package policy

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestARouteThatIsLostAgainSoonAfterItCameBackIsHeldDown: what flaps at the
// pace of a fault is damped by the fabric (RFC 2439), and then for much longer.
func TestARouteThatIsLostAgainSoonAfterItCameBackIsHeldDown(t *testing.T) {
	cfg, view := site()
	cfg.Prefixes, cfg.Addresses = cfg.Prefixes[:1], cfg.Addresses[:1]
	cfg.Node, cfg.Site.Hold = "fra1", 10*time.Second
	well, at := view.Own[any4], time.Duration(0)
	decide(cfg, view, at)
	var down []time.Duration // for how long the route stayed down after it was well again
	for range 4 {
		view.Own[any4] = Own{Installed: Fact{OK: true}, Listening: Fact{false, "port 500 is taken"}}
		at += 5 * time.Second
		if got := wishes(decide(cfg, view, at)); got != "withdrawn: 203.0.113.1: port 500 is taken" {
			t.Fatal(got)
		}
		view.Own[any4] = well
		began := at
		for p := decide(cfg, view, at); p.Routes[0].Wish != Announced; p = decide(cfg, view, at) {
			if !p.Next.After(start.Add(at)) {
				t.Fatalf("at %v: %q, and nothing is to happen later", at, wishes(p))
			}
			at = p.Next.Sub(start)
		}
		down = append(down, (at - began).Round(10*time.Second))
	}
	want := []time.Duration{0, 10 * time.Second, 20 * time.Second, 40 * time.Second}
	if diff := cmp.Diff(want, down, cmp.Comparer(func(a, b time.Duration) bool { return (a-b).Abs() <= b/5+10*time.Second && (a == 0) == (b == 0) })); diff != "" {
		t.Errorf("held down (-want +got):\n%s", diff)
	}
}

func TestAnOperatorsDrainIsNoRelapse(t *testing.T) {
	cfg, view := site()
	cfg.Site.Hold = 10 * time.Second
	for i := range 4 {
		at := time.Duration(i) * time.Minute
		view.Node = nil
		if got := wishes(decide(cfg, view, at)); got != "announced: in service | announced: in service" {
			t.Errorf("after %d drains: %s", i, got)
		}
		view.Node = &Drain{Reason: "maintenance"}
		decide(cfg, view, at+time.Second)
		decide(cfg, view, at+10*time.Second)
	}
}

// TestAHeldRouteThatWasGoingDownGracefullyGoesOn: clients of one family lost all
// gateways, for the second time, and get them back before the withdrawal.
func TestAHeldRouteThatWasGoingDownGracefullyGoesOn(t *testing.T) {
	cfg, view := site()
	cfg.Site.Hold = time.Minute
	lose := func(state Liveness) {
		for _, g := range cfg.Gateways {
			view.Health[g.Addresses[1]] = Health{state, "says the probe"}
		}
	}
	decide(cfg, view, 0)
	var got []string
	for i, state := range []Liveness{Down, Up, Down, Up, Up} {
		lose(state)
		got = append(got, string(decide(cfg, view, time.Duration(1+3*i)*time.Second).Routes[1].Wish))
	}
	want := []string{"graceful-shutdown", "announced", "graceful-shutdown", "graceful-shutdown", "withdrawn"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
