package ike

import (
	"encoding/binary"
	"net/netip"
)

// Request is what a front-end needs of an IKE_SA_INIT request. Its slices
// point into the datagram.
type Request struct {
	SPIi      uint64
	Nonce     []byte     // 16 to 256 octets
	Cookie    []byte     // of N(COOKIE) as the first payload; nil if none (RFC 7296 section 2.6)
	Supported bool       // N(REDIRECT_SUPPORTED) or, as strongSwan does after a redirect, N(REDIRECTED_FROM) instead
	From      netip.Addr // of N(REDIRECTED_FROM): who redirected the client to us; invalid if nobody did
	Unknown   uint8      // the payload type behind a Critical fault, to be told to the client (RFC 7296 section 2.5)
}

// ParseRequest reads the IKE_SA_INIT request that is the whole of b (RFC 7296
// sections 1.2 and 3.1). The error is a Fault. Lengths are checked before use;
// SA and KE payloads are walked, not interpreted.
func ParseRequest(b []byte) (Request, error) {
	h, ok := ParseHeader(b)
	if !ok {
		return Request{}, Short
	}
	r := Request{SPIi: h.SPIi}
	if f := checkRequestHeader(h, len(b)); f != 0 {
		return r, f
	}
	if f := r.walk(chain{next: h.Next, rest: b[HeaderLen:]}); f != 0 {
		return r, f
	}
	return r, nil
}

// checkRequestHeader holds h against what an IKE_SA_INIT request must be. The
// minor version and reserved flags are ignored (RFC 7296 sections 2.5 and 3.1).
func checkRequestHeader(h Header, size int) Fault {
	switch {
	case h.Major() < 2:
		return OldVersion
	case h.Flags&FlagResponse != 0:
		return IsResponse
	case h.Major() > 2:
		return NewVersion
	case h.Exchange != ExchangeInit:
		return OtherExchange
	case h.Flags&FlagInitiator == 0, h.MessageID != 0, h.SPIi == 0, h.SPIr != 0:
		return BadHeader
	case uint64(h.Length) != uint64(size):
		return BadLength
	}
	return 0
}

// walk reads all payloads of c into r.
func (r *Request) walk(c chain) Fault {
	var sa, ke, ni int
	for c.more() {
		first := c.seen == 0
		p, f := c.pop()
		if f != 0 {
			return f
		}
		switch p.kind {
		case PayloadSA:
			sa++
		case PayloadKE:
			ke++
			if len(p.body) <= 4 { // DH group, reserved, and some key (RFC 7296 section 3.4)
				return BadPayload
			}
		case PayloadNonce:
			ni++
			if len(p.body) < MinNonce || len(p.body) > MaxNonce {
				return BadPayload
			}
			r.Nonce = p.body
		case PayloadNotify:
			if f := r.notify(p.body, first); f != 0 {
				return f
			}
		case PayloadSK, PayloadSKF: // there are no keys yet
			return BadPayload
		default:
			if p.critical && (p.kind < firstKnownPayload || p.kind > lastKnownPayload) {
				r.Unknown = p.kind
				return Critical
			}
		}
	}
	if len(c.rest) != 0 {
		return BadPayload
	}
	if sa != 1 || ke != 1 || ni != 1 {
		return Incomplete
	}
	return 0
}

// notify reads one Notify payload into r.
func (r *Request) notify(body []byte, first bool) Fault {
	n, ok := parseNotify(body)
	if !ok {
		return BadPayload
	}
	switch n.Type {
	case RedirectSupported:
		r.Supported = true
	case RedirectedFrom:
		id, rest, ok := parseGatewayID(n.Data)
		if !ok || len(rest) != 0 {
			return BadPayload
		}
		r.Supported, r.From = true, id.Addr // an FQDN, which RFC 5685 section 9.3 does not have, says no more than support
	case Cookie:
		if len(n.Data) < 1 || len(n.Data) > 64 { // RFC 7296 section 2.6
			return BadPayload
		}
		if first {
			r.Cookie = n.Data
		}
	}
	return 0
}

// Init is an IKE_SA_INIT request to write, as a client sends it.
type Init struct {
	SPIi         uint64
	Nonce        []byte // 16 to 256 octets
	Group        uint16 // Diffie-Hellman group of KE
	KE           []byte // public value, of the length that Group asks for
	Cookie       []byte // sent back as the first payload; nil: none
	Unacceptable bool   // offer a cipher that nobody has: NO_PROPOSAL_CHOSEN comes, before any Diffie-Hellman
	Supported    bool   // add N(REDIRECT_SUPPORTED)
	From         netip.Addr
}

