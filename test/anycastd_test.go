package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anycastd/anycastd/test/lab"
)

// programVar is the environment variable that names the daemon under test.
const programVar = "ANYCASTD_UNDER_TEST"

// program returns the path of the daemon under test.
func program() string { return os.Getenv(programVar) }

// anycastd is a running daemon. On its host the verbs find it with -C config.
type anycastd struct {
	*lab.Process
	host   *lab.Host
	config string // path of its configuration
}

// startAnycastd runs the daemon with this configuration.
func startAnycastd(h *lab.Host, config string) *anycastd {
	path := h.File("anycastd.toml", config)
	return &anycastd{host: h, config: path, Process: h.Start("anycastd", program(), "run", "-C", path, "--log-level", "debug")}
}

// try runs a verb on the daemon's host.
func (a *anycastd) try(verb ...string) (string, error) {
	return a.host.Try(append([]string{program(), "-C", a.config}, verb...)...)
}

// ask runs a verb with -o json and reads what it prints into v.
func (a *anycastd) ask(v any, verb ...string) error {
	out, err := a.try(append(verb, "-o", "json")...)
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return json.Unmarshal([]byte(out), v)
}

// status is the part of the daemon's status that scenarios look at.
type status struct {
	State, Reason string
	Gateways      []struct {
		Name, Reason string
		Usable       bool
	}
	Addresses []struct {
		Address                       netip.Addr
		Installed, Listening, Answers bool
		Reason                        string
	}
	Routes  []struct{ Prefix, State, Reason string }
	Records []struct {
		Name, Type, Reason string
		Address            netip.Addr
		Published          bool
	}
	Peers    []struct{ Address, State, Reason string }
	Packets  map[string]uint64
	Warnings []string
}

// status returns the daemon's status; that it has none is an error.
func (a *anycastd) status() (s status, err error) { return s, a.ask(&s, "status") }

// awaitStatus waits until the daemon's status is as wanted; want says what is
// still amiss, or nil.
func (a *anycastd) awaitStatus(what string, want func(status) error) {
	a.host.Lab.Eventually(a.Name+" "+what, patience, func() error {
		s, err := a.status()
		if err != nil {
			return err
		}
		return want(s)
	})
}

// awaitState waits until the daemon is in this state.
func (a *anycastd) awaitState(state string) {
	a.awaitStatus("is "+state, func(s status) error {
		if s.State != state {
			return fmt.Errorf("%s: %s", s.State, s.Reason)
		}
		return nil
	})
}

// runProgram runs the program outside of any lab, and returns what it printed
// and its exit code.
func runProgram(t *testing.T, stdin string, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(program(), args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// target returns the address of the gateway that the daemon says this client
// goes to.
func (a *anycastd) target(client string) (netip.Addr, error) {
	var e struct{ Target struct{ Address netip.Addr } }
	err := a.ask(&e, "explain", client)
	return e.Target.Address, err
}

// fabric is the network of the main scenarios: every host hangs off one router
// that runs BIRD, and reaches the others through it alone.
type fabric struct {
	*lab.Lab
	client, router, front, dns *lab.Host
	gateways                   []*lab.Host
	bird                       *bird
	bind                       *bind
}

// The fabric's addresses.
const (
	anycast4, anycast6 = "203.0.113.1", "2001:db8:a::1"
	prefix4, prefix6   = "203.0.113.0/24", "2001:db8:a::/48"
	client4, client6   = "192.0.2.2", "2001:db8:2::2"
	front4, front6     = "192.0.2.10", "2001:db8:f::10"
	router4, router6   = "192.0.2.9", "2001:db8:f::1"
	dns4               = "192.0.2.53"
	gw14, gw16         = "198.51.100.2", "2001:db8:61::2"
	gw24, gw26         = "198.51.100.6", "2001:db8:62::2"
)

// newFabric builds the network, with BIRD and BIND running and no gateway.
func newFabric(l *lab.Lab) *fabric {
	f := &fabric{Lab: l, client: l.Host("client"), router: l.Host("router"), front: l.Host("front"), dns: l.Host("dns")}
	f.router.Router()
	l.Uplink(f.client, client4+"/30 "+client6+"/64", f.router, "192.0.2.1/30 2001:db8:2::1/64")
	l.Uplink(f.front, front4+"/30 "+front6+"/64", f.router, router4+"/30 "+router6+"/64")
	l.Uplink(f.dns, dns4+"/30 2001:db8:53::53/64", f.router, "192.0.2.54/30 2001:db8:53::1/64")
	gw1, gw2 := l.Host("gw1"), l.Host("gw2")
	l.Uplink(gw1, gw14+"/30 "+gw16+"/64", f.router, "198.51.100.1/30 2001:db8:61::1/64")
	l.Uplink(gw2, gw24+"/30 "+gw26+"/64", f.router, "198.51.100.5/30 2001:db8:62::1/64")
	f.gateways = []*lab.Host{gw1, gw2}
	f.client.Nameserver(dns4)
	f.bird = startBIRD(f.router, fabricBIRD())
	f.bind = startBIND(f.dns, testZone)
	return f
}

// startGateways makes strongSwan run on the gateways, and returns it by each
// of their addresses.
func (f *fabric) startGateways() map[string]*charon {
	gateways := map[string]*charon{}
	for i, addrs := range [][]string{{gw14, gw16}, {gw24, gw26}} {
		c := startCharon(f.gateways[i], gatewayConf(testSecret))
		gateways[addrs[0]], gateways[addrs[1]] = c, c
	}
	return gateways
}

// fabricBIRD is the configuration of the fabric's BIRD.
func fabricBIRD() birdConfig {
	return birdConfig{RouterID: router4, ASN: 64500, Neighbors: []birdNeighbor{
		{Name: "front4", Local: router4, Remote: front4, ASN: 64512},
		{Name: "front6", Local: router6, Remote: front6, ASN: 64512},
	}}
}

// config is the daemon's configuration in this fabric; edits are pairs of old
// and new text.
func (f *fabric) config(edits ...string) string {
	return strings.NewReplacer(edits...).Replace(fmt.Sprintf(`[node]
name      = "front1"
state_dir = %q
[anycast]
prefixes  = [%q, %q]
addresses = [%q, %q]
interface = "lo"
[[gateway]]
name      = "gw1"
addresses = [%q, %q]
fqdn      = "gw1.gw.example.test"
probe     = { every = "500ms", timeout = "500ms", rise = 2, fall = 3 }
[[gateway]]
name      = "gw2"
addresses = [%q, %q]
fqdn      = "gw2.gw.example.test"
probe     = { every = "500ms", timeout = "500ms", rise = 2, fall = 3 }
[bgp]
asn        = 64512
router_id  = %q
drain_wait = "1s"
settle     = "2s"
[[bgp.neighbor]]
address = %q
asn     = 64500
[[bgp.neighbor]]
address = %q
asn     = 64500
[dns]
ttl = 5
[[dns.zone]]
name     = "example.test."
server   = %q
tsig     = { name = "anycastd.", algorithm = "hmac-sha256", secret_file = %q }
names    = ["vpn.example.test."]
gateways = true
`, filepath.Join(f.Dir(), "front", "state"), prefix4, prefix6, anycast4, anycast6, gw14, gw16, gw24, gw26, front4, router4, router6,
		dns4+":53", f.front.File("tsig.key", testKey.Secret)))
}
