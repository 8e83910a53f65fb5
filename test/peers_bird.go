package test

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/anycastd/anycastd/test/lab"
)

// patience bounds each wait for a peer; a slow machine must not fail a test.
const patience = 30 * time.Second

// birdConfig describes a router that runs BIRD 2.
type birdConfig struct {
	RouterID  string
	ASN       uint32
	Neighbors []birdNeighbor
	Static    []string // prefixes it originates
	ECMP      bool     // install equal routes as one of several next hops
	BFD       bool     // speak BFD (RFC 5880) with neighbours that have the option "bfd on;"
}

// birdNeighbor is one BGP session.
type birdNeighbor struct {
	Name          string // letters and digits: the protocol's name in birdc
	Local, Remote string
	ASN           uint32
	Password      string   // RFC 2385; empty: none
	Export        bool     // tell the neighbour our routes; anycastd needs none
	Prepend       int      // our AS that many times more in what we export
	Options       string   // more of BIRD's words, each ended by a semicolon
	Families      []string // whose routes it carries; none: that of the address. IPv4 over IPv6 as in RFC 8950
}

// bird is a running BIRD. On its host, birdc finds it without options.
type bird struct {
	*lab.Process
	host *lab.Host
}

// startBIRD runs BIRD, and returns when it answers. It installs what it learns in
// the host's kernel and honours GRACEFUL_SHUTDOWN (RFC 8326 section 4.2).
func startBIRD(h *lab.Host, c birdConfig) *bird {
	h.Run("mkdir", "-p", "/run/bird")
	conf := h.File("bird.conf", c.text())
	b := &bird{host: h, Process: h.Start("bird", "bird", "-f", "-c", conf, "-P", "/run/bird/bird.pid")}
	b.Await("Started")
	return b
}

func (c birdConfig) text() string {
	var s strings.Builder
	merge := ""
	if c.ECMP {
		merge = "merge paths on;"
	}
	fmt.Fprintf(&s, `log stderr all;
router id %[1]s;
protocol device { scan time 5; }
protocol direct { ipv4; ipv6; }
protocol kernel kernel4 { %[2]s ipv4 { import none; export where source ~ [RTS_BGP]; }; }
protocol kernel kernel6 { %[2]s ipv6 { import none; export where source ~ [RTS_BGP]; }; }
filter honour_shutdown {
	if (65535, 0) ~ bgp_community then bgp_local_pref = 0;
	accept;
}
`, c.RouterID, merge)
	if c.BFD {
		s.WriteString("protocol bfd { interface \"*\" { interval 300 ms; multiplier 3; }; }\n")
	}
	for _, prefix := range c.Static {
		fmt.Fprintf(&s, "protocol static { %s; route %s unreachable; }\n", family(prefix), prefix)
	}
	for _, n := range c.Neighbors {
		s.WriteString(n.text(c.ASN))
	}
	return s.String()
}

func (n birdNeighbor) text(asn uint32) string {
	export, password := "none", ""
	if n.Export {
		prepend := strings.Repeat(fmt.Sprintf("bgp_path.prepend(%d); ", asn), n.Prepend)
		export = "filter { if source ~ [RTS_STATIC, RTS_BGP] then { " + prepend + "accept; } reject; }"
	}
	if n.Password != "" {
		password = fmt.Sprintf("password %q;", n.Password)
	}
	var channels strings.Builder
	for _, f := range families(n.Remote, n.Families) {
		extended := ""
		if f == "ipv4" && family(n.Remote) == "ipv6" {
			extended = "extended next hop on; "
		}
		fmt.Fprintf(&channels, "\t%s { %simport filter honour_shutdown; export %s; };\n", f, extended, export)
	}
	return fmt.Sprintf(`protocol bgp %s {
	local %s as %d;
	neighbor %s as %d;
	hold time 9;
	connect retry time 1; connect delay time 1; error wait time 1, 2;
	%s %s
%s}
`, n.Name, n.Local, asn, n.Remote, n.ASN, password, n.Options, channels.String())
}

// families returns the families that a session carries.
func families(address string, named []string) []string {
	if len(named) == 0 {
		return []string{family(address)}
	}
	return named
}

// family names the address family of an address or prefix as BIRD does.
func family(address string) string {
	if strings.Contains(address, ":") {
		return "ipv6"
	}
	return "ipv4"
}

// ask returns birdc's answer to a question such as "show route all".
func (b *bird) ask(question string) string {
	return b.host.Run(append([]string{"birdc"}, strings.Fields(question)...)...)
}

// awaitSession waits until the session with the named neighbour is up.
func (b *bird) awaitSession(neighbor string) {
	b.host.Lab.Eventually(b.Name+" is established with "+neighbor, patience, func() error {
		if answer := b.ask("show protocols " + neighbor); !strings.Contains(answer, "Established") {
			return errors.New(answer)
		}
		return nil
	})
}

// kernelRoute returns the host's routes to exactly this prefix as ip-route(8)
// prints them, or "" if there is none.
func kernelRoute(h *lab.Host, prefix string) string {
	option := map[string]string{"ipv4": "-4", "ipv6": "-6"}[family(prefix)]
	return h.Run("ip", option, "route", "show", "exact", prefix)
}

// awaitRoute waits until the host's kernel has a route to exactly this prefix
// which contains text, such as "via 192.0.2.1".
func awaitRoute(h *lab.Host, prefix, text string) {
	h.Lab.Eventually(fmt.Sprintf("%s has a route to %s %s", h.Name, prefix, text), patience, func() error {
		if route := kernelRoute(h, prefix); !strings.Contains(route, text) || route == "" {
			return fmt.Errorf("it has %q", route)
		}
		return nil
	})
}

// awaitNoRoute waits until the host's kernel has no route to exactly this prefix.
func awaitNoRoute(h *lab.Host, prefix string) {
	h.Lab.Eventually(fmt.Sprintf("%s has no route to %s", h.Name, prefix), patience, func() error {
		if route := kernelRoute(h, prefix); route != "" {
			return fmt.Errorf("it has %q", route)
		}
		return nil
	})
}

// awaitNoRouteBy waits until no route of the host's kernel to exactly this prefix
// contains text, such as "via 192.0.2.1".
func awaitNoRouteBy(h *lab.Host, prefix, text string) {
	h.Lab.Eventually(fmt.Sprintf("%s has no route to %s %s", h.Name, prefix, text), patience, func() error {
		if route := kernelRoute(h, prefix); strings.Contains(route, text+" ") {
			return fmt.Errorf("it has %q", route)
		}
		return nil
	})
}

// awaitCount waits until a counter of the host's kernel is no longer 0.
func awaitCount(h *lab.Host, counter string) {
	h.Lab.Eventually(h.Name+" counts "+counter, patience, func() error {
		line := h.Run("nstat", "-asz", counter)
		if fields := strings.Fields(line); len(fields) < 3 || fields[2] == "0" { // #kernel NAME COUNT RATE
			return errors.New(line)
		}
		return nil
	})
}