// Append appends the request to dst. Unless it is to be Unacceptable, it
// offers AES-CBC-256 with HMAC-SHA2-256-128 and AES-GCM-16-256, PRF
// HMAC-SHA2-256, and groups 31, 19 and 14, which the usual gateways accept.
func (m Init) Append(dst []byte) []byte {
	proposals := initProposals
	if m.Unacceptable {
		proposals = unacceptableProposal
	}
	start := len(dst)
	h := Header{SPIi: m.SPIi, Next: PayloadSA, Version: Version, Exchange: ExchangeInit, Flags: FlagInitiator}
	if len(m.Cookie) > 0 {
		h.Next = PayloadNotify
	}
	dst = h.Append(dst)
	if len(m.Cookie) > 0 {
		dst = appendNotifyHeader(dst, PayloadSA, Cookie, len(m.Cookie))
		dst = append(dst, m.Cookie...)
	}
	dst = appendPayloadHeader(dst, PayloadKE, len(proposals))
	dst = append(dst, proposals...)
	dst = appendPayloadHeader(dst, PayloadNonce, 4+len(m.KE))
	dst = binary.BigEndian.AppendUint16(dst, m.Group)
	dst = append(dst, 0, 0)
	dst = append(dst, m.KE...)
	dst = m.appendTail(dst)
	setLength(dst[start:])
	return dst
}

// appendTail appends the nonce and the notifies of RFC 5685.
func (m Init) appendTail(dst []byte) []byte {
	supported, from := uint8(PayloadNone), uint8(PayloadNone)
	if m.From.IsValid() {
		from = PayloadNotify
	}
	if supported = from; m.Supported {
		supported = PayloadNotify
	}
	dst = appendPayloadHeader(dst, supported, len(m.Nonce))
	dst = append(dst, m.Nonce...)
	if m.Supported {
		dst = appendNotifyHeader(dst, from, RedirectSupported, 0)
	}
	if m.From.IsValid() {
		id := GatewayID{Addr: m.From}
		dst = appendNotifyHeader(dst, PayloadNone, RedirectedFrom, id.size())
		dst = id.append(dst)
	}
	return dst
}

// setLength writes the length of msg into its header.
func setLength(msg []byte) {
	binary.BigEndian.PutUint32(msg[24:], uint32(len(msg)))
}

// initProposals is the body of the SA payload of an Init (RFC 7296 section 3.3):
// two proposals for protocol IKE, CBC and, apart from it, the combined-mode cipher.
const initProposals = "" +
	"\x02\x00\x00\x3c\x01\x01\x00\x06" + // proposal 1, 60 octets, IKE, no SPI, 6 transforms
	"\x03\x00\x00\x0c\x01\x00\x00\x0c\x80\x0e\x01\x00" + // ENCR_AES_CBC, 256 bits
	"\x03\x00\x00\x08\x02\x00\x00\x05" + // PRF_HMAC_SHA2_256
	"\x03\x00\x00\x08\x03\x00\x00\x0c" + // AUTH_HMAC_SHA2_256_128
	groups +
	"\x00\x00\x00\x34\x02\x01\x00\x05" + // proposal 2, 52 octets, IKE, no SPI, 5 transforms
	"\x03\x00\x00\x0c\x01\x00\x00\x14\x80\x0e\x01\x00" + // AES_GCM_16, 256 bits
	"\x03\x00\x00\x08\x02\x00\x00\x05" + // PRF_HMAC_SHA2_256
	groups

// unacceptableProposal is the body of the SA payload of an Init that must not
// be accepted: well formed, but for the cipher 999, which is not assigned.
const unacceptableProposal = "" +
	"\x00\x00\x00\x28\x01\x01\x00\x04" + // proposal 1, 40 octets, IKE, no SPI, 4 transforms
	"\x03\x00\x00\x08\x01\x00\x03\xe7" + // ENCR 999
	"\x03\x00\x00\x08\x02\x00\x00\x05" + // PRF_HMAC_SHA2_256
	"\x03\x00\x00\x08\x03\x00\x00\x0c" + // AUTH_HMAC_SHA2_256_128
	"\x00\x00\x00\x08\x04\x00\x00\x1f" // Curve25519

// groups is the end of each proposal of initProposals: Curve25519, 256-bit random ECP, 2048-bit MODP.
const groups = "" +
	"\x03\x00\x00\x08\x04\x00\x00\x1f" +
	"\x03\x00\x00\x08\x04\x00\x00\x13" +
	"\x00\x00\x00\x08\x04\x00\x00\x0e"
