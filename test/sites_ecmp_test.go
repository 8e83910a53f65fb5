package test

import (
	"net/netip"
	"testing"
	"time"
)

// TestTwoFrontEndsOfASiteShareItsClientsAndOneIsDrainedWithoutALostRequest: BIRD
// finds their routes alike, and the kernel spreads clients by their addresses.
func TestTwoFrontEndsOfASiteShareItsClientsAndOneIsDrainedWithoutALostRequest(t *testing.T) {
	w := newSites(t, 2, func(c *birdConfig) { c.ECMP = true })
	first, second := w.a.start(t, 0, "gw1"), w.a.start(t, 1, "gw2")
	first.awaitState("in service")
	second.awaitState("in service")
	w.awaitBoth()
	f := w.startTraffic(t)
	for _, family := range []string{"ipv4", "ipv6"} {
		if got := f.sharesOf(family, 100); got["gw1"] < 20 || got["gw2"] < 20 {
			t.Errorf("%s: want clients at both front-ends, got %v", family, got)
		}
	}
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
func (w *sites) awaitBoth() {
	for number := 2; number <= 3; number++ {
		awaitRoute(w.a.router, prefix4, "nexthop via "+w.a.at4(number)+" ")
		awaitRoute(w.a.router, prefix6, "nexthop via "+w.a.at6(number)+" ")
	}
}

// sharesOf returns where n clients of a family are sent that come one after the
// other, from a thousandth on.
func (f *traffic) sharesOf(family string, n int) map[string]int {
	var all []netip.Addr
	for i := range n {
		all = append(all, client(family, 1000+i))
	}
	return f.among(all)
}
