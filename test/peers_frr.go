package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/anycastd/anycastd/test/lab"
)

// bgpdProgram lies in no directory of PATH, as zebra does.
const bgpdProgram, zebraProgram = "/usr/lib/frr/bgpd", "/usr/lib/frr/zebra"

// frrConfig describes a router that runs FRR's zebra and bgpd.
type frrConfig struct {
	RouterID  string
	ASN       uint32
	Neighbors []frrNeighbor
	Networks  []string // prefixes it originates
	More      string   // of FRR's words, before the router's
}

// frrNeighbor is one BGP session. An address of IPv6 makes it carry IPv6 routes,
// one of IPv4, IPv4 routes.
type frrNeighbor struct {
	Remote   string
	ASN      uint32
	Password string   // RFC 2385; empty: none
	Families []string // more than that of the address: "ipv4", "ipv6"
	Options  []string // more of what is said of a neighbor: "ttl-security hops 1"
	Import   string   // a route map; empty: none
}

// frr is a running FRR. On its host, vtysh finds it without options.
type frr struct {
	*lab.Process // bgpd
	zebra        *lab.Process
	host         *lab.Host
}

// startFRR runs zebra and bgpd, and returns when they answer. They install what
// they learn in the host's kernel; FRR honours GRACEFUL_SHUTDOWN unasked.
func startFRR(h *lab.Host, c frrConfig) *frr {
	h.Run("install", "-d", "-o", "frr", "-g", "frr", "-m", "755", "/run/frr")
	f := &frr{host: h}
	f.zebra = f.start("zebra", zebraProgram, "log stdout\n")
	f.await("zebra")
	f.Process = f.start("bgpd", bgpdProgram, c.text(), "-p", "179")
	f.await("bgpd")
	return f
}

// start runs one of FRR's daemons, which reads its configuration as user frr.
func (f *frr) start(name, program, config string, args ...string) *lab.Process {
	conf := "/run/frr/" + name + ".conf"
	f.host.Run("install", "-o", "frr", "-g", "frr", "-m", "640", f.host.File(name+".conf", config), conf)
	return f.host.Start(name, append([]string{program, "-f", conf, "-i", "/run/frr/" + name + ".pid", "-z", "/run/frr/zserv.api",
		"--vty_socket", "/run/frr", "-A", "127.0.0.1", "-P", "0", "-u", "frr", "-g", "frr"}, args...)...)
}

// await waits until vtysh reaches a daemon.
func (f *frr) await(daemon string) {
	f.host.Lab.Eventually(f.host.Name+"/"+daemon+" answers", patience, func() error {
		if out, err := f.host.Try("vtysh", "--vty_socket", "/run/frr", "-d", daemon, "-c", "show version"); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

func (c frrConfig) text() string {
	var s strings.Builder
	fmt.Fprintf(&s, "log stdout debugging\ndebug bgp updates in\n%s\nrouter bgp %d\n bgp router-id %s\n", c.More, c.ASN, c.RouterID)
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
		if family(n.Remote) != of && !slices.Contains(n.Families, of) {
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
	out, err := f.host.Try("vtysh", "--vty_socket", "/run/frr", "-c", question+" json")
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

// session returns the state of the session with a neighbor, and since when it
// is up, in FRR's own words.
func (f *frr) session(neighbor string) (state, since string) {
	var answer map[string]struct {
		State string `json:"bgpState"`
		Since int64  `json:"bgpTimerUpEstablishedEpoch"`
	}
	if err := f.ask(&answer, "show bgp neighbors "+neighbor); err != nil {
		return err.Error(), ""
	}
	return answer[neighbor].State, fmt.Sprint(answer[neighbor].Since)
}
