package ike

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// addVectors adds the messages of real peers, with the initiator's SPI that
// FuzzParseResponse asks for.
func addVectors(f *testing.F, folder string) {
	for _, datagram := range vectors(f, folder) {
		message, _ := unmark(datagram)
		binary.BigEndian.PutUint64(message, 1)
		f.Add(message)
	}
}

// FuzzParseRequest: whatever comes, ParseRequest returns; a request that it
// takes gets a REDIRECT that its client would follow.
func FuzzParseRequest(f *testing.F) {
	f.Add(request().Append(nil))
	f.Add(Init{SPIi: 1, Nonce: nonce(16), KE: nonce(8), Cookie: nonce(64), Supported: true}.Append(nil))
	f.Add(AppendAliveProbe(nil, 1))
	f.Add([]byte{})
	addVectors(f, "requests")
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := ParseRequest(in)
		if err != nil {
			return
		}
		if len(r.Nonce) < MinNonce || len(r.Nonce) > MaxNonce || r.SPIi == 0 {
			t.Fatalf("took a request that no client sends: %+v", r)
		}
		to := GatewayID{FQDN: "gw1.example.net"}
		out := AppendRedirect(nil, &r, to)
		if len(out) != RedirectSize(&r, to) {
			t.Fatalf("RedirectSize says %d, the response has %d octets", RedirectSize(&r, to), len(out))
		}
		resp, err := ParseResponse(out, r.SPIi)
		if err != nil {
			t.Fatal(err)
		}
		got, echoed, ok := resp.Redirect()
		if !ok || got != to || !bytes.Equal(echoed, r.Nonce) {
			t.Fatalf("want %v and nonce %x, got %v, %x, %v", to, r.Nonce, got, echoed, ok)
		}
	})
}

// FuzzInit: parse → append → parse. What Append writes from a parsed request,
// ParseRequest reads as the same request.
func FuzzInit(f *testing.F) {
	f.Add(request().Append(nil))
	f.Add(Init{SPIi: 1, Nonce: nonce(16), KE: nonce(8), Cookie: nonce(64), Supported: true}.Append(nil))
	f.Add(Init{SPIi: 1, Nonce: nonce(16), KE: nonce(8), Unacceptable: true}.Append(nil))
	addVectors(f, "requests")
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := ParseRequest(in)
		if err != nil {
			return
		}
		again := Init{SPIi: r.SPIi, Nonce: r.Nonce, KE: nonce(32), Cookie: r.Cookie, Unacceptable: len(in)%2 == 0, Supported: r.Supported, From: r.From}.Append(nil)
		got, err := ParseRequest(again)
		if err != nil {
			t.Fatalf("own request refused: %v", err)
		}
		if got.SPIi != r.SPIi || got.Supported != r.Supported || got.From != r.From ||
			!bytes.Equal(got.Nonce, r.Nonce) || !bytes.Equal(got.Cookie, r.Cookie) {
			t.Fatalf("want %+v, got %+v", r, got)
		}
	})
}

// FuzzParseResponse: whatever comes, ParseResponse returns, and a redirect
// that it finds survives being written again.
func FuzzParseResponse(f *testing.F) {
	r := &Request{SPIi: 1, Nonce: nonce(16)}
	f.Add(AppendRedirect(nil, r, GatewayID{FQDN: "gw"}))
	h, _ := ParseHeader(request().Append(nil))
	h.SPIi = 1
	f.Add(AppendNotify(nil, h, Cookie, nonce(20)))
	addVectors(f, "responses")
	f.Fuzz(func(t *testing.T, in []byte) {
		resp, err := ParseResponse(in, 1)
		if err != nil {
			return
		}
		to, echoed, ok := resp.Redirect()
		if !ok {
			return
		}
		again, err := ParseResponse(AppendRedirect(nil, &Request{SPIi: 1, Nonce: echoed}, to), 1)
		if err != nil {
			t.Fatal(err)
		}
		if got, n, ok := again.Redirect(); !ok || got != to || !bytes.Equal(n, echoed) {
			t.Fatalf("want %v and %x, got %v, %x, %v", to, echoed, got, n, ok)
		}
	})
}
