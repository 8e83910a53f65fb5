package control

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anycastd/anycastd/bgp"
	"github.com/anycastd/anycastd/cmd/anycastd/internal/config"
	"github.com/anycastd/anycastd/ikefront/probe"
	"github.com/anycastd/anycastd/policy"
)

// bringUp is what the parts are asked in the order of a bring-up.
const (
	firstSteps = "host [203.0.113.1/32]\nfront [203.0.113.1:500]\nprober 203.0.113.1:500"
	lastSteps  = "speaker 203.0.113.0/24[]\npublisher vpn.example.net.=203.0.113.1"
)

func wantSaid(t *testing.T, w *world, when, want string) {
	t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, w.said()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

func TestBringUpIsAddressSocketsGatewayProbeAnnounceDNS(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		wantSaid(t, w, "at start", firstSteps)
		w.answerProbes()
		wantSaid(t, w, "when gateways and the node answer", lastSteps)
		w.set(func() { w.redirected = 7 })
		s := w.status(t)
		if s.State != "in service" || s.Packets["redirected"] != 7 || s.Packets["no_redirect_support"] != 2 {
			t.Errorf("want in service, got %s: %s, %v", s.State, s.Reason, s.Packets)
		}
		want := []Endpoint{{netip.MustParseAddrPort("203.0.113.1:500"), []map[string]uint64{{"redirected": 7}, {"no_redirect_support": 2}}, 1}}
		if !reflect.DeepEqual(s.Endpoints, want) || !s.Cookies {
			t.Errorf("want %v, got %v", want, s.Endpoints)
		}
	})
}

func TestTearDownIsCommunityWithdrawSettleSocketsAddress(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.answerProbes()
		synctest.Wait()
		w.said()
		begin := time.Now()
		w.loop.Stop(nil)
		wantSaid(t, w, "at once", "speaker 203.0.113.0/24[4294901760]")
		time.Sleep(5 * time.Second)
		wantSaid(t, w, "after drain_wait", "speaker ")
		time.Sleep(2 * time.Second)
		wantSaid(t, w, "after settle", "front []\nhost []")
		<-w.loop.ended
		if took := time.Since(begin); took != 7*time.Second {
			t.Errorf("want 7 s, took %v", took)
		}
	})
}

func TestAStopBeforeAnythingWasAnnouncedIsQuick(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		begin := time.Now()
		w.loop.Stop(errPart)
		<-w.loop.ended
		if took := time.Since(begin); took > time.Second {
			t.Errorf("took %v", took)
		}
		if _, err := w.loop.Status(t.Context()); !errors.Is(err, errEnded) {
			t.Errorf("want %v, got %v", errEnded, err)
		}
	})
}

func TestNoRouteWhileAStepIsMissingAndTheReasonIsTold(t *testing.T) {
	const why = "no such interface"
	for _, part := range []string{"host", "rewriter", "front"} {
		t.Run(part, func(t *testing.T) {
			storyOf(t, beside(), func(t *testing.T, w *world) {
				w.answerProbes()
				w.set(func() { w.fail[part] = errors.New(why) })
				time.Sleep(time.Minute) // a reconciliation finds out
				w.answerProbes()
				s := w.status(t)
				if want := "203.0.113.0/24: 203.0.113.1: " + why; s.Reason != want || s.Routes[0].State != "withdrawn" {
					t.Errorf("want %q, got %q, %+v", want, s.Reason, s.Routes)
				}
				if s.Addresses[0].Reason != why {
					t.Errorf("want the address to tell why, got %+v", s.Addresses[0])
				}
				w.said()
				w.set(func() { clear(w.fail) })
				time.Sleep(time.Minute)
				w.answerProbes()
				if s := w.status(t); s.State != "in service" {
					t.Errorf("want it back in service, got %s: %s", s.State, s.Reason)
				}
			})
		})
	}
}

