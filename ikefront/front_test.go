package ikefront

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/ikefront/ike"
	"github.com/anycastd/anycastd/policy"
)

// freePort returns a port of addr that nobody uses at the moment.
func freePort(t *testing.T, addr string) netip.AddrPort {
	t.Helper()
	c, err := net.ListenPacket("udp", net.JoinHostPort(addr, "0"))
	if err != nil {
		t.Skipf("no %s here: %v", addr, err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// running returns a Front that runs until the test ends.
func running(t *testing.T) *Front {
	t.Helper()
	f := New(Config{Sockets: 2}, zerolog.Nop())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return f
}

// ask sends in to at until an answer comes, and returns that.
func ask(t *testing.T, conn *net.UDPConn, in []byte) []byte {
	t.Helper()
	buf := make([]byte, 2000)
	for range 150 {
		if _, err := conn.Write(in); err != nil {
			t.Fatal(err)
		}
		conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if n, err := conn.Read(buf); err == nil {
			return buf[:n]
		}
	}
	t.Fatal("no answer")
	return nil
}

// dial returns a socket connected to at.
func dial(t *testing.T, at netip.AddrPort) *net.UDPConn {
	t.Helper()
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// count returns how many datagrams of disposition d have come to at.
func count(f *Front, at netip.AddrPort, d Disposition) (n uint64) {
	for _, counts := range f.Endpoints()[at].Sockets {
		n += counts[d]
	}
	return n
}

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// awaitCount waits until at has had a datagram of disposition d: an answer may
// arrive before it is counted.
func awaitCount(t *testing.T, f *Front, at netip.AddrPort, d Disposition) {
	t.Helper()
	eventually(t, "a datagram is counted as "+d.String(), func() bool { return count(f, at, d) > 0 })
}

func TestAFrontAnswersOnEveryAddress(t *testing.T) {
	for _, addr := range []string{"127.0.0.1", "::1"} {
		t.Run(addr, func(t *testing.T) {
			f, at := running(t), freePort(t, addr)
			f.Set(byAddress())
			if failed := f.Listen([]netip.AddrPort{at}); len(failed) != 0 {
				t.Fatal(failed)
			}
			r, err := ike.ParseResponse(ask(t, dial(t, at), request()), 0x1122334455667788)
			if err != nil {
				t.Fatal(err)
			}
			want := gateway4
			if at.Addr().Is6() {
				want = gateway6
			}
			if to, _, ok := r.Redirect(); !ok || to.Addr != want {
				t.Errorf("want a redirect to %v, got %v", want, to)
			}
			awaitCount(t, f, at, Redirected)
		})
	}
}

func TestGarbageNeitherStopsNorStallsTheFront(t *testing.T) {
	f, at := running(t), freePort(t, "127.0.0.1")
	f.Set(byAddress())
	f.Listen([]netip.AddrPort{at})
	conn := dial(t, at)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 3000 {
		junk := request()
		switch i % 5 {
		case 0: // truncated
			junk = junk[:rnd.IntN(len(junk))]
		case 1: // mutated
			for range 1 + rnd.IntN(8) {
				junk[rnd.IntN(len(junk))] = byte(rnd.Uint32())
			}
		case 2: // looping
			junk[30], junk[31] = 0, byte(rnd.IntN(4))
		case 3: // random
			junk = make([]byte, rnd.IntN(1400))
			for i := range junk {
				junk[i] = byte(rnd.Uint32())
			}
		case 4: // as large as UDP goes
			if i%50 == 4 {
				junk = append(junk, make([]byte, 65507-len(junk))...)
			}
		}
		conn.Write(junk)
	}
	ask(t, dial(t, at), request())
	awaitCount(t, f, at, BadHeader)
	awaitCount(t, f, at, Redirected)
}

func TestARequestOf60000OctetsIsAnswered(t *testing.T) {
	f, at := running(t), freePort(t, "127.0.0.1")
	f.Set(byAddress())
	f.Listen([]netip.AddrPort{at})
	large := ike.Init{SPIi: 1, Nonce: make([]byte, 32), Group: 31, KE: make([]byte, 60000), Supported: true}.Append(nil)
	if _, err := ike.ParseResponse(ask(t, dial(t, at), large), 1); err != nil {
		t.Error(err)
	}
}

func TestListenIsLevelTriggered(t *testing.T) {
	f := running(t)
	a, b := freePort(t, "127.0.0.1"), freePort(t, "127.0.0.2")
	f.Set(byAddress())
	f.Listen([]netip.AddrPort{a})
	ask(t, dial(t, a), request())
	for range 2 {
		if failed := f.Listen([]netip.AddrPort{a, b}); len(failed) != 0 {
			t.Fatal(failed)
		}
	}
	ask(t, dial(t, b), request())
	f.Listen([]netip.AddrPort{b})
	if got := f.Listening(); len(got) != 1 || got[0] != b {
		t.Errorf("want only %v, got %v", b, got)
	}
	if got := count(f, a, Redirected); got == 0 {
		t.Error("the counts of a closed endpoint are lost")
	}
}

func TestATakenPortFailsAloneAndIsOpenedWhenItIsFree(t *testing.T) {
	f := running(t)
	other, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken, free := other.LocalAddr().(*net.UDPAddr).AddrPort(), freePort(t, "127.0.0.2")
	failed := f.Listen([]netip.AddrPort{taken, free})
	if failed[taken] == nil || failed[free] != nil {
		t.Fatalf("want only %v to fail, got %v", taken, failed)
	}
	other.Close()
	if failed := f.Listen([]netip.AddrPort{taken, free}); len(failed) != 0 {
		t.Errorf("want the port that is free now, got %v", failed)
	}
}

func TestAClosedFrontOpensNothing(t *testing.T) {
	f := New(Config{}, zerolog.Nop())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := f.Run(ctx); err != nil {
		t.Fatal(err)
	}
	at := freePort(t, "127.0.0.1")
	if failed := f.Listen([]netip.AddrPort{at}); failed[at] == nil {
		t.Error("want an error")
	}
}

func TestABrokenSocketIsOpenedAgain(t *testing.T) {
	f, at := running(t), freePort(t, "127.0.0.1")
	f.Set(byAddress())
	f.Listen([]netip.AddrPort{at})
	f.mu.Lock()
	group := f.open[at]
	f.mu.Unlock()
	f.drop(at, group)
	f.drop(at, group) // another of them
	if failed := f.Listen([]netip.AddrPort{at}); len(failed) != 0 {
		t.Fatal(failed)
	}
	ask(t, dial(t, at), request())
}

func TestSetChangesTheTableForTheNextPacket(t *testing.T) {
	f, at := running(t), freePort(t, "127.0.0.1")
	f.Listen([]netip.AddrPort{at})
	conn := dial(t, at)
	unserved := func() {
		t.Helper()
		before := count(f, at, NoGateway)
		deadline := time.Now().Add(10 * time.Second)
		for count(f, at, NoGateway) == before {
			if time.Now().After(deadline) {
				t.Fatal("no request went unserved")
			}
			conn.Write(request())
			time.Sleep(time.Millisecond)
		}
	}
	unserved()
	f.Set(byAddress())
	ask(t, conn, request())
	f.Set(&policy.Table{})
	unserved()
}

func TestAnEndpointThatIsBoundElsewhereGoesByItsServicePort(t *testing.T) {
	f, bound := running(t), freePort(t, "127.0.0.1")
	f.cfg.Bind = func(uint16) uint16 { return bound.Port() }
	f.Set(byAddress())
	at := netip.AddrPortFrom(bound.Addr(), ike.NATTPort)
	if failed := f.Listen([]netip.AddrPort{at}); len(failed) != 0 {
		t.Fatal(failed)
	}
	marked := append(make([]byte, ike.MarkerLen), request()...)
	if reply := ask(t, dial(t, bound), marked); len(reply) < ike.MarkerLen || [4]byte(reply) != [4]byte{} {
		t.Errorf("want an answer with a marker, as on port 4500, got %x", reply)
	}
	if got := f.Listening(); len(got) != 1 || got[0] != at {
		t.Errorf("want it named %v, got %v", at, got)
	}
	awaitCount(t, f, at, Redirected)
}

func TestTheErrorOfATakenPortNamesItsHolderAndTheWaysOut(t *testing.T) {
	other, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	taken := other.LocalAddr().(*net.UDPAddr).AddrPort()
	holder := func(at netip.AddrPort) string { return fmt.Sprintf("the holder of %v", at) }
	service := netip.AddrPortFrom(taken.Addr(), 500)
	elsewhere := func(uint16) uint16 { return taken.Port() }
	for _, tc := range []struct {
		cfg  Config
		at   netip.AddrPort
		want string
	}{
		{Config{Holder: holder}, taken, "UDP %v is taken by the holder of %[1]v; let it bind its own addresses only or run it in a network namespace of its own, or set port_conflict = \"nft\""},
		{Config{Holder: holder, Bind: elsewhere}, service, "UDP %v, the stand-in for port 500, is taken by the holder of %[1]v; let that one use another port"},
		{Config{}, taken, "UDP %v is taken by another IKE daemon on this host; "},
	} {
		err := New(tc.cfg, zerolog.Nop()).Listen([]netip.AddrPort{tc.at})[tc.at]
		if want := fmt.Sprintf(tc.want, taken); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
