package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/anycastd/anycastd/test/lab"
)

// What is where: documentation addresses and AS numbers (RFC 5737, RFC 3849,
// RFC 5398), and a private AS for the front-end (RFC 6996).
const (
	prefix4, prefix6   = "203.0.113.0/24", "2001:db8:a::/48"
	anycast4, anycast6 = "203.0.113.1", "2001:db8:a::1"
	router4, router6   = "192.0.2.1", "2001:db8:f::1" // towards the front-end
	front4, front6     = "192.0.2.10", "2001:db8:f::10"
	dns4, dns6         = "192.0.2.53", "2001:db8:53::53"
	client4, client6   = "192.0.2.200", "2001:db8:c::200"
	routerASN          = 64500
	frontASN           = 64512

	zoneName = "example.test."
	service  = "vpn.example.test."
	keyName  = "anycastd."
	keyText  = "YSBzZWNyZXQgb2YgdGhlIGRlbW8sIG5vdCBvZiBhbnkgc2l0ZQ=="
)

// How the daemon probes its gateways.
const (
	probeEvery = 200 * time.Millisecond
	probeFall  = 5 // silences in a row that make a gateway down
)

// holdTime is after what silence the router takes a neighbor for dead (RFC 4271
// section 4.2); one whose connection is closed it does not wait for.
const holdTime = 9 * time.Second

// network is the demo's hosts and what runs on them.
type network struct {
	program                    string
	lab                        *lab.Lab
	router, front, dns, client *lab.Host
	gateways                   []*gatewayHost
	fabric, names              *lab.Process // what the router and the name server say
	daemon                     *lab.Process
	config                     string // path of the daemon's configuration
}

// gatewayHost is a gateway, or a stand-in for one.
type gatewayHost struct {
	name, addr4, addr6 string
	host               *lab.Host
	*lab.Process
}

// newGateways returns the two, not yet on hosts.
func newGateways() []*gatewayHost {
	return []*gatewayHost{
		{name: "gw1", addr4: "198.51.100.11", addr6: "2001:db8:11::11"},
		{name: "gw2", addr4: "198.51.100.22", addr6: "2001:db8:22::22"},
	}
}

// newNetwork builds the network and starts everything but the daemon.
func newNetwork(l *lab.Lab, program string) *network {
	n := &network{program: program, lab: l}
	n.router, n.front, n.dns, n.client = l.Host("router"), l.Host("front"), l.Host("dns"), l.Host("client")
	n.router.Router()
	n.uplink(n.front, front4, front6, router4, router6)
	n.uplink(n.dns, dns4, dns6, "192.0.2.49", "2001:db8:53::1")
	n.uplink(n.client, client4, client6, "192.0.2.193", "2001:db8:c::1")
	n.gateways = newGateways()
	for i, g := range n.gateways {
		g.host = l.Host(g.name)
		n.uplink(g.host, g.addr4, g.addr6, fmt.Sprintf("198.51.100.%d", 1+16*i), fmt.Sprintf("2001:db8:%d%d::1", i+1, i+1))
		n.runGateway(g)
	}
	n.client.Nameserver(dns4, dns6)
	n.fabric = n.start(n.router, "router", "--asn", fmt.Sprint(routerASN), "--router-id", router4,
		"--neighbors", front4+"/32,"+front6+"/128", "--neighbor-asn", fmt.Sprint(frontASN))
	n.names = n.start(n.dns, "dns", "--zone", zoneName, "--listen", dns4+":53,["+dns6+"]:53",
		"--key", keyName, "--secret-file", n.dns.File("tsig.key", keyText))
	n.config = n.front.File("anycastd.toml", n.settings())
	n.front.File("tsig.key", keyText)
	return n
}

// uplink joins a host to the router, by a /28 and a /64.
func (n *network) uplink(h *lab.Host, addr4, addr6, hop4, hop6 string) {
	n.lab.Uplink(h, addr4+"/28 "+addr6+"/64", n.router, hop4+"/28 "+hop6+"/64")
}

// start runs one of the demo's parts on a host and waits until it is ready.
func (n *network) start(h *lab.Host, part string, flags ...string) *lab.Process {
	p := h.Start(part, append([]string{n.program, "demo", part}, flags...)...)
	p.Await("ready")
	return p
}

// startDaemon runs the daemon.
func (n *network) startDaemon() {
	n.daemon = n.front.Start("anycastd", n.program, "run", "-C", n.config)
}

// runGateway starts a gateway's program.
func (n *network) runGateway(g *gatewayHost) { g.Process = n.start(g.host, "gateway") }

// verb runs a verb of anycastd on a host and returns what it printed.
func (n *network) verb(h *lab.Host, words ...string) (string, error) {
	return h.Try(append([]string{n.program, "-C", n.config}, words...)...)
}

// settings is the daemon's configuration. The anycast addresses go onto lo
// because that is there on every kernel; a dummy link, the default, is not. The
// times are short, for the demo's sake.
func (n *network) settings() string {
	var s strings.Builder
	fmt.Fprintf(&s, `[node]
name      = "front"
state_dir = %q

[anycast]
prefixes  = [%q, %q]
addresses = [%q, %q]
interface = "lo"
`, n.lab.Dir(), prefix4, prefix6, anycast4, anycast6)
	for _, g := range n.gateways {
		fmt.Fprintf(&s, `
[[gateway]]
name      = %q
addresses = [%q, %q]
fqdn      = %q
probe     = { every = %[5]q, timeout = %[5]q, rise = 2, fall = %[6]d }
`, g.name, g.addr4, g.addr6, g.name+"."+strings.TrimSuffix(zoneName, "."), probeEvery, probeFall)
	}
	fmt.Fprintf(&s, `
[bgp]
asn        = %d
router_id  = %q
drain_wait = "2s"
settle     = "2s"
[[bgp.neighbor]]
address   = %q
asn       = %d
hold_time = %q
[[bgp.neighbor]]
address   = %q
asn       = %d
hold_time = %q

[dns]
ttl = 5
[[dns.zone]]
name     = %q
server   = "%s:53"
tsig     = { name = %q, algorithm = "hmac-sha256", secret_file = "tsig.key" }
names    = [%q]
gateways = true
`, frontASN, front4, router4, routerASN, holdTime, router6, routerASN, holdTime, zoneName, dns4, keyName, service)
	return s.String()
}
