package ikefront

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/ikefront/ike"
)

var (
	secret = bytes.Repeat([]byte{7}, CookieSecretLen)
	noon   = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
)

// demanding returns the rules of a front that asks everybody for cookies.
func demanding(secret []byte, now time.Time) *rules {
	f := New(Config{Cookie: CookieAlways, CookieSecret: secret}, zerolog.Nop())
	return &rules{table: byAddress(), cookies: newCookies(&Config{CookieSecret: secret}, now, true), limits: f.shared.limits}
}

// hello is a client's request as a value, to be changed and sent again.
func hello() ike.Init {
	return ike.Init{SPIi: 5, Nonce: bytes.Repeat([]byte{9}, 32), Group: 31, KE: bytes.Repeat([]byte{1}, 32), Supported: true}
}

// challenge returns the cookie that src is asked for.
func challenge(t *testing.T, h ike.Init, src netip.AddrPort, by *rules) []byte {
	t.Helper()
	reply, d := answer(nil, h.Append(nil), src, false, by)
	if d != CookieSent {
		t.Fatalf("want %s, got %s", CookieSent, d)
	}
	r, err := ike.ParseResponse(reply, h.SPIi)
	if err != nil || len(r.Payloads) != 1 || len(r.Notifies) != 1 || r.Notifies[0].Type != ike.Cookie || r.SPIr != 0 {
		t.Fatalf("want one COOKIE, got %+v, %v", r, err)
	}
	return r.Notifies[0].Data
}

func TestAClientThatReturnsItsCookieIsRedirected(t *testing.T) {
	by, h := demanding(secret, noon), hello()
	h.Cookie = challenge(t, h, client, by)
	if _, d := answer(nil, h.Append(nil), client, false, by); d != Redirected {
		t.Errorf("want %s, got %s", Redirected, d)
	}
	moved := netip.AddrPortFrom(client.Addr(), 40000)
	if _, d := answer(nil, h.Append(nil), moved, false, by); d != Redirected {
		t.Errorf("from another port: want %s, got %s", Redirected, d)
	}
}

func TestACookieIsGoodOnEveryNodeWithTheSecretForAnEpochMore(t *testing.T) {
	h := hello()
	h.Cookie = challenge(t, h, client, demanding(secret, noon))
	for name, tc := range map[string]struct {
		secret []byte
		at     time.Time
		want   Disposition
	}{
		"at once, on a sibling":           {secret, noon, Redirected},
		"an epoch later":                  {secret, noon.Add(cookieEpoch), Redirected},
		"two epochs later":                {secret, noon.Add(2 * cookieEpoch), CookieSent},
		"on a sibling whose clock is off": {secret, noon.Add(-30 * time.Second), Redirected},
		"with another secret":             {bytes.Repeat([]byte{8}, CookieSecretLen), noon, CookieSent},
	} {
		if _, got := answer(nil, h.Append(nil), client, false, demanding(tc.secret, tc.at)); got != tc.want {
			t.Errorf("%s: want %s, got %s", name, tc.want, got)
		}
	}
}

func TestACookieIsBoundToNonceSourceAndSPI(t *testing.T) {
	by := demanding(secret, noon)
	good := hello()
	good.Cookie = challenge(t, good, client, by)
	for name, change := range map[string]func(*ike.Init, *netip.AddrPort){
		"another nonce":   func(h *ike.Init, _ *netip.AddrPort) { h.Nonce = bytes.Repeat([]byte{8}, 32) },
		"another SPI":     func(h *ike.Init, _ *netip.AddrPort) { h.SPIi++ },
		"another address": func(_ *ike.Init, src *netip.AddrPort) { *src = netip.MustParseAddrPort("192.0.2.8:500") },
		"a forged cookie": func(h *ike.Init, _ *netip.AddrPort) { h.Cookie[3]++ },
		"a short cookie":  func(h *ike.Init, _ *netip.AddrPort) { h.Cookie = h.Cookie[:8] },
	} {
		h, src := good, client
		h.Cookie = bytes.Clone(good.Cookie)
		change(&h, &src)
		if _, got := answer(nil, h.Append(nil), src, false, demanding(secret, noon)); got != CookieSent {
			t.Errorf("%s: want a new %s, got %s", name, CookieSent, got)
		}
	}
}

