package test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/anycastd/anycastd/test/lab"
)

// mustBeRedirected starts connection vpn and wants its IKE SA to be with this gateway.
func (p *pluto) mustBeRedirected(t *testing.T, gateway *charon, from, to string) {
	t.Helper()
	p.initiate()
	p.host.Lab.Eventually(p.Name+" has an IKE SA", patience, p.established)
	mustHaveSA(t, gateway, ikeSA{LocalID: vpnIdentity, RemoteID: "bob@example.test", LocalIP: netip.MustParseAddr(to), RemoteIP: netip.MustParseAddr(from)})
	if len(p.Lines("initiating IKE_SA_INIT redirect to new gateway (address: "+to+")")) == 0 {
		t.Errorf("not redirected to %s:\n%s", to, p.Output())
	}
}

// TestLibreswan_redirects_and_is_redirected: one pluto as the front-end,
// another as the client, on both families and both ports.
func TestLibreswan_redirects_and_is_redirected(t *testing.T) {
	l := newLab(t, charonProgram, "swanctl", "tcpdump", "certutil", plutoProgram)
	client, router, gateway, front := l.Host("client"), l.Host("router"), l.Host("gw1"), l.Host("front")
	router.Router()
	l.Uplink(client, "192.0.2.2/30 2001:db8:2::2/64", router, "192.0.2.1/30 2001:db8:2::1/64")
	l.Uplink(gateway, "198.51.100.2/30 2001:db8:3::2/64", router, "198.51.100.1/30 2001:db8:3::1/64")
	l.Uplink(front, "192.0.2.10/30 2001:db8:f::10/64", router, "192.0.2.9/30 2001:db8:f::1/64")
	responder := startCharon(gateway, gatewayConf(testSecret))

	for _, c := range []struct {
		from, front, to string
		port            uint16
		more            string
	}{
		{"192.0.2.2", "192.0.2.10", "198.51.100.2", 500, ""},
		{"192.0.2.2", "192.0.2.10", "198.51.100.2", 4500, "rightikeport=4500"},
		{"2001:db8:2::2", "2001:db8:f::10", "2001:db8:3::2", 500, ""},
		{"2001:db8:2::2", "2001:db8:f::10", "2001:db8:3::2", 4500, "rightikeport=4500"},
	} {
		redirector := startPluto(front, plutoFront(c.to), testSecret)
		capture := front.Capture("router", "udp")
		p := startPluto(client, plutoClient("bob@example.test", c.from, c.front, "accept-redirect=yes", c.more), testSecret)
		p.mustBeRedirected(t, responder, c.from, c.to)
		if got := redirector.whack("--globalstatus"); strings.Contains(got, "redirect.completed=0\n") {
			t.Errorf("the front-end counts\n%s", got)
		}
		mustSeePort(t, l, capture, c.front, c.port)
		p.whack("--name", "vpn", "--terminate")
		p.Stop()
		redirector.Stop()
	}
}

// mustSeePort wants a request to front on this port, and ends the capture.
func mustSeePort(t *testing.T, l *lab.Lab, capture *lab.Capture, front string, port uint16) {
	t.Helper()
	want := netip.AddrPortFrom(netip.MustParseAddr(front), port)
	l.Eventually("the request is captured", patience, func() error {
		for _, p := range capture.Packets() {
			if p.Dst == want {
				return nil
			}
		}
		return fmt.Errorf("none to %v in\n%s", want, capture.Text())
	})
	capture.Stop()
}

func TestLibreswan_that_may_not_be_redirected_stays(t *testing.T) {
	l := newLab(t, "certutil", plutoProgram)
	client, front := l.Host("client"), l.Host("front")
	l.Link(client, "192.0.2.1/24", front, "192.0.2.2/24")
	redirector := startPluto(front, plutoFront("198.51.100.2"), testSecret)
	p := startPluto(client, plutoClient("bob@example.test", "192.0.2.1", "192.0.2.2", "accept-redirect=no"), testSecret)
	p.initiate()
	l.Eventually("the front-end counts the client", patience, func() error {
		if got := redirector.whack("--globalstatus"); strings.Contains(got, "redirect.failed=0\n") {
			return fmt.Errorf("%s", got)
		}
		return nil
	})
	if p.established() == nil || len(p.Lines("redirect to new gateway")) != 0 {
		t.Errorf("got\n%s", p.Output())
	}
}
