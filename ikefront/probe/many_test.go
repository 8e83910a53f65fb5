package probe

import (
	"net"
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// crowd returns targets at the nth addresses from gateway.
func crowd(n int) (all []Target) {
	for i := range n {
		all = append(all, second(i, 3))
	}
	return all
}

func TestNewTargetsAreAskedInBursts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &air{answers: after(0)} // which wakes the Prober at once
		p := a.watch(t, crowd(10*burst)...)
		start := time.Now()
		time.Sleep(10 * pace)
		synctest.Wait()
		if len(a.states) != 10*burst {
			t.Errorf("want %d targets up, got %d and %+v", 10*burst, len(a.states), p.Counts())
		}
		for i, at := range a.sent {
			if want := time.Duration(i/burst) * pace; at.Sub(start) != want {
				t.Fatalf("want probe %d sent after %v, got %v", i, want, at.Sub(start))
			}
		}
	})
}

// respondForAll answers for each address of 127/8 on one port, as that address.
func respondForAll(t *testing.T) (port uint16) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetReadBuffer(buffer)
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_PKTINFO, 1) }); err != nil {
		t.Fatal(err)
	}
	go func() {
		in, info := make([]byte, 2048), make([]byte, 256)
		for {
			n, k, _, from, err := conn.ReadMsgUDPAddrPort(in, info)
			if err != nil {
				return
			}
			conn.WriteMsgUDPAddrPort(accept(in[:n]), info[:k], from) // what says where it came in says from where it goes
		}
	}()
	return netip.MustParseAddrPort(conn.LocalAddr().String()).Port()
}

func TestThousandsOfTargetsNeedNoMoreGoroutines(t *testing.T) {
	port := respondForAll(t)
	targets := crowd(5000)
	for i := range targets {
		at := netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)})
		targets[i] = Target{Addr: netip.AddrPortFrom(at, port), Kind: Init, Every: 5 * time.Second, Timeout: 5 * time.Second, Rise: 1, Fall: 10}
	}
	p, changes := watch(t, targets[0])
	next(t, changes, Up)
	before := runtime.NumGoroutine()
	p.Set(targets)
	for range targets[1:] {
		next(t, changes, Up)
	}
	if got := runtime.NumGoroutine(); got > before {
		t.Errorf("want %d goroutines, got %d", before, got)
	}
	if c := p.Counts(); c.Strange != 0 || c.Answered < 5000 {
		t.Errorf("want every answer taken, got %+v", c)
	} else {
		t.Logf("%+v", c)
	}
}

// mirror is a wire that answers the last probe.
type mirror struct {
	out []byte
	to  netip.AddrPort
}

func (m *mirror) send(msg []byte, to netip.AddrPort) error {
	m.out, m.to = append(m.out[:0], msg...), to
	m.out[19] = 0x20 // a response
	return nil
}

func (m *mirror) receive(buf []byte) (n int, from netip.AddrPort, ok bool) {
	n = copy(buf, m.out)
	m.out = m.out[:0]
	return n, m.to, n > 0
}

// roundTrip returns what sends a probe and takes in its answer, of 10,000 targets.
func roundTrip(t testing.TB) func() {
	p := New(Config{}, zerolog.Nop())
	m := &mirror{}
	p.work.writer, p.work.v4 = newTestWriter(t), m
	p.Set(crowd(10000))
	trip := func() {
		p.send(p.queue[0])
		p.round(time.Time{})
	}
	for range 10000 { // all up, and the slices as long as they get
		trip()
		p.work.changed = p.work.changed[:0]
	}
	return trip
}

func TestAProbeAndItsAnswerAllocateNothing(t *testing.T) {
	if got := testing.AllocsPerRun(1000, roundTrip(t)); got != 0 {
		t.Errorf("want 0 allocations, got %v", got)
	}
}

func BenchmarkAProbeAndItsAnswer(b *testing.B) {
	trip := roundTrip(b)
	b.ReportAllocs()
	for b.Loop() {
		trip()
	}
}
