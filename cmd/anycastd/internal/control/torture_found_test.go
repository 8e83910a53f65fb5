package control

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anycastd/anycastd/policy"
)

// What the torture has found, as stories of their own.

func TestADrainedGatewayGetsNobodyOnceDrainHasReturned(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.answerProbes()
		c := clientOf("192.0.2.7")
		for range 100 {
			first := w.pick(c).Gateway
			if err := w.loop.Drain(t.Context(), first, "maintenance", 0); err != nil {
				t.Fatal(err)
			}
			if got := w.pick(c).Gateway; got == first { // without a wait
				t.Fatalf("still sent to %s", got)
			}
			if err := w.loop.Undrain(t.Context(), first); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
	})
}

// TestWhatWasSentIsForgottenThoughNobodyComes: clients that a gateway of unknown
// load got long ago do not keep others from it.
func TestWhatWasSentIsForgottenThoughNobodyComes(t *testing.T) {
	cfg := site()
	cfg.Policy.Choose, cfg.Policy.StaleAfter = policy.LeastLoaded, 10*time.Second
	storyOf(t, cfg, func(t *testing.T, w *world) {
		second := netip.MustParseAddr("198.51.100.2")
		w.dead[second] = true
		w.answerProbes()
		for i := range 50 {
			w.pick(policy.Client{Source: netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", i)), SPI: uint64(i)})
		}
		w.dead[second] = false
		w.answerProbes()
		time.Sleep(25 * time.Second) // before anything else asks for a decision
		synctest.Wait()
		got := map[string]int{}
		for i := range 64 {
			got[w.table.Peek(clientOf(fmt.Sprintf("192.0.2.%d", 100+i))).Gateway]++
		}
		if got["gw1"] == 0 || got["gw2"] == 0 {
			t.Errorf("want some for each, got %v", got)
		}
	})
}
