package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/anycastd/anycastd/ikefront"
	"github.com/anycastd/anycastd/test/lab"
)

// patience bounds what a test waits for.
const patience = 30 * time.Second

// programVar makes the test's program be ikeload.
const programVar = "IKELOAD"

func TestMain(m *testing.M) {
	if os.Getenv(programVar) != "" {
		main()
	}
	os.Exit(m.Run())
}

// generator is a host that runs ikeload, joined to one with a front.
type generator struct {
	*lab.Host
	front *ikefront.Front
}

// newGenerator makes the two hosts. Answers to 172.16.0.0/16 and 2001:db8:1000::/40
// come in, those to 10.0.0.0/8 don't.
func newGenerator(t *testing.T) generator {
	if reason := lab.Available(); reason != "" {
		t.Skip(reason)
	}
	l := lab.New(t)
	g, responder := l.Host("generator"), l.Host("responder")
	l.Link(g, "192.0.2.1/24 2001:db8:f::1/64", responder, "192.0.2.2/24 2001:db8:f::2/64")
	g.Route("203.0.113.0/24 via 192.0.2.2")
	g.Route("2001:db8:a::/48 via 2001:db8:f::2")
	g.Route("local 172.16.0.0/16 dev lo")
	g.Route("local 2001:db8:1000::/40 dev lo")
	g.Route("blackhole 10.0.0.0/8")
	responder.Route("default via 192.0.2.1")
	responder.Route("default via 2001:db8:f::1")
	responder.Run("ip", "address", "add", "203.0.113.1/32", "dev", "lo")
	responder.Run("ip", "address", "add", "2001:db8:a::1/128", "dev", "lo", "nodad")
	front := newFront(t, ikefront.CookieNever)
	err := responder.Do(func() error {
		var all []netip.AddrPort
		for _, at := range []string{"203.0.113.1:500", "203.0.113.1:4500", "[2001:db8:a::1]:500", "[2001:db8:a::1]:4500"} {
			all = append(all, netip.MustParseAddrPort(at))
		}
		for _, err := range front.Listen(all) {
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return generator{g, front}
}

// ikeload runs the program on the host.
func (g generator) ikeload(t *testing.T, args string) (r report) {
	t.Helper()
	out := g.Run(append([]string{"env", programVar + "=1", os.Args[0]}, strings.Fields(args+" -o json")...)...)
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return r
}

func TestFramesAreAnsweredWithoutFault(t *testing.T) {
	g := newGenerator(t)
	for _, c := range []struct{ to, from string }{
		{"203.0.113.1:500", "172.16.0.0/16"}, {"203.0.113.1:4500", "172.16.0.0/16"},
		{"[2001:db8:a::1]:500", "2001:db8:1000::/40"}, {"[2001:db8:a::1]:4500", "2001:db8:1000::/40"},
	} {
		for _, via := range []string{"packet", "udp"} {
			r := g.ikeload(t, fmt.Sprintf("closed -via %s -window 16 -to %s -from %s -duration 200ms -warmup 50ms -timeout 30s -cpu 0 -pid %d", via, c.to, c.from, os.Getpid()))
			if r.Begun == 0 || r.Answered != r.Begun || r.Process == nil || r.Process.RSSAfter == 0 {
				t.Errorf("%s via %s: %+v", c.to, via, r)
			}
		}
	}
}

func TestAFloodArrives(t *testing.T) {
	g := newGenerator(t)
	at := netip.MustParseAddrPort("203.0.113.1:500")
	seen := func() (all uint64) {
		for _, counts := range g.front.Endpoints()[at].Sockets {
			all += counts.Read() + counts.Lost()
		}
		return all
	}
	for kind := range kinds() {
		const n = 500
		before := seen()
		if r := g.ikeload(t, fmt.Sprintf("flood -kind %s -to %s -from 10.0.0.0/8 -count %d -rate 5000", kind, at, n)); r.Sent != n || r.SendFailed != 0 {
			t.Errorf("%s: %+v", kind, r)
		}
		g.Lab.Eventually("the flood of "+kind+" is counted", patience, func() error {
			if got := seen() - before; got != n {
				return fmt.Errorf("%d of %d", got, n)
			}
			return nil
		})
	}
}
