package probe

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/binary"

	"github.com/anycastd/anycastd/ikefront/ike"
)

// group31 is Curve25519 (RFC 8031).
const group31 = 31

// writer writes probes.
type writer struct {
	share  []byte   // the key share of all probes
	secret [40]byte // the last probe's SPI and nonce
	out    []byte
}

// newWriter returns a writer with a key share of its own. One is enough: no
// probe's exchange is ever completed, and the private key is forgotten at once,
// so that there is no secret that a share seen twice could betray.
func newWriter() (*writer, error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return &writer{share: key.PublicKey().Bytes()}, nil
}

// write returns a probe as it goes to port, valid until the next call, and its
// SPI, which nobody can guess and which is not zero.
func (w *writer) write(kind Kind, port uint16) (msg []byte, spi uint64) {
	rand.Read(w.secret[:]) // never fails
	spi = binary.BigEndian.Uint64(w.secret[:]) | 1
	w.out = w.out[:0]
	if port == ike.NATTPort {
		w.out = append(w.out, make([]byte, ike.MarkerLen)...)
	}
	switch kind {
	case Proposal, Init:
		w.out = ike.Init{SPIi: spi, Nonce: w.secret[8:], Group: group31, KE: w.share, Unacceptable: kind == Proposal}.Append(w.out)
	default:
		w.out = ike.AppendAliveProbe(w.out, spi)
	}
	return w.out, spi
}
