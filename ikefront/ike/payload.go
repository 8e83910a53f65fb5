package ike

import "encoding/binary"

// MaxPayloads is how many payloads of one message are walked. Real clients
// send ten to thirty; the bound keeps a 64 KiB datagram of empty payloads from
// costing more than its share.
const MaxPayloads = 128

// payloadHeaderLen is the length of a generic payload header (RFC 7296 section 3.2).
const payloadHeaderLen = 4

// criticalBit marks a payload that its receiver must understand (RFC 7296 section 3.2).
const criticalBit = 0x80

// payload is one payload of a message; body excludes the generic header.
type payload struct {
	kind     uint8
	critical bool
	body     []byte
}

// chain walks the payloads of a message in order.
type chain struct {
	next uint8
	rest []byte
	seen int
}

// more says whether another payload is announced.
func (c *chain) more() bool { return c.next != PayloadNone }

// pop takes the next payload off the chain. A length below four octets, which
// would loop, or beyond the message is a BadPayload (RFC 7296 section 3.2).
func (c *chain) pop() (payload, Fault) {
	if c.seen++; c.seen > MaxPayloads {
		return payload{}, ManyPayloads
	}
	if len(c.rest) < payloadHeaderLen {
		return payload{}, BadPayload
	}
	n := int(binary.BigEndian.Uint16(c.rest[2:]))
	if n < payloadHeaderLen || n > len(c.rest) {
		return payload{}, BadPayload
	}
	p := payload{kind: c.next, critical: c.rest[1]&criticalBit != 0, body: c.rest[payloadHeaderLen:n]}
	c.next, c.rest = c.rest[0], c.rest[n:]
	return p, 0
}

// Notify is a Notify payload (RFC 7296 section 3.10).
type Notify struct {
	Type NotifyType
	Data []byte
}

// parseNotify reads the body of a Notify payload: protocol, SPI size, type,
// SPI, data (RFC 7296 section 3.10).
func parseNotify(body []byte) (Notify, bool) {
	if len(body) < 4 || len(body) < 4+int(body[1]) {
		return Notify{}, false
	}
	return Notify{
		Type: NotifyType(binary.BigEndian.Uint16(body[2:])),
		Data: body[4+int(body[1]):],
	}, true
}

// appendPayloadHeader appends a generic payload header for a body of n octets.
func appendPayloadHeader(dst []byte, next uint8, n int) []byte {
	dst = append(dst, next, 0)
	return binary.BigEndian.AppendUint16(dst, uint16(payloadHeaderLen+n))
}

// appendNotifyHeader appends a Notify payload up to its data of n octets,
// with protocol 0 and no SPI (RFC 5685 section 9).
func appendNotifyHeader(dst []byte, next uint8, t NotifyType, n int) []byte {
	dst = appendPayloadHeader(dst, next, 4+n)
	dst = append(dst, 0, 0)
	return binary.BigEndian.AppendUint16(dst, uint16(t))
}
