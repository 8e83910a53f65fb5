package bgp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestANeighborWithoutRFC8950IsToldWhy(t *testing.T) {
	startBird(t, strings.Replace(fmt.Sprintf(bird6, ""), "ipv6 {", "ipv4 {", 1))
	s := startSpeaker(t, Config{Neighbors: []Neighbor{theirs6()}})
	eventually(t, "it is told", func() bool {
		return strings.Contains(s.peer(their6).LastError, "it takes no IPv4 routes with an IPv6 next hop (RFC 8950)")
	})
}

func TestANeighborsOwnNextHopStandsInItsRoutes(t *testing.T) {
	b := startBird(t, fmt.Sprintf(bird4, "passive on; ipv6 { import all; export none; };"))
	n := theirs4()
	n.NextHop = our6
	n.Families = IPv6Unicast
	s := startSpeaker(t, Config{Neighbors: []Neighbor{n}})
	s.set(route(prefix4), route(prefix6))
	eventually(t, "IPv6 in the neighbor's kernel", func() bool { return strings.Contains(b.kernel(prefix6), "via 2001:db8::1") })
	if p := s.peer(their4); p.Families != IPv6Unicast || p.Announced != 1 || b.kernel(prefix4) != "" {
		t.Errorf("want IPv6 alone, got %+v", p)
	}
}

func TestOneOfTwoCrossingConnectionsIsKept(t *testing.T) {
	for name, tc := range map[string]struct {
		id     string // the neighbor's BGP Identifier; ours is 192.0.2.1
		dialed bool   // whether that which we dial is kept
	}{
		"ours is higher":   {"192.0.2.0", true},
		"theirs is higher": {"192.0.2.66", false},
	} {
		for _, first := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, confirmed first the dialed one %v", name, first), func(t *testing.T) {
				l, err := listen(netip.AddrPortFrom(rawAddr, 0))
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				n := rawNeighbor()
				n.Passive, n.Port = false, l.Addr().(*net.TCPAddr).AddrPort().Port()
				s := startSpeaker(t, rawListen(Config{Neighbors: []Neighbor{n}}))
				tcp, err := l.AcceptTCP()
				if err != nil {
					t.Fatal(err)
				}
				defer tcp.Close()
				ends := map[bool]*raw{true: {TCPConn: tcp, t: t}, false: dialRaw(t)} // by: we have dialed it
				if m, err := ends[true].read(); err != nil || m.kind() != openKind {
					t.Fatalf("want an OPEN, got %v, %v", m, err)
				}
				hello := changed(func(o *open) { o.RouterID = netip.MustParseAddr(tc.id) })
				ends[first].say(hello)
				if m, err := ends[first].read(); err != nil || m.kind() != keepaliveKind {
					t.Fatalf("want it confirmed, got %v, %v", m, err)
				}
				ends[!first].say(hello)
				if got, want := ends[!tc.dialed].end(), (notification{6, 7, ""}); got != want {
					t.Errorf("want the other one ended by %v, got %v", want, got)
				}
				ends[tc.dialed].say(newMessage(keepaliveKind))
				s.up(rawAddr)
				if p := s.peer(rawAddr); p.LastError != "" {
					t.Errorf("want no error of it, got %q", p.LastError)
				}
			})
		}
	}
}

func TestBothMayDial(t *testing.T) {
	startBird(t, fmt.Sprintf(bird4, ""))
	s := startSpeaker(t, Config{ListenPort: 179, Neighbors: []Neighbor{theirs4()}})
	s.up(their4)
}

func TestASecondConnectionOfASessionIsRefused(t *testing.T) {
	startBird(t)
	n := rawNeighbor()
	n.Passive, n.ConnectRetry = false, time.Second // nobody listens there
	s := startSpeaker(t, rawListen(Config{Neighbors: []Neighbor{n}}))
	dialRaw(t).establish()
	s.up(rawAddr)
	before := s.peer(rawAddr)
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: rawAddr.AsSlice()}}).Dial("tcp4", netip.AddrPortFrom(loopback, rawPort).String())
	if err != nil {
		t.Fatal(err)
	}
	second := &raw{TCPConn: conn.(*net.TCPConn), t: t}
	second.end()
	if p := s.peer(rawAddr); p.Since != before.Since || p.LastError != before.LastError {
		t.Errorf("want the session kept, got %+v", p)
	}
}

func TestGracefulRestartIsOfferedOnlyWhereItIsConfigured(t *testing.T) {
	for _, on := range []bool{false, true} {
		t.Run(fmt.Sprint(on), func(t *testing.T) {
			b := startBird(t, fmt.Sprintf(bird4, "passive on; graceful restart on;"))
			n := theirs4()
			n.ConnectRetry = time.Hour // it shall not come back by itself
			if on {
				n.GracefulRestart = 100 * time.Second
			}
			s := startSpeaker(t, Config{Neighbors: []Neighbor{n}})
			s.set(route(prefix4))
			eventually(t, "the route is there", func() bool { return b.kernel(prefix4) != "" })
			_, capabilities, _ := strings.Cut(b.ask("show", "protocols", "all", "a4"), "Neighbor capabilities")
			capabilities, _, _ = strings.Cut(capabilities, "Session:")
			if got := strings.Contains(capabilities, "Restart time: 100"); got != on {
				t.Errorf("want graceful restart offered %v, got\n%s", on, capabilities)
			}
			g := s.guard(their4)
			g.dialed.cancel(errors.New("as if we had died"))
			eventually(t, "bird has seen it", func() bool { return !strings.Contains(b.ask("show", "protocols", "a4"), established) })
			if kept := b.kernel(prefix4) != ""; kept != on {
				t.Errorf("want the dead route kept %v, got %v", on, kept)
			}
		})
	}
}

