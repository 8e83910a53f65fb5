package test

import (
	"fmt"
	"maps"
	"testing"
	"time"
)

// pools are three subscription profiles by where clients come from, each inside
// the next: bronze has nothing to fall back on.
const pools = `[[pool]]
name     = "gold"
gateways = ["gw1"]
sources  = ["172.16.0.0/17", "2001:db8:1000::/41"]
fallback = ["silver"]
[[pool]]
name     = "silver"
gateways = ["gw2"]
sources  = ["172.16.0.0/16", "2001:db8:1000::/40"]
[[pool]]
name     = "bronze"
gateways = ["gw1"]
sources  = ["172.16.1.0/24", "2001:db8:1001::/48"]
[bgp]
`

// Some clients of each pool.
const gold, bronze, silver = 0, 0x100, 0x8000

// poolSize is how many clients of a family ask at once: fewer than the errors
// that the daemon sends in a second.
const poolSize = 20

// mustCome wants these outcomes, and no other, for some clients of a pool.
func (c *crowd) mustCome(when string, pool int, want string) {
	c.t.Helper()
	if got := c.among(clients(pool, poolSize)); !maps.Equal(got, map[string]int{want: 2 * poolSize}) {
		c.t.Errorf("%s: want %d × %s, got %v", when, 2*poolSize, want, got)
	}
}

// TestPoolsBySourceFallBackAndRefuseOrDropWhomNobodyServes: by packets, while
// the gateways are up, drained one by one, and back.
func TestPoolsBySourceFallBackAndRefuseOrDropWhomNobodyServes(t *testing.T) {
	f, crowd := drainWorld(t)
	unserved := func(how string) string { return f.config("[bgp]\n", "[policy]\nunserved = \""+how+"\"\n"+pools) }
	daemon := f.daemon(t, unserved("refuse"))
	daemon.awaitState("in service")
	f.awaitBIRD("both prefixes", "64512")
	f.slowFabric()
	crowd.mustCome("gold", gold, "gw1")
	crowd.mustCome("silver", silver, "gw2")
	crowd.mustCome("bronze", bronze, "gw1")
	daemon.mustDo("drain", "gw1")
	crowd.mustCome("gold without its gateway", gold, "gw2")
	crowd.mustCome("bronze without its gateway", bronze, "NO_PROPOSAL_CHOSEN")
	daemon.mustDo("drain", "gw2")
	f.awaitBIRD("the withdrawal", "")
	crowd.mustNotCome(daemon, silver) // who is told no by a node that goes would not try the next one
	daemon.mustDo("undrain", "gw1")
	f.awaitBIRD("both prefixes again", "64512")
	crowd.mustCome("bronze with its gateway again", bronze, "gw1")
	crowd.mustCome("silver without its gateway", silver, "NO_PROPOSAL_CHOSEN")
	daemon.mustDo("drain", "gw1")
	daemon.mustDo("undrain", "gw2")

	daemon.Kill()
	daemon = f.daemon(t, unserved("drop"))
	daemon.awaitState("in service")
	crowd.mustNotCome(daemon, bronze)
	crowd.mustCome("gold without its gateway", gold, "gw2")
}

// mustNotCome asks for a pool's clients, none of whom may get an answer.
func (c *crowd) mustNotCome(daemon *anycastd, pool int) {
	c.t.Helper()
	s, err := daemon.status()
	if err != nil {
		c.t.Fatal(err)
	}
	begin, want := time.Now(), s.Packets["no_gateway"]+2*poolSize
	for _, a := range clients(pool, poolSize) {
		c.ask(a, anycastOf(a))
	}
	daemon.awaitStatus("drops them", func(s status) error {
		if n := s.Packets["no_gateway"]; n != want {
			return fmt.Errorf("%v", s.Packets)
		}
		return nil
	})
	for _, v := range c.since(begin) {
		if pool <= clientIndex(v.client) && clientIndex(v.client) < pool+poolSize && v.outcome() != "silence" {
			c.t.Errorf("%v got %s", v.client, v.outcome())
		}
	}
}

// TestAGatewayThatIsDeadByIPv6ServesIPv4: health is that of each address, and a
// family that nobody serves is withdrawn alone.
func TestAGatewayThatIsDeadByIPv6ServesIPv4(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate", charonProgram, "swanctl", "nft"))
	f.startGateways()
	crowd := f.newCrowd(t)
	daemon := f.daemon(t, f.config())
	daemon.awaitState("in service")
	f.awaitBIRD("both prefixes", "64512")
	ways := clients(0, 100)
	if got := crowd.among(ways); got["gw1"] == 0 || got["gw2"] == 0 {
		t.Errorf("want both gateways, got %v", got)
	}
	deaf := func(i int) {
		f.gateways[i].Run("nft", "add table ip6 deaf; add chain ip6 deaf in { type filter hook input priority 0; }; add rule ip6 deaf in udp dport 500 drop")
	}
	deaf(0)
	daemon.awaitHealth(0, "up", "down")
	daemon.awaitHealth(1, "up", "up")
	byFamily := map[string]map[string]int{"ipv4": {}, "ipv6": {}}
	begin := time.Now()
	crowd.among(ways)
	for _, v := range crowd.since(begin) {
		byFamily[family(v.client.String())][v.outcome()]++
	}
	if got := byFamily["ipv4"]; got["gw1"] == 0 || got["gw1"]+got["gw2"] != 100 {
		t.Errorf("IPv4: want both gateways, got %v", got)
	}
	if got := byFamily["ipv6"]; got["gw2"] != 100 {
		t.Errorf("IPv6: want gw2 alone, got %v", got)
	}
	deaf(1)
	awaitNoRoute(f.router, prefix6)
	daemon.wantReason("the route", "no usable gateway for IPv6 clients", routeReasons)
	awaitRoute(f.router, prefix4, "via "+front4)
	for i := range f.gateways {
		f.gateways[i].Run("nft", "delete table ip6 deaf")
		daemon.awaitHealth(i, "up", "up")
	}
	awaitRoute(f.router, prefix6, "via "+front6)
	if got := crowd.among(ways); got["gw1"] == 0 || got["gw2"] == 0 {
		t.Errorf("want both gateways again, got %v", got)
	}
}

// awaitHealth waits until a gateway's IPv4 and IPv6 addresses are in these states.
func (a *anycastd) awaitHealth(i int, v4, v6 string) {
	a.host.Lab.Eventually(fmt.Sprintf("gateway %d is %s and %s", i, v4, v6), patience, func() error {
		all, err := a.loads()
		if err != nil {
			return err
		}
		if h := all[i].Health; h[0].State != v4 || h[1].State != v6 || !all[i].Usable {
			return fmt.Errorf("%+v", all[i])
		}
		return nil
	})
}
