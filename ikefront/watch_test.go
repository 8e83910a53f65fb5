package ikefront

import (
	"net/netip"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/policy"
)

// await returns the next datagram that is seen.
func await(t *testing.T, seen <-chan Seen) Seen {
	t.Helper()
	select {
	case s := <-seen:
		return s
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was seen")
		return Seen{}
	}
}

func TestAWatcherSeesWhatBecomesOfDatagrams(t *testing.T) {
	f, at := running(t), freePort(t, "127.0.0.1")
	f.Set(byAddress())
	f.Listen([]netip.AddrPort{at})
	seen, stop := f.Watch(netip.MustParsePrefix("127.0.0.0/8"), 1000)
	nothing, stopOther := f.Watch(netip.MustParsePrefix("192.0.2.0/24"), 1000)
	defer stopOther()
	conn := dial(t, at)
	ask(t, conn, request())
	s := await(t, seen)
	want := policy.Target{Gateway: "gw", Addr: gateway4, Other: gateway6}
	if s.Endpoint != at || s.Disposition != Redirected || s.Target != want || s.Request.SPIi != 0x1122334455667788 || s.Octets != len(request()) ||
		s.Source.String() != conn.LocalAddr().String() || s.Time.IsZero() {
		t.Errorf("got %+v", s)
	}
	conn.Write(change(19, 0x20))
	for s.Disposition == Redirected { // ask may have sent more than one
		s = await(t, seen)
	}
	if s.Disposition != Response || s.Target != (policy.Target{}) {
		t.Errorf("want a %s, got %+v", Response, s)
	}
	stop()
	ask(t, conn, request())
	if len(seen) > 0 || len(nothing) > 0 {
		t.Error("seen without watching, or from another prefix")
	}
}

func TestAWatcherSeesASampleAndHoldsNobodyUp(t *testing.T) {
	f := New(Config{}, zerolog.Nop())
	seen, stop := f.Watch(netip.MustParsePrefix("0.0.0.0/0"), 10)
	defer stop()
	w, s := (*f.shared.watchers.Load())[0], &socket{at: client}
	rules := f.shared.rules(client.Addr())
	for range 1000 {
		w.see(s, request(), client, Response, &rules)
	}
	if got := len(seen); got != 10 {
		t.Errorf("want 10 in an instant at 10/s, got %d", got)
	}
	for range 10000 { // nobody reads
		rules.now += time.Second
		w.see(s, request(), client, Response, &rules)
	}
	if got := len(seen); got != watchBuffer {
		t.Errorf("want %d, and the rest missed, got %d", watchBuffer, got)
	}
}

func TestAWatcherSeesWhatWasNotSentAfterAll(t *testing.T) {
	f := New(Config{Sockets: 1, ReplyLimit: 1}, zerolog.Nop())
	at := freePort(t, "127.0.0.1")
	f.Set(byAddress())
	f.Listen([]netip.AddrPort{at})
	defer f.Listen(nil)
	seen, stop := f.Watch(netip.Prefix{}, 1000)
	defer stop()
	conn := dial(t, at)
	ask(t, conn, request())
	conn.Write(request())
	for range 2 {
		if s := await(t, seen); s.Disposition == TotalLimited {
			return
		}
	}
	t.Error("want one redirected, and one over the limit")
}
