package ikefront

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"github.com/anycastd/anycastd/ikefront/ike"
)

// limited returns the rules of a front with these limits.
func limited(cfg Config) *rules {
	f := New(cfg, zerolog.Nop())
	f.Set(byAddress())
	r := f.shared.rules(netip.MustParseAddr("203.0.113.1"))
	r.now = 0
	return &r
}

// tally counts what becomes of in, sent n times a second for some seconds.
func tally(by *rules, in []byte, src func(i int) netip.AddrPort, n, seconds int) map[Disposition]int {
	counts := map[Disposition]int{}
	for i := range n * seconds {
		_, d := answer(nil, in, src(i), false, by)
		counts[d]++
		by.now += time.Second / time.Duration(n)
	}
	return counts
}

func same(i int) netip.AddrPort { return client }

func TestASourceGetsItsShareOfAnswersAndABurst(t *testing.T) {
	by := limited(Config{SourceLimit: 100, Cookie: CookieNever})
	counts := tally(by, request(), same, 1000, 10)
	if got := counts[Redirected]; got < 1000 || got > 1300 || counts[SourceLimited] != 10000-got {
		t.Errorf("100/s for 10 s: want 1000 and a burst of 200, got %v", counts)
	}
	if _, d := answer(nil, request(), netip.MustParseAddrPort("192.0.2.8:500"), false, by); d != Redirected {
		t.Errorf("another source: want %s, got %s", Redirected, d)
	}
}

func TestAnIPv6SiteIsOneSource(t *testing.T) {
	by := limited(Config{SourceLimit: 100, Cookie: CookieNever})
	inSite := func(i int) netip.AddrPort {
		a := netip.MustParseAddr("2001:db8:0:ab00::").As16()
		binary.BigEndian.PutUint64(a[8:], uint64(i))
		a[7] = byte(i)
		return netip.AddrPortFrom(netip.AddrFrom16(a), 500)
	}
	if counts := tally(by, request(), inSite, 1000, 10); counts[Redirected] > 1300 {
		t.Errorf("a /56 at 100/s for 10 s: got %v", counts)
	}
	if _, d := answer(nil, request(), netip.MustParseAddrPort("[2001:db8:0:ac00::1]:500"), false, by); d != Redirected {
		t.Errorf("the next /56: want %s, got %s", Redirected, d)
	}
}

// TestWhoForgesAnAddressCantUseUpWhatItsOwnerGets: beside 10,000 requests/s in
// its name, the owner of an address soon gets a cookie, and with that all it asks for.
func TestWhoForgesAnAddressCantUseUpWhatItsOwnerGets(t *testing.T) {
	by, owner := limited(Config{SourceLimit: 1000, CookieSecret: secret}), hello()
	tries, redirected := 0, 0
	for i := range 100_000 {
		forged := hello()
		forged.SPIi = uint64(i + 10)
		answer(nil, forged.Append(nil), client, false, by)
		by.now += 100 * time.Microsecond
		if i < 50_000 || i%997 != 0 { // the burst is used up; then ten a second
			continue
		}
		tries++
		reply, d := answer(nil, owner.Append(nil), client, false, by)
		switch d {
		case CookieSent:
			r, err := ike.ParseResponse(reply, owner.SPIi)
			if err != nil {
				t.Fatal(err)
			}
			owner.Cookie = bytes.Clone(r.Notifies[0].Data)
		case Redirected:
			redirected++
		}
	}
	if owner.Cookie == nil || redirected < tries/2 {
		t.Errorf("want a cookie and then each try answered, got %d of %d", redirected, tries)
	}
}

func TestWhatTheNodeAsksItselfIsAlwaysAnswered(t *testing.T) {
	by := limited(Config{ErrorLimit: 10})
	probe, self := ike.AppendAliveProbe(nil, 1), netip.AddrPortFrom(netip.MustParseAddr("203.0.113.1"), 40000)
	flood := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 500)
	}
	tally(by, probe, flood, 10000, 1)
	for range 100 {
		if _, d := answer(nil, probe, self, false, by); d != VersionAnswered {
			t.Fatalf("want %s, got %s", VersionAnswered, d)
		}
	}
}

