package ikefront

import (
	"sync/atomic"

	"github.com/anycastd/anycastd/ikefront/ike"
)

// Disposition is what became of a datagram; each has exactly one.
type Disposition uint8

// The dispositions.
const (
	Redirected      Disposition = iota // answered with REDIRECT
	CookieSent                         // answered with COOKIE (RFC 7296 section 2.6)
	Refused                            // answered with NO_PROPOSAL_CHOSEN: can't be redirected
	VersionAnswered                    // answered with INVALID_MAJOR_VERSION (RFC 7296 section 2.5)
	CookieWrong                        // a wrong cookie, soon after the last new one
	Keepalive                          // NAT keep-alive (RFC 3948 section 2.3)
	ESP                                // on port 4500 and not IKE
	TooShort                           // no whole IKE header
	OldVersion                         // major version below 2
	NewVersion                         // major version above 2, but too short to be answered
	Response                           // not a request
	OtherExchange                      // a request, but not IKE_SA_INIT
	Malformed                          // not a valid IKE_SA_INIT request
	CriticalPayload                    // has a critical payload that nobody knows
	NoSupport                          // does not announce support of redirect
	NoGateway                          // no usable gateway for this client
	ReplyTooLong                       // the answer would be longer than the request
	SendFailed                         // the kernel did not take the answer
	Dispositions    = iota             // how many there are
)

// String returns d as the metric's label.
func (d Disposition) String() string {
	names := [Dispositions]string{
		Redirected: "redirected", CookieSent: "cookie_sent", Refused: "refused", CookieWrong: "cookie_wrong", VersionAnswered: "version_answered", Keepalive: "keepalive", ESP: "esp",
		TooShort: "too_short", OldVersion: "old_version", NewVersion: "new_version", Response: "response",
		OtherExchange: "other_exchange", Malformed: "malformed", CriticalPayload: "critical_payload",
		NoSupport: "no_redirect_support", NoGateway: "no_gateway", ReplyTooLong: "reply_too_long", SendFailed: "send_failed",
	}
	return names[d]
}

// ofFault returns the disposition of a datagram that ike.ParseRequest refused.
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
	case ike.Critical:
		return CriticalPayload
	}
	return Malformed
}

// answered says whether d stands for a datagram that got an answer.
func (d Disposition) answered() bool { return d <= VersionAnswered }

// request says whether d stands for a valid IKE_SA_INIT request.
func (d Disposition) request() bool {
	switch d {
	case Redirected, CookieSent, CookieWrong, Refused, NoSupport, NoGateway, ReplyTooLong:
		return true
	}
	return false
}

// Counters counts datagrams by disposition. One goroutine writes, any may read.
type Counters [Dispositions]atomic.Uint64

// add adds the counts of o to c.
func (c *Counters) add(o *Counters) {
	for i := range c {
		c[i].Add(o[i].Load())
	}
}

// values returns a copy of the counts.
func (c *Counters) values() (v [Dispositions]uint64) {
	for i := range c {
		v[i] = c[i].Load()
	}
	return v
}
