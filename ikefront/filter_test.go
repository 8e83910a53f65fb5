package ikefront

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/net/bpf"

	"github.com/anycastd/anycastd/ikefront/ike"
)

// passes says whether the filter lets a datagram through, as the kernel would
// run it: on the UDP header and what follows.
func passes(t testing.TB, vm *bpf.VM, in []byte, src netip.AddrPort) bool {
	t.Helper()
	datagram := binary.BigEndian.AppendUint16(nil, src.Port())
	datagram = append(datagram, 0x01, 0xF4, 0, 0, 0, 0)
	n, err := vm.Run(append(datagram, in...))
	if err != nil {
		t.Fatal(err)
	}
	return n > 0
}

// filterVM returns the filter in a machine that runs it.
func filterVM(t testing.TB, natt, refuse bool) *bpf.VM {
	t.Helper()
	vm, err := bpf.NewVM(newFilter(natt, refuse))
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

// TestTheFilterDropsJunkAndOnlyThat holds the filter against what becomes of
// the datagrams of TestEachDatagramHasOneDisposition.
func TestTheFilterDropsJunkAndOnlyThat(t *testing.T) {
	for name, tc := range datagrams() {
		vm := filterVM(t, tc.natt, false)
		_, d := answer(nil, tc.in, tc.from(), tc.natt, by(tc.by()))
		want := !d.junk(false)
		if tc.cut {
			want = false
		}
		if got := passes(t, vm, tc.in, tc.from()); got != want {
			t.Errorf("%s, %s: want passed %v, got %v", name, d, want, got)
		}
	}
}

func TestTheFilterPassesClientsWithoutSupportWhereTheyAreRefused(t *testing.T) {
	h := hello()
	h.Supported = false
	in := h.Append(nil)
	if !passes(t, filterVM(t, false, true), in, client) || passes(t, filterVM(t, false, false), in, client) {
		t.Error("want them passed where they are refused, and dropped elsewhere")
	}
}

// FuzzFilter: the filter never drops a request that would be redirected or
// asked for a cookie, whatever it looks like.
func FuzzFilter(f *testing.F) {
	f.Add(request(), false, uint16(500))
	f.Add(append(make([]byte, 4), request()...), true, uint16(4500))
	f.Add(request(), true, uint16(500))
	f.Add(ike.AppendAliveProbe(nil, 1), false, uint16(500))
	vms := map[bool]*bpf.VM{false: filterVM(f, false, false), true: filterVM(f, true, false)}
	rules := by(byAddress())
	f.Fuzz(func(t *testing.T, in []byte, natt bool, port uint16) {
		src := netip.AddrPortFrom(client.Addr(), port)
		rules.now += time.Second // so that no limit ends the test
		_, d := answer(nil, in, src, natt, rules)
		passed := passes(t, vms[natt], in, src)
		if !passed && (d == Redirected || d == ReplyTooLong || d == VersionAnswered) {
			t.Fatalf("dropped, but would be %s", d)
		}
		if passed && (d == OldVersion || d == Response || d == OtherExchange || d == ESP || d == Keepalive || d == TooShort) {
			t.Fatalf("passed, but is %s", d)
		}
	})
}

// flood sends in to at n times.
func flood(conn *net.UDPConn, in []byte, n int) {
	for range n {
		conn.Write(in) // a full queue shows as an error at times
	}
}

func TestAFloodOfJunkShutsTheGateAndHonestClientsPass(t *testing.T) {
	f, at := running(t), freePort(t, "127.0.0.1")
	f.Set(byAddress())
	f.Listen([]netip.AddrPort{at})
	conn, junk := dial(t, at), request()
	junk[19] = ike.FlagResponse
	eventually(t, "a datagram is filtered", func() bool {
		flood(conn, junk, 5000)
		return count(f, at, Filtered) > 0
	})
	if got := f.Endpoints()[at].Filtering; got == 0 {
		t.Error("no socket is shown with a filter")
	}
	ask(t, dial(t, at), request())
	before := count(f, at, Response)
	eventually(t, "the queue is empty", func() bool {
		time.Sleep(50 * time.Millisecond)
		was := before
		before = count(f, at, Response)
		return was == before
	})
	flood(conn, junk, 1000)
	ask(t, dial(t, at), request())
	if got := count(f, at, Response) - before; got > 0 {
		t.Errorf("with the gate shut %d were read", got)
	}
}

func TestEveryDatagramOfAFloodIsCountedOnce(t *testing.T) {
	f, at := running(t), freePort(t, "127.0.0.1")
	f.Set(byAddress())
	f.Listen([]netip.AddrPort{at})
	rnd, sent := rand.New(rand.NewPCG(3, 4)), uint64(0)
	flood := func(n int) {
		conn := dial(t, at) // another socket takes it
		for range n {
			in := request()
			switch rnd.IntN(4) {
			case 0:
				in[19] = ike.FlagResponse
			case 1:
				in[18] = 35
			case 2:
				in = in[:rnd.IntN(len(in))]
			}
			if _, err := conn.Write(in); err == nil {
				sent++
			}
		}
	}
	counted := func() (n uint64) {
		for _, counts := range f.Endpoints()[at].Sockets {
			n += counts.Read() + counts.Lost()
		}
		return n
	}
	flood(30000)
	for range 5 { // what is in the queue when sockets close counts too
		f.Listen(nil)
		f.Listen([]netip.AddrPort{at})
		flood(3000)
	}
	eventually(t, "all are counted", func() bool { return counted() == sent })
}

// TestWhatTheKernelDropsIsCountedByItsReason plays a second of drops at two
// sockets, of which one has a filter.
func TestWhatTheKernelDropsIsCountedByItsReason(t *testing.T) {
	var plain, filtering socket
	plain.counts, filtering.counts = new(Counters), new(Counters)
	filtering.gate.on = true
	left := UDPErrors{QueueFull: 100, BadChecksum: 10}
	plain.lost(60, &left)
	filtering.lost(1000, &left)
	plain.lost(5, &left) // read a moment after the reasons
	if got, want := plain.counts.values(), (Counts{QueueFull: 65}); got != want {
		t.Errorf("without a filter: want %v, got %v", want, got)
	}
	if got, want := filtering.counts.values(), (Counts{QueueFull: 40, BadChecksum: 10, Filtered: 950}); got != want {
		t.Errorf("with a filter: want %v, got %v", want, got)
	}
}

func TestTheGateOpensWhenTheFloodIsOver(t *testing.T) {
	at := freePort(t, "127.0.0.1")
	s, err := open(at, at, maxQueue, &New(Config{}, zerolog.Nop()).shared, new(Counters))
	if err != nil {
		t.Fatal(err)
	}
	defer s.conn.Close()
	_ = s.raw.Control(func(fd uintptr) { s.gate.shut(int(fd)) })
	now := time.Now()
	for _, step := range []struct {
		at           time.Duration
		filtered     uint64
		shut, turned bool
	}{
		{0, 1000, true, true}, {5 * time.Second, gateAbove + 1, true, false}, {gateCalm + 4*time.Second, gateAbove, true, false},
		{gateCalm + 5*time.Second, 0, false, true}, {gateCalm + 6*time.Second, 0, false, false},
	} {
		turned, err := s.gate.turn(step.filtered, now.Add(step.at))
		if err != nil || turned != step.turned || s.gate.shutNow() != step.shut {
			t.Errorf("after %v: want shut %v, turned %v, got %v, %v, %v", step.at, step.shut, step.turned, s.gate.shutNow(), turned, err)
		}
	}
}

func TestAGateThatCantBeShutSaysSoOnce(t *testing.T) {
	var g gate
	g.program = make([]bpf.RawInstruction, 1) // no program of the kernel's
	g.shut(-1)
	if _, err := g.turn(0, time.Now()); err == nil || g.shutNow() {
		t.Errorf("want an error and the gate open, got %v", err)
	}
}
