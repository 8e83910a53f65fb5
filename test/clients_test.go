package test

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anycastd/anycastd/ikefront/ike"
	"github.com/anycastd/anycastd/test/lab"
)

// dialogue is what a client and an anycast address said to each other, as it
// must have been.
type dialogue struct {
	anycast netip.AddrPort // that was asked and answered
	marked  bool           // behind a non-ESP marker, both ways
	target  netip.Addr     // of the REDIRECT
}

// answers counts the answers of a kind.
type answers struct{ cookies, redirects uint64 }

func (a answers) plus(b answers) answers {
	return answers{a.cookies + b.cookies, a.redirects + b.redirects}
}

// read holds the captured packets to d and counts the answers. Each answer must
// come from where the request went and go to where it came from, hold one
// notify, and, if a REDIRECT, echo the nonce (RFC 5685 section 3); a request
// with a cookie must not be answered with another.
func (d dialogue) read(t *testing.T, packets []lab.Packet) (n answers) {
	t.Helper()
	type request struct {
		from  netip.AddrPort
		nonce []byte
	}
	asked, plain := map[uint64]request{}, uint64(0)
	for _, p := range packets {
		if p.Src.Addr() == d.target || p.Dst.Addr() == d.target {
			continue
		}
		message, marked := bytes.CutPrefix(p.Payload, make([]byte, ike.MarkerLen))
		if marked != d.marked || p.Src != d.anycast && p.Dst != d.anycast {
			t.Errorf("want marker %v and %v, got %v > %v %x", d.marked, d.anycast, p.Src, p.Dst, p.Payload)
			continue
		}
		if r, err := ike.ParseRequest(message); err == nil {
			asked[r.SPIi] = request{p.Src, r.Nonce}
			if r.Cookie == nil {
				plain++
			}
			continue
		}
		h, _ := ike.ParseHeader(message)
		r, err := ike.ParseResponse(message, h.SPIi)
		if err != nil || p.Dst != asked[r.SPIi].from || len(r.Payloads) != 1 || len(r.Notifies) != 1 || r.SPIr != 0 || r.MessageID != 0 {
			t.Errorf("want one notify to %v, got %v > %v %+v, %v", asked[r.SPIi].from, p.Src, p.Dst, r, err)
			continue
		}
		to, nonce, redirected := r.Redirect()
		switch {
		case redirected && to.Addr == d.target && bytes.Equal(nonce, asked[r.SPIi].nonce):
			n.redirects++
		case r.Notifies[0].Type == ike.Cookie:
			n.cookies++
		default:
			t.Errorf("got %+v", r)
		}
	}
	if n.cookies > plain {
		t.Errorf("%d cookies for %d requests without one", n.cookies, plain)
	}
	return n
}

// way is how a real client comes to an anycast address.
type way struct {
	name   string
	port   uint16
	marked bool
	// connect sets up an IKE SA as alice@example.test from an address of the
	// host to where it is redirected to from another; end deletes it again.
	connect func(t *testing.T, h *lab.Host, from, to string) (end func())
}

// strongSwanWays are those of strongSwan 5.9.8: to port 4500 it sends a marker
// only if it also comes from there.
func strongSwanWays() []way {
	return []way{
		{"strongSwan", 500, false, byStrongSwan()},
		{"strongSwan, port 4500 without a marker", 4500, false, byStrongSwan("remote_port = 4500")},
		{"strongSwan, port 4500 with a marker", 4500, true, byStrongSwan("local_port = 4500", "remote_port = 4500")},
	}
}

// libreswanWays are those of libreswan 4.10.
func libreswanWays() []way {
	return []way{
		{"libreswan", 500, false, byLibreswan("accept-redirect=yes")},
		{"libreswan, port 4500 with a marker", 4500, true, byLibreswan("accept-redirect=yes", "rightikeport=4500")},
	}
}