func TestAWrongCookieGetsOneNewOneAndThenSilenceForAWhile(t *testing.T) {
	by, h := demanding(secret, noon), hello()
	h.Cookie = []byte("a cookie of another node")
	in := h.Append(nil)
	counts := map[Disposition]int{}
	for range 1000 {
		_, d := answer(nil, in, client, false, by)
		counts[d]++
		by.now += time.Millisecond
	}
	if counts[CookieSent] != 4 || counts[CookieWrong] != 996 {
		t.Errorf("1000 requests in a second: want 4 cookies, got %v", counts)
	}
	if _, d := answer(nil, in, netip.MustParseAddrPort("192.0.2.99:500"), false, by); d != CookieSent {
		t.Errorf("another source: want %s, got %s", CookieSent, d)
	}
}

func TestACookieNotAskedForIsIgnored(t *testing.T) {
	h := hello()
	h.Cookie = []byte("whatever")
	if _, d := answer(nil, h.Append(nil), client, false, by(byAddress())); d != Redirected {
		t.Errorf("want %s, got %s", Redirected, d)
	}
}

func TestCookiesAreDemandedAboveTheRateUntilItHasCalmedDown(t *testing.T) {
	heat := thermostat{above: 1000}
	for i, step := range []struct {
		rate uint64
		want bool
	}{
		{900, false}, {1000, false}, {1001, true}, {900, true}, {400, true}, {400, true}, {600, true}, {400, true},
		{0, true}, {0, true}, {0, true}, {0, true}, {0, true}, {0, true}, {0, true}, {0, true}, {0, true}, {0, false}, {900, false}, {2000, true},
	} {
		if got := heat.feel(step.rate, noon.Add(time.Duration(i)*time.Second)); got != step.want {
			t.Errorf("second %d at %d/s: want %v, got %v", i, step.rate, step.want, got)
		}
	}
}

func TestAClientWithoutSupportIsRefusedIfSoConfiguredNowAndThen(t *testing.T) {
	h := hello()
	h.Supported = false
	rules := demanding(secret, noon)
	rules.refuse = true
	rules.limits.refusals = newBuckets(rate{refusalPause, refusalPause}, 128)
	reply, d := answer(nil, h.Append(nil), client, false, rules)
	r, err := ike.ParseResponse(reply, h.SPIi)
	if d != Refused || err != nil || len(r.Notifies) != 1 || r.Notifies[0].Type != ike.NoProposalChosen || r.SPIr != 0 {
		t.Errorf("want NO_PROPOSAL_CHOSEN alone, got %s, %+v, %v", d, r, err)
	}
	if _, d := answer(nil, h.Append(nil), client, false, rules); d != NoSupport {
		t.Errorf("again at once: want %s, got %s", NoSupport, d)
	}
	rules.now += refusalPause
	if _, d := answer(nil, h.Append(nil), client, false, rules); d != Refused {
		t.Errorf("after the pause: want %s, got %s", Refused, d)
	}
}

func TestCookiesAllocateNothing(t *testing.T) {
	rules, h, out := demanding(secret, noon), hello(), make([]byte, 0, replyLen)
	ask := h.Append(nil)
	h.Cookie = challenge(t, h, client, rules)
	bring := h.Append(nil)
	if got := testing.AllocsPerRun(1000, func() {
		answer(out, ask, client, false, rules)
		answer(out, bring, client, false, rules)
	}); got != 0 {
		t.Errorf("want 0 allocations, got %v", got)
	}
}

func BenchmarkCookie(b *testing.B) {
	rules, out := demanding(secret, noon), make([]byte, 0, replyLen)
	in := hello().Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		answer(out, in, client, false, rules)
	}
}
