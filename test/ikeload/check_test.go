package main

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/anycastd/anycastd/ikefront/ike"
)

// testAsked is a request, and good the redirect that answers it.
func testAsked() (a asked, good []byte) {
	a = asked{0x1122334455667788, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddrPort("203.0.113.1:500"), 336}
	nonce := nonceOf(a.spi)
	r := ike.Request{SPIi: a.spi, Nonce: nonce[:]}
	return a, ike.AppendRedirect(nil, &r, ike.GatewayID{Addr: netip.MustParseAddr("198.51.100.1")})
}

// notifies returns a response with one notify.
func notifies(a asked, t ike.NotifyType, data []byte) []byte {
	return ike.AppendNotify(nil, ike.Header{SPIi: a.spi, Exchange: ike.ExchangeInit, Flags: ike.FlagInitiator}, t, data)
}

func TestEveryFaultOfAnAnswerIsSeen(t *testing.T) {
	a, good := testAsked()
	nonce := nonceOf(a.spi)
	set := func(at int, to ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at:], to)
		return b
	}
	redirect := func(id ...byte) []byte { return notifies(a, ike.Redirect, append(id, nonce[:]...)) }
	for _, c := range []struct {
		name   string
		answer []byte
		want   verdict
	}{
		{"a redirect", good, redirected},
		{"a redirect by IPv6", redirect(append([]byte{2, 16}, make([]byte, 16)...)...), redirected},
		{"a redirect by name", redirect(3, 1, 'a'), redirected},
		{"a cookie", notifies(a, ike.Cookie, []byte("c")), cookied},
		{"a cookie without data", notifies(a, ike.Cookie, nil), wrongCookie},
		{"a cookie of 65 octets", notifies(a, ike.Cookie, make([]byte, 65)), wrongCookie},
		{"half a header", good[:27], tooShort},
		{"a header alone", set(27, 28)[:28], wrongPayloads},
		{"another initiator SPI", set(7, 0), wrongHeader},
		{"a responder SPI", set(15, 1), responderSPI},
		{"another first payload", set(16, 40), wrongHeader},
		{"major version 1", set(17, 0x10), wrongHeader},
		{"another exchange", set(18, 35), wrongHeader},
		{"a request", set(19, 0x08), wrongHeader},
		{"a message id", set(23, 1), wrongHeader},
		{"too great a length", set(27, 75), wrongHeader},
		{"an octet too much", append(bytes.Clone(good), 0), wrongHeader},
		{"a second payload", set(28, 41), wrongPayloads},
		{"a payload that ends early", set(31, 45), wrongPayloads},
		{"a protocol", set(32, 1), wrongNotify},
		{"an SPI of 4 octets", set(33, 4), wrongNotify},
		{"a refusal", notifies(a, ike.NoProposalChosen, nil), wrongNotify},
		{"a redirect to nowhere", notifies(a, ike.Redirect, nil), wrongGateway},
		{"an IPv4 gateway of 5 octets", redirect(1, 5, 1, 2, 3, 4, 5), wrongGateway},
		{"an unknown identity type", redirect(4, 1, 0), wrongGateway},
		{"an identity that ends late", notifies(a, ike.Redirect, []byte{3, 200, 'a'}), wrongGateway},
		{"another nonce", set(73, ^good[73]), wrongNonce},
		{"no nonce", notifies(a, ike.Redirect, []byte{1, 4, 198, 51, 100, 1}), wrongNonce},
		{"half the nonce", notifies(a, ike.Redirect, append([]byte{1, 4, 198, 51, 100, 1}, nonce[:16]...)), wrongNonce},
		{"more than the request", notifies(a, ike.Redirect, make([]byte, 301)), longer},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, _ := a.check(c.answer, a.target, a.source); got != c.want {
				t.Errorf("want %s, got %s", c.want, got)
			}
		})
	}
	if got, cookie := a.check(notifies(a, ike.Cookie, []byte("c")), a.target, a.source); got != cookied || string(cookie) != "c" {
		t.Errorf("want the cookie, got %s, %q", got, cookie)
	}
	for _, from := range []string{"203.0.113.2:500", "203.0.113.1:501"} {
		if got, _ := a.check(good, netip.MustParseAddrPort(from), a.source); got != wrongSource {
			t.Errorf("from %s: got %s", from, got)
		}
	}
	if got, _ := a.check(good, a.target, netip.MustParseAddr("192.0.2.2")); got != wrongReceiver {
		t.Errorf("to another: got %s", got)
	}
}

func TestAnEchoIsTheRequestsBeginning(t *testing.T) {
	a, good := testAsked()
	m := initRequest(nil, true)
	request := m.append(nil, a.spi)
	changed := bytes.Clone(request[:74])
	changed[40]++
	for _, c := range []struct {
		name   string
		answer []byte
		want   verdict
	}{
		{"74 octets", request[:74], redirected},
		{"27 octets", request[:27], tooShort},
		{"up to the nonce", request[:m.nonce], redirected},
		{"all of it", request, longer},
		{"one octet changed", changed, notTheEcho},
		{"a redirect", good, notTheEcho},
	} {
		if got := a.checkEcho(c.answer, a.target, a.source, &m); got != c.want {
			t.Errorf("%s: want %s, got %s", c.name, c.want, got)
		}
	}
	if a.checkEcho(request[:74], netip.AddrPort{}, a.source, &m) != wrongSource || a.checkEcho(request[:74], a.target, netip.Addr{}, &m) != wrongReceiver {
		t.Error("the addresses are not looked at")
	}
}

// FuzzCheck holds what is taken for a redirect against the codec.
func FuzzCheck(f *testing.F) {
	a, good := testAsked()
	f.Add(good)
	f.Add(notifies(a, ike.Cookie, []byte("c")))
	f.Fuzz(func(t *testing.T, answer []byte) {
		v, cookie := a.check(answer, a.target, a.source)
		if v != redirected && v != cookied {
			return
		}
		r, err := ike.ParseResponse(answer, a.spi)
		if err != nil || len(r.Notifies) != 1 {
			t.Fatalf("%s: %+v, %v", v, r, err)
		}
		nonce := nonceOf(a.spi)
		if _, got, ok := r.Redirect(); v == redirected && (!ok || !bytes.Equal(got, nonce[:])) {
			t.Errorf("nonce %x, %v", got, ok)
		}
		if v == cookied && !bytes.Equal(cookie, r.Notifies[0].Data) {
			t.Errorf("cookie %x", cookie)
		}
	})
}
