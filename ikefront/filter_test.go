package ikefront

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/bpf"

	"github.com/anycastd/anycastd/ikefront/ike"
	"github.com/anycastd/anycastd/policy"
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
		want := !d.junk()
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
	deadline := time.Now().Add(20 * time.Second)
	for count(f, at, Filtered) == 0 {
		if time.Now().After(deadline) {
			t.Fatal("no datagram was filtered")
		}
		flood(conn, junk, 5000)
	}
	ask(t, dial(t, at), request())
	before := count(f, at, Response)
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
	conn, rnd, sent := dial(t, at), rand.New(rand.NewPCG(3, 4)), uint64(0)
	for range 30000 {
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
	deadline := time.Now().Add(20 * time.Second)
	for {
		var counted uint64
		for _, counts := range f.Counts()[at] {
			for _, n := range counts {
				counted += n
			}
		}
		if counted == sent {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d sent, %d counted: %v", sent, counted, f.Counts()[at])
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestTheGateOpensWhenTheFloodIsOver(t *testing.T) {
	f, at := running(t), freePort(t, "127.0.0.1")
	f.Set(&policy.Table{})
	f.Listen([]netip.AddrPort{at})
	f.mu.Lock()
	s := f.open[at][0]
	f.mu.Unlock()
	s.gate.with(func(fd int) { s.gate.on, s.gate.flood = attach(fd, s.gate.program) == nil, time.Now() })
	now := time.Now()
	for _, step := range []struct {
		at           time.Duration
		shut, turned bool
	}{{0, true, true}, {gateCalm / 2, true, false}, {gateCalm + time.Second, false, true}, {gateCalm + 2*time.Second, false, false}} {
		if shut, turned := s.gate.turn(now.Add(step.at)); shut != step.shut || turned != step.turned {
			t.Errorf("after %v: want shut %v, turned %v, got %v, %v", step.at, step.shut, step.turned, shut, turned)
		}
	}
}
