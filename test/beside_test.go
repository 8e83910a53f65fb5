package test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/anycastd/anycastd/test/lab"
)

// besideGateway is the daemon's configuration for a front that is a gateway,
// too: charon there has its ports on all addresses, which makes a conflict.
func (f *fabric) besideGateway(conflict string) string {
	return f.config(
		`"198.51.100.2", "2001:db8:61::2"`, fmt.Sprintf("%q, %q", front4, front6),
		`name      = "gw1"`, "name = \"gw1\"\nself = true",
		"[bgp]\n", fmt.Sprintf("[ike]\nport_conflict = %q\n[policy]\nchoose = \"self-first\"\n[bgp]\n", conflict))
}

// startBeside starts charon and the daemon on the front, and returns when both
// families are announced.
func startBeside(f *fabric) (gateway *charon, daemon *anycastd) {
	gateway = startCharon(f.front, gatewayConf(testSecret))
	daemon = startAnycastd(f.front, f.besideGateway("nft"))
	awaitRoute(f.router, prefix4, "via "+front4)
	awaitRoute(f.router, prefix6, "via "+front6)
	daemon.awaitState("in service")
	return gateway, daemon
}

// mustAnswer wants this answer to a probe from another host.
func mustAnswer(t *testing.T, from *lab.Host, at netip.AddrPort, want string) {
	t.Helper()
	if out, err := from.Try(program(), "probe", at.String()); err != nil || !strings.Contains(out, want) {
		t.Errorf("%v: want %q, got %v\n%s", at, want, err, out)
	}
}

// TestAFrontSharesItsHostAndPortsWithAGateway: clients that ask the anycast
// address are sent to the host's own one, where charon takes them.
func TestAFrontSharesItsHostAndPortsWithAGateway(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate", charonProgram, "swanctl", "tcpdump", "nft"))
	gateway, daemon := startBeside(f)
	for _, c := range []struct{ source, client, anycast, own string }{{"%any4", client4, anycast4, front4}, {"%any6", client6, anycast6, front6}} {
		from, anycast, own := netip.MustParseAddr(c.client), netip.MustParseAddr(c.anycast), netip.MustParseAddr(c.own)
		for _, port := range []uint16{500, 4500} {
			t.Logf("client by %s to port %d", c.source, port)
			at := netip.AddrPortFrom(anycast, port)
			mustAnswer(t, f.client, at, "REDIRECT to "+c.own)
			seen := f.client.Capture("router", fmt.Sprintf("udp port %d", port))
			conf := clientConf("alice@example.test", c.source, c.anycast, testSecret)
			client := startCharon(f.client, strings.Replace(conf, "version = 2", fmt.Sprintf("version = 2\n\tremote_port = %d", port), 1))
			if out, err := client.initiate("vpn"); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			mustHaveSA(t, client, ikeSA{LocalID: "alice@example.test", RemoteID: vpnIdentity, LocalIP: from, RemoteIP: own})
			mustHaveSA(t, gateway, ikeSA{LocalID: vpnIdentity, RemoteID: "alice@example.test", LocalIP: own, RemoteIP: from})
			mustSeeRedirect(t, f.Lab, seen, at, own)
			client.terminate("vpn")
			client.Stop()
		}
	}
	for _, own := range []string{front4 + ":500", front4 + ":4500", "[" + front6 + "]:500", "[" + front6 + "]:4500"} {
		mustAnswer(t, f.client, netip.MustParseAddrPort(own), "this is a gateway")
	}
	if got := daemon.Stop(); got != 0 {
		t.Errorf("the daemon ended with exit code %d", got)
	}
	mustHaveNoAnycast(t, f.front)
	if left := f.front.Run("nft", "list", "ruleset"); left != "" {
		t.Errorf("left on the host:\n%s", left)
	}
	mustAnswer(t, f.client, netip.MustParseAddrPort(front4+":500"), "this is a gateway")
}

func TestAFlushedRulesetIsPutBackWhileTheFrontRuns(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate", charonProgram, "swanctl", "nft"))
	_, daemon := startBeside(f)
	f.front.Run("nft", "flush ruleset; table ip filter { chain input { type filter hook input priority 0; }; }")
	for _, c := range [][2]string{{anycast4, front4}, {anycast6, front6}} {
		for _, port := range []string{":500", ":4500"} {
			at := strings.Replace("["+c[0]+"]"+port, "["+anycast4+"]", anycast4, 1)
			f.Eventually(at+" redirects again", patience, func() error {
				out, err := f.client.Try(program(), "probe", at)
				if !strings.Contains(out, "REDIRECT to "+c[1]) {
					return fmt.Errorf("%w\n%s", err, out)
				}
				return nil
			})
		}
	}
	daemon.Await("somebody has changed our nftables tables")
	daemon.awaitState("in service")
	if got := f.front.Run("nft", "list", "tables"); !strings.Contains(got, "table ip filter") {
		t.Errorf("want the firewall's own table left, got %s", got)
	}
}

func TestWhatAKilledFrontLeftInNftablesIsRemoved(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate", charonProgram, "swanctl", "nft"))
	gateway, daemon := startBeside(f)
	cleanup := func(want string, wantErr bool) {
		t.Helper()
		if out, err := f.front.Try(program(), "cleanup"); (err != nil) != wantErr || !strings.Contains(out, want) {
			t.Errorf("cleanup: want %q, got %v\n%s", want, err, out)
		}
	}
	tables := func() string { return f.front.Run("nft", "list", "tables") }
	const both = "table ip anycastd\ntable ip6 anycastd"
	cleanup("anycastd: anycastd runs in this network namespace", true)

	daemon.Kill()
	if got := tables(); got != both {
		t.Fatalf("a killed daemon can't have cleaned up, got %q", got)
	}
	f.front.Run("nft", "delete element ip anycastd bound { 203.0.113.1 . 500 }")
	daemon = startAnycastd(f.front, f.besideGateway("nft"))
	daemon.awaitState("in service")
	mustAnswer(t, f.client, netip.MustParseAddrPort(anycast4+":500"), "REDIRECT to "+front4)

	daemon.Kill()
	cleanup("removed address 2001:db8:a::1/128 on lo\nremoved nftables table ip anycastd\nremoved nftables table ip6 anycastd", false)
	cleanup("nothing of anycastd is left here", false)
	mustHaveNoAnycast(t, f.front)
	if got := tables(); got != "" {
		t.Errorf("left on the host: %s", got)
	}

	daemon = startAnycastd(f.front, f.besideGateway("nft"))
	daemon.awaitState("in service")
	daemon.Kill()
	gateway.Stop()
	startAnycastd(f.front, f.besideGateway("fail"))
	f.Eventually("the tables go without being wanted", patience, func() error {
		if got := tables(); got != "" {
			return errors.New(got)
		}
		return nil
	})
}

func TestAProgramOnAPortThatStandsInIsNamed(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate", charonProgram, "swanctl"))
	echo(t, f.front, "in the way", "udp4", "0.0.0.0:19500")
	startCharon(f.front, gatewayConf(testSecret))
	daemon := startAnycastd(f.front, f.besideGateway("nft"))
	daemon.wantReason("the route", fmt.Sprintf("UDP %s:19500, the stand-in for port 4500, is taken by ", anycast4), routeReasons)
	daemon.wantReason("the route", fmt.Sprintf("(process %d)", os.Getpid()), routeReasons)
	if route := kernelRoute(f.router, prefix4); route != "" {
		t.Errorf("announced without a socket: %s", route)
	}
}
