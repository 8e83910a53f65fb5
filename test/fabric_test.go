package test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// slowHold makes the daemon's sessions outlast the test's patience, so that no
// hold timer can explain what it says.
func slowHold(f *fabric, edits ...string) string {
	return f.config(append([]string{"[[bgp.neighbor]]\n", "[[bgp.neighbor]]\nhold_time = \"90s\"\n"}, edits...)...)
}

// TestALostUplinkIsToldBeforeAnyHoldTimerEnds: by its name, in the log and in
// the status, while BGP still takes its sessions for up.
func TestALostUplinkIsToldBeforeAnyHoldTimerEnds(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate"))
	daemon := startAnycastd(f.front, slowHold(f, "every = \"500ms\"", "every = \"0s\""))
	daemon.awaitState("in service")
	f.router.Run("ip", "link", "set", "front", "down")
	daemon.wantReason("the neighbor", "Established: session up; but router has no carrier", peerReasons)
	daemon.awaitStatus("is unheard", func(s status) error {
		if want := "no neighbor can be reached: router has no carrier"; s.State != "unheard" || s.Reason != want {
			return fmt.Errorf("%s: %s", s.State, s.Reason)
		}
		return nil
	})
	if lines := daemon.Lines("the uplink is lost"); len(lines) == 0 || !strings.Contains(lines[0], "router has no carrier") {
		t.Errorf("the log says %q", lines)
	}
	f.router.Run("ip", "link", "set", "front", "up")
	daemon.awaitState("in service")
}

// TestAGatewayWhoseRouteTheFabricLosesGetsNoNewcomer though it answers its
// probes; and the front-end's kernel never has a route of the fabric's.
func TestAGatewayWhoseRouteTheFabricLosesGetsNoNewcomer(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate"))
	standIns(t, f)
	f.bird.Stop()
	c := fabricBIRD()
	c.Static = []string{gw14 + "/32", gw24 + "/32", gw16 + "/128", gw26 + "/128", "192.0.2.128/25"}
	for i := range c.Neighbors {
		c.Neighbors[i].Export = true
	}
	f.bird = startBIRD(f.router, c)
	daemon := startAnycastd(f.front, f.config("asn        = 64512", "asn        = 64512\nlearn      = \"gateways\""))
	daemon.awaitState("in service")
	f.bird.ask("disable static1") // 198.51.100.2/32
	daemon.awaitStatus("has no use for gw1's IPv4 address", func(s status) error {
		if g := s.Gateways[0]; !strings.Contains(g.Reason, gw14+" has no route in the fabric since") {
			return errors.New(g.Reason)
		}
		return nil
	})
	if got, err := daemon.target(client4); err != nil || got != netip.MustParseAddr(gw24) {
		t.Errorf("the client is sent to %v (%v), not to %s", got, err, gw24)
	}
	f.bird.ask("enable static1")
	daemon.awaitStatus("uses gw1 again", func(s status) error {
		if g := s.Gateways[0]; strings.Contains(g.Reason, "no route") || !g.Usable {
			return errors.New(g.Reason)
		}
		return nil
	})
	if routes := f.front.Run("ip", "route", "show", "proto", "bgp") + kernelRoute(f.front, gw14+"/32") + kernelRoute(f.front, "192.0.2.128/25"); routes != "" {
		t.Errorf("the front-end's kernel has %s", routes)
	}
	f.bird.Stop() // a session that ends says nothing of gateways
	daemon.awaitState("unheard")
	if s, err := daemon.status(); err != nil || !s.Gateways[0].Usable || !s.Gateways[1].Usable {
		t.Errorf("with the sessions gone: %+v, %v", s.Gateways, err)
	}
}

// TestAnswersLeaveByTheTableThatIsTheirs, and whole prefixes are local; both are
// gone with the daemon, also with a killed one's successor.
func TestAnswersLeaveByTheTableThatIsTheirs(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate"))
	standIns(t, f)
	state := func() string {
		return f.front.Run("ip", "rule") + f.front.Run("ip", "-6", "rule") + f.front.Run("ip", "route", "show", "table", "local", "proto", "201") +
			f.front.Run("ip", "-6", "route", "show", "table", "local", "proto", "201")
	}
	before := state()
	config := f.config("interface = \"lo\"", "interface   = \"lo\"\nanyip       = true\nreply_table = 100")
	daemon := startAnycastd(f.front, config)
	awaitRoute(f.router, prefix4, "via "+front4)
	f.front.Run("ip", "route", "add", "default", "via", router4, "table", "100")
	f.front.Run("ip", "-6", "route", "add", "default", "via", router6, "table", "100")
	for address, client := range map[string]string{anycast4: client4, anycast6: client6} {
		if out, err := f.client.Try(program(), "probe", address); err != nil {
			t.Errorf("%s: %v\n%s", address, err, out)
		}
		if way := f.front.Run("ip", "route", "get", client, "from", address); !strings.Contains(way, "table 100") {
			t.Errorf("answers from %s leave by %s", address, way)
		}
	}
	for _, other := range []string{"203.0.113.77", "2001:db8:a::77"} {
		if way := f.front.Run("ip", "route", "get", other); !strings.HasPrefix(way, "local ") {
			t.Errorf("the rest of the prefix is not local: %s", way)
		}
	}
	daemon.Kill()
	if out := state(); strings.Count(out, "lookup 100") == 0 || !strings.Contains(out, "local 203.0.113.0/24 dev lo") {
		t.Errorf("a killed daemon can't have cleaned up:\n%s", out)
	}
	again := startAnycastd(f.front, f.config())
	again.awaitState("in service")
	if diff := state(); diff != before {
		t.Errorf("the next start leaves\n%s\nwhere there was\n%s", diff, before)
	}
	again.Stop()
}
