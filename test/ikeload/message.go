package main

import (
	"crypto/md5"
	"encoding/binary"
	"math/rand/v2"

	"github.com/anycastd/anycastd/ikefront/ike"
)

// nonceLen is the length in octets of our nonces: strongSwan's.
const nonceLen = 32

// payloadVendor is the Vendor ID payload's type (RFC 7296 section 3.2).
const payloadVendor = 43

// Notify message types that clients send and a front-end passes over (RFC 7296
// section 3.10.1, RFC 7383 section 2.3, RFC 7427 section 4).
const (
	natDetectionSource      ike.NotifyType = 16388
	natDetectionDestination ike.NotifyType = 16389
	fragmentationSupported  ike.NotifyType = 16430
	signatureHashAlgorithms ike.NotifyType = 16431
)

// message is an IKE message, or what pretends to be one, to be sent many times
// with a different initiator SPI and nonce.
type message struct {
	octets []byte
	spi    bool // begins with an SPI to replace
	nonce  int  // where the nonce to replace begins; 0: none
}

// append appends a copy with this SPI and the nonce that belongs to it.
func (m *message) append(dst []byte, spi uint64) []byte {
	at := len(dst)
	dst = append(dst, m.octets...)
	if m.spi {
		binary.BigEndian.PutUint64(dst[at:], spi)
	}
	if m.nonce > 0 {
		nonce := nonceOf(spi)
		copy(dst[at+m.nonce:], nonce[:])
	}
	return dst
}

// nonceOf returns the nonce of the request with this SPI: as good as random,
// and an answer's can be checked without keeping it.
func nonceOf(spi uint64) (nonce [nonceLen]byte) {
	for i := 0; i < nonceLen; i += 8 {
		spi += 0x9e3779b97f4a7c15
		binary.BigEndian.PutUint64(nonce[i:], scramble(spi))
	}
	return nonce
}

// payload is a payload after its generic header (RFC 7296 section 3.2).
type payload struct {
	kind uint8
	body []byte
}

// notify returns a Notify payload without SPI (RFC 7296 section 3.10).
func notify(t ike.NotifyType, data ...byte) payload {
	return payload{ike.PayloadNotify, append([]byte{0, 0, byte(t >> 8), byte(t)}, data...)}
}

// initRequest returns an IKE_SA_INIT request as strongSwan sends it: SA KE Ni,
// NAT detection, fragmentation, signature hashes, redirect support (RFC 5685)
// and a vendor id; a cookie stands before all (RFC 7296 section 2.6). The NAT
// detection data is not true: it is nothing to who keeps no state.
func initRequest(cookie []byte, supported bool) message {
	rnd := rand.New(rand.NewPCG(5685, 7296))
	b := ike.Init{SPIi: 1, Nonce: make([]byte, nonceLen), Group: 31, KE: random(rnd, 32), Cookie: cookie}.Append(nil)
	m := message{spi: true, nonce: len(b) - nonceLen}
	more := []payload{
		notify(natDetectionSource, random(rnd, 20)...),
		notify(natDetectionDestination, random(rnd, 20)...),
		notify(fragmentationSupported),
		notify(signatureHashAlgorithms, 0, 2, 0, 3, 0, 4, 0, 5), // SHA2-256, -384, -512, identity
	}
	if supported {
		more = append(more, notify(ike.RedirectSupported))
	}
	vendor := md5.Sum([]byte("strongSwan"))
	m.octets = appendPayloads(b, m.nonce-4, append(more, payload{payloadVendor, vendor[:]}))
	return m
}

// appendPayloads appends payloads to a message; next is where it says the type
// of the first of them.
func appendPayloads(msg []byte, next int, payloads []payload) []byte {
	for _, p := range payloads {
		msg[next] = p.kind
		next = len(msg)
		msg = append(msg, ike.PayloadNone, 0)
		msg = binary.BigEndian.AppendUint16(msg, uint16(4+len(p.body)))
		msg = append(msg, p.body...)
	}
	binary.BigEndian.PutUint32(msg[24:], uint32(len(msg)))
	return msg
}

// random returns n random octets.
func random(rnd *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}
