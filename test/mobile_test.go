package test

import (
	"bytes"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/anycastd/anycastd/test/lab"
)

// The addresses of docs/mobile-ipv6.md, and those of its network in the lab.
const (
	homeAgents             = "2001:db8:61:0:fdff:ffff:ffff:fffe" // RFC 2526 section 3
	homeAgent1, homeAgent2 = "2001:db8:61::11", "2001:db8:61::12"
	frontAtHome            = "2001:db8:61::10"
	nodeAway, nodeAtHome   = "2001:db8:2::2", "2001:db8:61::77"
)

// startCharonOnPort500 is startCharon without libipsec, which wants its ESP in
// UDP and so moves to port 4500.
func startCharonOnPort500(h *lab.Host, swanctl string) *charon {
	return startCharon(h, swanctl, " kernel-libipsec kernel-netlink", " kernel-netlink")
}

// mobility is the network of docs/mobile-ipv6.md: a home link, which is a
// bridge of its router, with two home agents, a front-end and a node at home;
// and another front-end and a node away from home behind a router with BIRD.
type mobility struct {
	*lab.Lab
	router, home, away, atHome, front, frontAtHome *lab.Host
	agents                                         map[string]*charon
}

func newMobility(l *lab.Lab) *mobility {
	m := &mobility{Lab: l, router: l.Host("router"), home: l.Host("home"), away: l.Host("away"), front: l.Host("front")}
	m.router.Router()
	m.home.Router()
	l.Uplink(m.away, nodeAway+"/64", m.router, "2001:db8:2::1/64")
	l.Uplink(m.front, front6+"/64", m.router, router6+"/64")
	l.Uplink(m.home, "2001:db8:ff::2/64", m.router, "2001:db8:ff::1/64")
	m.router.Route("2001:db8:61::/64 via 2001:db8:ff::2")
	m.home.Run("ip", "link", "add", "name", "link", "type", "bridge", "mcast_snooping", "0")
	m.home.Run("ip", "address", "add", "2001:db8:61::1/64", "dev", "link", "nodad")
	m.home.Run("ip", "link", "set", "dev", "link", "up")
	m.atHome, m.frontAtHome = m.onHomeLink("athome", nodeAtHome), m.onHomeLink("front2", frontAtHome)
	m.agents = map[string]*charon{}
	for name, addr := range map[string]string{"ha1": homeAgent1, "ha2": homeAgent2} {
		m.agents[addr] = startCharonOnPort500(m.onHomeLink(name, addr), gatewayConf(testSecret))
	}
	startBIRD(m.router, birdConfig{RouterID: router4, ASN: 64500, Neighbors: []birdNeighbor{{Name: "front", Local: router6, Remote: front6, ASN: 64512}}})
	return m
}

// onHomeLink adds a host to the home link.
func (m *mobility) onHomeLink(name, addr string) *lab.Host {
	h := m.Host(name)
	m.Link(h, addr+"/64", m.home, "")
	m.home.Run("ip", "link", "set", "dev", name, "master", "link")
	h.Route("default via 2001:db8:61::1")
	return h
}

// start runs the daemon with a configuration of the page.
func (m *mobility) start(h *lab.Host, config string) *anycastd {
	return startAnycastd(h, "[node]\nstate_dir = \""+filepath.Join(m.Dir(), h.Name, "state")+"\"\n"+config)
}

// mustBootstrap lets the node on h ask anycast, and wants it redirected to the
// home agent by a REDIRECT of identity type 2 (RFC 5685 section 9.2); all on port 500.
func (m *mobility) mustBootstrap(t *testing.T, h *lab.Host, iface, node, anycast, agent string) {
	t.Helper()
	capture := h.Capture(iface, "udp")
	c := startCharonOnPort500(h, clientConf("alice@example.test", node, anycast, testSecret, "mobike = no"))
	if out, err := c.initiate("vpn"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	mustHaveSA(t, m.agents[agent], ikeSA{LocalID: vpnIdentity, RemoteID: "alice@example.test", LocalIP: netip.MustParseAddr(agent), RemoteIP: netip.MustParseAddr(node)})
	c.terminate("vpn")
	c.Stop()
	capture.Stop()
	want := dialogue{netip.AddrPortFrom(netip.MustParseAddr(anycast), 500), false, netip.MustParseAddr(agent)}
	if got := want.read(t, capture.Packets()); got.redirects == 0 {
		t.Errorf("got %+v in\n%s", got, capture.Text())
	}
	for _, p := range capture.Packets() {
		if p.Src.Port() != 500 || p.Dst.Port() != 500 {
			t.Errorf("%v > %v", p.Src, p.Dst)
		}
		if p.Src == want.anycast && !bytes.Contains(p.Payload, []byte{0x40, 0x17, 2, 16}) {
			t.Errorf("want REDIRECT by identity type 2 of 16 octets, got %x", p.Payload)
		}
	}
}

// TestMobileNodesAreRedirectedToAHomeAgent runs what docs/mobile-ipv6.md says.
func TestMobileNodesAreRedirectedToAHomeAgent(t *testing.T) {
	m := newMobility(newLab(t, "bird", "birdc", charonProgram, "swanctl", "tcpdump"))
	configs := configurations(t, "docs/mobile-ipv6.md", 2)
	daemon := m.start(m.front, configs[0])
	awaitRoute(m.router, "2001:db8:a::/48", "via "+front6)
	awaitRoute(m.router, homeAgents, "via "+front6)
	for _, anycast := range []string{anycast6, homeAgents} {
		m.mustBootstrap(t, m.away, "router", nodeAway, anycast, homeAgent2)
	}
	daemon.Kill()
	awaitNoRoute(m.router, homeAgents)

	daemon = m.start(m.frontAtHome, configs[1])
	daemon.awaitState("in service")
	for _, n := range []struct {
		host        *lab.Host
		iface, addr string
	}{{m.away, "router", nodeAway}, {m.atHome, "home", nodeAtHome}} {
		agent, err := daemon.target(n.addr)
		if err != nil {
			t.Fatal(err)
		}
		m.mustBootstrap(t, n.host, n.iface, n.addr, homeAgents, agent.String())
	}
}