func TestANeighborWithTooManyPrefixesIsLeftAlone(t *testing.T) {
	b := startBird(t, "protocol static s4 { ipv4; route 198.51.100.0/24 blackhole; route 198.51.101.0/24 blackhole; }",
		"protocol static more { disabled; ipv4; route 198.51.102.0/24 blackhole; }",
		strings.Replace(fmt.Sprintf(bird4, "passive on;"), "export none", "export all", 1))
	n := theirs4()
	n.MaxPrefixes = 2
	s := startSpeaker(t, Config{Neighbors: []Neighbor{n}})
	s.up(their4)
	eventually(t, "two prefixes are counted", func() bool { return s.peer(their4).Prefixes == 2 })
	b.ask("enable", "more")
	eventually(t, "it is left alone", func() bool {
		p := s.peer(their4)
		return p.State == idle && p.LastError == "it told 3 prefixes, where 2 is the most: we sent Cease, Maximum Number of Prefixes Reached"
	})
	eventually(t, "bird knows why", func() bool {
		return strings.Contains(b.ask("show", "protocols", "all", "a4"), "Maximum number of prefixes reached")
	})
	if until := s.guard(their4).until; time.Until(until) < IdleTime/2 {
		t.Errorf("want it left alone for %v, got until %v", IdleTime, until)
	}
	n.MaxPrefixes = 3
	if err := s.SetNeighbors(t.Context(), []Neighbor{n}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "three are fine", func() bool { return s.peer(their4).Prefixes == 3 })
	b.ask("disable", "more")
	eventually(t, "a withdrawn one no longer counts", func() bool { return s.peer(their4).Prefixes == 2 })
}

