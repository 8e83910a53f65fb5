package test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/anycastd/anycastd/test/lab"
)

// The gateways' probes as the fabric's configuration has them.
const (
	probeEvery, probeTimeout = 500 * time.Millisecond, 500 * time.Millisecond
	probeRise, probeFall     = 2, 3
)

// slack is what the bound on a dead gateway's last newcomer is allowed on top,
// for it is one on the daemon, whose timers this busy machine may serve late.
// The most that it served our own late comes on top.
const slack = 250 * time.Millisecond

// TestADeadGatewayGetsNoNewcomerAndOneThatIsBackGetsThemAfterItsRise: nobody is
// sent to a killed strongSwan later than every × fall and one time-out after,
// and nobody to one that lives again before it has answered `rise` probes.
func TestADeadGatewayGetsNoNewcomerAndOneThatIsBackGetsThemAfterItsRise(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate", charonProgram, "swanctl", "tcpdump"))
	vici := viciOverTCP(gw14 + ":4502") // its figures are proofs of life, which put probes off
	gateway := startCharon(f.gateways[0], gatewayConf(testSecret), vici...)
	startCharon(f.gateways[1], gatewayConf(testSecret))
	daemon := f.daemon(t, f.config(`name      = "gw1"`, "name = \"gw1\"\nvici = \"tcp:"+gw14+":4502\"\nvici_every = \"100ms\""))
	daemon.awaitSessions(0)
	daemon.awaitState("in service")
	crowd := f.newCrowd(t)
	stop := crowd.stream(200)
	defer stop()
	crowd.awaitVisit("gw1", time.Time{})
	crowd.awaitVisit("gw2", time.Time{})

	killed := time.Now()
	gateway.Kill()
	daemon.awaitStatus("finds gw1 dead by both families", func(s status) error {
		if g := s.Gateways[0]; g.Usable {
			return fmt.Errorf("%+v", g)
		}
		return nil
	})
	last := killed.Add(probeFall*probeEvery + probeTimeout + slack)
	f.Eventually("some more clients have come", patience, func() error {
		if n := len(crowd.since(last)); n < 200 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})

	capture := f.gateways[0].Capture("router", "udp src port 500 and (src host "+gw14+" or src host "+gw16+")")
	restarted := time.Now()
	startCharon(f.gateways[0], gatewayConf(testSecret), vici...)
	crowd.awaitVisit("gw1", restarted)
	stop()
	capture.Stop()
	for _, way := range []struct{ family, gateway string }{{"ipv4", gw14}, {"ipv6", gw16}} {
		alive := afterAnswers(t, capture.Packets(), netip.MustParseAddr(way.gateway), probeRise)
		mustMissTheDead(t, crowd, way.family, last.Add(crowd.lateness()), alive)
	}
	t.Logf("our own timers were %v late at most", crowd.lateness())
}

// afterAnswers returns when a host sent its n-th packet in a capture.
func afterAnswers(t *testing.T, packets []lab.Packet, from netip.Addr, n int) time.Time {
	t.Helper()
	for _, p := range packets {
		if p.Src.Addr() != from {
			continue
		}
		if n--; n == 0 {
			return p.Time
		}
	}
	t.Fatalf("%v has sent %d answers less than it takes", from, n)
	return time.Time{}
}

// mustMissTheDead wants no client of a family sent to gw1 that asked after
// last, but for those that were answered after alive.
func mustMissTheDead(t *testing.T, c *crowd, of string, last, alive time.Time) {
	t.Helper()
	var wrong []visit
	before, after := 0, 0
	for _, v := range c.since(last) {
		switch {
		case family(v.client.String()) != of:
		case v.gateway == "gw1" && v.answered.Before(alive):
			wrong = append(wrong, v)
		case v.gateway == "gw1":
			after++
		case v.answered.Before(alive) && v.gateway == "gw2":
			before++
		}
	}
	if n := len(wrong); n > 0 {
		t.Errorf("%s: %d clients were sent to a dead gateway, the last %v after the last moment and %v before it had answered enough",
			of, n, wrong[n-1].asked.Sub(last), alive.Sub(wrong[n-1].answered))
	}
	if before == 0 || after == 0 {
		t.Errorf("%s: want clients at the other gateway before and at the first one after, got %d and %d", of, before, after)
	}
	t.Logf("%s: %d clients went elsewhere while it was dead, %d came to it again", of, before, after)
}
