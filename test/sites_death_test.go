package test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// withBFD makes a site's router drop the session with a front-end that BFD
// says is dead.
func withBFD(c *birdConfig) {
	c.BFD = true
	for i := range c.Neighbors {
		if c.Neighbors[i].ASN == 64512 {
			c.Neighbors[i].Options += " bfd on;"
		}
	}
}

// serving starts the daemons of a lab with one front-end at each site, and
// traffic that comes to site a's, and returns that.
func (w *sites) serving(t *testing.T, edits ...string) (a *anycastd, f *traffic) {
	a, b := w.a.start(t, 0, "gw1", edits...), w.b.start(t, 0, "gw2")
	a.awaitState("in service")
	b.awaitState("in service")
	awaitRoute(w.transit, prefix4, "via "+w.a.up4(2))
	awaitRoute(w.transit, prefix6, "via "+w.a.up6(2))
	f = w.startTraffic(t)
	f.awaitVisit("gw1", f.begin)
	return a, f
}

// mustMove waits until traffic of after since has moved to site b, and the
// routes on the way there have settled; no hold time can have been over by then.
func (w *sites) mustMove(f *traffic, cause string, since time.Time) {
	awaitRoute(w.transit, prefix4, "via "+w.b.up4(2))
	awaitRoute(w.transit, prefix6, "via "+w.b.up6(2))
	settled := time.Now()
	f.awaitVisit("gw2", settled)
	time.Sleep(500 * time.Millisecond) // of traffic in which nothing may be lost
	f.mustEndGap(cause, since, settled)
}

// TestAKilledDaemonsSiteIsLeftAtOnce: by the reset of its sessions, for their
// hold time of 90 s is longer than the test waits.
func TestAKilledDaemonsSiteIsLeftAtOnce(t *testing.T) {
	w := newSites(t, 1, plain)
	a, f := w.serving(t)
	killed := time.Now()
	a.Kill()
	w.mustMove(f, "SIGKILL", killed)
}

// TestADeadHostsSiteIsLeftAfterTheHoldTime: without BFD nobody knows sooner.
func TestADeadHostsSiteIsLeftAfterTheHoldTime(t *testing.T) {
	w := newSites(t, 1, plain)
	_, f := w.serving(t, `"90s"`, `"3s"`)
	died := time.Now()
	w.a.fronts[0].Run("ip", "link", "delete", "dev", w.a.lan.Name)
	w.mustMove(f, "host death, hold time 3 s", died)
}

// TestBFDBesideTellsOfADeadHostAtOnce: with a hold time of 90 s, which is longer
// than the test waits.
func TestBFDBesideTellsOfADeadHostAtOnce(t *testing.T) {
	for _, program := range []string{"bird", "bfdd"} {
		t.Run(program, func(t *testing.T) {
			w := newSites(t, 1, withBFD)
			bfd := w.a.startBFD(0, program)
			_, f := w.serving(t)
			bfd.awaitUp()
			died := time.Now()
			w.a.fronts[0].Run("ip", "link", "delete", "dev", w.a.lan.Name)
			w.mustMove(f, "host death, BFD by "+program, died)
			if out := w.a.bird.ask("show protocols all a4"); !strings.Contains(out, "BFD") {
				t.Errorf("BIRD's last error does not tell of BFD:\n%s", out)
			}
		})
	}
}

var _ = errors.New
var _ = fmt.Sprint
