package bgp

import (
	"fmt"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// What is announced.
const (
	prefix4 = "203.0.113.0/24"
	prefix6 = "2001:db8:a::/48"
)

// BIRD's sessions; %s is for more options.
const (
	bird4 = `protocol bgp a4 { local 192.0.2.2 as 65002; neighbor 192.0.2.1 as 65001; %s
  connect retry time 1; connect delay time 1; error wait time 1,2; ipv4 { import all; export none; }; }`
	bird6 = `protocol bgp a6 { local 2001:db8::2 as 65002; neighbor 2001:db8::1 as 65001; passive on; %s
  connect retry time 1; connect delay time 1; error wait time 1,2; ipv6 { import all; export none; }; }`
)

func route(prefix string, communities ...uint32) Route {
	return Route{netip.MustParsePrefix(prefix), Attributes{Communities: communities}}
}

func TestRoutesOfBothFamiliesComeAndGo(t *testing.T) {
	b := startBird(t, fmt.Sprintf(bird4, "passive on;"), fmt.Sprintf(bird6, ""))
	s := startSpeaker(t, Config{Neighbors: []Neighbor{{Address: their4, ASN: 65002}, {Address: their6, ASN: 65002}}})
	s.set(route(prefix4), route(prefix6))
	s.up(their4, their6)
	eventually(t, "IPv4 in the neighbor's kernel", func() bool { return strings.Contains(b.kernel(prefix4), "via 192.0.2.1") })
	eventually(t, "IPv6 in the neighbor's kernel", func() bool { return strings.Contains(b.kernel(prefix6), "via 2001:db8::1") })
	if p := s.peer(their4); p.Announced != 1 {
		t.Errorf("want 1 route announced to %v, got %d", their4, p.Announced)
	}

	s.set(route(prefix4, GracefulShutdown), route(prefix6))
	eventually(t, "community 65535:0", func() bool {
		return strings.Contains(b.ask("show", "route", "all", prefix4), "(65535,0)")
	})
	if strings.Contains(b.ask("show", "route", "all", prefix6), "(65535,0)") {
		t.Errorf("want no community on %s", prefix6)
	}
	s.set(route(prefix4), route(prefix6))
	eventually(t, "no community again", func() bool {
		out := b.ask("show", "route", "all", prefix4)
		return strings.Contains(out, "BGP.as_path") && !strings.Contains(out, "(65535,0)")
	})

	s.set(route(prefix6))
	eventually(t, "IPv4 withdrawn", func() bool { return b.kernel(prefix4) == "" })
	if b.kernel(prefix6) == "" {
		t.Error("want the IPv6 route kept")
	}
	s.set()
	eventually(t, "IPv6 withdrawn", func() bool { return b.kernel(prefix6) == "" })
}

func TestIPv6GoesOverIPv4SessionWithExplicitNextHop(t *testing.T) {
	b := startBird(t, fmt.Sprintf(bird4, "passive on; ipv6 { import all; export none; };"))
	s := startSpeaker(t, Config{Neighbors: []Neighbor{{Address: their4, ASN: 65002}}, NextHops: []netip.Addr{our6}})
	s.set(route(prefix4), route(prefix6))
	eventually(t, "IPv4 in the neighbor's kernel", func() bool { return strings.Contains(b.kernel(prefix4), "via 192.0.2.1") })
	eventually(t, "IPv6 in the neighbor's kernel", func() bool { return strings.Contains(b.kernel(prefix6), "via 2001:db8::1") })
}

func TestIPv4GoesOverIPv6SessionWhereThereIsNoOther(t *testing.T) {
	b := startBird(t, fmt.Sprintf(bird6, "ipv4 { extended next hop on; import all; export none; };"))
	s := startSpeaker(t, Config{Neighbors: []Neighbor{{Address: their6, ASN: 65002}}})
	s.set(route(prefix4))
	eventually(t, "IPv4 in the neighbor's kernel", func() bool { return strings.Contains(b.kernel(prefix4), "via inet6 2001:db8::1") })
}

func TestNeighborsRoutesStayOutOfTheRIB(t *testing.T) {
	b := startBird(t, "protocol static { ipv4; route 198.51.100.0/24 blackhole; }",
		strings.Replace(fmt.Sprintf(bird4, "passive on;"), "export none", "export all", 1),
		fmt.Sprintf(bird6, "ipv4 { import all; export none; };"))
	s := startSpeaker(t, Config{NextHops: []netip.Addr{our4},
		Neighbors: []Neighbor{{Address: their4, ASN: 65002}, {Address: their6, ASN: 65002}}})
	s.set(route(prefix4))
	s.up(their4, their6)
	eventually(t, "bird has told its route", func() bool { return s.peer(their4).Received.Update > 0 })
	eventually(t, "our route is in the neighbor's kernel", func() bool { return b.kernel(prefix4) != "" })
	got, err := s.announced(t.Context())
	if _, ours := got[route(prefix4).Prefix]; err != nil || !ours || len(got) != 1 {
		t.Errorf("rib: want %s alone, got %v, %v", prefix4, got, err)
	}
	if got := s.peer(their6).Sent.Update; got != 1 {
		t.Errorf("want 1 UPDATE to the other neighbor, got %d", got)
	}
}

func TestLostSessionIsExplainedAndComesBack(t *testing.T) {
	b := startBird(t, fmt.Sprintf(bird4, "passive on;"))
	s := startSpeaker(t, Config{Neighbors: []Neighbor{{Address: their4, ASN: 65002}}})
	s.set(route(prefix4))
	s.up(their4)

	b.ask("disable", "a4", `"maintenance till noon"`)
	want := `neighbor sent Cease, Administrative Shutdown: "maintenance till noon"`
	eventually(t, "the neighbor's words", func() bool {
		return s.seen.any(func(p Peer) bool { return p.State == idle && p.LastError == want })
	})
	b.ask("enable", "a4")
	s.up(their4)
	eventually(t, "the route is back", func() bool { return b.kernel(prefix4) != "" })

	b.end(syscall.SIGKILL)
	eventually(t, "the end is seen", func() bool {
		return s.seen.any(func(p Peer) bool { return p.State == idle && p.LastError == "connection closed by the neighbor" })
	})
	eventually(t, "nobody listens", func() bool { return s.peer(their4).LastError == "connection refused" })
	if got := strings.Count(s.log.String(), `"session down"`); got != 2 {
		t.Errorf("want 2 lines for 2 lost sessions, got %d", got)
	}
	if got := strings.Count(s.log.String(), `"reason":"connection refused"`); got != 1 {
		t.Errorf("want 1 line for the refused connection, got %d", got)
	}
	b.start()
	s.up(their4)
	if got := s.peer(their4).LastError; got != "connection refused" {
		t.Errorf("want the last error kept, got %q", got)
	}
}

func TestNotifyFindsTheNewStateInPeers(t *testing.T) {
	b := startBird(t, fmt.Sprintf(bird4, "passive on;"))
	var speaker atomic.Pointer[running]
	notified := make(chan Peer, 100)
	cfg := Config{Neighbors: []Neighbor{{Address: their4, ASN: 65002}}}
	cfg.Notify = func(p Peer) {
		s := speaker.Load()
		if !strings.Contains(string(debug.Stack()), "bgp.(*Speaker).Run(") {
			t.Errorf("want it called by Run, got\n%s", debug.Stack())
		}
		// It may have gone on meanwhile, but must not lag behind.
		if s != nil {
			if got := s.peer(their4); got.Up() != p.Up() && !got.Since.After(p.Since) {
				t.Errorf("want peers to show %+v or what came after it, got %+v", p, got)
			}
		}
		notified <- p
	}
	await := func(up bool) {
		for p := range notified {
			if p.Up() == up {
				return
			}
		}
	}
	speaker.Store(startSpeaker(t, cfg))
	await(true)
	b.ask("disable", "a4")
	await(false)
	b.ask("enable", "a4")
	await(true)
}

func TestNeighborOnAnInterfaceThatIsNotThereIsExplained(t *testing.T) {
	startBird(t)
	neighbor := netip.MustParseAddr("fe80::1%nosuch0")
	s := startSpeaker(t, Config{Neighbors: []Neighbor{{Address: neighbor, ASN: 65002}}})
	eventually(t, "the interface is named", func() bool {
		return s.peer(neighbor).LastError == "interface nosuch0 does not exist"
	})
}

func TestSilentNeighborIsLeftAfterTheHoldTime(t *testing.T) {
	b := startBird(t, fmt.Sprintf(bird4, "passive on;"))
	s := startSpeaker(t, Config{Neighbors: []Neighbor{{Address: their4, ASN: 65002, HoldTime: 3 * time.Second}}})
	s.up(their4)
	b.process.Process.Signal(syscall.SIGSTOP)
	defer b.process.Process.Signal(syscall.SIGCONT)
	eventually(t, "the session is down", func() bool {
		return s.seen.any(func(p Peer) bool {
			return p.State == idle && p.LastError == "nothing heard for 3s: we sent Hold Timer Expired"
		})
	})
}

func TestWrongASNIsExplained(t *testing.T) {
	startBird(t, fmt.Sprintf(bird4, "passive on;"))
	s := startSpeaker(t, Config{Neighbors: []Neighbor{{Address: their4, ASN: 65003}}})
	eventually(t, "the mismatch is told", func() bool {
		return strings.Contains(s.peer(their4).LastError, "its OPEN names AS 65002, not 65003")
	})
}

func TestLinkLocalNeighborLearnsBothFamilies(t *testing.T) {
	b := startBird(t, `protocol bgp a6 { local as 65002; neighbor range fe80::/10 as 65001; interface "up0"; passive on;
  ipv6 { import all; export none; }; ipv4 { extended next hop on; import all; export none; }; }`)
	neighbor := netip.MustParseAddr(b.linkLocal() + "%up0")
	s := startSpeaker(t, Config{Neighbors: []Neighbor{{Address: neighbor, ASN: 65002}}})
	s.set(route(prefix4), route(prefix6))
	s.up(neighbor)
	eventually(t, "IPv4 in the neighbor's kernel", func() bool { return strings.Contains(b.kernel(prefix4), "via inet6 fe80:") })
	eventually(t, "IPv6 in the neighbor's kernel", func() bool { return strings.Contains(b.kernel(prefix6), "via fe80:") })
}

func TestEndIsToldToTheNeighbor(t *testing.T) {
	b := startBird(t, fmt.Sprintf(bird4, "passive on;"))
	s := startSpeaker(t, Config{Neighbors: []Neighbor{{Address: their4, ASN: 65002}}})
	s.set(route(prefix4))
	s.up(their4)
	eventually(t, "the route is there", func() bool { return b.kernel(prefix4) != "" })
	begun := time.Now()
	if err := s.end(); err != nil {
		t.Errorf("want no error, got %v", err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("the end took %v", took)
	}
	eventually(t, "the text arrives", func() bool {
		return strings.Contains(b.ask("show", "protocols", "all", "a4"), stopText)
	})
	eventually(t, "the route is gone", func() bool { return b.kernel(prefix4) == "" })
	if strings.Contains(s.log.String(), `"level":"warn"`) {
		t.Error("want no warning about an end in order")
	}
}

func TestSetNeighborsKeepsWhatIsUnchanged(t *testing.T) {
	startBird(t, fmt.Sprintf(bird4, "passive on;"), fmt.Sprintf(bird6, ""))
	n4, n6 := Neighbor{Address: their4, ASN: 65002}, Neighbor{Address: their6, ASN: 65002}
	s := startSpeaker(t, Config{Neighbors: []Neighbor{n4, n6}})
	s.up(their4, their6)
	since4, since6 := s.peer(their4).Since, s.peer(their6).Since

	n6.HoldTime = 30 * time.Second
	n4.HoldTime = DefaultHoldTime // what zero means
	if err := s.SetNeighbors(t.Context(), []Neighbor{n6, n4}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the changed session is up anew", func() bool {
		p := s.peer(their6)
		return p.State == established && p.Since.After(since6)
	})
	if err := s.SetNeighbors(t.Context(), []Neighbor{n4}); err != nil {
		t.Fatal(err)
	}
	got := s.Peers()
	if len(got) != 1 || got[0].State != established || got[0].Since != since4 {
		t.Errorf("want only %v, up since %v, got %+v", their4, since4, got)
	}
	if s.seen.any(func(p Peer) bool { return p.Address == their4 && p.LastError != "" }) {
		t.Errorf("want no error of %v", their4)
	}
	eventually(t, "an added session is up", func() bool {
		err := s.SetNeighbors(t.Context(), []Neighbor{n4, n6})
		return err == nil && s.peer(their6).State == established
	})
}
