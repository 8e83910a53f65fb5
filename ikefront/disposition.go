package ikefront

import (
	"sync/atomic"

	"github.com/anycastd/anycastd/ikefront/ike"
)

// Disposition is what became of a datagram; each has exactly one.
type Disposition uint8

// The dispositions. Those up to SyntaxAnswered got an answer.
const (
	Redirected       Disposition = iota // answered with REDIRECT
	CookieSent                          // answered with COOKIE (RFC 7296 section 2.6)
	Refused                             // answered with NO_PROPOSAL_CHOSEN: can't be redirected, or there is nowhere to
	VersionAnswered                     // answered with INVALID_MAJOR_VERSION (RFC 7296 section 2.5)
	CriticalAnswered                    // answered with UNSUPPORTED_CRITICAL_PAYLOAD (RFC 7296 section 2.5)
	SyntaxAnswered                      // answered with INVALID_SYNTAX (RFC 7296 section 3.10.1)
	CookieWrong                         // a wrong cookie, soon after the last new one
	Keepalive                           // NAT keep-alive (RFC 3948 section 2.3)
	ESP                                 // on port 4500 and not IKE
	TooShort                            // no whole IKE header
	OldVersion                          // major version below 2
	NewVersion                          // major version above 2, not answered
	Response                            // not a request
	OtherExchange                       // a request, but not IKE_SA_INIT
	BadHeader                           // an IKE_SA_INIT with a wrong length or header fields that no request has
	Malformed                           // payloads that no IKE_SA_INIT request has, not answered
	CriticalPayload                     // a critical payload that nobody knows, not answered
	NoSupport                           // does not announce support of redirect, not answered
	NoGateway                           // no usable gateway for this client
	ReplyTooLong                        // the answer would be longer than the request
	SourceLimited                       // its source has had its share of answers
	TotalLimited                        // the node has sent its share of answers
	SendFailed                          // the kernel did not take the answer
	QueueFull                           // lost in the kernel: the socket's queue was full
	BadChecksum                         // dropped in the kernel: its UDP checksum is wrong
	Filtered                            // dropped in the kernel by the socket filter
	Dispositions     = iota             // how many there are
)

// String returns d as the metric's label.
func (d Disposition) String() string {
	names := [Dispositions]string{
		Redirected: "redirected", CookieSent: "cookie_sent", Refused: "refused", VersionAnswered: "version_answered",
		CriticalAnswered: "critical_answered", SyntaxAnswered: "syntax_answered", CookieWrong: "cookie_wrong",
		Keepalive: "keepalive", ESP: "esp", TooShort: "too_short", OldVersion: "old_version", NewVersion: "new_version",
		Response: "response", OtherExchange: "other_exchange", BadHeader: "bad_header", Malformed: "malformed",
		CriticalPayload: "critical_payload", NoSupport: "no_redirect_support", NoGateway: "no_gateway",
		ReplyTooLong: "reply_too_long", SourceLimited: "source_limited", TotalLimited: "total_limited",
		SendFailed: "send_failed", QueueFull: "queue_full", BadChecksum: "bad_checksum", Filtered: "filtered",
	}
	return names[d]
}

// ofFault returns the disposition of a datagram that ike.ParseRequest refused
// and that gets no answer.
func ofFault(err error) Disposition {
	switch err {
	case ike.Short:
		return TooShort
	case ike.OldVersion:
		return OldVersion
	case ike.NewVersion:
		return NewVersion
	case ike.IsResponse:
		return Response
	case ike.OtherExchange:
		return OtherExchange
	case ike.BadHeader, ike.BadLength:
		return BadHeader
	case ike.Critical:
		return CriticalPayload
	}
	return Malformed
}

// answered says whether d stands for a datagram that got an answer.
func (d Disposition) answered() bool { return d <= SyntaxAnswered }

// request says whether d stands for a valid IKE_SA_INIT request.
func (d Disposition) request() bool {
	switch d {
	case Redirected, CookieSent, CookieWrong, Refused, NoSupport, NoGateway, ReplyTooLong, SourceLimited, TotalLimited:
		return true
	}
	return false
}

// junk says whether d stands for a datagram that the socket filter would have
// dropped; refuse tells that clients without support get an answer.
func (d Disposition) junk(refuse bool) bool {
	switch d {
	case Keepalive, ESP, TooShort, OldVersion, Response, OtherExchange, BadHeader:
		return true
	case NoSupport:
		return !refuse
	}
	return false
}

// Counters counts datagrams by disposition. One goroutine writes, any may read.
type Counters [Dispositions]atomic.Uint64

// values returns a copy of the counts.
func (c *Counters) values() (v Counts) {
	for i := range c {
		v[i] = c[i].Load()
	}
	return v
}
