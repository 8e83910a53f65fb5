package probe

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/ikefront/ike"
)

// respond runs a responder on addr that answers each datagram with what reply
// returns, until the test ends.
func respond(t *testing.T, addr string, reply func(in []byte) []byte) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Skipf("no %s here: %v", addr, err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if out := reply(buf[:n]); out != nil {
				conn.WriteTo(out, from)
			}
		}
	}()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// redirect answers a request with a REDIRECT to gw.
func redirect(in []byte) []byte {
	r, err := ike.ParseRequest(in)
	if err != nil || !r.Supported {
		return nil
	}
	return ike.AppendRedirect(nil, &r, ike.GatewayID{FQDN: "gw"})
}

// notify answers a request with one notify.
func notify(n ike.NotifyType, data ...byte) func([]byte) []byte {
	return func(in []byte) []byte {
		h, _ := ike.ParseHeader(in)
		return ike.AppendNotify(nil, h, n, data)
	}
}

func ask(t *testing.T, q Query) *Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	a, err := Ask(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAskIsRedirected(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		at := respond(t, addr, redirect)
		a := ask(t, Query{Target: at})
		if !a.Redirected() || a.To.FQDN != "gw" || a.From != at || a.Tries < 1 || a.Received >= a.Sent {
			t.Errorf("%s: want a redirect to gw from %v, got %+v", addr, at, a)
		}
	}
}

func TestAskObeysACookie(t *testing.T) {
	a := ask(t, Query{Target: respond(t, "127.0.0.1:0", func(in []byte) []byte {
		if r, _ := ike.ParseRequest(in); string(r.Cookie) == "\x01\x02" {
			return redirect(in)
		}
		return notify(ike.Cookie, 1, 2)(in)
	})})
	if !a.Redirected() || a.Cookies != 1 {
		t.Errorf("want a redirect after one cookie, got %+v", a)
	}
	endless := ask(t, Query{Target: respond(t, "127.0.0.1:0", notify(ike.Cookie, 1))})
	if endless.Redirected() || endless.Cookies != maxCookies {
		t.Errorf("want it to end after %d cookies, got %+v", maxCookies, endless)
	}
}

func TestAskRetransmitsAndIgnoresWhatIsNotForIt(t *testing.T) {
	var n atomic.Int32
	a := ask(t, Query{Try: 20 * time.Millisecond, Target: respond(t, "127.0.0.1:0", func(in []byte) []byte {
		switch n.Add(1) {
		case 1:
			return nil
		case 2:
			out := redirect(in)
			out[0]++
			return out
		case 3:
			return []byte("junk")
		}
		return redirect(in)
	})})
	if !a.Redirected() || a.Tries < 4 {
		t.Errorf("want the fourth try answered, got %+v", a)
	}
}

func TestAskTellsARedirectWithAWrongNonce(t *testing.T) {
	a := ask(t, Query{Target: respond(t, "127.0.0.1:0", func(in []byte) []byte {
		out := redirect(in)
		out[len(out)-1]++
		return out
	})})
	if a.Redirected() || !a.NonceWrong {
		t.Errorf("want a wrong nonce, got %+v", a)
	}
}

func TestAskGivesUpWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	at := respond(t, "127.0.0.1:0", func([]byte) []byte { return nil })
	_, err := Ask(ctx, Query{Target: at})
	if err == nil || !strings.Contains(err.Error(), "no answer from "+at.String()) {
		t.Errorf("want no answer, got %v", err)
	}
}

func TestAskSaysOnlyWhatItIsTold(t *testing.T) {
	seen := make(chan ike.Request, 1)
	at := respond(t, "127.0.0.1:0", func(in []byte) []byte {
		r, _ := ike.ParseRequest(in)
		select {
		case seen <- r:
		default:
		}
		return notify(ike.NoProposalChosen)(in)
	})
	ask(t, Query{Target: at, Plain: true})
	if r := <-seen; r.Supported {
		t.Errorf("plain: want no support announced, got %+v", r)
	}
	from := netip.MustParseAddr("203.0.113.1")
	ask(t, Query{Target: at, From: from})
	if r := <-seen; r.From != from {
		t.Errorf("want %v as redirector, got %+v", from, r)
	}
}

