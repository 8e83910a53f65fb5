package probe

import (
	"bytes"
	"testing"

	"github.com/anycastd/anycastd/ikefront/ike"
)

// written returns a copy of the next probe that w writes, and its SPI.
func written(w *writer, kind Kind, port uint16) ([]byte, uint64) {
	msg, spi := w.write(kind, port)
	return bytes.Clone(msg), spi
}

// newTestWriter returns a writer.
func newTestWriter(t testing.TB) *writer {
	t.Helper()
	w, err := newWriter()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestEachKindIsTheProbeThatItsNameSays(t *testing.T) {
	w := newTestWriter(t)
	unknownCipher := []byte{3, 0, 0, 8, 1, 0, 0x03, 0xE7}
	for name, tc := range map[string]struct {
		kind  Kind
		fault error
		odd   bool // offers the unknown cipher
	}{
		"version":               {Version, ike.NewVersion, false},
		"the zero Kind":         {"", ike.NewVersion, false},
		"one that nobody knows": {"junk", ike.NewVersion, false},
		"proposal":              {Proposal, nil, true},
		"init":                  {Init, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			msg, spi := written(w, tc.kind, 500)
			r, err := ike.ParseRequest(msg)
			if err != tc.fault || r.SPIi != spi || r.Supported || bytes.Contains(msg, unknownCipher) != tc.odd {
				t.Errorf("want %v and SPI %x, got %v and %+v in %x", tc.fault, spi, err, r, msg)
			}
			if tc.fault != nil && len(msg) != 36 {
				t.Errorf("want 36 octets, got %d", len(msg))
			}
			if marked, spi := written(w, tc.kind, ike.NATTPort); !bytes.HasPrefix(marked, make([]byte, ike.MarkerLen)) || len(marked) != len(msg)+ike.MarkerLen || spi == 0 {
				t.Errorf("to port 4500 want a marker before it, got %x", marked)
			}
		})
	}
}

func TestNoTwoProbesHaveAnSPIOrANonceInCommon(t *testing.T) {
	w := newTestWriter(t)
	seen := map[string]bool{}
	for range 1000 {
		msg, spi := w.write(Init, 500)
		r, err := ike.ParseRequest(msg)
		if err != nil || r.SPIi != spi {
			t.Fatalf("want SPI %x, got %+v, %v", spi, r, err)
		}
		seen[string(r.Nonce)], seen[string(msg[:8])] = true, true
	}
	if len(seen) != 2000 {
		t.Errorf("want 1000 SPIs and as many nonces, got %d in all", len(seen))
	}
}

func TestWritingAProbeAllocatesNothing(t *testing.T) {
	w := newTestWriter(t)
	for _, kind := range []Kind{Version, Proposal, Init} {
		if got := testing.AllocsPerRun(1000, func() { w.write(kind, ike.NATTPort) }); got != 0 {
			t.Errorf("%s: want 0 allocations, got %v", kind, got)
		}
	}
}
