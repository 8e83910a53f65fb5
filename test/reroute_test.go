package test

import (
	"fmt"
	"testing"
	"time"

	"github.com/anycastd/anycastd/test/lab"
)

// The second front-end's addresses, and the router's on its side.
const (
	second4, second6             = "192.0.2.14", "2001:db8:f2::10"
	secondRouter4, secondRouter6 = "192.0.2.13", "2001:db8:f2::1"
)

const cookieSecret = "thirty-two octets of a secret, at least"

// reroute makes the router mark what the client sends to port 500: 2 if it
// carries a cookie that came from the first front-end, 1 if not. The first
// payload of an answer or a request with a cookie is a Notify (41), and the
// cookie lies at the same place in both: behind 8 octets of UDP, 28 of IKE and
// 8 of Notify.
const reroute = `table inet reroute {
	set cookies { typeof @th,352,64; flags dynamic; }
	chain prerouting {
		type filter hook prerouting priority mangle;
		iifname "front" udp sport 500 @th,192,8 41 add @cookies { @th,352,64 }
		iifname "client" udp dport 500 meta mark set 1
		iifname "client" udp dport 500 @th,192,8 41 @th,352,64 @cookies meta mark set 2
	}
}
`

// addSecondFront adds a second front-end to the fabric, and makes the router
// send each cookie to the front-end that did not make it, and a request
// without a cookie to the first.
func (f *fabric) addSecondFront() *lab.Host {
	second := f.Host("front2")
	f.Uplink(second, second4+"/30 "+second6+"/64", f.router, secondRouter4+"/30 "+secondRouter6+"/64")
	f.bird.Stop()
	c := fabricBIRD()
	c.Neighbors = append(c.Neighbors,
		birdNeighbor{Name: "second4", Local: secondRouter4, Remote: second4, ASN: 64512},
		birdNeighbor{Name: "second6", Local: secondRouter6, Remote: second6, ASN: 64512})
	f.bird = startBIRD(f.router, c)
	f.router.Run("nft", "-f", f.router.File("reroute.nft", reroute))
	for mark, hops := range map[string][2]string{"1": {front4, front6}, "2": {second4, second6}} {
		f.router.Run("ip", "-4", "rule", "add", "fwmark", mark, "table", mark)
		f.router.Run("ip", "-6", "rule", "add", "fwmark", mark, "table", mark)
		f.router.Route(prefix4 + " via " + hops[0] + " table " + mark)
		f.router.Route(prefix6 + " via " + hops[1] + " table " + mark)
	}
	return second
}

// startPair runs a daemon on each front-end, which demand cookies by these
// secrets, and returns when both are in service.
func (f *fabric) startPair(second *lab.Host, secrets [2]string) (pair [2]*anycastd) {
	for i, h := range []*lab.Host{f.front, second} {
		key := h.File("cookie.key", secrets[i])
		edits := []string{"[bgp]\n", fmt.Sprintf("[ike]\ncookie = \"always\"\ncookie_secret_file = %q\n[bgp]\n", key),
			`drain_wait = "1s"`, `drain_wait = "0s"`, `settle     = "2s"`, `settle = "0s"`}
		if h == second {
			edits = append(edits, `"front1"`, `"front2"`, "/front/state", "/front2/state",
				`"`+front4+`"`, `"`+second4+`"`, `"`+router4+`"`, `"`+secondRouter4+`"`, `"`+router6+`"`, `"`+secondRouter6+`"`)
		}
		pair[i] = startAnycastd(h, f.config(edits...))
	}
	for _, daemon := range pair {
		daemon.awaitState("in service")
	}
	return pair
}

// TestAConversationReroutedMidCookieSucceedsWithASharedSecret: one front-end
// asks strongSwan for a cookie, the other takes it and redirects.
func TestAConversationReroutedMidCookieSucceedsWithASharedSecret(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate", charonProgram, "swanctl", "tcpdump", "nft"))
	gateways := f.startGateways()
	f.slowLine(t)
	pair := f.startPair(f.addSecondFront(), [2]string{cookieSecret, cookieSecret})
	var want answers
	for _, addrs := range [][2]string{{client4, anycast4}, {client6, anycast6}} {
		got := f.visit(t, pair[0], gateways, strongSwanWays()[0], addrs[0], addrs[1])
		if got.cookies == 0 || got.redirects == 0 {
			t.Errorf("%s got %+v", addrs[0], got)
		}
		want = want.plus(got)
	}
	a, errA := pair[0].status()
	b, errB := pair[1].status()
	if errA != nil || errB != nil || a.Packets["cookie_sent"] < want.cookies || a.Packets["redirected"] != 0 ||
		b.Packets["cookie_sent"]+b.Packets["cookie_wrong"] != 0 || b.Packets["redirected"] < want.redirects {
		t.Errorf("the client got %+v, the front-ends count %v, %v and %v, %v", want, a.Packets, errA, b.Packets, errB)
	}
}

// TestAClientBetweenFrontEndsWithDifferentSecretsIsHeldDown: libreswan answers
// each COOKIE at once, for ever. It gets a new one from each front-end every
// 250 ms at most, and so can't ask much oftener.
func TestAClientBetweenFrontEndsWithDifferentSecretsIsHeldDown(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate", "certutil", plutoProgram, "tcpdump", "nft"))
	standIns(t, f)
	pair := f.startPair(f.addSecondFront(), [2]string{cookieSecret, "not " + cookieSecret})
	capture := f.client.Capture("router", "udp port 500 and src host "+client4)
	client := startPluto(f.client, plutoClient("alice@example.test", client4, anycast4, "accept-redirect=yes"), testSecret)
	start := time.Now()
	client.initiate()
	for _, daemon := range pair {
		daemon.awaitStatus("has sent some cookies", func(s status) error {
			if s.Packets["cookie_sent"] < 6 {
				return fmt.Errorf("%v", s.Packets)
			}
			return nil
		})
	}
	requests, seconds := len(capture.Packets()), time.Since(start).Seconds()
	if most := 4 + 12*seconds; float64(requests) > most {
		t.Errorf("%d requests in %.1f s, want %.0f at most", requests, seconds, most)
	}
	if err := client.established(); err == nil {
		t.Error("each cookie came to the other front-end, and yet the client was redirected")
	}
}
