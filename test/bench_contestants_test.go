//go:build bench

package test

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/anycastd/anycastd/test/lab"
)

// contestant is a responder that is measured.
type contestant struct {
	*lab.Process
	name    string
	to, to6 string // -to of ikeload; to6: by IPv6
	flags   string
	window  int // 0: ikeload's own

	rates, cpu, generator figure // by round; cpu of the responder, of one CPU
}

// measure measures a contestant once.
func (b *bench) measure(c *contestant) {
	b.t.Helper()
	from := sources4
	if strings.HasPrefix(c.to, "[") {
		from = sources6
	}
	flags := c.flags
	if c.window > 0 {
		flags += fmt.Sprintf(" -window %d", c.window)
	}
	r := b.run("closed -to %s -from %s -duration %s -warmup 500ms -pid %d %s", c.to, from, roundTime, c.PID(), flags)
	c.rates, c.cpu, c.generator = append(c.rates, r.Rate), append(c.cpu, r.Process.CPU), append(c.generator, r.OwnCPU)
}

// interleave measures all contestants, round by round.
func (b *bench) interleave(all []*contestant) {
	b.t.Helper()
	for round := range rounds {
		for _, c := range all {
			b.measure(c)
			b.t.Logf("round %d: %s: %.0f/s", round+1, c.name, c.rates[round])
		}
	}
}

// setup is how an anycastd is configured; zero: as little as there can be.
type setup struct {
	gateways, addresses int
	cookie              string
}

// anycastd starts the daemon. It has no neighbor, takes its gateways as alive
// and asks for no cookies, unless told so.
func (b *bench) anycastd(name string, s setup) *contestant {
	s.gateways, s.addresses = max(s.gateways, 2), max(s.addresses, 1)
	if s.cookie == "" {
		s.cookie = "never"
	}
	p := b.responder(name)
	daemon := startAnycastd(p.Host, s.config(p))
	pin(p.Host, daemon.Process)
	daemon.awaitStatus("answers", func(st status) error {
		for _, a := range st.Addresses {
			if !a.Answers {
				return fmt.Errorf("%s: %s", a.Address, a.Reason)
			}
		}
		return nil
	})
	c := &contestant{Process: daemon.Process, name: name, to6: "[" + p.anycast6 + "]:500"}
	var all []string
	for i := range s.addresses {
		all = append(all, p.anycast4(i+1)+":500")
	}
	c.to = strings.Join(all, ",")
	return c
}

// config is the daemon's configuration.
func (s setup) config(p *place) string {
	var b strings.Builder
	addresses := []string{p.anycast6}
	for i := range s.addresses {
		addresses = append(addresses, p.anycast4(i+1))
	}
	fmt.Fprintf(&b, `[node]
name      = "front"
state_dir = %q
[anycast]
prefixes  = [%q, %q]
addresses = ["%s"]
interface = "lo"
[ike]
cookie = %q
[bgp]
asn        = 64512
router_id  = "192.0.2.1"
drain_wait = "0s"
settle     = "0s"
[control]
http = ""
`, filepath.Join(p.Lab.Dir(), p.Name, "state"), p.prefix4, p.prefix6, strings.Join(addresses, `", "`), s.cookie)
	for i := range s.gateways {
		fmt.Fprintf(&b, "[[gateway]]\nname = \"gw%d\"\naddresses = [\"198.19.%d.%d\", \"2001:db8:61::%x\"]\nprobe = { every = \"0s\" }\n", i, i/250, i%250+1, i+1)
	}
	return b.String()
}

// echo starts the echo over the front's own sockets.
func (b *bench) echo() *contestant {
	p := b.responder("echo")
	p.own()
	c := &contestant{name: "echo on the same sockets", to: p.anycast4(1) + ":500", flags: "-echo"}
	c.Process = p.Start("echo", "env", "ANYCASTD_ECHO="+c.to, b.echoing, "-test.run", "^TestAnEcho$", "-test.v", "-test.timeout", "0")
	c.Await("echoing")
	pin(p.Host, c.Process)
	return c
}

// bareEcho starts the echo that is two system calls and nothing of ours.
func (b *bench) bareEcho() *contestant {
	p := b.responder("bare")
	p.own()
	c := &contestant{name: "bare echo", to: p.anycast4(1) + ":500", flags: "-echo"}
	c.Process = p.Start("bare", b.ikeload, "echo", "-to", c.to, "-cpu", fmt.Sprint(responderCPU))
	return c
}

// libreswan starts the IKE daemon that can redirect, too.
func (b *bench) libreswan() *contestant {
	p := b.responder("libreswan")
	p.own() // first: pluto listens on the addresses that it finds
	daemon := startPluto(p.Host, plutoFront("198.19.0.1", "198.19.0.2"), testSecret)
	pin(p.Host, daemon.Process)
	// It has the kernel's usual receive buffer, and would lose more.
	return &contestant{Process: daemon.Process, name: "libreswan", to: p.anycast4(1) + ":500", window: 128}
}
