package bgp

import (
	"context"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	gobgpapi "github.com/osrg/gobgp/v3/api"
	"github.com/rs/zerolog"
)

// startEngine runs a GoBGP of AS 65001 until the test ends.
func startEngine(t *testing.T) *engine {
	t.Helper()
	e := newEngine(zerolog.Nop())
	if err := e.start(t.Context(), 65001, our4); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.stop)
	return e
}

// aFeed is one of IPv4 and IPv6 for a neighbor of AS 65002.
func aFeed() feed {
	return feed{
		open: open{ASN: 65002, HoldTime: maxHoldTime, RouterID: netip.MustParseAddr("192.0.2.2"), Multiprotocol: true,
			Families: IPv4Unicast | IPv6Unicast, FourOctet: true, Refresh: true, ExtendedNextHop: true},
		local: our6, families: IPv4Unicast | IPv6Unicast, keepalive: time.Second,
	}
}

func TestAHostWithoutLoopbackIsToldSo(t *testing.T) {
	e := startEngine(t)
	e.inner = netip.AddrPortFrom(loopback, 1) // where nobody listens
	if _, err := e.attach(t.Context(), aFeed()); err == nil || !strings.Contains(err.Error(), "lo must be up") {
		t.Errorf("want an error that names lo, got %v", err)
	}
}

func TestAFeedThatIsGivenUpLeavesNothingBehind(t *testing.T) {
	e := startEngine(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		if _, err := e.attach(ctx, aFeed()); err == nil {
			t.Fatal("want an error")
		}
	}
	n := 0
	err := e.server.ListPeer(t.Context(), &gobgpapi.ListPeerRequest{}, func(*gobgpapi.Peer) { n++ })
	if err != nil || n != 0 {
		t.Errorf("want no neighbor left in gobgp, got %d, %v", n, err)
	}
}

func TestFeedsLeaveNothingBehind(t *testing.T) {
	e := startEngine(t)
	round := func() {
		tap, err := e.attach(t.Context(), aFeed())
		if err != nil {
			t.Fatal(err)
		}
		if err := tap.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		round()
	}
	goroutines := runtime.NumGoroutine()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	begun := time.Now()
	for range 1000 {
		round()
	}
	t.Log(time.Since(begun))
	eventually(t, "no goroutine more", func() bool { return runtime.NumGoroutine() <= goroutines })
	runtime.GC()
	runtime.ReadMemStats(&after)
	t.Logf("heap %d kB more", (int64(after.HeapAlloc)-int64(before.HeapAlloc))/1024)
}
