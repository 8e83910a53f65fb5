package main

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anycastd/anycastd/ikefront/ike"
)

// types returns the payload types of a message, in order.
func types(t *testing.T, m []byte) (kinds []uint8) {
	t.Helper()
	h, ok := ike.ParseHeader(m)
	if !ok || int(h.Length) != len(m) {
		t.Fatalf("header %+v of %d octets", h, len(m))
	}
	for next, rest := h.Next, m[ike.HeaderLen:]; next != ike.PayloadNone; {
		n := int(rest[2])<<8 | int(rest[3])
		kinds = append(kinds, next)
		next, rest = rest[0], rest[n:]
	}
	return kinds
}

func TestARequestLooksLikeStrongSwans(t *testing.T) {
	const N, V = ike.PayloadNotify, payloadVendor
	for _, c := range []struct {
		name      string
		cookie    []byte
		supported bool
		payloads  []uint8
	}{
		{"plain", nil, true, []uint8{ike.PayloadSA, ike.PayloadKE, ike.PayloadNonce, N, N, N, N, N, V}},
		{"without redirect support", nil, false, []uint8{ike.PayloadSA, ike.PayloadKE, ike.PayloadNonce, N, N, N, N, V}},
		{"with a cookie", []byte("cookie"), true, []uint8{N, ike.PayloadSA, ike.PayloadKE, ike.PayloadNonce, N, N, N, N, N, V}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := initRequest(c.cookie, c.supported)
			b := m.append(nil, 0x1122334455667788)
			if len(b) < 300 || len(b) > 500 {
				t.Errorf("want 300 to 500 octets, got %d", len(b))
			}
			if diff := cmp.Diff(c.payloads, types(t, b)); diff != "" {
				t.Errorf("payloads (-want +got):\n%s", diff)
			}
			r, err := ike.ParseRequest(b)
			nonce := nonceOf(0x1122334455667788)
			if err != nil || r.SPIi != 0x1122334455667788 || r.Supported != c.supported || !bytes.Equal(r.Nonce, nonce[:]) || !bytes.Equal(r.Cookie, c.cookie) {
				t.Errorf("got %+v, %v", r, err)
			}
		})
	}
}

func TestAFloodIsOfItsKind(t *testing.T) {
	for kind, want := range map[string]error{
		"valid": nil, "no-support": nil, "truncated": ike.BadLength, "responses": ike.IsResponse, "exchanges": ike.OtherExchange,
	} {
		messages, err := floodOf(kind)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			b := m.append(nil, 7)
			r, err := ike.ParseRequest(b)
			if kind == "truncated" && len(b) < ike.HeaderLen {
				want = ike.Short
			} else if kind == "truncated" {
				want = ike.BadLength
			}
			if err != want || err == nil && r.Supported != (kind == "valid") {
				t.Fatalf("%s: want %v, got %+v, %v", kind, want, r, err)
			}
		}
	}
	if _, err := floodOf("polite"); err == nil {
		t.Error("want an error for an unknown kind")
	}
}

func TestGarbageIsNotIKE(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		m := kinds()["garbage"](rnd)
		if _, err := ike.ParseRequest(m.append(nil, 7)); err == nil {
			t.Fatalf("a request: %x", m.octets)
		}
	}
}
