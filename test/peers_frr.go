package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/anycastd/anycastd/test/lab"
)

// FRR's programs lie in no directory of PATH.
const bgpdProgram, zebraProgram, staticdProgram = "/usr/lib/frr/bgpd", "/usr/lib/frr/zebra", "/usr/lib/frr/staticd"

// frrConfig describes a router that runs FRR.
type frrConfig struct {
	RouterID  string
	ASN       uint32
	Neighbors []frrNeighbor
	Networks  []string // prefixes it originates
	Static    string   // staticd's configuration: "ip route 192.0.2.254/32 Null0"; empty: it is not run
	Maps      string   // route maps, in FRR's words
}

// frrNeighbor is one BGP session.
type frrNeighbor struct {
	Remote   string
	ASN      uint32
	Password string   // RFC 2385; empty: none
	Families []string // whose routes it carries; none: that of the address
	Options  []string // more of what is said of a neighbor: "ttl-security hops 1"
	Import   string   // a route map; empty: none
}

// frr is a running FRR. On its host, vtysh finds it without options.
type frr struct {
	*lab.Process // bgpd
	host         *lab.Host
}

// startFRR runs zebra, staticd if it has something to do, and bgpd, and returns
// when they answer. They install what they learn in the host's kernel, and honour
// GRACEFUL_SHUTDOWN unasked.
func startFRR(h *lab.Host, c frrConfig) *frr {
	f := startZebra(h)
	if c.Static != "" {
		f.start("staticd", staticdProgram, c.Static)
	}
	f.Process = f.start("bgpd", bgpdProgram, c.text(), "-p", "179")
	return f
}

// startZebra runs zebra alone, which FRR's other daemons need.
func startZebra(h *lab.Host) *frr {
	h.Run("install", "-d", "-o", "frr", "-g", "frr", "-m", "755", "/run/frr")
	f := &frr{host: h}
	f.start("zebra", zebraProgram, "log stdout\n")
	return f
}

// start runs one of FRR's daemons, which reads its configuration as user frr, and
// waits until vtysh reaches it.
func (f *frr) start(name, program, config string, args ...string) *lab.Process {
	conf := "/run/frr/" + name + ".conf"
	f.host.Run("install", "-o", "frr", "-g", "frr", "-m", "640", f.host.File(name+".conf", config), conf)
	p := f.host.Start(name, append([]string{program, "-f", conf, "-i", "/run/frr/" + name + ".pid", "-z", "/run/frr/zserv.api",
		"--vty_socket", "/run/frr", "-A", "127.0.0.1", "-P", "0", "-u", "frr", "-g", "frr"}, args...)...)
	f.host.Lab.Eventually(p.Name+" answers", patience, func() error {
		if out, err := f.host.Try("vtysh", "-d", name, "-c", "show version"); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	return p
}

func (c frrConfig) text() string {
	var s strings.Builder
	fmt.Fprintf(&s, "log stdout debugging\ndebug bgp updates in\n%s\nrouter bgp %d\n bgp router-id %s\n", c.Maps, c.ASN, c.RouterID)
	s.WriteString(" bgp log-neighbor-changes\n no bgp default ipv4-unicast\n no bgp ebgp-requires-policy\n no bgp network import-check\n")
	for _, n := range c.Neighbors {
		fmt.Fprintf(&s, " neighbor %s remote-as %d\n neighbor %[1]s timers 3 9\n neighbor %[1]s timers connect 1\n", n.Remote, n.ASN)
		if n.Password != "" {
			fmt.Fprintf(&s, " neighbor %s password %s\n", n.Remote, n.Password)
		}
		for _, option := range n.Options {
			fmt.Fprintf(&s, " neighbor %s %s\n", n.Remote, option)
		}
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		s.WriteString(c.familyText(family))
	}
	return s.String()
}

// familyText is what is said of one family, in the router's words.
func (c frrConfig) familyText(of string) string {
	var s strings.Builder
	fmt.Fprintf(&s, " address-family %s unicast\n", of)
	for _, prefix := range c.Networks {
		if family(prefix) == of {
			fmt.Fprintf(&s, "  network %s\n", prefix)
		}
	}
	for _, n := range c.Neighbors {
		if !slices.Contains(families(n.Remote, n.Families), of) {
			continue
		}
		fmt.Fprintf(&s, "  neighbor %s activate\n", n.Remote)
		if n.Import != "" {
			fmt.Fprintf(&s, "  neighbor %s route-map %s in\n", n.Remote, n.Import)
		}
	}
	s.WriteString(" exit-address-family\n")
	return s.String()
}

// ask reads vtysh's answer to a question such as "show bgp neighbors" into v.
func (f *frr) ask(v any, question string) error {
	out, err := f.host.Try("vtysh", "-c", question+" json")
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if err := json.Unmarshal([]byte(out), v); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// awaitSession waits until the session with this neighbor is up.
func (f *frr) awaitSession(neighbor string) {
	f.host.Lab.Eventually(f.host.Name+" is established with "+neighbor, patience, func() error {
		if state, _ := f.session(neighbor); state != "Established" {
			return errors.New(state)
		}
		return nil
	})
}

// session returns the state of the session with a neighbor, and how often it has
// come up and gone down: FRR knows since when it is up to a second only.
func (f *frr) session(neighbor string) (state, history string) {
	var answer map[string]struct {
		State string `json:"bgpState"`
		Up    int    `json:"connectionsEstablished"`
		Down  int    `json:"connectionsDropped"`
	}
	if err := f.ask(&answer, "show bgp neighbors "+neighbor); err != nil {
		return err.Error(), ""
	}
	n := answer[neighbor]
	return n.State, fmt.Sprintf("%d times up, %d times down", n.Up, n.Down)
}
