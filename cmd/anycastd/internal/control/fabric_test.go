package control

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anycastd/anycastd/bgp"
	"github.com/anycastd/anycastd/policy"
)

// TestAGatewayWhoseRouteTheFabricLostIsDownAtOnce: its probes are still answered.
func TestAGatewayWhoseRouteTheFabricLostIsDownAtOnce(t *testing.T) {
	cfg := site()
	cfg.BGP.Learn = true
	storyOf(t, cfg, func(t *testing.T, w *world) {
		w.answerProbes()
		synctest.Wait()
		gateway := cfg.Policy.Gateways[0]
		if len(w.watched) == 0 || w.watched[0] != gateway.Addresses[0] {
			t.Fatalf("the speaker looks out for %v", w.watched)
		}
		gone := bgp.Learned{Address: gateway.Addresses[0], Gone: true, By: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Since: time.Now()}
		w.set(func() { w.learned = []bgp.Learned{gone} })
		w.loop.LearnedChanged()
		synctest.Wait()
		g := w.status(t).Gateways[0]
		if g.Usable || !strings.Contains(g.Reason, "has no route in the fabric since") || !strings.Contains(g.Reason, "neighbor 192.0.2.1") || g.Health[0].State != string(policy.Down) {
			t.Errorf("with its route gone: usable %v: %s; %+v", g.Usable, g.Reason, g.Health)
		}
		w.set(func() { w.learned[0].Gone, w.learned[0].Routed = false, true })
		w.loop.LearnedChanged()
		synctest.Wait()
		if g := w.status(t).Gateways[0]; !g.Usable {
			t.Errorf("with its route back: %s", g.Reason)
		}
	})
}

// TestWhatWasLearnedIsForgottenWhenItIsNoLongerAskedFor: by a reload.
func TestWhatWasLearnedIsForgottenWhenItIsNoLongerAskedFor(t *testing.T) {
	cfg := site()
	cfg.BGP.Learn = true
	storyOf(t, cfg, func(t *testing.T, w *world) {
		w.answerProbes()
		w.set(func() { w.learned = []bgp.Learned{{Address: cfg.Policy.Gateways[0].Addresses[0], Gone: true}} })
		w.loop.LearnedChanged()
		synctest.Wait()
		again := site()
		w.set(func() { w.learned = nil }) // as the speaker does who has nothing to watch
		if err := w.loop.Reload(t.Context(), again); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if g := w.status(t).Gateways[0]; len(w.watched) != 0 || !g.Usable {
			t.Errorf("the speaker looks out for %v; %s", w.watched, g.Reason)
		}
	})
}

// TestALostUplinkIsToldBeforeTheHoldTimerEnds: to BGP the session is up.
func TestALostUplinkIsToldBeforeTheHoldTimerEnds(t *testing.T) {
	cfg := site()
	cfg.BGP.Neighbors[0].Address = netip.MustParseAddr("192.0.2.1")
	storyOf(t, cfg, func(t *testing.T, w *world) {
		w.answerProbes()
		synctest.Wait()
		turn := func(up bool, reason string) Status {
			w.set(func() { w.uplinks[0].Up, w.uplinks[0].Reason = up, reason })
			w.loop.UplinksChanged()
			synctest.Wait()
			return w.status(t)
		}
		if s := turn(false, "eth0 is down"); s.State != "unheard" || s.Reason != "no neighbor can be reached: eth0 is down" || s.Ready {
			t.Errorf("%s: %s, ready %v", s.State, s.Reason, s.Ready)
		} else if p := s.Peers[0]; p.Uplink == nil || p.Uplink.Up || !strings.HasSuffix(p.Reason, "; but eth0 is down") {
			t.Errorf("the neighbor: %+v", p)
		}
		if s := turn(true, ""); s.State != "in service" || s.Peers[0].Reason != "session up" {
			t.Errorf("with the link back: %s: %s", s.State, s.Reason)
		}
	})
}

// TestAPrefixThatIsNotLocalAsAWholeIsNotAnnounced, where it is to be.
func TestAPrefixThatIsNotLocalAsAWholeIsNotAnnounced(t *testing.T) {
	cfg := site()
	cfg.AnyIP = true
	storyOf(t, cfg, func(t *testing.T, w *world) {
		wantSaid(t, w, "at start", strings.Replace(firstSteps, "203.0.113.1/32", "203.0.113.1/32 203.0.113.0/24", 1))
		w.answerProbes()
		synctest.Wait()
		w.set(func() { w.notLocal = "a blackhole of somebody else's is in the way" })
		w.loop.HostChanged()
		synctest.Wait()
		s := w.status(t)
		if s.Routes[0].State != "withdrawn" || s.Routes[0].Reason != "203.0.113.1: 203.0.113.0/24: a blackhole of somebody else's is in the way" {
			t.Errorf("%s: %s", s.Routes[0].State, s.Routes[0].Reason)
		}
	})
}
