package control

import (
	"testing"
	"testing/synctest"
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
