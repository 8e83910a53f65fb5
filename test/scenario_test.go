package test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/anycastd/anycastd/ikefront/ike"
	"github.com/anycastd/anycastd/test/lab"
)

// TestARealClientIsRedirectedToTheRightGateway is the main job: a strongSwan
// client that knows nothing but a DNS name ends at a strongSwan gateway.
func TestARealClientIsRedirectedToTheRightGateway(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate", charonProgram, "swanctl", "tcpdump"))
	if route := kernelRoute(f.router, prefix4) + kernelRoute(f.router, prefix6); route != "" {
		t.Fatalf("before the daemon runs the fabric has %q", route)
	}
	gateways := f.startGateways()
	daemon := startAnycastd(f.front, f.config())
	awaitRoute(f.router, prefix4, "via "+front4)
	awaitRoute(f.router, prefix6, "via "+front6)
	daemon.awaitStatus("has published both names", allPublished)
	if got := f.bind.lookup("vpn.example.test", "A") + " " + f.bind.lookup("gw2.gw.example.test", "AAAA"); got != anycast4+" "+gw26 {
		t.Errorf("BIND answers %q", got)
	}
	for _, c := range []struct{ source, client, anycast string }{{"%any4", client4, anycast4}, {"%any6", client6, anycast6}} {
		t.Log("client by", c.source)
		target, err := daemon.target(c.client)
		if err != nil {
			t.Fatal(err)
		}
		seenByClient, seenByGateway := f.client.Capture("router", "udp port 500"), gateways[target.String()].host.Capture("router", "udp port 500")
		client := startCharon(f.client, clientConf("alice@example.test", c.source, "vpn.example.test", testSecret))
		if out, err := client.initiate("vpn"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		from := netip.MustParseAddr(c.client)
		mustHaveSA(t, client, ikeSA{LocalID: "alice@example.test", RemoteID: vpnIdentity, LocalIP: from, RemoteIP: target})
		mustHaveSA(t, gateways[target.String()], ikeSA{LocalID: vpnIdentity, RemoteID: "alice@example.test", LocalIP: target, RemoteIP: from})
		if lines := client.Lines("N(REDIR)"); len(lines) == 0 {
			t.Error("the client's log tells of no REDIRECT")
		}
		anycast := netip.AddrPortFrom(netip.MustParseAddr(c.anycast), 500)
		mustSeeRedirect(t, f.Lab, seenByClient, anycast, target)
		mustSeeRedirectedFrom(t, f.Lab, seenByGateway, from, anycast.Addr())
		client.terminate("vpn")
		client.Stop()
	}
	// These leave half-open IKE SAs for 30 s.
	for _, gateway := range []string{gw14, gw16, gw24 + ":4500"} {
		if out, err := f.client.Try(program(), "probe", gateway); err != nil || !strings.Contains(out, "this is a gateway") {
			t.Errorf("a real gateway takes the probe for a malformed one: %v\n%s", err, out)
		}
	}
	if got := daemon.Stop(); got != 0 {
		t.Errorf("the daemon ended with exit code %d", got)
	}
}

// TestAClientIsRedirectedByNameToWhatTheDaemonPublished: REDIRECT names the
// gateway's FQDN, which the client finds in the DNS because the daemon put it there.
func TestAClientIsRedirectedByNameToWhatTheDaemonPublished(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate", charonProgram, "swanctl"))
	gateway := startCharon(f.gateways[0], gatewayConf(testSecret))
	daemon := startAnycastd(f.front, f.config(
		`"198.51.100.2", "2001:db8:61::2"`, `"198.51.100.2"`, `"gw1.gw.example.test"`, "\"gw1.gw.example.test\"\nredirect_by = \"fqdn\""))
	awaitRoute(f.router, prefix4, "via "+front4)
	daemon.awaitStatus("has published all names", allPublished)
	client := startCharon(f.client, clientConf("alice@example.test", "%any4", "vpn.example.test", testSecret))
	if out, err := client.initiate("vpn"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	mustHaveSA(t, client, ikeSA{LocalID: "alice@example.test", RemoteID: vpnIdentity, LocalIP: netip.MustParseAddr(client4), RemoteIP: netip.MustParseAddr(gw14)})
	if len(gateway.Lines("client got redirected from "+anycast4)) == 0 {
		t.Error("the gateway's log tells of no redirect")
	}
	var e struct{ Target struct{ FQDN string } }
	if err := daemon.ask(&e, "explain", client4); err != nil || e.Target.FQDN != "gw1.gw.example.test" {
		t.Errorf("explain: got %+v, %v", e, err)
	}
}

// allPublished says which record is not published yet.
func allPublished(s status) error {
	for _, r := range s.Records {
		if !r.Published {
			return fmt.Errorf("%s %s %s: %s", r.Name, r.Type, r.Address, r.Reason)
		}
	}
	return nil
}

// mustSeeRedirect wants REDIRECTs to target, each from exactly the anycast
// address and port, and nothing else from there.
func mustSeeRedirect(t *testing.T, l *lab.Lab, capture *lab.Capture, anycast netip.AddrPort, target netip.Addr) {
	t.Helper()
	redirects := 0
	l.Eventually("the REDIRECT is captured", patience, func() error {
		redirects = 0
		for _, p := range capture.Packets() {
			h, _ := ike.ParseHeader(p.Payload)
			r, err := ike.ParseResponse(p.Payload, h.SPIi)
			if err != nil {
				continue
			}
			to, _, redirected := r.Redirect()
			if redirected {
				redirects++
			}
			if p.Src == anycast != redirected {
				t.Errorf("from %v: want REDIRECTs from %v and from nobody else, got %+v", p.Src, anycast, r)
			}
			if redirected && (to.Addr != target || len(r.Payloads) != 1 || r.SPIr != 0 || r.MessageID != 0) {
				t.Errorf("answer from %v: want one REDIRECT to %v, got %+v", anycast, target, r)
			}
		}
		if redirects == 0 {
			return errors.New(capture.Text())
		}
		return nil
	})
	capture.Stop()
}

// mustSeeRedirectedFrom wants an IKE_SA_INIT request of client that tells that
// anycast redirected it.
func mustSeeRedirectedFrom(t *testing.T, l *lab.Lab, capture *lab.Capture, client, anycast netip.Addr) {
	t.Helper()
	l.Eventually("the request with REDIRECTED_FROM is captured", patience, func() error {
		for _, p := range capture.Packets() {
			r, err := ike.ParseRequest(p.Payload)
			if err != nil || p.Src.Addr() != client {
				continue
			}
			if r.From != anycast {
				t.Errorf("want REDIRECTED_FROM %v, got %v", anycast, r.From)
			}
			return nil
		}
		return errors.New(capture.Text())
	})
	capture.Stop()
}

// serve sends back what answer makes of each datagram that comes to an address
// of a host; nothing, if that is nil.
func serve(t *testing.T, h *lab.Host, network, at string, answer func(in []byte) []byte) {
	t.Helper()
	var conn net.PacketConn
	if err := h.Do(func() (err error) { conn, err = net.ListenPacket(network, at); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if out := answer(buf[:n]); out != nil {
				conn.WriteTo(out, from)
			}
		}
	}()
}

// standIns makes the fabric's gateways answer probes, without strongSwan.
func standIns(t *testing.T, f *fabric) {
	t.Helper()
	for _, g := range f.gateways {
		standIn(t, g)
	}
}

// standIn makes a host answer probes as a gateway does.
func standIn(t *testing.T, h *lab.Host) {
	t.Helper()
	serve(t, h, "udp", ":500", func(in []byte) []byte {
		h, ok := ike.ParseHeader(in)
		if !ok {
			return nil
		}
		return ike.AppendNotify(nil, h, ike.InvalidMajorVersion, nil)
	})
}

func TestSIGTERMTakesTheRoutesBeforeTheSocketsBeforeTheAddresses(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate"))
	standIns(t, f)
	daemon := startAnycastd(f.front, f.config(`drain_wait = "1s"`, `drain_wait = "4s"`, `settle     = "2s"`, `settle = "8s"`))
	awaitRoute(f.router, prefix4, "via "+front4)
	awaitRoute(f.router, prefix6, "via "+front6)
	daemon.awaitState("in service")
	daemon.Signal(15)
	f.Eventually("BIRD sees the graceful-shutdown community", patience, func() error {
		if out := f.bird.ask("show route all"); !strings.Contains(out, "(65535,0)") {
			return errors.New(out)
		}
		return nil
	})
	awaitNoRoute(f.router, prefix4)
	awaitNoRoute(f.router, prefix6)
	for _, address := range []string{anycast4, anycast6} {
		if out, err := f.front.Try(program(), "probe", address); err != nil {
			t.Errorf("with the routes gone, before settle: %v\n%s", err, out)
		}
	}
	if got := daemon.Wait(patience); got != 0 {
		t.Errorf("exit code %d", got)
	}
	mustHaveNoAnycast(t, f.front)
	if out := f.bird.ask("show protocols all front4"); !strings.Contains(out, "anycastd is stopping") {
		t.Errorf("BIRD knows no reason:\n%s", out)
	}
	if got := f.bind.lookup("vpn.example.test", "A"); got != anycast4 {
		t.Errorf("the name is other front-ends' too and must stay; BIND answers %q", got)
	}
}

// mustHaveNoAnycast wants none of the anycast addresses on the host.
func mustHaveNoAnycast(t *testing.T, h *lab.Host) {
	t.Helper()
	if out := h.Run("ip", "address", "show"); strings.Contains(out, anycast4) || strings.Contains(out, anycast6) {
		t.Errorf("left on the host:\n%s", out)
	}
}

func TestSIGKILLLosesTheRoutesAndTheNextStartRepairsTheHost(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate"))
	standIns(t, f)
	daemon := startAnycastd(f.front, f.config())
	awaitRoute(f.router, prefix4, "via "+front4)
	awaitRoute(f.router, prefix6, "via "+front6)
	daemon.awaitState("in service")
	daemon.Kill()
	awaitNoRoute(f.router, prefix4)
	awaitNoRoute(f.router, prefix6)
	if out := f.front.Run("ip", "address", "show", "dev", "lo"); !strings.Contains(out, anycast4) || !strings.Contains(out, anycast6) {
		t.Fatalf("a killed daemon can't have cleaned up:\n%s", out)
	}
	f.front.Run("ip", "address", "del", anycast6+"/128", "dev", "lo")
	again := startAnycastd(f.front, f.config(`"203.0.113.0/24", `, "", `"203.0.113.1", `, ""))
	awaitRoute(f.router, prefix6, "via "+front6)
	again.awaitState("in service")
	if out := f.front.Run("ip", "address", "show", "dev", "lo"); strings.Contains(out, anycast4) || !strings.Contains(out, anycast6) {
		t.Errorf("want %s put back and %s, no longer wanted, removed:\n%s", anycast6, anycast4, out)
	}
	if got := again.Stop(); got != 0 {
		t.Errorf("exit code %d", got)
	}
	mustHaveNoAnycast(t, f.front)
}
