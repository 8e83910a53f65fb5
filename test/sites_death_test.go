package test

import (
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
func (w *pops) serving(t *testing.T, edits ...string) (a *anycastd, f *traffic) {
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
func (w *pops) mustMove(f *traffic, cause string, since time.Time) {
	awaitRoute(w.transit, prefix4, "via "+w.b.up4(2))
	awaitRoute(w.transit, prefix6, "via "+w.b.up6(2))
	settled := time.Now()
	f.awaitVisit("gw2", settled)
	f.awaitRequests(trafficRate, settled) // of which nothing may be lost
	f.mustEndGap(cause, since, settled)
}

// TestAKilledDaemonsSiteIsLeftAtOnce: by the reset of its sessions, for their
// hold time of 90 s is longer than the test waits.
func TestAKilledDaemonsSiteIsLeftAtOnce(t *testing.T) {
	w := newPlaces(t, 1, plain)
	a, f := w.serving(t)
	killed := time.Now()
	a.Kill()
	w.mustMove(f, "SIGKILL", killed)
}

// TestADeadHostsSiteIsLeftAfterTheHoldTime: without BFD nobody knows sooner.
func TestADeadHostsSiteIsLeftAfterTheHoldTime(t *testing.T) {
	w := newPlaces(t, 1, plain)
	_, f := w.serving(t, `"90s"`, `"3s"`)
	died := w.a.die(0)
	w.mustMove(f, "host death, hold time 3 s", died)
}

// bfdPrograms are what speaks BFD on a front-end's host, one for each of two
// front-ends of a site.
func bfdPrograms() []string { return []string{"bird", "bfdd"} }

// TestBFDBesideTellsBIRDOfADeadHostAtOnce: with a hold time of 90 s, which is
// longer than the test waits. First one of two front-ends dies, then the other.
func TestBFDBesideTellsBIRDOfADeadHostAtOnce(t *testing.T) {
	w := newPlaces(t, 2, func(c *birdConfig) { c.ECMP = true; withBFD(c) })
	second := w.a.start(t, 1, "gw2")
	_, f := w.serving(t)
	second.awaitState("in service")
	for i, program := range bfdPrograms() {
		w.a.startBFD(i, program).awaitUp()
	}
	awaitRoute(w.a.router, prefix4, "nexthop via "+w.a.at4(2))
	awaitRoute(w.a.router, prefix6, "nexthop via "+w.a.at6(2))
	died := w.a.die(0)
	awaitNoRouteBy(w.a.router, prefix4, "via "+w.a.at4(2))
	awaitNoRouteBy(w.a.router, prefix6, "via "+w.a.at6(2))
	t.Logf("%s: the first front-end's routes are gone after %v", bfdPrograms()[0], time.Since(died))
	settled := time.Now()
	f.awaitVisit("gw2", settled)
	f.mustLoseNothing(settled, time.Now())

	died = w.a.die(1)
	w.mustMove(f, "host death, BFD by "+bfdPrograms()[1], died)
}

// TestBFDBesideTellsFRROfADeadHostAtOnce is the same without traffic. BFD is
// there last: FRR 8.4 resets a session that comes up where BFD is up already, once.
func TestBFDBesideTellsFRROfADeadHostAtOnce(t *testing.T) {
	s := newPlace(newLab(t, "bird", "vtysh", bgpdProgram), "a", 64501, "198.18.1.", "2001:db8:a1::", 2)
	c := frrConfig{RouterID: s.at4(1), ASN: s.asn}
	for _, n := range s.neighbors("") {
		c.Neighbors = append(c.Neighbors, frrNeighbor{Remote: n.Remote, ASN: n.ASN, Options: []string{"bfd profile fast", "timers 30 90"}})
	}
	router := startFRR(s.router, c)
	router.startBFD(frrFastBFD)
	for i := range s.fronts {
		s.start(t, i, "gw1", `every = "500ms"`, `every = "0s"`)
	}
	mustHaveBoth := func(i int) {
		awaitRoute(s.router, prefix4, "via "+s.at4(i+2)+" ")
		awaitRoute(s.router, prefix6, "via "+s.at6(i+2)+" ")
	}
	for i, program := range bfdPrograms() {
		mustHaveBoth(i)
		s.startBFD(i, program).awaitUp()
	}
	for i, program := range bfdPrograms() {
		mustHaveBoth(i)
		died := s.die(i)
		awaitNoRouteBy(s.router, prefix4, "via "+s.at4(i+2))
		awaitNoRouteBy(s.router, prefix6, "via "+s.at6(i+2))
		t.Logf("%s: the front-end's routes are gone after %v", program, time.Since(died))
	}
	for _, n := range c.Neighbors {
		if len(router.Lines("sent to neighbor "+n.Remote+" 6/10 (Cease/BFD Down)")) == 0 {
			t.Errorf("bgpd does not give BFD as its reason for the end of the session with %s", n.Remote)
		}
	}
}

// die cuts the i-th front-end off as a host's death does: the router's own link
// stays up.
func (s *pop) die(i int) time.Time {
	died := time.Now()
	s.fronts[i].Run("ip", "link", "delete", "dev", s.lan.Name)
	return died
}
