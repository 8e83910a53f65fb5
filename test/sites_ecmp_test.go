package test

import (
	"testing"
	"time"
)

// TestTwoFrontEndsOfASiteShareItsClientsAndOneIsDrainedWithoutALostRequest: BIRD
// finds their routes alike, and the kernel spreads clients by their addresses.
func TestTwoFrontEndsOfASiteShareItsClientsAndOneIsDrainedWithoutALostRequest(t *testing.T) {
	w := newPlaces(t, 2, func(c *birdConfig) { c.ECMP = true })
	first, second := w.a.start(t, 0, "gw1"), w.a.start(t, 1, "gw2")
	first.awaitState("in service")
	second.awaitState("in service")
	w.awaitBoth()
	f := w.startTraffic(t)
	f.awaitVisit("gw1", f.begin)
	f.awaitVisit("gw2", f.begin)
	f.awaitRequests(trafficRate/2, time.Now())
	first.mustDo("drain")
	first.awaitState("out of service")
	drained := time.Now()
	f.awaitVisit("gw2", drained)
	if code := first.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	stopped := time.Now()
	f.awaitVisit("gw2", stopped)
	f.mustNotSend("gw1", drained, stopped)
	first = w.a.start(t, 0, "gw1")
	first.awaitStatus("has its sessions", established)
	first.mustDo("undrain")
	w.awaitBoth()
	f.awaitVisit("gw1", time.Now())
	f.mustAllBeAnswered()
}

// awaitBoth waits until site a's router sends clients to both its front-ends.
func (w *pops) awaitBoth() {
	for number := 2; number <= 3; number++ {
		awaitRoute(w.a.router, prefix4, "nexthop via "+w.a.at4(number)+" ")
		awaitRoute(w.a.router, prefix6, "nexthop via "+w.a.at6(number)+" ")
	}
}
