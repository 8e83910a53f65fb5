package ikefront

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// TestAStepAllocatesNothing: from the kernel's queue to the kernel's queue, with
// every kind of answer and of silence, and an answer too many.
func TestAStepAllocatesNothing(t *testing.T) {
	at := freePort(t, "127.0.0.1")
	f := New(Config{SourceLimit: 100, ReplyLimit: 1000000, ErrorLimit: 100, CookieSecret: secret, Refuse: true}, zerolog.Nop())
	f.Set(byAddress())
	s, err := open(at, at, maxQueue, &f.shared, new(Counters))
	if err != nil {
		t.Fatal(err)
	}
	defer s.conn.Close()
	conn := dial(t, at)
	var all [][]byte
	for _, d := range datagrams() {
		all = append(all, d.in)
	}
	_ = s.raw.Control(func(fd uintptr) {
		step := func() {
			for _, in := range all {
				conn.Write(in)
			}
			for range 2 { // it takes more than a batch, and then nothing is there
				if _, err := s.step(int(fd)); err != nil {
					panic(err)
				}
			}
		}
		if got := testing.AllocsPerRun(200, step); got != 0 {
			t.Errorf("want 0 allocations, got %v", got)
		}
	})
	if counts := s.counts.values(); counts[Redirected] == 0 || counts[Response] == 0 || counts[SourceLimited] == 0 || counts[CookieSent] == 0 {
		t.Errorf("not all was tried: %v", counts)
	}
}

// TestAForgedBroadcastAddressIsNotAnswered: Linux refuses to send there from a
// socket without SO_BROADCAST.
func TestAForgedBroadcastAddressIsNotAnswered(t *testing.T) {
	at := freePort(t, "127.0.0.1")
	s, err := open(at, at, maxQueue, &New(Config{}, zerolog.Nop()).shared, new(Counters))
	if err != nil {
		t.Fatal(err)
	}
	defer s.conn.Close()
	_, err = s.conn.WriteToUDPAddrPort([]byte("x"), netip.MustParseAddrPort("127.255.255.255:500"))
	if !errors.Is(err, unix.EACCES) {
		t.Errorf("want %v, got %v", unix.EACCES, err)
	}
}

func TestManyEndpointsShareTheMemoryOfTheirQueues(t *testing.T) {
	for endpoints, want := range map[int]int{0: maxQueue, 4: maxQueue, 8: maxQueue / 2, 16: maxQueue / 4, 128: minQueue} {
		if got := queueFor(endpoints); got != want {
			t.Errorf("%d endpoints: want %d, got %d", endpoints, want, got)
		}
	}
}