func TestErrorNotifiesHaveALowerLimitOfTheirOwn(t *testing.T) {
	many := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 500)
	}
	critical := append(request()[:16:16], request()[16:]...)
	critical[16], critical[ike.HeaderLen+1] = 200, 0x80
	for name, tc := range map[string]struct {
		in           []byte
		told, silent Disposition
	}{
		"INVALID_MAJOR_VERSION":        {ike.AppendAliveProbe(nil, 1), VersionAnswered, NewVersion},
		"UNSUPPORTED_CRITICAL_PAYLOAD": {critical, CriticalAnswered, CriticalPayload},
		"INVALID_SYNTAX":               {change(31, 0), SyntaxAnswered, Malformed},
	} {
		counts := tally(limited(Config{ErrorLimit: 50}), tc.in, many, 1000, 10)
		if got := counts[tc.told]; got < 500 || got > 600 || counts[tc.silent] != 10000-got {
			t.Errorf("%s at 50/s for 10 s: want 500 and a burst of 50, got %v", name, counts)
		}
		counts = tally(limited(Config{}), tc.in, same, 1000, 10)
		if got := counts[tc.told]; got < 100 || got > 120 {
			t.Errorf("%s to one source for 10 s: want 100 and a burst of 10, got %v", name, counts)
		}
	}
}

func TestErrorNotifiesSayWhatIsWrong(t *testing.T) {
	critical := change(16, 200)
	critical[ike.HeaderLen+1] = 0x80
	for name, tc := range map[string]struct {
		in   []byte
		want ike.NotifyType
		data string
	}{
		"version 3":                {ike.AppendAliveProbe(nil, 0x1122334455667788), ike.InvalidMajorVersion, ""},
		"unknown critical payload": {critical, ike.UnsupportedCriticalPayload, "\xC8"},
		"no nonce":                 {change(16, 43), ike.InvalidSyntax, ""},
	} {
		reply, _ := answer(nil, tc.in, client, false, by(byAddress()))
		r, err := ike.ParseResponse(reply, 0x1122334455667788)
		if err != nil || len(r.Payloads) != 1 || len(r.Notifies) != 1 {
			t.Errorf("%s: want one notify, got %+v, %v", name, r, err)
			continue
		}
		if n := r.Notifies[0]; n.Type != tc.want || string(n.Data) != tc.data || r.SPIr != 0 || r.Version != ike.Version || r.MessageID != 0 {
			t.Errorf("%s: want %s with %q, got %s with %q in %+v", name, tc.want, tc.data, n.Type, n.Data, r.Header)
		}
	}
}

func TestAnswersInAllHaveALimit(t *testing.T) {
	var b bucket
	r := perSecond(1000, totalBurst)
	got := 0
	for i := range 1000 { // batches of 32, each ms
		got += b.take(32, time.Duration(i)*time.Millisecond, r)
	}
	if got < 1000 || got > 1101 {
		t.Errorf("1000/s for a second: want 1000 and a burst of 100, got %d", got)
	}
	if got := b.take(32, time.Second, rate{}); got != 32 {
		t.Errorf("without a limit: want 32, got %d", got)
	}
}

func TestProperty_a_bucket_never_gives_more_than_its_rate_and_burst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := perSecond(rapid.IntRange(1, 2_000_000).Draw(t, "per second"), time.Duration(rapid.Int64Range(0, 5e9).Draw(t, "burst")))
		var b bucket
		var now time.Duration
		got := 0
		for range rapid.IntRange(1, 200).Draw(t, "takes") {
			now += time.Duration(rapid.Int64Range(0, 1e8).Draw(t, "pause"))
			n := rapid.IntRange(0, 64).Draw(t, "wanted")
			took := b.take(n, now, r)
			if took < 0 || took > n {
				t.Fatalf("wanted %d, got %d", n, took)
			}
			got += took
		}
		if most := int((now + r.burst) / r.every); got > most {
			t.Fatalf("want at most %d in %v, got %d", most, now, got)
		}
	})
}

// TestTenMillionSourcesCostNoMemory: what is kept about sources does not grow.
func TestTenMillionSourcesCostNoMemory(t *testing.T) {
	by := limited(Config{SourceLimit: 1000, ReplyLimit: 1000000, ErrorLimit: 100})
	by.cookies = newCookies(&Config{CookieSecret: secret}, noon, true)
	h := hello()
	h.Cookie = []byte("wrong")
	requests := [][]byte{request(), h.Append(nil), ike.AppendAliveProbe(nil, 1)}
	out := make([]byte, 0, replyLen)
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i := range 10_000_000 {
		src := netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
		answer(out, requests[i%len(requests)], netip.AddrPortFrom(src, 500), false, by)
		by.now += time.Microsecond
	}
	if after := heap(); after > before+before/20 {
		t.Errorf("want at most 5 %% more, got %d octets after %d", after, before)
	}
}
