package main

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"github.com/anycastd/anycastd/ikefront/ike"
)

// verdict is what a datagram that came in is.
type verdict uint8

// The verdicts: two kinds of good answers, one that means nothing, and faults.
const (
	redirected      verdict = iota // what we want; an echo, if we want that
	cookied                        // COOKIE: to be asked again with it
	late                           // answers what has been given up
	noMarker                       // from port 4500 without non-ESP marker
	tooShort                       // no whole IKE header
	unknownSPI                     // an initiator SPI that we never sent
	responderSPI                   // a responder SPI other than zero (RFC 7296 section 2.6)
	wrongSource                    // not from the address and port that were asked
	wrongReceiver                  // not to the address that asked
	longer                         // longer than the request
	wrongHeader                    // not the header of a response in IKE_SA_INIT
	wrongPayloads                  // anything but one notify
	wrongNotify                    // a notify that is neither REDIRECT nor COOKIE
	wrongGateway                   // a malformed gateway identity (RFC 5685 section 9.2)
	wrongNonce                     // not the request's nonce
	wrongCookie                    // a cookie of a forbidden length (RFC 7296 section 2.6)
	notTheEcho                     // not the request's first octets
	answeredTwice                  // more answers than requests
	verdicts        = iota         // how many there are
	firstFault      = noMarker
	maxCookie       = 64
	notifyHeaderLen = 4 + 4
)

// String returns the verdict's name in reports.
func (v verdict) String() string {
	return [verdicts]string{
		"redirect", "cookie", "late", "no_marker", "too_short", "unknown_spi", "responder_spi", "wrong_source", "wrong_receiver", "longer_than_request",
		"wrong_header", "wrong_payloads", "wrong_notify", "wrong_gateway", "wrong_nonce", "wrong_cookie", "not_the_echo", "answered_twice",
	}[v]
}

// asked is a request that waits for its answer.
type asked struct {
	spi    uint64
	source netip.Addr
	target netip.AddrPort
	size   int // octets without cookie and marker
}

// check judges the answer that came from one address to another, with nothing
// in common with the code that writes answers. If it is a COOKIE that is
// returned, too.
func (a *asked) check(answer []byte, from netip.AddrPort, to netip.Addr) (v verdict, cookie []byte) {
	switch {
	case from != a.target:
		return wrongSource, nil
	case to != a.source:
		return wrongReceiver, nil
	case len(answer) > a.size:
		return longer, nil
	case len(answer) < ike.HeaderLen:
		return tooShort, nil
	case binary.BigEndian.Uint64(answer[8:]) != 0:
		return responderSPI, nil
	case !a.headed(answer):
		return wrongHeader, nil
	}
	body := answer[ike.HeaderLen:]
	if len(body) < notifyHeaderLen || body[0] != ike.PayloadNone || int(binary.BigEndian.Uint16(body[2:])) != len(body) {
		return wrongPayloads, nil
	}
	data := body[notifyHeaderLen:]
	switch protocolAndSPI, kind := binary.BigEndian.Uint16(body[4:]), ike.NotifyType(binary.BigEndian.Uint16(body[6:])); {
	case protocolAndSPI != 0:
		return wrongNotify, nil
	case kind == ike.Redirect:
		return a.checkRedirect(data), nil
	case kind == ike.Cookie && (len(data) < 1 || len(data) > maxCookie):
		return wrongCookie, nil
	case kind == ike.Cookie:
		return cookied, data
	}
	return wrongNotify, nil
}

// headed says whether the answer's header is that of a response in IKE_SA_INIT
// that begins with a notify (RFC 7296 section 3.1).
func (a *asked) headed(answer []byte) bool {
	return binary.BigEndian.Uint64(answer) == a.spi &&
		bytes.Equal(answer[16:24], []byte{ike.PayloadNotify, ike.Version, ike.ExchangeInit, ike.FlagResponse, 0, 0, 0, 0}) &&
		int(binary.BigEndian.Uint32(answer[24:])) == len(answer)
}

// checkRedirect judges the data of a REDIRECT: type and length of the gateway's
// identity, that, and the nonce (RFC 5685 section 9.2).
func (a *asked) checkRedirect(data []byte) verdict {
	if len(data) < 2 || len(data) < 2+int(data[1]) {
		return wrongGateway
	}
	kind, n := data[0], data[1]
	if !(kind == 1 && n == 4 || kind == 2 && n == 16 || kind == 3 && n > 0) {
		return wrongGateway
	}
	if nonce := nonceOf(a.spi); !bytes.Equal(data[2+n:], nonce[:]) {
		return wrongNonce
	}
	return redirected
}

// checkEcho judges the answer of a responder that sends the first octets of a
// request back.
func (a *asked) checkEcho(answer []byte, from netip.AddrPort, to netip.Addr, request *message) verdict {
	switch {
	case from != a.target:
		return wrongSource
	case to != a.source:
		return wrongReceiver
	case len(answer) < ike.HeaderLen:
		return tooShort
	case len(answer) > request.nonce:
		return longer
	case binary.BigEndian.Uint64(answer) != a.spi || !bytes.Equal(answer[8:], request.octets[8:len(answer)]):
		return notTheEcho
	}
	return redirected
}
