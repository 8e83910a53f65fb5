package ike

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// octets draws min to max octets.
func octets(min, max int) *rapid.Generator[[]byte] { return rapid.SliceOfN(rapid.Byte(), min, max) }

// addresses draws an IPv4 or IPv6 address.
func addresses() *rapid.Generator[netip.Addr] {
	return rapid.Custom(func(t *rapid.T) netip.Addr {
		a, _ := netip.AddrFromSlice(octets(4, 4).Draw(t, "IPv4"))
		if rapid.Bool().Draw(t, "is IPv6") {
			a, _ = netip.AddrFromSlice(octets(16, 16).Draw(t, "IPv6"))
		}
		return a
	})
}

// gatewayIDs draws what a REDIRECT can name.
func gatewayIDs() *rapid.Generator[GatewayID] {
	return rapid.Custom(func(t *rapid.T) GatewayID {
		if rapid.Bool().Draw(t, "by name") {
			return GatewayID{FQDN: string(octets(1, 255).Draw(t, "FQDN"))}
		}
		return GatewayID{Addr: addresses().Draw(t, "address")}
	})
}

// requests draws what ParseRequest may return.
func requests() *rapid.Generator[Request] {
	return rapid.Custom(func(t *rapid.T) Request {
		r := Request{SPIi: rapid.Uint64Min(1).Draw(t, "SPIi"), Nonce: octets(MinNonce, MaxNonce).Draw(t, "nonce")}
		if rapid.Bool().Draw(t, "has cookie") {
			r.Cookie = octets(1, 64).Draw(t, "cookie")
		}
		r.Supported = rapid.Bool().Draw(t, "REDIRECT_SUPPORTED")
		if rapid.Bool().Draw(t, "was redirected") {
			r.Supported, r.From = true, addresses().Draw(t, "by")
		}
		return r
	})
}

// piece is a payload of a request under construction.
type piece struct {
	kind  uint8
	flags uint8
	body  []byte
}

// notify returns a Notify payload with an SPI, which receivers must skip.
func notify(kind NotifyType, spi, data []byte) piece {
	body := binary.BigEndian.AppendUint16([]byte{0, uint8(len(spi))}, uint16(kind))
	return piece{kind: PayloadNotify, body: append(append(body, spi...), data...)}
}

// message chains pieces into an IKE_SA_INIT request.
func message(spi uint64, pieces []piece) []byte {
	next := func(i int) uint8 {
		if i < len(pieces) {
			return pieces[i].kind
		}
		return PayloadNone
	}
	b := Header{SPIi: spi, Next: next(0), Version: Version, Exchange: ExchangeInit, Flags: FlagInitiator}.Append(nil)
	for i, p := range pieces {
		b = append(b, next(i+1), p.flags)
		b = binary.BigEndian.AppendUint16(b, uint16(payloadHeaderLen+len(p.body)))
		b = append(b, p.body...)
	}
	setLength(b)
	return b
}

// pieces draws the payloads of a request that says r: in any order but for the
// cookie, which is first, and among others that a front-end must pass over.
func pieces(t *rapid.T, r Request) []piece {
	spi := octets(0, 8)
	all := []piece{
		{kind: PayloadSA, body: octets(0, 100).Draw(t, "SA")},
		{kind: PayloadKE, body: octets(5, 1200).Draw(t, "KE")},
		{kind: PayloadNonce, body: r.Nonce},
	}
	if r.From.IsValid() {
		all = append(all, notify(RedirectedFrom, spi.Draw(t, "SPI"), GatewayID{Addr: r.From}.append(nil)))
	} else if r.Supported {
		all = append(all, notify(RedirectSupported, spi.Draw(t, "SPI"), octets(0, 4).Draw(t, "data")))
	}
	for range rapid.IntRange(0, 20).Draw(t, "others") {
		other := piece{
			kind:  rapid.SampledFrom([]uint8{35, 36, 38, 42, 43, 47, 49, 54, 1, 32, 55, 128, 255}).Draw(t, "kind"),
			flags: rapid.Uint8Range(0, criticalBit-1).Draw(t, "reserved bits"), body: octets(0, 30).Draw(t, "body"),
		}
		if rapid.Bool().Draw(t, "a notify") {
			other = notify(NotifyType(rapid.Uint16Range(16408+1, 65535).Draw(t, "type")), spi.Draw(t, "SPI"), other.body)
		}
		all = append(all, other)
	}
	all = rapid.Permutation(all).Draw(t, "order")
	if r.Cookie != nil {
		all = append([]piece{notify(Cookie, nil, r.Cookie)}, all...)
	}
	return all
}

func TestProperty_a_request_is_read_whatever_the_order_of_its_payloads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := requests().Draw(t, "request")
		got, err := ParseRequest(message(want.SPIi, pieces(t, want)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, addrs, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("request (-want +got):\n%s", diff)
		}
	})
}

