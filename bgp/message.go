package bgp

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// Types of messages (RFC 4271 section 4.1; the last one RFC 2918 section 3).
const (
	openKind byte = iota + 1
	updateKind
	notificationKind
	keepaliveKind
	refreshKind
)

// Lengths of messages in octets (RFC 4271 sections 4.1 to 4.5, RFC 2918
// section 3). Longer ones (RFC 8654) are never agreed on.
const (
	headerLength       = 19
	maxLength          = 4096
	minOpen            = 29
	minUpdate          = 23
	minNotification    = 21
	minRefresh         = 23
	markerLength       = 16 // all ones (RFC 4271 section 4.1)
	maxNotificationLen = maxLength - minNotification
)

// message is a whole BGP message, its header included.
type message []byte

// newMessage is a message of that kind; body has at most 4077 octets.
func newMessage(kind byte, body ...byte) message {
	m := make(message, headerLength, headerLength+len(body))
	for i := range markerLength {
		m[i] = 0xFF
	}
	binary.BigEndian.PutUint16(m[markerLength:], uint16(headerLength+len(body)))
	m[headerLength-1] = kind
	return append(m, body...)
}

// kind is the message's type.
func (m message) kind() byte { return m[headerLength-1] }

// body is what follows the header.
func (m message) body() octets { return octets(m[headerLength:]) }

// readMessage waits for r's next message, which is buf's first octets and valid
// until buf is read into again. What RFC 4271 section 6.1 calls an error is a
// *refusal; r's own errors come as they are, io.EOF only between two messages.
func readMessage(r io.Reader, buf *[maxLength]byte) (message, error) {
	header := message(buf[:headerLength])
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(header[:markerLength], func(b byte) bool { return b != 0xFF }) {
		return nil, refuse(headerError, notSynchronized, nil, "what it sends is not BGP: no marker of sixteen octets of ones")
	}
	length := binary.BigEndian.Uint16(header[markerLength:])
	if refused := checkHeader(header.kind(), length); refused != nil {
		return nil, refused
	}
	switch _, err := io.ReadFull(r, buf[headerLength:length]); err {
	case nil:
		return message(buf[:length]), nil
	case io.EOF:
		return nil, io.ErrUnexpectedEOF
	default:
		return nil, err
	}
}

// checkHeader holds a message's length to that of its type (RFC 4271 section
// 6.1). Of a ROUTE-REFRESH only the minimum is known: filters may follow (RFC
// 5291 section 5).
func checkHeader(kind byte, length uint16) *refusal {
	least, most := uint16(headerLength), uint16(maxLength)
	switch kind {
	case openKind:
		least = minOpen
	case updateKind:
		least = minUpdate
	case notificationKind:
		least = minNotification
	case keepaliveKind:
		most = headerLength
	case refreshKind:
		least = minRefresh
	}
	if length < least || length > most {
		return refuse(headerError, badLength, binary.BigEndian.AppendUint16(nil, length),
			"its %s is %d octets long, not %s", kindName(kind), length, span(least, most))
	}
	if kind < openKind || kind > refreshKind {
		return refuse(headerError, badType, []byte{kind}, "its message is of type %d, which BGP does not have", kind)
	}
	return nil
}

// span is the numbers from least to most in words.
func span(least, most uint16) string {
	if least == most {
		return fmt.Sprint(least)
	}
	return fmt.Sprintf("%d to %d", least, most)
}

// kindName is the name of a message's type.
func kindName(kind byte) string {
	return name(kind, "message of type", "OPEN", "UPDATE", "NOTIFICATION", "KEEPALIVE", "ROUTE-REFRESH")
}

// parseRefresh is the family of which m, a ROUTE-REFRESH, wants our routes once
// more, and whether it is an ordinary request for one of our families. What is
// not, is ignored: filters that we have not offered (RFC 5291), the marks of an
// enhanced refresh (RFC 7313 section 5) and other families (RFC 2918 section 4).
func parseRefresh(m message) (Families, bool) {
	body := m.body()
	if len(body) != 4 || body[2] != 0 {
		return 0, false
	}
	f := family(body[:2], body[3])
	return f, f != 0
}

// octets is what is still to be read of a message.
type octets []byte

// take cuts off the first n octets, if there are as many.
func (o *octets) take(n int) (octets, bool) {
	if n > len(*o) {
		return nil, false
	}
	first := (*o)[:n:n]
	*o = (*o)[n:]
	return first, true
}

// field cuts off a length of size octets, 1 or 2, and as much as it says.
func (o *octets) field(size int) (octets, bool) {
	length, ok := o.take(size)
	if !ok {
		return nil, false
	}
	n := 0
	for _, b := range length {
		n = n<<8 | int(b)
	}
	return o.take(n)
}
