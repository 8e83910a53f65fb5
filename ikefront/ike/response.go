package ike

import "net/netip"

// GatewayID names a gateway in REDIRECT and REDIRECTED_FROM (RFC 5685
// sections 9.2 and 9.3): by Addr if that is valid, else by FQDN.
type GatewayID struct {
	Addr netip.Addr // unicast, without zone
	FQDN string     // 1 to 255 octets, without a final dot
}

// Identity types (RFC 5685 section 9.2).
const (
	idIPv4 = 1
	idIPv6 = 2
	idFQDN = 3
)

// String returns the address or the name.
func (id GatewayID) String() string {
	if id.Addr.IsValid() {
		return id.Addr.String()
	}
	return id.FQDN
}

// size is the number of octets that append appends.
func (id GatewayID) size() int {
	if id.Addr.IsValid() {
		return 2 + id.Addr.BitLen()/8
	}
	return 2 + len(id.FQDN)
}

// append appends type, length and identity.
func (id GatewayID) append(dst []byte) []byte {
	switch {
	case id.Addr.Is4():
		a := id.Addr.As4()
		return append(append(dst, idIPv4, 4), a[:]...)
	case id.Addr.IsValid():
		a := id.Addr.As16()
		return append(append(dst, idIPv6, 16), a[:]...)
	}
	return append(append(dst, idFQDN, uint8(len(id.FQDN))), id.FQDN...)
}

// parseGatewayID reads type, length and identity, and returns what follows.
func parseGatewayID(b []byte) (id GatewayID, rest []byte, ok bool) {
	if len(b) < 2 || len(b) < 2+int(b[1]) || b[1] == 0 {
		return id, nil, false
	}
	kind, data, rest := b[0], b[2:2+int(b[1])], b[2+int(b[1]):]
	switch {
	case kind == idIPv4 && len(data) == 4, kind == idIPv6 && len(data) == 16:
		id.Addr, _ = netip.AddrFromSlice(data)
	case kind == idFQDN:
		id.FQDN = string(data)
	default:
		return id, nil, false
	}
	return id, rest, true
}

// RedirectSize returns the length in octets of the response that
// AppendRedirect writes.
func RedirectSize(r *Request, to GatewayID) int {
	return HeaderLen + payloadHeaderLen + 4 + to.size() + len(r.Nonce)
}

// AppendRedirect appends the IKE_SA_INIT response that sends r's client to
// another gateway: one N(REDIRECT) with the initiator's nonce and nothing else
// (RFC 5685 section 3).
func AppendRedirect(dst []byte, r *Request, to GatewayID) []byte {
	h := Header{
		SPIi: r.SPIi, Next: PayloadNotify, Version: Version, Exchange: ExchangeInit,
		Flags: FlagResponse, Length: uint32(RedirectSize(r, to)),
	}
	dst = h.Append(dst)
	dst = appendNotifyHeader(dst, PayloadNone, Redirect, to.size()+len(r.Nonce))
	dst = to.append(dst)
	return append(dst, r.Nonce...)
}

// NotifySize returns the length in octets of a response with one notify that
// carries n octets of data.
func NotifySize(n int) int { return HeaderLen + payloadHeaderLen + 4 + n }

// AppendNotify appends the response to the request with header h that holds
// one unauthenticated notify: SPIs, exchange and message id are the request's,
// the version is our own (RFC 7296 sections 1.5 and 2.5).
func AppendNotify(dst []byte, h Header, t NotifyType, data []byte) []byte {
	out := Header{
		SPIi: h.SPIi, SPIr: h.SPIr, Next: PayloadNotify, Version: Version, Exchange: h.Exchange,
		Flags: FlagResponse | ^h.Flags&FlagInitiator, MessageID: h.MessageID,
		Length: uint32(NotifySize(len(data))),
	}
	dst = out.Append(dst)
	dst = appendNotifyHeader(dst, PayloadNone, t, len(data))
	return append(dst, data...)
}

// AppendAliveProbe appends the one request that every known gateway answers
// without work: major version 3, one unknown status notify. strongSwan and
// libreswan answer INVALID_MAJOR_VERSION even under attack, iked
// NO_PROPOSAL_CHOSEN; none keeps any state of it but iked.
func AppendAliveProbe(dst []byte, spi uint64) []byte {
	const unknownStatus NotifyType = 40000 // private use (RFC 7296 section 3.10.1)
	h := Header{
		SPIi: spi, Next: PayloadNotify, Version: 0x30, Exchange: ExchangeInit,
		Flags: FlagInitiator, Length: uint32(NotifySize(0)),
	}
	return appendNotifyHeader(h.Append(dst), PayloadNone, unknownStatus, 0)
}

// Response is an unencrypted response as a client sees it. Its slices point
// into the datagram.
type Response struct {
	Header
	Notifies []Notify
	Payloads []uint8 // types, in order
}

// ParseResponse reads the response with initiator SPI spi that is the whole of
// b. Any major version is taken: the header's layout is the same, and an
// answer in another version is an answer. The error is a Fault.
func ParseResponse(b []byte, spi uint64) (Response, error) {
	var r Response
	if err := r.Parse(b, spi); err != nil {
		return Response{}, err
	}
	return r, nil
}

// Parse is ParseResponse into r, whose slices it uses again. After an error r
// holds nothing of use.
func (r *Response) Parse(b []byte, spi uint64) error {
	h, ok := ParseHeader(b)
	*r = Response{Header: h, Notifies: r.Notifies[:0], Payloads: r.Payloads[:0]}
	switch {
	case !ok:
		return Short
	case h.Flags&FlagResponse == 0:
		return IsRequest
	case h.SPIi != spi:
		return OtherSPI
	case uint64(h.Length) != uint64(len(b)):
		return BadLength
	}
	if f := r.walk(chain{next: h.Next, rest: b[HeaderLen:]}); f != 0 {
		return f
	}
	return nil
}

// walk reads all payloads of c into r.
func (r *Response) walk(c chain) Fault {
	for c.more() {
		p, f := c.pop()
		if f != 0 {
			return f
		}
		r.Payloads = append(r.Payloads, p.kind)
		if p.kind != PayloadNotify {
			continue
		}
		n, ok := parseNotify(p.body)
		if !ok {
			return BadPayload
		}
		r.Notifies = append(r.Notifies, n)
	}
	if len(c.rest) != 0 {
		return BadPayload
	}
	return 0
}

// Redirect returns the gateway and the nonce of the N(REDIRECT) in r, if it
// has a well-formed one (RFC 5685 section 9.2).
func (r *Response) Redirect() (to GatewayID, nonce []byte, ok bool) {
	for _, n := range r.Notifies {
		if n.Type == Redirect {
			return parseGatewayID(n.Data)
		}
	}
	return GatewayID{}, nil, false
}
