package ike

import (
	"bytes"
	"testing"
)

// FuzzHeader: parse → append gives the same octets.
func FuzzHeader(f *testing.F) {
	f.Add(request().Append(nil))
	f.Add(AppendAliveProbe(nil, 1))
	f.Fuzz(func(t *testing.T, in []byte) {
		h, ok := ParseHeader(in)
		if ok != (len(in) >= HeaderLen) {
			t.Fatalf("%d octets: got %v", len(in), ok)
		}
		if ok && !bytes.Equal(h.Append(nil), in[:HeaderLen]) {
			t.Fatalf("want %x, got %x", in[:HeaderLen], h.Append(nil))
		}
	})
}

// FuzzNotify: a notify that is taken keeps type and data when it is written
// again, without its SPI.
func FuzzNotify(f *testing.F) {
	f.Add([]byte{0, 0, 0x40, 0x16})
	f.Add([]byte{3, 4, 0x40, 0x06, 1, 2, 3, 4, 9})
	f.Fuzz(func(t *testing.T, in []byte) {
		n, ok := parseNotify(in)
		if !ok || len(n.Data) > 1<<15 {
			return
		}
		again := append(appendNotifyHeader(nil, PayloadNone, n.Type, len(n.Data)), n.Data...)
		p, fault := (&chain{next: PayloadNotify, rest: again}).pop()
		if fault != 0 {
			t.Fatal(fault)
		}
		if got, ok := parseNotify(p.body); !ok || got.Type != n.Type || !bytes.Equal(got.Data, n.Data) {
			t.Fatalf("want %v, got %v, %v", n, got, ok)
		}
	})
}

// FuzzGatewayID: an identity that is taken is the same when it is written
// again, and takes the octets that size says.
func FuzzGatewayID(f *testing.F) {
	f.Add([]byte{idIPv4, 4, 198, 51, 100, 11, 0xA5})
	f.Add([]byte{idFQDN, 2, 'g', 'w'})
	f.Add(append([]byte{idIPv6, 16}, make([]byte, 16)...))
	f.Fuzz(func(t *testing.T, in []byte) {
		id, rest, ok := parseGatewayID(in)
		if !ok {
			return
		}
		again := append(id.append(nil), rest...)
		if !bytes.Equal(again, in) || len(again)-len(rest) != id.size() {
			t.Fatalf("want %x, got %x for %v", in, again, id)
		}
	})
}
