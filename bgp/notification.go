package bgp

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Error codes of a NOTIFICATION (RFC 4271 section 4.5, RFC 7313 section 5).
const (
	headerError byte = iota + 1
	openError
	updateError
	holdTimerError
	stateError
	ceaseError
	refreshError
)

// Subcodes of a Message Header Error (RFC 4271 section 6.1).
const (
	notSynchronized byte = iota + 1
	badLength
	badType
)

// Subcodes of an OPEN Message Error (RFC 4271 section 6.2, RFC 5492 section 5).
const (
	unspecific            byte = 0
	unsupportedVersion    byte = 1
	badPeerAS             byte = 2
	badIdentifier         byte = 3
	unsupportedParameter  byte = 4
	unacceptableHoldTime  byte = 6
	unsupportedCapability byte = 7
)

// Subcodes of an UPDATE Message Error (RFC 4271 section 6.3).
const (
	malformedAttributes    byte = 1
	optionalAttributeError byte = 9
	invalidNetwork         byte = 10
)

// Subcodes of a Cease (RFC 4486 section 3).
const (
	tooManyPrefixes byte = iota + 1
	adminShutdown
	deconfigured
	adminReset
	connectionRejected
	otherChange
	collision
	outOfResources
)

// maxText is of how many octets a shutdown communication is at most (RFC 9003
// section 2).
const maxText = 255

// refusal is why a message of the neighbor's is not taken, and which
// NOTIFICATION it gets for it. It is an error.
type refusal struct {
	code, subcode byte
	data          []byte
	reason        string // in words, of the neighbor: "its OPEN names AS 64501, not 64500"
}

// refuse returns a refusal whose reason is format with args.
func refuse(code, subcode byte, data []byte, format string, args ...any) *refusal {
	return &refusal{code, subcode, data, fmt.Sprintf(format, args...)}
}

// Error is the reason.
func (r *refusal) Error() string { return r.reason }

// message is the NOTIFICATION that answers what is refused.
func (r *refusal) message() message { return notificationMessage(r.code, r.subcode, r.data) }

// notificationMessage is a NOTIFICATION (RFC 4271 section 4.5). Data that does
// not fit is cut.
func notificationMessage(code, subcode byte, data []byte) message {
	body := append([]byte{code, subcode}, data[:min(len(data), maxNotificationLen)]...)
	return newMessage(notificationKind, body...)
}

// shutdownText is text as the data of a Cease, Administrative Shutdown or Reset
// (RFC 9003 section 2): cut to 255 octets between two characters. No text is no
// data, which says the same to those who know only RFC 4486.
func shutdownText(text string) []byte {
	text = strings.ToValidUTF8(text, string(utf8.RuneError))
	if text == "" {
		return nil
	}
	end := min(len(text), maxText)
	for end < len(text) && !utf8.RuneStart(text[end]) {
		end--
	}
	return append([]byte{byte(end)}, text[:end]...)
}

// notification is why the neighbor ends the session.
type notification struct {
	Code, Subcode byte
	Text          string // RFC 9003's communication as one line of at most 255 characters; or ""
}

// parseNotification reads m, a NOTIFICATION. It cannot fail: the session ends
// anyway, and what does not read as text is no text.
func parseNotification(m message) notification {
	body := m.body()
	codes, ok := body.take(2)
	if !ok {
		return notification{}
	}
	n := notification{Code: codes[0], Subcode: codes[1]}
	if n.Code == ceaseError && (n.Subcode == adminShutdown || n.Subcode == adminReset) && len(body) > 0 {
		n.Text = clean(body[1:min(len(body), 1+int(body[0]))])
	}
	return n
}

// clean is a text of the neighbor's as one line that leaves a terminal alone:
// what is no printable character is U+FFFD.
func clean(text []byte) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return utf8.RuneError
	}, string(text)))
}

// String is n in words. The text is the neighbor's: quoted, so that it cannot
// pass for ours.
func (n notification) String() string {
	words := errorName(n.Code)
	if sub := subcodeName(n.Code, n.Subcode); sub != "" {
		words += ", " + sub
	}
	if n.Text != "" {
		words += ": " + strconv.Quote(n.Text)
	}
	return words
}