func TestASlowOrFailingPartDelaysNoOther(t *testing.T) {
	for name, break_ := range map[string]func(*world){
		"DNS server hangs":  func(w *world) { w.hang["publisher"] = true },
		"DNS server refuse": func(w *world) { w.fail["publisher"] = errors.New("REFUSED") },
		"speaker hangs":     func(w *world) { w.hang["speaker"] = true },
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, w *world) {
				w.set(func() { break_(w) })
				w.answerProbes()
				time.Sleep(10 * time.Second)
				if w.pick(clientOf("192.0.2.7")) == nil {
					t.Error("clients are not served")
				}
				s := w.status(t)
				if s.State != "in service" {
					t.Errorf("got %s: %s", s.State, s.Reason)
				}
				if err := w.fail["publisher"]; err != nil && s.Records[0].Reason != "REFUSED" {
					t.Errorf("want the server's reason, got %+v", s.Records[0])
				}
			})
		})
	}
}

func TestAFailingPartIsTriedAgainWithBackOff(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.set(func() { w.fail["publisher"] = errors.New("REFUSED") })
		w.answerProbes()
		synctest.Wait()
		w.said()
		time.Sleep(100 * time.Second)
		if n := strings.Count(w.said(), "publisher"); n < 4 || n > 8 {
			t.Errorf("want 4 to 8 tries in 100 s after the first, got %d", n)
		}
		w.set(func() { clear(w.fail) })
		time.Sleep(40 * time.Second)
		if s := w.status(t); !s.Records[0].Published {
			t.Errorf("want it published by now, got %+v", s.Records[0])
		}
	})
}

func TestAForcedEndSkipsTheWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.hang["host"] = true
		parts := w.parts()
		parts.Speaker = nil
		w.loop = New(site(), parts, discard())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.loop.Run(ctx) }()
		synctest.Wait()
		w.loop.Stop(nil)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestDeathOfAGatewayMovesItsClients(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.answerProbes()
		c := clientOf("192.0.2.7")
		first := *w.pick(c)
		w.dead[first.Addr] = true
		w.answerProbes()
		if got := w.pick(c); got.Gateway == first.Gateway {
			t.Errorf("still sent to %s", got.Gateway)
		}
		w.said()
		for _, g := range site().Policy.Gateways {
			w.dead[g.Addresses[0]] = true
		}
		w.answerProbes()
		wantSaid(t, w, "with the last gateway gone", "speaker 203.0.113.0/24[4294901760]")
		time.Sleep(5 * time.Second)
		wantSaid(t, w, "after drain_wait", "speaker ")
		clear(w.dead)
		w.answerProbes()
		wantSaid(t, w, "with the gateways back", "speaker 203.0.113.0/24[]")
	})
}

func TestTheNodeWithdrawsAtOnceWhenItDoesNotAnswerItself(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.answerProbes()
		synctest.Wait()
		w.said()
		w.dead[netip.MustParseAddr("203.0.113.1")] = true
		w.answerProbes()
		wantSaid(t, w, "when its own probe fails", "speaker ")
		if s := w.status(t); s.State != "out of service" || !strings.Contains(s.Reason, "no answer to 3 probes") {
			t.Errorf("got %s: %s", s.State, s.Reason)
		}
	})
}

// TestTheNodeStaysInAFloodThatLosesItsOwnProbe: as long as it reads on, and
// only if it had proved before that it answers.
func TestTheNodeStaysInAFloodThatLosesItsOwnProbe(t *testing.T) {
	self := netip.MustParseAddr("203.0.113.1")
	flood := func(w *world, seconds int, lost uint64) {
		for range 10 * seconds {
			w.set(func() { w.redirected, w.lost = w.redirected+1000, w.lost+lost })
			time.Sleep(100 * time.Millisecond)
		}
	}
	for name, tc := range map[string]struct {
		before bool   // the probe was answered before the flood
		lost   uint64 // datagrams that the kernel drops each 100 ms
		want   string
	}{
		"flooded":                           {true, 1, "in service"},
		"answering, but not flooded":        {true, 0, "out of service"},
		"flooded, but never proved to live": {false, 1, "starting"},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, w *world) {
				w.dead[self] = !tc.before
				w.answerProbes()
				flood(w, 2, tc.lost)
				w.dead[self] = true
				w.answerProbes()
				flood(w, 10, tc.lost)
				s := w.status(t)
				if s.State != tc.want {
					t.Errorf("want %s, got %s: %s", tc.want, s.State, s.Reason)
				}
				if tc.want != "in service" {
					return
				}
				if !strings.Contains(s.Addresses[0].Reason, "flooded on port 500") {
					t.Errorf("got %+v", s.Addresses)
				}
				time.Sleep(pulseFor + 2*selfEvery)
				if s := w.status(t); s.State != "out of service" {
					t.Errorf("when the flood is over and the probe is still lost: got %s: %s", s.State, s.Reason)
				}
			})
		})
	}
}

