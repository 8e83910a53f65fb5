// Package ike is the codec for the part of IKEv2 that a redirecting front-end
// needs: IKE_SA_INIT requests, their one-notify responses, and REDIRECT
// (RFC 7296, RFC 5685). It never opens a socket, reads a clock or logs, and it
// never looks into SA and KE payloads.
package ike

import (
	"encoding/binary"
	"strconv"
)

// HeaderLen is the length of an IKE header in octets (RFC 7296 section 3.1).
const HeaderLen = 28

// Version is the version octet of what this package writes: major 2, minor 0
// (RFC 7296 section 3.1).
const Version = 0x20

// ExchangeInit is the exchange type of IKE_SA_INIT (RFC 7296 section 3.1).
const ExchangeInit = 34

// NATTPort is the UDP port on which a non-ESP marker of MarkerLen zero octets
// before the header tells IKE from ESP (RFC 7296 section 2.23, RFC 3948
// section 2.2).
const (
	NATTPort  = 4500
	MarkerLen = 4
)

// Header flags (RFC 7296 section 3.1).
const (
	FlagInitiator = 0x08
	FlagResponse  = 0x20
)

// Payload types (RFC 7296 section 3.2).
const (
	PayloadNone   = 0
	PayloadSA     = 33
	PayloadKE     = 34
	PayloadNonce  = 40
	PayloadNotify = 41
	PayloadSK     = 46 // encrypted and authenticated
	PayloadSKF    = 53 // encrypted and authenticated fragment (RFC 7383 section 2.5)
)

// Payload types outside this range are unknown to IKEv2 as registered: 33 to
// 48 by RFC 7296, 49 to 54 by its extensions.
const (
	firstKnownPayload = 33
	lastKnownPayload  = 54
)

// NotifyType is a notify message type (RFC 7296 section 3.10.1).
type NotifyType uint16

// Notify message types that a front-end sends or reads.
const (
	UnsupportedCriticalPayload NotifyType = 1
	InvalidIKESPI              NotifyType = 4
	InvalidMajorVersion        NotifyType = 5
	InvalidSyntax              NotifyType = 7
	NoProposalChosen           NotifyType = 14
	InvalidKEPayload           NotifyType = 17
	Cookie                     NotifyType = 16390
	RedirectSupported          NotifyType = 16406 // RFC 5685 section 9.1
	Redirect                   NotifyType = 16407 // RFC 5685 section 9.2
	RedirectedFrom             NotifyType = 16408 // RFC 5685 section 9.3
)

// String returns n's name in the IANA registry, or "notify N".
func (n NotifyType) String() string {
	switch n {
	case UnsupportedCriticalPayload:
		return "UNSUPPORTED_CRITICAL_PAYLOAD"
	case InvalidIKESPI:
		return "INVALID_IKE_SPI"
	case InvalidMajorVersion:
		return "INVALID_MAJOR_VERSION"
	case InvalidSyntax:
		return "INVALID_SYNTAX"
	case NoProposalChosen:
		return "NO_PROPOSAL_CHOSEN"
	case InvalidKEPayload:
		return "INVALID_KE_PAYLOAD"
	case Cookie:
		return "COOKIE"
	case RedirectSupported:
		return "REDIRECT_SUPPORTED"
	case Redirect:
		return "REDIRECT"
	case RedirectedFrom:
		return "REDIRECTED_FROM"
	}
	return "notify " + strconv.Itoa(int(n))
}

// Nonce lengths in octets (RFC 7296 section 3.9).
const (
	MinNonce = 16
	MaxNonce = 256
)

// Fault is why a datagram is not the message it was taken for. It is a
// constant, so that returning one allocates nothing.
type Fault uint8

// The faults, in the order in which they are looked for.
const (
	Short         Fault = iota + 1 // shorter than an IKE header
	OldVersion                     // major version below 2
	NewVersion                     // major version above 2
	IsResponse                     // the response flag is set
	IsRequest                      // the response flag is not set
	OtherExchange                  // not IKE_SA_INIT
	BadHeader                      // fields that an IKE_SA_INIT request can't have
	BadLength                      // the header's length is not the datagram's
	BadPayload                     // a payload's length or contents are wrong
	ManyPayloads                   // more payloads than MaxPayloads
	Critical                       // an unknown payload has the critical bit
	Incomplete                     // SA, KE or Ni is missing or there twice
	OtherSPI                       // answers a message that was not ours
)

// Error returns f in words.
func (f Fault) Error() string {
	switch f {
	case Short:
		return "shorter than an IKE header"
	case OldVersion:
		return "major version below 2"
	case NewVersion:
		return "major version above 2"
	case IsResponse:
		return "a response"
	case IsRequest:
		return "a request"
	case OtherExchange:
		return "not an IKE_SA_INIT exchange"
	case BadHeader:
		return "header fields impossible in an IKE_SA_INIT request"
	case BadLength:
		return "the header's length is not the datagram's"
	case BadPayload:
		return "malformed payload"
	case ManyPayloads:
		return "too many payloads"
	case Critical:
		return "unknown critical payload"
	case Incomplete:
		return "SA, KE or nonce missing or repeated"
	case OtherSPI:
		return "unknown initiator SPI"
	}
	return "no fault"
}

// Header is the fixed header of every IKE message (RFC 7296 section 3.1).
type Header struct {
	SPIi, SPIr uint64
	Next       uint8 // type of the first payload
	Version    uint8 // major version in the upper four bits
	Exchange   uint8
	Flags      uint8
	MessageID  uint32
	Length     uint32 // octets of the whole message
}

// ParseHeader reads the header of b and checks nothing but that it is whole.
func ParseHeader(b []byte) (Header, bool) {
	if len(b) < HeaderLen {
		return Header{}, false
	}
	return Header{
		SPIi:      binary.BigEndian.Uint64(b),
		SPIr:      binary.BigEndian.Uint64(b[8:]),
		Next:      b[16],
		Version:   b[17],
		Exchange:  b[18],
		Flags:     b[19],
		MessageID: binary.BigEndian.Uint32(b[20:]),
		Length:    binary.BigEndian.Uint32(b[24:]),
	}, true
}

// Append appends h to dst.
func (h Header) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, h.SPIi)
	dst = binary.BigEndian.AppendUint64(dst, h.SPIr)
	dst = append(dst, h.Next, h.Version, h.Exchange, h.Flags)
	dst = binary.BigEndian.AppendUint32(dst, h.MessageID)
	return binary.BigEndian.AppendUint32(dst, h.Length)
}

// Major returns the major version.
func (h Header) Major() uint8 { return h.Version >> 4 }
