package test

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// gatewayLoad is the part of a gateway's status that tells its load and health.
type gatewayLoad struct {
	Name       string
	Usable     bool
	Reason     string
	Health     []struct{ Address, State, Reason string }
	Load       *float64
	Sessions   *int
	Source     string `json:"load_source"`
	Level      int
	Overloaded bool
}

// loads returns what the daemon knows of its gateways.
func (a *anycastd) loads() (all []gatewayLoad, err error) { return all, a.ask(&all, "gateways") }

// awaitSessions waits until the daemon knows these sessions of its gateways.
func (a *anycastd) awaitSessions(want ...int) {
	a.host.Lab.Eventually(fmt.Sprintf("%s knows %v sessions", a.Name, want), patience, func() error {
		all, err := a.loads()
		if err != nil {
			return err
		}
		for i, n := range want {
			if all[i].Sessions == nil || *all[i].Sessions != n {
				return fmt.Errorf("%s: %s", all[i].Name, all[i].Reason)
			}
		}
		return nil
	})
}

// awaitOverload waits until all gateways are overloaded, as by their second
// figure in a row they are.
func (a *anycastd) awaitOverload() {
	a.host.Lab.Eventually(a.Name+" takes all gateways as overloaded", patience, func() error {
		all, err := a.loads()
		for _, g := range all {
			if err == nil && !g.Overloaded {
				err = fmt.Errorf("%s: %s", g.Name, g.Reason)
			}
		}
		return err
	})
}

// viciOverTCP are the edits of charonConf by which VICI is reached over TCP.
func viciOverTCP(at string) []string {
	return []string{
		"plugins {", "plugins {\n\t\tvici { socket = tcp://" + at + " }",
		"swanctl { load = random openssl }", "swanctl {\n\tload = random openssl\n\tsocket = tcp://" + at + "\n}",
	}
}

// patient are the edits of charonConf by which strongSwan holds any number of
// half-open IKE SAs for as long as a scenario lasts.
func patient() []string {
	return []string{"charon {\n", "charon {\n\tdos_protection = no\n\thalf_open_timeout = 600\n", "default = 1, ike = 2", "default = 0, ike = 1"}
}

// burden makes n clients begin an IKE SA with a gateway, and not go on: these
// count as sessions.
func (c *crowd) burden(gateway string, n int) {
	c.t.Helper()
	var all []netip.Addr
	for i := range n {
		all = append(all, client("ipv4", 1<<15+i))
	}
	got := c.at(all, func(netip.Addr) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(gateway), 500) })
	if got["accepted"] != n {
		c.t.Fatalf("%s: want %d half-open IKE SAs, got %v", gateway, n, got)
	}
}

// mustShare wants of some hundred newcomers that share of gw1's, give or take 5
// in a hundred: a share is made in sixteenths and then by a hash of the source.
// They stay away from the gateway, so the next figure has forgotten them; until
// then they count, and so must not be many beside the figures.
func (c *crowd) mustShare(when string, want float64) {
	c.t.Helper()
	all := clients(0, 150)
	got := c.among(all)
	share := float64(got["gw1"]) / float64(len(all))
	if got["gw1"]+got["gw2"] != len(all) || math.Abs(share-want) > .05 {
		c.t.Errorf("%s: want %.0f %% of the newcomers at gw1, got %v", when, 100*want, got)
	}
	c.t.Logf("%s: %v", when, got)
}

// TestVICILoadMovesNewcomersBetweenRealGateways: strongSwan's own count of IKE
// SAs decides, by the emptier of two and by what is left beyond overload.
func TestVICILoadMovesNewcomersBetweenRealGateways(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate", charonProgram, "swanctl"))
	var charons []*charon
	for i, at := range []string{gw14, gw24} {
		charons = append(charons, startCharon(f.gateways[i], gatewayConf(testSecret), slices.Concat(patient(), viciOverTCP(at+":4502"))...))
	}
	vici := func(choose string) string {
		edits := []string{"[bgp]\n", "[policy]\n" + choose + "\n[bgp]\n"}
		for name, at := range map[string]string{"gw1": gw14, "gw2": gw24} {
			edits = append(edits, fmt.Sprintf("name      = %q", name), fmt.Sprintf("name = %q\ncapacity = 1600\nvici = \"tcp:%s:4502\"\nvici_every = \"200ms\"", name, at))
		}
		return f.config(edits...)
	}
	daemon := f.daemon(t, vici(`choose = "least-loaded"`))
	daemon.awaitState("in service")
	crowd := f.newCrowd(t)

	crowd.burden(gw14, 800)
	daemon.awaitSessions(800, 0)
	crowd.mustShare("least-loaded, gw1 at 50 % and gw2 at 0 %", 0)
	crowd.burden(gw24, 1400)
	daemon.awaitSessions(800, 1400)
	crowd.mustShare("least-loaded, gw1 at 50 % and gw2 at 88 %", 1)

	f.front.File("anycastd.toml", vici("choose = \"sticky\"\noverload = 0.5"))
	daemon.mustDo("reload")
	daemon.awaitSessions(800, 1400)
	daemon.awaitOverload()
	left1, left2 := 1-800./1600, 1-1400./1600
	crowd.mustShare("sticky, both beyond overload", left1/(left1+left2))
	if out, err := daemon.try("explain", client("ipv4", 0).String()); err != nil || strings.Count(out, "overloaded") < 2 {
		t.Errorf("explain doesn't tell that both are overloaded: %v\n%s", err, out)
	}
	charons[1].Kill()
	startCharon(f.gateways[1], gatewayConf(testSecret), slices.Concat(patient(), viciOverTCP(gw24+":4502"))...)
	daemon.awaitSessions(800, 0)
	daemon.awaitStatus("takes gw2 for alive again", func(s status) error {
		if !s.Gateways[1].Usable {
			return fmt.Errorf("%+v", s.Gateways)
		}
		return nil
	})
	crowd.mustShare("sticky, gw2 below overload again", 0)
}