// watch runs a Prober with one target and returns its changes.
func watch(t *testing.T, target Target) (*Prober, <-chan State) {
	t.Helper()
	changes := make(chan State, 100)
	p := New(Config{Notify: func(s State) { changes <- s }}, zerolog.Nop())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	p.Set([]Target{target})
	return p, changes
}

// next returns the next change, which must be to the given status.
func next(t *testing.T, changes <-chan State, want Status) State {
	t.Helper()
	select {
	case s := <-changes:
		if s.Status != want {
			t.Fatalf("want %s, got %+v", want, s)
		}
		return s
	case <-time.After(20 * time.Second):
		t.Fatalf("want %s, nothing changed", want)
	}
	return State{}
}

func TestTheFirstAnswerProvesANewTargetAlive(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(addr, func(t *testing.T) {
			var probes atomic.Int32
			at := respond(t, addr, func(in []byte) []byte {
				probes.Add(1)
				return notify(ike.InvalidMajorVersion)(in)
			})
			_, changes := watch(t, Target{Addr: at, Every: time.Minute, Timeout: 10 * time.Second, Rise: 2, Fall: 3})
			if s := next(t, changes, Up); !strings.HasPrefix(s.Reason, "answers INVALID_MAJOR_VERSION in ") {
				t.Errorf("reason: %q", s.Reason)
			}
			if got := probes.Load(); got != 1 {
				t.Errorf("want up after the first answer, got up after %d", got)
			}
		})
	}
}

func TestFallSilencesMakeDeadAndRiseAnswersAlive(t *testing.T) {
	var dead atomic.Bool
	at := respond(t, "127.0.0.1:0", func(in []byte) []byte {
		if dead.Load() {
			return nil
		}
		return notify(ike.NoProposalChosen)(in)
	})
	_, changes := watch(t, Target{Addr: at, Every: 20 * time.Millisecond, Timeout: 300 * time.Millisecond, Rise: 2, Fall: 3})
	next(t, changes, Up)
	dead.Store(true)
	if s := next(t, changes, Down); s.Reason != "no answer to 3 probes in a row" {
		t.Errorf("reason: %q", s.Reason)
	}
	dead.Store(false)
	next(t, changes, Up)
}

func TestATargetThatNeverAnswersIsDownAfterFall(t *testing.T) {
	at := respond(t, "127.0.0.1:0", func([]byte) []byte { return nil })
	p, changes := watch(t, Target{Addr: at, Every: 10 * time.Millisecond, Timeout: 10 * time.Millisecond, Rise: 1, Fall: 2})
	next(t, changes, Down)
	p.Set(nil)
	p.Set([]Target{{Addr: at, Every: 10 * time.Millisecond, Timeout: 10 * time.Millisecond, Rise: 1, Fall: 2}})
	next(t, changes, Down) // a target that was gone starts anew
}

func TestOnlyTheTargetItselfProvesItsLife(t *testing.T) {
	at := respond(t, "127.0.0.1:0", func(in []byte) []byte {
		out := notify(ike.InvalidMajorVersion)(in)
		out[7]++ // another SPI
		return out
	})
	_, changes := watch(t, Target{Addr: at, Every: 10 * time.Millisecond, Timeout: 10 * time.Millisecond, Rise: 1, Fall: 2})
	next(t, changes, Down)
}

func TestAnUnreachableTargetIsDownWithTheReason(t *testing.T) {
	at := netip.MustParseAddrPort("127.0.0.1:0") // the kernel sends nothing to port 0
	_, changes := watch(t, Target{Addr: at, Every: 10 * time.Millisecond, Timeout: 10 * time.Millisecond, Rise: 1, Fall: 2})
	if s := next(t, changes, Down); !strings.Contains(s.Reason, "invalid argument") {
		t.Errorf("want the kernel's reason, got %q", s.Reason)
	}
}