func TestAReloadTouchesOnlyWhatHasChanged(t *testing.T) {
	b := startBird(t, fmt.Sprintf(bird4, "passive on;"), fmt.Sprintf(bird6, ""))
	n4, n6 := theirs4(), theirs6()
	s := startSpeaker(t, rawListen(Config{Neighbors: []Neighbor{n4, n6}}))
	s.up(their4, their6)
	since, sessions := s.peer(their4).Since, s.peer(their4).Established
	n6.Keepalive = time.Second
	if err := s.SetNeighbors(t.Context(), []Neighbor{n4, n6, rawNeighbor()}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the changed one knows why", func() bool { return b.logged("a6: Received: Other configuration change") })
	s.up(their6)
	if err := s.SetNeighbors(t.Context(), []Neighbor{n4}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the removed one knows why", func() bool { return b.logged("a6: Received: Peer de-configured") })
	if p := s.peer(their4); !p.Up() || p.Since != since || p.Established != sessions || p.LastError != "" {
		t.Errorf("want it untouched since %v, got %+v", since, p)
	}
}

func TestPeersShowWhatASessionHasAgreedOn(t *testing.T) {
	startBird(t, fmt.Sprintf(bird6, "hold time 30; ipv4 { extended next hop on; import all; export none; };"))
	s := startSpeaker(t, Config{Neighbors: []Neighbor{theirs6()}})
	s.set(route(prefix4), route(prefix6))
	s.up(their6)
	eventually(t, "both routes are sent", func() bool { return s.peer(their6).Sent.Update >= 2 })
	p := s.peer(their6)
	if p.LocalAddress != our6 || p.RouterID != their4 || p.Families != both || p.HoldTime != DefaultHoldTime || p.Announced != 2 {
		t.Errorf("got %+v", p)
	}
	if p.Established != 1 || p.Sent.Open != 1 || p.Received.Open != 1 || p.Received.Keepalive == 0 || p.Sent.Keepalive == 0 {
		t.Errorf("got %+v", p)
	}
}

func TestAHundredNeighborsAtOnce(t *testing.T) {
	if os.Getenv(peerEnv) == "" {
		t.Skip(missing())
	}
	const n = 100
	var protocols []string
	var neighbors []Neighbor
	for i := range n { // BIRD has one session per address of ours
		ours, theirs := fmt.Sprintf("10.9.%d.1", i), fmt.Sprintf("10.9.%d.2", i)
		ip(t, "addr", "add", ours+"/30", "dev", "up0")
		ip(t, "-n", os.Getenv(peerEnv), "addr", "add", theirs+"/30", "dev", "up0")
		t.Cleanup(func() {
			ip(t, "addr", "del", ours+"/30", "dev", "up0")
			ip(t, "-n", os.Getenv(peerEnv), "addr", "del", theirs+"/30", "dev", "up0")
		})
		options, passive := "passive on;", false
		if i%2 == 0 {
			options, passive = "", true
		}
		protocols = append(protocols, fmt.Sprintf(`protocol bgp n%d { local %s as 65002; neighbor %s as 65001; %s password "s3cret";
  connect delay time 1; connect retry time 1; ipv4 { import all; export none; }; }`, i, theirs, ours, options))
		neighbors = append(neighbors, Neighbor{Address: netip.MustParseAddr(theirs), ASN: 65002, Password: "s3cret", Passive: passive, ConnectRetry: time.Second})
	}
	b := startBird(t, protocols...)
	before := runtime.NumGoroutine()
	s := startSpeaker(t, Config{ListenPort: 179, Neighbors: neighbors})
	begun := time.Now()
	s.set(route(prefix4))
	for _, n := range neighbors {
		s.up(n.Address)
	}
	t.Logf("up after %v", time.Since(begun))
	eventually(t, "all have told the route", func() bool { return strings.Count(b.ask("show", "route", prefix4), "[n") == n })
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d files, %d goroutines, %s", len(files), runtime.NumGoroutine()-before, resident(t))
	begun = time.Now()
	if err := s.end(); err != nil {
		t.Error(err)
	}
	t.Logf("down after %v", time.Since(begun))
}

func TestANeighborThatDoesNotReadHoldsNobodyUp(t *testing.T) {
	n := rawNeighbor()
	s := startSpeaker(t, rawListen(Config{Neighbors: []Neighbor{n}}))
	r := dialRaw(t)
	r.SetReadBuffer(4096)
	r.establish()
	s.up(rawAddr)
	for round := range 20 { // more than all buffers on the way take
		var routes []Route
		for i := range 2000 {
			prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)
			routes = append(routes, Route{Prefix: prefix, Attributes: Attributes{MED: uint32(round*10000 + i + 1)}})
		}
		s.set(routes...)
	}
	eventually(t, "our end is stuck", func() bool {
		before := s.peer(rawAddr).Sent.Update
		time.Sleep(50 * time.Millisecond)
		return before > 0 && s.peer(rawAddr).Sent.Update == before
	})
	if err := s.end(); err != nil { // eventually's half a minute is less than the hold time
		t.Error(err)
	}
	if got, want := s.peer(rawAddr).LastError, "anycastd is stopping: we sent Cease, Administrative Shutdown"; got != want {
		t.Errorf("want %q, got %q", want, got)
	}
}

func TestManyRequestsForRoutesAreAnsweredAsOne(t *testing.T) {
	s := startSpeaker(t, rawListen(Config{Neighbors: []Neighbor{rawNeighbor()}}))
	s.set(route(prefix4))
	r := dialRaw(t).establish()
	s.up(rawAddr)
	for range 10_000 {
		r.say(refreshMessage(IPv4Unicast))
	}
	eventually(t, "all are read", func() bool { return s.peer(rawAddr).Received.RouteRefresh == 10_000 })
	r.say(newMessage(keepaliveKind))
	eventually(t, "the routes are told once more", func() bool { return s.peer(rawAddr).Sent.Update > 1 })
	if got := s.peer(rawAddr).Sent.Update; got > 100 {
		t.Errorf("want few UPDATEs, got %d", got)
	}
}

func TestExternalNeighborsHearNoLocalPreference(t *testing.T) {
	s := startSpeaker(t, rawListen(Config{Neighbors: []Neighbor{rawNeighbor()}}))
	s.set(route(prefix4))
	r := dialRaw(t).establish()
	for {
		m, err := r.read()
		if err != nil {
			t.Fatal(err)
		}
		if m.kind() != updateKind {
			continue
		}
		body := m.body()
		body.field(2)
		list, _ := body.field(2)
		a, refused := parseAttributes(list, true)
		if refused != nil || a.seen[5] || !a.seen[1] || !a.seen[2] || !a.seen[3] { // RFC 4271 section 5.1.5
			t.Errorf("want ORIGIN, AS_PATH and NEXT_HOP without LOCAL_PREF, got %v, %x", refused, list)
		}
		return
	}
}

// TestANeighborThatFlapsHasToWaitLongerEachTime: until a session has lasted for
// its hold time.
func TestANeighborThatFlapsHasToWaitLongerEachTime(t *testing.T) {
	g := &guard{session: session{Neighbor: Neighbor{HoldTime: 9 * time.Second, ConnectRetry: 5 * time.Second}}}
	ended := func(lasted time.Duration) time.Duration {
		g.soothe(&connection{stage: established, up: time.Now().Add(-lasted), open: open{HoldTime: 9 * time.Second}})
		return time.Until(g.calm).Round(time.Second)
	}
	g.soothe(&connection{stage: openConfirm}) // that was no session
	var waits []time.Duration
	for _, lasted := range []time.Duration{0, time.Second, 2 * time.Second, 8 * time.Second, time.Minute, 0} {
		waits = append(waits, max(ended(lasted), 0))
	}
	want := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 0, time.Second}
	if diff := cmp.Diff(want, waits); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
