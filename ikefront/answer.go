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
	limits  *limits
	refuse  bool          // clients that can't be redirected
	self    netip.Addr    // that the datagrams came to
	now     time.Duration // since the front's start
}

// answer appends to out the answer to the datagram in from src; nothing, if
// it gets none. natt says that it came to the NAT traversal port. An answer is
// never longer than what it answers.
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
	if err != nil {
		return answerFault(out, in, &r, err, src, by)
	}
	if !r.Supported {
		if !by.refuse {
			return out, NoSupport
		}
		return answerError(out, in, initHeader(&r), src, by, complaint{ike.NoProposalChosen, nil, Refused, NoSupport})
	}
	return answerSupported(out, in, &r, src, by)
}

// answerSupported answers the request of a client that supports redirect, with
// a cookie if that is demanded of everybody or if its source has little left of
// its share: with a valid one, the client gets a share that others can't use up
// by forging its address.
func answerSupported(out, in []byte, r *ike.Request, src netip.AddrPort, by *rules) ([]byte, Disposition) {
	proven := r.Cookie != nil && by.cookies.valid(r, src.Addr())
	share := by.limits.sources
	if proven {
		share = by.limits.proven
	}
	bucket := share.of(src.Addr())
	if bucket.spent(by.now, share.rate) { // before its client is counted as sent somewhere
		return out, SourceLimited
	}
	demanded := by.cookies.demanded || !by.cookies.never && bucket.low(by.now, share.rate)
	var reply []byte
	var d Disposition
	if demanded && !proven {
		reply, d = answerCookie(out, in, r, src, by)
	} else {
		reply, d = answerRedirect(out, in, r, src, by)
	}
	if d.answered() && bucket.take(1, by.now, share.rate) == 0 {
		return out, SourceLimited
	}
	return reply, d
}

// answerRedirect sends r's client to its gateway.
func answerRedirect(out, in []byte, r *ike.Request, src netip.AddrPort, by *rules) ([]byte, Disposition) {
	target := by.table.Pick(policy.Client{Source: src.Addr(), SPI: r.SPIi, From: r.From})
	if target == nil {
		if !by.table.TurnsOff() {
			return out, NoGateway
		}
		return answerError(out, in, initHeader(r), src, by, complaint{ike.NoProposalChosen, nil, Refused, NoGateway})
	}
	to := ike.GatewayID{Addr: target.Addr}
	if target.FQDN != "" {
		to = ike.GatewayID{FQDN: target.FQDN}
	}
	if ike.RedirectSize(r, to) > len(in) {
		return out, ReplyTooLong
	}
	return ike.AppendRedirect(out, r, to), Redirected
}

// answerCookie asks r's client to come again with a cookie. One that came with
// a wrong one is taken as one without (RFC 7296 section 2.6), but only now and
// then.
func answerCookie(out, in []byte, r *ike.Request, src netip.AddrPort, by *rules) ([]byte, Disposition) {
	if r.Cookie != nil && !by.limits.renewals.take(src.Addr(), by.now) {
		return out, CookieWrong
	}
	if ike.NotifySize(cookieLen) > len(in) {
		return out, ReplyTooLong
	}
	cookie := by.cookies.keys[0].cookie(r, src.Addr())
	return ike.AppendNotify(out, initHeader(r), ike.Cookie, cookie[:]), CookieSent
}

// answerFault tells the sender of what is no valid request what is wrong with
// it, if that is a thing to be told: a higher version or a critical payload
// (RFC 7296 section 2.5), or the payloads of what is an IKE_SA_INIT request by
// its header.
func answerFault(out, in []byte, r *ike.Request, fault error, src netip.AddrPort, by *rules) ([]byte, Disposition) {
	silent := ofFault(fault)
	switch silent {
	case NewVersion:
		h, _ := ike.ParseHeader(in)
		if uint64(h.Length) != uint64(len(in)) {
			return out, silent
		}
		return answerError(out, in, h, src, by, complaint{ike.InvalidMajorVersion, nil, VersionAnswered, silent})
	case CriticalPayload:
		return answerError(out, in, initHeader(r), src, by, complaint{ike.UnsupportedCriticalPayload, []byte{r.Unknown}, CriticalAnswered, silent})
	case Malformed:
		return answerError(out, in, initHeader(r), src, by, complaint{ike.InvalidSyntax, nil, SyntaxAnswered, silent})
	}
	return out, silent
}

// complaint is an error notify, with what becomes of a datagram that gets it
// and of one that doesn't.
type complaint struct {
	notify       ike.NotifyType
	data         []byte
	told, silent Disposition
}

// answerError answers the request with header h with c, unless that would be
// longer than the request, or one error notify too many.
func answerError(out, in []byte, h ike.Header, src netip.AddrPort, by *rules, c complaint) ([]byte, Disposition) {
	if ike.NotifySize(len(c.data)) > len(in) || !by.limits.refuse(src.Addr(), by.self, by.now) {
		return out, c.silent
	}
	return ike.AppendNotify(out, h, c.notify, c.data), c.told
}

// initHeader is what an unauthenticated answer to r needs of its header.
func initHeader(r *ike.Request) ike.Header {
	return ike.Header{SPIi: r.SPIi, Exchange: ike.ExchangeInit, Flags: ike.FlagInitiator}
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