func TestReloadChangesWhatItCanAndRefusesTheRest(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.answerProbes()
		cfg := site()
		cfg.Policy.Gateways = cfg.Policy.Gateways[:1]
		cfg.Policy.Zones[0].Names = append(cfg.Policy.Zones[0].Names, "ike.example.net.")
		synctest.Wait()
		w.said()
		if err := w.loop.Reload(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		wantSaid(t, w, "after the reload", "publisher vpn.example.net.=203.0.113.1 ike.example.net.=203.0.113.1")
		if got := len(w.targets); got != 2 {
			t.Errorf("want probes of one gateway and of the node, got %v", w.targets)
		}
		other := site()
		other.BGP.ASN, other.Interface = 1, "eth9"
		err := w.loop.Reload(t.Context(), other)
		if want := "only a restart can change anycast.interface, bgp.asn; the running configuration stays"; err == nil || err.Error() != want {
			t.Errorf("want %q, got %v", want, err)
		}
		if got := len(w.status(t).Gateways); got != 1 {
			t.Errorf("the refused configuration is running: %d gateways", got)
		}
	})
}

func TestAReloadChangesWhatRoutesSayAndLeavesTheSessionsAlone(t *testing.T) {
	pref := uint32(50)
	story(t, func(t *testing.T, w *world) {
		w.answerProbes()
		synctest.Wait()
		w.said()
		cfg := site()
		cfg.BGP.Announce = bgp.Attributes{Communities: []uint32{7}, MED: 10}
		cfg.BGP.Worse = bgp.Attributes{Communities: []uint32{8}, LocalPref: &pref, Prepend: 2}
		cfg.BGP.Learn = true
		if err := w.loop.Reload(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		wantSaid(t, w, "after the reload", "speaker 203.0.113.0/24[7]")
		if got := w.routes[0].Attributes; !got.Equal(cfg.BGP.Announce) {
			t.Errorf("want %+v, got %+v", cfg.BGP.Announce, got)
		}
		if len(w.neighbors) != 1 {
			t.Errorf("want the neighbors set once, at start, got %v", w.neighbors)
		}
		cfg = site()
		cfg.BGP.Announce, cfg.BGP.Neighbors = bgp.Attributes{Communities: []uint32{7}, MED: 10}, append(cfg.BGP.Neighbors, bgp.Neighbor{Address: netip.MustParseAddr("192.0.2.2"), ASN: 64500, Passive: true})
		if err := w.loop.Reload(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		wantSaid(t, w, "after a reload that has another neighbor", "")
		if want := [][]bgp.Neighbor{site().BGP.Neighbors, cfg.BGP.Neighbors}; !reflect.DeepEqual(w.neighbors, want) {
			t.Errorf("want %v, got %v", want, w.neighbors)
		}
	})
}

func TestAWorseRouteAndOneThatLeavesSayWhatIsAnnouncedToo(t *testing.T) {
	low := uint32(50)
	cfg := site()
	cfg.BGP.Announce = bgp.Attributes{Communities: []uint32{7}, MED: 10, Prepend: 1}
	cfg.BGP.Worse = bgp.Attributes{Communities: []uint32{8}, MED: 20, LocalPref: &low, Prepend: 2}
	cfg.Policy.Site = policy.Site{MinGateways: 2, WhenShort: policy.MakeWorse, WhenDark: policy.WithdrawSite, WhenOverloaded: policy.Ignore}
	storyOf(t, cfg, func(t *testing.T, w *world) {
		want := func(when string, a bgp.Attributes) {
			t.Helper()
			synctest.Wait()
			if len(w.routes) != 1 || !w.routes[0].Equal(a) {
				t.Errorf("%s: want %+v, got %+v", when, a, w.routes)
			}
		}
		w.answerProbes()
		want("with two gateways", cfg.BGP.Announce)
		w.dead[netip.MustParseAddr("198.51.100.2")] = true
		w.answerProbes()
		want("with one", bgp.Attributes{Communities: []uint32{7, 8}, MED: 20, LocalPref: &low, Prepend: 3})
		w.loop.Stop(nil)
		want("when it is stopped", bgp.Attributes{Communities: []uint32{7, 8, bgp.GracefulShutdown}, MED: 20, LocalPref: &low, Prepend: 3})
	})
}

func TestOnlyARestartChangesWhereNeighborsDialAndHowAnswersLeave(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		cfg := site()
		cfg.BGP.Listen, cfg.ReplyTable = []netip.Addr{netip.MustParseAddr("192.0.2.10")}, 7
		err := w.loop.Reload(t.Context(), cfg)
		if want := "only a restart can change anycast.reply_table or reply_priority, bgp.listen_addresses; the running configuration stays"; err == nil || err.Error() != want {
			t.Errorf("want %q, got %v", want, err)
		}
	})
}

