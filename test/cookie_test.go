package test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
)

// TestARealClientPassesThroughACookieChallenge: strongSwan is asked for a
// cookie, brings it, and is redirected, on both families.
func TestARealClientPassesThroughACookieChallenge(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate", charonProgram, "swanctl"))
	for _, g := range f.gateways {
		startCharon(g, gatewayConf(testSecret))
	}
	daemon := startAnycastd(f.front, f.config("[bgp]\n", "[ike]\ncookie = \"always\"\n[bgp]\n"))
	awaitRoute(f.router, prefix4, "via "+front4)
	awaitRoute(f.router, prefix6, "via "+front6)
	daemon.awaitStatus("has published both names", allPublished)
	for i, c := range []struct{ source, client string }{{"%any4", client4}, {"%any6", client6}} {
		target, err := daemon.target(c.client)
		if err != nil {
			t.Fatal(err)
		}
		client := startCharon(f.client, clientConf("alice@example.test", c.source, "vpn.example.test", testSecret))
		if out, err := client.initiate("vpn"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		mustHaveSA(t, client, ikeSA{LocalID: "alice@example.test", RemoteID: vpnIdentity, LocalIP: netip.MustParseAddr(c.client), RemoteIP: target})
		if len(client.Lines("N(COOKIE)")) == 0 {
			t.Error("the client's log tells of no cookie")
		}
		daemon.awaitStatus("counts cookie and redirect", func(s status) error {
			if s.Packets["cookie_sent"] <= uint64(i) || s.Packets["redirected"] <= uint64(i) || s.Packets["cookie_wrong"] != 0 {
				return fmt.Errorf("%v", s.Packets)
			}
			return nil
		})
		client.terminate("vpn")
		client.Stop()
	}
	if secret, err := os.ReadFile(filepath.Join(f.Dir(), "front", "state", "cookie.secret")); err != nil || len(secret) != 32 {
		t.Error(errors.Join(err, fmt.Errorf("the secret kept has %d octets", len(secret))))
	}
}
