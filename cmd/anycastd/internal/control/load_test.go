package control

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anycastd/anycastd/cmd/anycastd/internal/config"
	"github.com/anycastd/anycastd/policy"
)

// loadSite is site with least-loaded and a capacity of 100 each.
func loadSite() *config.Config {
	cfg := site()
	cfg.Policy.Choose, cfg.Policy.Overload, cfg.Policy.StaleAfter = policy.LeastLoaded, 0.9, 15*time.Second
	for i := range cfg.Policy.Gateways {
		cfg.Policy.Gateways[i].Capacity = 100
	}
	return cfg
}

// report tells the loop of a load.
func (w *world) report(gateway string, sessions int, draining bool) {
	w.loop.Loaded(gateway, policy.Load{Sessions: sessions, CPU: -1, Draining: draining, At: time.Now(), Source: "report"})
}

func TestLoadsAreTakenInWithinASecondAndAreProofOfLife(t *testing.T) {
	storyOf(t, loadSite(), func(t *testing.T, w *world) {
		w.answerProbes()
		w.report("gw1", 50, false)
		w.report("gw2", 10, false)
		w.report("gone", 10, false)
		at := time.Now()
		time.Sleep(time.Second)
		synctest.Wait()
		if got := w.pick(clientOf("192.0.2.1")).Gateway; got != "gw2" {
			t.Errorf("want the emptier one, got %s", got)
		}
		g := w.status(t).Gateways[0]
		if g.Load == nil || *g.Load != 0.5 || *g.Sessions != 50 || g.Capacity != 100 || g.Source != "report" {
			t.Errorf("got %+v", g)
		}
		if proof := w.proven[netip.MustParseAddrPort("198.51.100.1:500")]; !proof.Equal(at) {
			t.Errorf("want life proved at %v, got %v", at, proof)
		}
		time.Sleep(15 * time.Second)
		if g := w.status(t).Gateways[0]; g.Load != nil || g.Sessions != nil || !strings.HasPrefix(g.Reason, "198.51.100.1 answers; load unknown since ") {
			t.Errorf("stale: got %+v", g)
		}
	})
}

func TestFiguresOfTwoSourcesAreOne(t *testing.T) {
	at := time.Now()
	vici := policy.Load{Sessions: 30, CPU: -1, At: at, Source: "VICI"}
	own := policy.Load{Sessions: 20, Capacity: 90, CPU: 0.5, Draining: true, At: at.Add(-time.Second), Source: report}
	want := policy.Load{Sessions: 30, Capacity: 90, CPU: 0.5, CPUAt: own.At, Draining: true, At: at, Source: "VICI"}
	const stale = 15 * time.Second
	if got := merged(map[string]policy.Load{"VICI": vici, report: own}, stale); got != want {
		t.Errorf("want %+v, got %+v", want, got)
	}
	own.At = at.Add(-time.Minute)
	want.CPU, want.CPUAt = -1, time.Time{}
	if got := merged(map[string]policy.Load{"VICI": vici, report: own}, stale); got != want {
		t.Errorf("an old report: want it to drain still, %+v, got %+v", want, got)
	}
	own.At = at.Add(-time.Hour)
	if got := merged(map[string]policy.Load{"VICI": vici, report: own}, stale); got != vici {
		t.Errorf("one that no longer holds: want %+v, got %+v", vici, got)
	}
	own.CPUAt = own.At
	if got := merged(map[string]policy.Load{report: own}, stale); got != own {
		t.Errorf("alone: want %+v, got %+v", own, got)
	}
}

func TestAReportProvesTheAddressAloneThatItComesFrom(t *testing.T) {
	cfg := loadSite()
	cfg.Policy.Gateways[0].Addresses = append(cfg.Policy.Gateways[0].Addresses, netip.MustParseAddr("2001:db8::1"))
	storyOf(t, cfg, func(t *testing.T, w *world) {
		w.answerProbes()
		w.loop.Loaded("gw1", policy.Load{CPU: -1, At: time.Now(), Source: "report", From: netip.MustParseAddr("198.51.100.1")})
		w.loop.Loaded("gw2", policy.Load{CPU: -1, At: time.Now(), Source: "report", From: netip.MustParseAddr("192.0.2.99")})
		time.Sleep(time.Second)
		synctest.Wait()
		if _, ok := w.proven[netip.MustParseAddrPort("198.51.100.1:500")]; !ok || len(w.proven) != 1 {
			t.Errorf("want one address proved, got %v", w.proven)
		}
	})
}

func TestWhatADeadGatewayHeldIsForgotten(t *testing.T) {
	storyOf(t, loadSite(), func(t *testing.T, w *world) {
		w.answerProbes()
		w.report("gw1", 95, false)
		time.Sleep(20 * time.Second)
		w.set(func() { w.dead[netip.MustParseAddr("198.51.100.1")] = true })
		w.answerProbes()
		w.set(func() { clear(w.dead) })
		w.answerProbes()
		if g := w.status(t).Gateways[0]; g.Reason != "198.51.100.1 answers" {
			t.Errorf("got %+v", g)
		}
	})
}

func TestAGatewayThatDrainsIsLeftOutAtOnce(t *testing.T) {
	storyOf(t, loadSite(), func(t *testing.T, w *world) {
		w.answerProbes()
		w.report("gw1", 50, true)
		synctest.Wait()
		if g := w.status(t).Gateways[0]; g.Usable {
			t.Errorf("got %+v", g)
		}
	})
}

func TestWhatWasSentSinceAFigureCounts(t *testing.T) {
	storyOf(t, loadSite(), func(t *testing.T, w *world) {
		w.answerProbes()
		w.report("gw1", 20, false)
		w.report("gw2", 10, false)
		time.Sleep(time.Second)
		synctest.Wait()
		for n := range byte(30) {
			c := clientOf("192.0.2.1")
			c.Source = netip.AddrFrom4([4]byte{192, 0, 2, n})
			c.SPI = uint64(n)
			w.pick(c)
		}
		s := w.status(t)
		if a, b := s.Gateways[0].Sent, s.Gateways[1].Sent; a != 10 || b != 20 {
			t.Errorf("want 10 and 20 sent, to 30 each; got %d and %d", a, b)
		}
		w.report("gw1", 30, false) // those are in the new figures
		w.report("gw2", 31, false)
		time.Sleep(time.Second)
		synctest.Wait()
		c := clientOf("198.51.100.77")
		if got := w.pick(c).Gateway; got != "gw1" {
			t.Errorf("want gw1, got %s", got)
		}
	})
}

func TestOnlyKnownGatewaysAreKnown(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		if !w.loop.Knows("gw1") || w.loop.Knows("gw9") {
			t.Error("gw1 is known, gw9 is not")
		}
	})
}