func TestTheHostsChangesAreLookedAtAtOnce(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.answerProbes()
		synctest.Wait()
		w.said()
		w.loop.HostChanged()
		wantSaid(t, w, "after a change", "host [203.0.113.1/32]")
	})
}

func TestStatusTellsOfPeers(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.answerProbes()
		w.set(func() {
			w.peers = []bgp.Peer{{Address: netip.MustParseAddr("192.0.2.1"), ASN: 64500, State: "Active", LastError: "connection refused"}}
		})
		s := w.status(t)
		if s.Peers[0].Reason != "connection refused" || s.Routes[0].Reason != "in service; but no neighbor is established" || s.State != "unheard" {
			t.Errorf("got %s, %+v, %+v", s.State, s.Peers, s.Routes)
		}
		w.set(func() { w.peers[0].State, w.peers[0].Families = "Established", bgp.IPv6Unicast })
		if s := w.status(t); s.State != "unheard" || s.Reason != "no neighbor that is established takes routes of that family" {
			t.Errorf("of an IPv4 prefix that only an IPv6 session is up for: %s, %s", s.State, s.Reason)
		}
		w.set(func() { w.peers[0].Families = bgp.IPv4Unicast })
		if s := w.status(t); s.Peers[0].Reason != "session up" || s.Routes[0].Reason != "in service" {
			t.Errorf("got %+v, %+v", s.Peers, s.Routes)
		}
	})
}