func TestProperty_an_unknown_critical_payload_is_named_wherever_it_stands(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := requests().Draw(t, "request")
		kind := rapid.OneOf(rapid.Uint8Range(1, firstKnownPayload-1), rapid.Uint8Range(lastKnownPayload+1, 255)).Draw(t, "kind")
		all := append(pieces(t, r), piece{kind: kind, flags: criticalBit})
		last := len(all) - 1
		at := rapid.IntRange(0, last).Draw(t, "place")
		all[at], all[last] = all[last], all[at]
		got, err := ParseRequest(message(r.SPIi, all))
		if err != Critical || got.Unknown != kind || got.SPIi != r.SPIi {
			t.Fatalf("want %q of type %d, got %v of %d", Critical, kind, err, got.Unknown)
		}
	})
}

func TestProperty_what_is_cut_off_is_never_taken_for_a_request(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := requests().Draw(t, "request")
		whole := message(r.SPIi, pieces(t, r))
		cut := whole[:rapid.IntRange(0, len(whole)-1).Draw(t, "octets left")]
		if _, err := ParseRequest(cut); err == nil {
			t.Fatal("taken though its header tells of more")
		}
		if len(cut) < HeaderLen {
			return
		}
		setLength(cut) // now the header agrees, and the payloads must not
		if _, err := ParseRequest(cut); err == nil && cut[16] != PayloadNone {
			t.Fatal("taken though its last payload is cut")
		}
	})
}

func TestProperty_a_redirect_survives_the_way_to_its_client(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, to := requests().Draw(t, "request"), gatewayIDs().Draw(t, "gateway")
		out := AppendRedirect([]byte("in front"), &r, to)[len("in front"):]
		if len(out) != RedirectSize(&r, to) {
			t.Fatalf("RedirectSize says %d, the response has %d octets", RedirectSize(&r, to), len(out))
		}
		resp, err := ParseResponse(out, r.SPIi)
		if err != nil {
			t.Fatal(err)
		}
		got, nonce, ok := resp.Redirect()
		if !ok || got != to || !bytes.Equal(nonce, r.Nonce) {
			t.Fatalf("want %v with the nonce, got %v, %x, %v", to, got, nonce, ok)
		}
	})
}

func TestProperty_a_header_survives_being_written(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Header{
			SPIi: rapid.Uint64().Draw(t, "SPIi"), SPIr: rapid.Uint64().Draw(t, "SPIr"), Next: rapid.Byte().Draw(t, "next"), Version: rapid.Byte().Draw(t, "version"),
			Exchange: rapid.Byte().Draw(t, "exchange"), Flags: rapid.Byte().Draw(t, "flags"), MessageID: rapid.Uint32().Draw(t, "id"), Length: rapid.Uint32().Draw(t, "length"),
		}
		if got, ok := ParseHeader(want.Append(nil)); !ok || got != want {
			t.Fatalf("want %+v, got %+v, %v", want, got, ok)
		}
	})
}

func TestProperty_an_error_notify_answers_its_request_and_no_other(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := Header{
			SPIi: rapid.Uint64().Draw(t, "SPIi"), SPIr: rapid.Uint64().Draw(t, "SPIr"), Version: Version,
			Exchange: rapid.Byte().Draw(t, "exchange"), Flags: rapid.SampledFrom([]uint8{0, FlagInitiator}).Draw(t, "flags"), MessageID: rapid.Uint32().Draw(t, "id"),
		}
		kind, data := NotifyType(rapid.Uint16().Draw(t, "type")), octets(0, 64).Draw(t, "data")
		out := AppendNotify(nil, h, kind, data)
		if len(out) != NotifySize(len(data)) {
			t.Fatalf("NotifySize says %d, the response has %d octets", NotifySize(len(data)), len(out))
		}
		resp, err := ParseResponse(out, h.SPIi)
		if err != nil {
			t.Fatal(err)
		}
		want := Header{
			SPIi: h.SPIi, SPIr: h.SPIr, Next: PayloadNotify, Version: Version, Exchange: h.Exchange,
			Flags: FlagResponse | ^h.Flags&FlagInitiator, MessageID: h.MessageID, Length: uint32(len(out)),
		}
		if resp.Header != want || len(resp.Notifies) != 1 || resp.Notifies[0].Type != kind || !bytes.Equal(resp.Notifies[0].Data, data) {
			t.Fatalf("want %+v with %v, got %+v", want, kind, resp)
		}
		if _, err := ParseResponse(out, h.SPIi+1); err != OtherSPI {
			t.Fatalf("for another SPI: want %q, got %v", OtherSPI, err)
		}
	})
}
