package probe

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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
