package control

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anycastd/anycastd/policy"
)

func TestADrainedGatewayGetsNobodyAndTheMarkIsKept(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.answerProbes()
		if err := w.loop.Drain(t.Context(), "gw1", "upgrade", 0); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, src := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"} {
			if got := w.pick(clientOf(src)).Gateway; got != "gw2" {
				t.Errorf("%s: want gw2, got %s", src, got)
			}
		}
		if g := w.status(t).Gateways[0]; g.Usable || g.Reason != "drained: upgrade" || g.Drained == nil || g.Drained.Until != nil {
			t.Errorf("got %+v, %+v", g, g.Drained)
		}
		want := map[string]policy.Drain{"gw1": {Reason: "upgrade", Since: time.Now()}}
		if diff := cmp.Diff(want, w.marks.Gateways); diff != "" {
			t.Errorf("kept (-want +got):\n%s", diff)
		}
		if err := w.loop.Undrain(t.Context(), "gw1"); err != nil {
			t.Fatal(err)
		}
		if g := w.status(t).Gateways[0]; !g.Usable || len(w.marks.Gateways) > 0 {
			t.Errorf("undrained: got %+v, kept %+v", g, w.marks)
		}
	})
}

func TestMarksOutliveARestart(t *testing.T) {
	kept := Marks{Node: &policy.Drain{Reason: "reboot"}, Gateways: map[string]policy.Drain{"gw1": {Reason: "upgrade"}, "gone": {}}}
	story(t, func(t *testing.T, w *world) {
		w.set(func() { w.marks = kept })
		again := New(site(), w.parts(), discard())
		if !again.view.Drained["gw1"].Since.IsZero() || again.view.Drained["gw1"].Reason != "upgrade" || again.view.Node.Reason != "reboot" {
			t.Errorf("got %+v, %+v", again.view.Drained, again.view.Node)
		}
		if _, ok := again.view.Drained["gone"]; !ok {
			t.Error("the mark of a gateway that is not there now must stay: it may come back")
		}
	})
}

func TestADrainForAWhileEndsByItself(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.answerProbes()
		for _, name := range []string{"gw1", ""} {
			if err := w.loop.Drain(t.Context(), name, "upgrade", time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		s := w.status(t)
		if s.State != "draining" || s.Drained == nil || !s.Drained.Until.Equal(time.Now().Add(time.Minute)) {
			t.Errorf("got %s, %+v", s.State, s.Drained)
		}
		time.Sleep(30 * time.Second)
		if s := w.status(t); s.State != "out of service" || !strings.HasPrefix(s.Reason, "203.0.113.0/24: node drained: upgrade, until ") {
			t.Errorf("after half of it: got %s: %s", s.State, s.Reason)
		}
		time.Sleep(31 * time.Second)
		if s := w.status(t); s.State != "in service" || s.Drained != nil || !s.Gateways[0].Usable || s.Gateways[0].Drained != nil {
			t.Errorf("after it: got %s: %s, %+v", s.State, s.Reason, s.Gateways[0])
		}
	})
}

func TestBadDrainsChangeNothingAndSayWhy(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.answerProbes()
		if err := w.loop.Drain(t.Context(), "gw9", "x", 0); err == nil || err.Error() != `there is no gateway "gw9": the gateways are gw1, gw2` {
			t.Errorf("unknown gateway: got %v", err)
		}
		if err := w.loop.Undrain(t.Context(), "gw1"); err == nil || err.Error() != "gateway gw1 is not drained by an operator" {
			t.Errorf("not drained: got %v", err)
		}
		if err := w.loop.Undrain(t.Context(), ""); err == nil || err.Error() != "this node is not drained" {
			t.Errorf("node not drained: got %v", err)
		}
		w.set(func() { w.fail["marks"] = errors.New("no space left") })
		err := w.loop.Drain(t.Context(), "gw1", "x", 0)
		if err == nil || err.Error() != "it is in effect, but a restart will forget it: no space left" {
			t.Errorf("full disk: got %v", err)
		}
		if g := w.status(t).Gateways[0]; g.Usable {
			t.Error("want it in effect all the same")
		}
	})
}

func TestMarksThatCantBeReadAreToldAndKeepNothingFromStarting(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.set(func() { w.fail["marks"] = errors.New("drain.json: unexpected end") })
		again := New(site(), w.parts(), discard())
		if want := "drain marks are lost: drain.json: unexpected end"; again.markTrouble != want {
			t.Errorf("want %q, got %q", want, again.markTrouble)
		}
	})
}
