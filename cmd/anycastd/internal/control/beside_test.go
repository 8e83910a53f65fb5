package control

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anycastd/anycastd/cmd/anycastd/internal/config"
)

// beside is site beside another IKE daemon.
func beside() *config.Config {
	cfg := site()
	cfg.PortConflict = "nft"
	return cfg
}

func TestPortsAreRewrittenBetweenAddressesAndSockets(t *testing.T) {
	storyOf(t, beside(), func(t *testing.T, w *world) {
		wantSaid(t, w, "at start", "host [203.0.113.1/32]\nrewriter [203.0.113.1:500 (bound to 15500)]\nfront [203.0.113.1:500]\nprober 203.0.113.1:500")
		w.answerProbes()
		wantSaid(t, w, "when gateways and the node answer", lastSteps)
		w.loop.RewritesChanged()
		wantSaid(t, w, "after a change on the host", "rewriter [203.0.113.1:500 (bound to 15500)]")
		w.loop.Stop(nil)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		w.said()
		time.Sleep(2 * time.Second)
		wantSaid(t, w, "after settle", "front []\nrewriter []\nhost []")
	})
}

func TestWithoutRewritesThereIsNoSocketAndTheAddressTellsWhy(t *testing.T) {
	const why = "this kernel has no nf_tables"
	cfg := beside()
	cfg.Policy.Addresses = nil // until the part has been broken
	storyOf(t, cfg, func(t *testing.T, w *world) {
		w.set(func() { w.fail["rewriter"] = errors.New(why) })
		if err := w.loop.Reload(t.Context(), beside()); err != nil {
			t.Fatal(err)
		}
		wantSaid(t, w, "at start", "host [203.0.113.1/32]\nrewriter [203.0.113.1:500 (bound to 15500)]")
		s := w.status(t)
		if a := s.Addresses[0]; !a.Installed || a.Listening || a.Reason != why || s.Routes[0].State != "withdrawn" {
			t.Errorf("want %q, got %+v, %+v", why, a, s.Routes)
		}
		w.set(func() { clear(w.fail) })
		time.Sleep(10 * time.Second)
		w.answerProbes()
		if s := w.status(t); s.State != "in service" {
			t.Errorf("want it in service, got %s: %s", s.State, s.Reason)
		}
	})
}

func TestAPortThatLeavesIsRewrittenUntilItsSocketIsClosed(t *testing.T) {
	both := beside()
	both.Ports = []uint16{500, 4500}
	storyOf(t, both, func(t *testing.T, w *world) {
		synctest.Wait()
		w.said()
		if err := w.loop.Reload(t.Context(), beside()); err != nil {
			t.Fatal(err)
		}
		wantSaid(t, w, "after the reload", "front [203.0.113.1:500]\nrewriter [203.0.113.1:500 (bound to 15500)]")
	})
}

func TestOnlyARestartChangesHowPortsAreShared(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		err := w.loop.Reload(t.Context(), beside())
		if want := "only a restart can change ike.port_conflict; the running configuration stays"; err == nil || err.Error() != want {
			t.Errorf("want %q, got %v", want, err)
		}
	})
}