func TestStatusTellsAllOfAPeer(t *testing.T) {
	addr := netip.MustParseAddr
	at := time.Unix(1, 0).UTC()
	story(t, func(t *testing.T, w *world) {
		w.set(func() {
			w.peers = []bgp.Peer{{
				Address: addr("192.0.2.1"), ASN: 64500, State: "Established", Since: at, LastError: "hold timer expired", LastErrorAt: at, Announced: 2,
				LocalAddress: addr("192.0.2.10"), RouterID: addr("192.0.2.99"), Families: bgp.IPv4Unicast | bgp.IPv6Unicast, HoldTime: 9 * time.Second,
				Prefixes: 4, Established: 5, Sent: bgp.Messages{Open: 1, Update: 2, Notification: 3, Keepalive: 4, RouteRefresh: 5}, Received: bgp.Messages{Open: 6},
			}, {Address: addr("192.0.2.2"), ASN: 64500, State: "Idle", Since: at}}
		})
		got, err := json.Marshal(w.status(t).Peers)
		if err != nil {
			t.Fatal(err)
		}
		const want = `[{"address":"192.0.2.1","asn":64500,"state":"Established","since":"1970-01-01T00:00:01Z","announced":2,"reason":"session up",` +
			`"local_address":"192.0.2.10","router_id":"192.0.2.99","families":["ipv4","ipv6"],"hold_time":9,"prefixes":4,"established":5,` +
			`"last_error":"hold timer expired","last_error_at":"1970-01-01T00:00:01Z",` +
			`"sent":{"keepalive":4,"notification":3,"open":1,"route_refresh":5,"update":2},` +
			`"received":{"keepalive":0,"notification":0,"open":6,"route_refresh":0,"update":0},"uplink":{"link":"eth0","up":true,"reason":""}},` +
			`{"address":"192.0.2.2","asn":64500,"state":"Idle","since":"1970-01-01T00:00:01Z","announced":0,"reason":"no session yet",` +
			`"local_address":"","router_id":"","families":[],"hold_time":0,"prefixes":0,"established":0,"last_error":"","last_error_at":null,` +
			`"sent":{"keepalive":0,"notification":0,"open":0,"route_refresh":0,"update":0},` +
			`"received":{"keepalive":0,"notification":0,"open":0,"route_refresh":0,"update":0},"uplink":null}]`
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestExplainAnswersByTheRunningTable(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.answerProbes()
		c := clientOf("192.0.2.7")
		e, err := w.loop.Explain(t.Context(), c, "")
		if err != nil || *e.Target != *w.pick(c) {
			t.Errorf("want %v, got %v, %v", w.pick(c), e.Target, err)
		}
	})
}

func TestAReloadTakesAPrefixThatLeavesOutOfServiceInOrder(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.answerProbes()
		cfg := site()
		cfg.Policy.Prefixes = []netip.Prefix{netip.MustParsePrefix("192.0.2.53/32")}
		cfg.Policy.Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.53")}
		synctest.Wait()
		w.said()
		if err := w.loop.Reload(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := w.said(); !strings.Contains(got, "speaker 203.0.113.0/24[4294901760]") || strings.Contains(got, "host [192.0.2.53/32]\n") {
			t.Errorf("at once: want 65535:0 and both addresses, got\n%s", got)
		}
		time.Sleep(5 * time.Second)
		wantSaid(t, w, "after drain_wait", "speaker ")
		time.Sleep(2 * time.Second)
		wantSaid(t, w, "after settle", "front [192.0.2.53:500]\nhost [192.0.2.53/32]")
	})
}

func TestAPortThatIsNoLongerConfiguredCountsNoLonger(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		both := site()
		both.Ports = []uint16{500, 4500}
		if err := w.loop.Reload(t.Context(), both); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.answerProbes()
		down := probe.State{Addr: netip.MustParseAddrPort("203.0.113.1:4500"), Status: probe.Down, Reason: "no answer"}
		w.loop.Probed(down)
		synctest.Wait()
		if s := w.status(t); s.Routes[0].State != "withdrawn" {
			t.Fatalf("want it withdrawn, got %+v", s.Routes)
		}
		if err := w.loop.Reload(t.Context(), site()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s := w.status(t); s.State != "in service" {
			t.Errorf("got %s: %s", s.State, s.Reason)
		}
	})
}

func TestGatewaysThatBeginToBeProbedStayUpUntilAProbeSaysOtherwise(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		never := site()
		never.Probes = map[string]config.Probe{}
		for _, cfg := range []*config.Config{never, site()} {
			if err := w.loop.Reload(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if s := w.status(t); !s.Gateways[0].Usable {
				t.Errorf("got %+v", s.Gateways[0])
			}
		}
	})
}

func TestWhatIsAskedTooLateIsEitherDoneOrNot(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 50 {
			if s, err := w.loop.Status(ctx); err != nil && s.Node != "" {
				t.Fatalf("an error and a status: %v, %+v", err, s)
			}
			cfg, before := site(), len(w.status(t).Gateways)
			cfg.Policy.Gateways = cfg.Policy.Gateways[:3-before] // the other number
			want := len(cfg.Policy.Gateways)
			if w.loop.Reload(ctx, cfg) != nil {
				want = before
			}
			synctest.Wait()
			if got := len(w.status(t).Gateways); got != want {
				t.Fatalf("want %d gateways, got %d", want, got)
			}
		}
	})
}
