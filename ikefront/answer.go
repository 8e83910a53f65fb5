package ikefront

import (
	"net/netip"
	"time"

	"github.com/anycastd/anycastd/ikefront/ike"
	"github.com/anycastd/anycastd/policy"
)

// rules are what the answers of one batch go by.
type rules struct {
	table   *policy.Table
	cookies *cookies
	shared  *shared
	now     time.Time
}

// answer appends to out the answer to the datagram in from src; nothing, if
// it gets none. natt says that it came to the NAT traversal port.
func answer(out, in []byte, src netip.AddrPort, natt bool, by *rules) ([]byte, Disposition) {
	if natt {
		switch kind := sort4500(in, src); kind {
		case marked:
			in, out = in[ike.MarkerLen:], append(out, 0, 0, 0, 0)
		case unmarked:
		default:
			return out, kind.disposition()
		}
	}
	r, err := ike.ParseRequest(in)
	switch {
	case err == ike.NewVersion:
		return answerVersion(out, in)
	case err != nil:
		return out, ofFault(err)
	case !r.Supported:
		return answerUnsupported(out, in, &r, src, by)
	case by.cookies.demanded && !by.cookies.valid(&r, src.Addr()):
		return answerCookie(out, in, &r, src, by)
	}
	target := by.table.Pick(policy.Client{Source: src.Addr(), SPI: r.SPIi, From: r.From})
	if target == nil {
		return out, NoGateway
	}
	to := ike.GatewayID{Addr: target.Addr}
	if target.FQDN != "" {
		to = ike.GatewayID{FQDN: target.FQDN}
	}
	if ike.RedirectSize(&r, to) > len(in) {
		return out, ReplyTooLong
	}
	return ike.AppendRedirect(out, &r, to), Redirected
}

// answerUnsupported refuses a client that can't be redirected, if the operator
// wants that. It ends strongSwan's attempt at once and for good.
func answerUnsupported(out, in []byte, r *ike.Request, src netip.AddrPort, by *rules) ([]byte, Disposition) {
	if !by.shared.refuse || ike.NotifySize(0) > len(in) || !by.shared.refusals.over(src.Addr(), by.now) {
		return out, NoSupport
	}
	return ike.AppendInitNotify(out, r, ike.NoProposalChosen, nil), Refused
}

// answerCookie asks r's client to come again with a cookie. One that came with
// a wrong one is taken as one without (RFC 7296 section 2.6), but only now and
// then.
func answerCookie(out, in []byte, r *ike.Request, src netip.AddrPort, by *rules) ([]byte, Disposition) {
	if r.Cookie != nil && !by.shared.renewals.over(src.Addr(), by.now) {
		return out, CookieWrong
	}
	if ike.NotifySize(cookieLen) > len(in) {
		return out, ReplyTooLong
	}
	cookie := by.cookies.keys[0].cookie(r, src.Addr())
	return ike.AppendInitNotify(out, r, ike.Cookie, cookie[:]), CookieSent
}

// answerVersion answers a request of a higher major version, unless that
// would amplify it (RFC 7296 section 2.5).
func answerVersion(out, in []byte) ([]byte, Disposition) {
	h, _ := ike.ParseHeader(in)
	if uint64(h.Length) != uint64(len(in)) || ike.NotifySize(0) > len(in) {
		return out, NewVersion
	}
	return ike.AppendNotify(out, h, ike.InvalidMajorVersion, nil), VersionAnswered
}

// kind4500 is what a datagram to port 4500 is.
type kind4500 uint8

const (
	marked    kind4500 = iota // IKE behind a non-ESP marker
	unmarked                  // IKE without one
	keepalive                 // a single octet 0xFF
	esp                       // anything else
)

// disposition returns that of a kind that is not IKE.
func (k kind4500) disposition() Disposition {
	if k == keepalive {
		return Keepalive
	}
	return ESP
}

// sort4500 tells what a datagram to port 4500 is (RFC 3948 section 2). Without
// a marker it is IKE only if it comes from port 500 and is as long as its IKE
// header says: strongSwan leaves the marker out where either port is 500.
func sort4500(in []byte, src netip.AddrPort) kind4500 {
	if len(in) == 1 && in[0] == 0xFF {
		return keepalive
	}
	if len(in) >= ike.MarkerLen && in[0]|in[1]|in[2]|in[3] == 0 {
		return marked
	}
	if h, ok := ike.ParseHeader(in); ok && src.Port() == 500 && uint64(h.Length) == uint64(len(in)) {
		return unmarked
	}
	return esp
}