func byStrongSwan(more ...string) func(*testing.T, *lab.Host, string, string) func() {
	return func(t *testing.T, h *lab.Host, from, to string) func() {
		c := startCharon(h, clientConf("alice@example.test", from, to, testSecret, more...))
		if out, err := c.initiate("vpn"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return func() { c.terminate("vpn"); c.Stop() }
	}
}

func byLibreswan(more ...string) func(*testing.T, *lab.Host, string, string) func() {
	return func(_ *testing.T, h *lab.Host, from, to string) func() {
		p := startPluto(h, plutoClient("alice@example.test", from, to, more...), testSecret)
		p.initiate()
		h.Lab.Eventually(p.Name+" has an IKE SA", patience, p.established)
		return func() { p.Stop() }
	}
}

// TestRealClientsPassThroughACookieChallenge: each client is asked for a
// cookie, brings it, and is redirected; on both families and both ports, with
// a marker and without.
func TestRealClientsPassThroughACookieChallenge(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate", charonProgram, "swanctl", "certutil", plutoProgram, "tcpdump"))
	gateways := f.startGateways()
	f.slowLine(t)
	f.mustServe(t, "always", gateways, append(strongSwanWays(), libreswanWays()...))
	if secret, err := os.ReadFile(filepath.Join(f.Dir(), "front", "state", "cookie.secret")); err != nil || len(secret) != 32 {
		t.Error(errors.Join(err, fmt.Errorf("the secret kept has %d octets", len(secret))))
	}
	f.mustServe(t, "never", gateways, libreswanWays()) // the main scenario has strongSwan
}

// mustServe runs the daemon with this mode of cookies, lets clients come in all
// these ways, and wants the daemon to count what they saw.
func (f *fabric) mustServe(t *testing.T, cookie string, gateways map[string]*charon, ways []way) {
	t.Helper()
	daemon := startAnycastd(f.front, f.config("[bgp]\n", fmt.Sprintf("[ike]\ncookie = %q\n[bgp]\n", cookie), `drain_wait = "1s"`, `drain_wait = "0s"`, `settle     = "2s"`, `settle = "0s"`))
	awaitRoute(f.router, prefix4, "via "+front4)
	awaitRoute(f.router, prefix6, "via "+front6)
	daemon.awaitState("in service")
	var want answers
	for _, w := range ways {
		for _, addrs := range [][2]string{{client4, anycast4}, {client6, anycast6}} {
			got := f.visit(t, daemon, gateways, w, addrs[0], addrs[1])
			t.Logf("cookies %s, %s from %s: %+v", cookie, w.name, addrs[0], got)
			if got.redirects == 0 || cookie == "always" != (got.cookies > 0) {
				t.Errorf("got %+v", got)
			}
			want = want.plus(got)
		}
	}
	daemon.awaitStatus("counts what the clients saw", func(s status) error {
		if s.Packets["cookie_sent"] < want.cookies || s.Packets["redirected"] < want.redirects || s.Packets["cookie_wrong"] != 0 {
			return fmt.Errorf("want %+v, got %v", want, s.Packets)
		}
		return nil
	})
	daemon.Stop()
}

// visit lets a client come to an anycast address, wants its IKE SA to be with
// the gateway that the daemon says is its, and returns what the client saw.
func (f *fabric) visit(t *testing.T, daemon *anycastd, gateways map[string]*charon, w way, from, to string) answers {
	t.Helper()
	target, err := daemon.target(from)
	if err != nil {
		t.Fatal(err)
	}
	capture := f.client.Capture("router", "udp")
	end := w.connect(t, f.client, from, to)
	mustHaveSA(t, gateways[target.String()], ikeSA{LocalID: vpnIdentity, RemoteID: "alice@example.test", LocalIP: target, RemoteIP: netip.MustParseAddr(from)})
	end()
	capture.Stop()
	return dialogue{netip.AddrPortFrom(netip.MustParseAddr(to), w.port), w.marked, target}.read(t, capture.Packets())
}

// slowLine makes what the client sends wait for some milliseconds, as it would
// on a real line. strongSwan drops an answer that comes back within 0.1 ms of
// the request with the cookie, and then loses 4 s.
func (f *fabric) slowLine(t *testing.T) {
	if out, err := f.client.Try("tc", "qdisc", "add", "dev", "router", "root", "tbf", "rate", "200kbit", "burst", "1600", "limit", "100000"); err != nil {
		t.Logf("the client's line is fast: %v: %s", err, out)
	}
}

// TestTheClientsSettingsOfTheDocumentationWork runs both clients by
// docs/clients.md: they know nothing but a name.
func TestTheClientsSettingsOfTheDocumentationWork(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate", charonProgram, "swanctl", "certutil", plutoProgram))
	gateways := f.startGateways()
	daemon := startAnycastd(f.front, f.config(`, "2001:db8:a::/48"`, "", `, "2001:db8:a::1"`, "")) // the name has one address
	awaitRoute(f.router, prefix4, "via "+front4)
	daemon.awaitStatus("has published all names", allPublished)
	target, err := daemon.target(client4)
	if err != nil {
		t.Fatal(err)
	}
	want := ikeSA{LocalID: vpnIdentity, RemoteID: "alice@example.test", LocalIP: target, RemoteIP: netip.MustParseAddr(client4)}

	c := startCharon(f.client, documented(t, "swanctl"))
	if out, err := c.initiate("vpn"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	mustHaveSA(t, gateways[target.String()], want)
	c.terminate("vpn")
	c.Stop()

	p := startPluto(f.client, documented(t, "ipsec"), testSecret)
	p.initiate()
	f.Eventually(p.Name+" has an IKE SA", patience, p.established)
	mustHaveSA(t, gateways[target.String()], want)
}

// documented returns the client's configuration of this kind in docs/clients.md.
func documented(t *testing.T, kind string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```"+kind+"\n")
	conf, _, _ := strings.Cut(rest, "```")
	return strings.ReplaceAll(conf, "example.net", "example.test")
}
