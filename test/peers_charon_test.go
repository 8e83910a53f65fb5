package test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/anycastd/anycastd/test/lab"
)

const (
	testSecret   = "known to the clients and all the gateways"
	ikeSAInit    = 34   // RFC 7296 section 3.1
	ikeInitiator = 0x08 // the flag
)

// isRequest tells whether a datagram to port 500 is an IKE_SA_INIT request.
func isRequest(p lab.Packet) bool {
	return len(p.Payload) >= 28 && p.Payload[18] == ikeSAInit && p.Payload[19] == ikeInitiator &&
		binary.BigEndian.Uint32(p.Payload[24:]) == uint32(len(p.Payload))
}

func TestCharon_finds_the_gateway_by_its_name_in_the_DNS(t *testing.T) {
	l := newLab(t, charonProgram, "swanctl", "tcpdump", "named", "nsupdate")
	client, router, gateway, dns := l.Host("client"), l.Host("router"), l.Host("gw1"), l.Host("dns")
	router.Router()
	l.Uplink(client, "192.0.2.2/30 2001:db8:2::2/64", router, "192.0.2.1/30 2001:db8:2::1/64")
	l.Uplink(gateway, "198.51.100.2/30 2001:db8:3::2/64", router, "198.51.100.1/30 2001:db8:3::1/64")
	l.Uplink(dns, "192.0.2.53/30 2001:db8:53::53/64", router, "192.0.2.54/30 2001:db8:53::1/64")
	server := startBIND(dns, testZone)
	if err := server.update(testKey, "add vpn.example.test. 5 A 198.51.100.2", "add vpn.example.test. 5 AAAA 2001:db8:3::2"); err != nil {
		t.Fatal(err)
	}
	responder := startCharon(gateway, gatewayConf(testSecret))

	for _, c := range []struct{ source, client, gateway, nameserver string }{
		{"%any4", "192.0.2.2", "198.51.100.2", "2001:db8:53::53"},
		{"%any6", "2001:db8:2::2", "2001:db8:3::2", "192.0.2.53"},
	} {
		client.Nameserver(c.nameserver)
		capture := gateway.Capture("router", "udp port 500")
		initiator := startCharon(client, clientConf("alice@example.test", c.source, "vpn.example.test", testSecret))
		if out, err := initiator.initiate("vpn"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		from, to := netip.MustParseAddr(c.client), netip.MustParseAddr(c.gateway)
		mustHaveSA(t, initiator, ikeSA{LocalID: "alice@example.test", RemoteID: vpnIdentity, LocalIP: from, RemoteIP: to})
		mustHaveSA(t, responder, ikeSA{LocalID: vpnIdentity, RemoteID: "alice@example.test", LocalIP: to, RemoteIP: from})
		mustSeeRequest(t, l, capture, netip.AddrPortFrom(from, 500), netip.AddrPortFrom(to, 500))

		initiator.terminate("vpn")
		if got := initiator.sas(); len(got) != 0 {
			t.Errorf("after terminate: got %+v", got)
		}
		initiator.Stop()
	}
}

// mustHaveSA wants exactly this IKE SA, of connection vpn and established.
func mustHaveSA(t *testing.T, c *charon, want ikeSA) {
	t.Helper()
	want.Connection, want.State = "vpn", "ESTABLISHED"
	c.host.Lab.Eventually(c.Name+" has the IKE SA", patience, func() error {
		if got := c.sas(); !slices.Equal(got, []ikeSA{want}) {
			return fmt.Errorf("got %+v, want %+v", got, want)
		}
		return nil
	})
}

// mustSeeRequest waits for the capture's first IKE_SA_INIT request, and ends it.
func mustSeeRequest(t *testing.T, l *lab.Lab, capture *lab.Capture, from, to netip.AddrPort) {
	t.Helper()
	l.Eventually("the IKE_SA_INIT request is captured", patience, func() error {
		i := slices.IndexFunc(capture.Packets(), isRequest)
		if i < 0 {
			return errors.New(capture.Text())
		}
		if p := capture.Packets()[i]; p.Src != from || p.Dst != to {
			t.Errorf("request: got %v > %v, want %v > %v", p.Src, p.Dst, from, to)
		}
		return nil
	})
	capture.Stop()
}

func TestCharon_says_why_there_is_no_SA(t *testing.T) {
	l := newLab(t, charonProgram, "swanctl")
	client, gateway := l.Host("client"), l.Host("gw1")
	l.Link(client, "192.0.2.1/24", gateway, "192.0.2.2/24")
	startCharon(gateway, gatewayConf(testSecret))
	c := startCharon(client, clientConf("alice@example.test", "%any", "192.0.2.2", "another secret"))
	if out, err := c.initiate("vpn"); err == nil || !strings.Contains(out, "AUTHENTICATION_FAILED") {
		t.Errorf("got %v\n%s\nwant AUTHENTICATION_FAILED", err, out)
	}
	if got := c.sas(); len(got) != 0 {
		t.Errorf("got %+v, want no SA", got)
	}
}
