package demo

import (
	"fmt"
	"slices"

	miekgdns "github.com/miekg/dns"
)

// update carries out a dynamic update, all of it or nothing (RFC 2136 section
// 3.7), and returns the response code and what was done, in words. It changes A,
// AAAA and TXT records only, and implements no prerequisites.
func (z *zone) update(m *miekgdns.Msg) (rcode int, done []string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if rcode := z.prescan(m); rcode != miekgdns.RcodeSuccess {
		return rcode, nil
	}
	for _, rr := range m.Ns {
		done = append(done, z.change(rr))
	}
	z.soa.Serial++ // RFC 2136 section 3.6
	return miekgdns.RcodeSuccess, done
}

// prescan checks an update before any of it is done (RFC 2136 sections 3.1,
// 3.3 and 3.4.1). The library names the sections as those of a query: Question
// is Zone, Answer is Prerequisite, Ns is Update.
func (z *zone) prescan(m *miekgdns.Msg) (rcode int) {
	switch {
	case len(m.Question) != 1 || m.Question[0].Qtype != miekgdns.TypeSOA:
		return miekgdns.RcodeFormatError
	case miekgdns.CanonicalName(m.Question[0].Name) != z.origin:
		return miekgdns.RcodeNotAuth
	case len(m.Answer) > 0:
		return miekgdns.RcodeNotImplemented
	}
	for _, rr := range m.Ns {
		h := rr.Header()
		switch {
		case !miekgdns.IsSubDomain(z.origin, miekgdns.CanonicalName(h.Name)):
			return miekgdns.RcodeNotZone
		case !wellFormed(rr):
			return miekgdns.RcodeFormatError
		case !granted(h):
			return miekgdns.RcodeRefused
		}
	}
	return miekgdns.RcodeSuccess
}

// wellFormed holds rr against the four kinds of change (RFC 2136 section 2.5).
func wellFormed(rr miekgdns.RR) bool {
	h := rr.Header()
	switch h.Class {
	case miekgdns.ClassINET:
		return h.Rrtype != miekgdns.TypeANY
	case miekgdns.ClassANY:
		return h.Ttl == 0 && h.Rdlength == 0
	case miekgdns.ClassNONE:
		return h.Ttl == 0 && h.Rrtype != miekgdns.TypeANY
	}
	return false
}

// granted says whether an update may touch records of h's type.
func granted(h *miekgdns.RR_Header) bool {
	return slices.Contains([]uint16{miekgdns.TypeA, miekgdns.TypeAAAA, miekgdns.TypeTXT}, h.Rrtype)
}

// change does what one record of an update says (RFC 2136 section 2.5) and
// returns that in words.
func (z *zone) change(rr miekgdns.RR) string {
	rr = miekgdns.Copy(rr)
	h := rr.Header()
	class := h.Class
	h.Class = miekgdns.ClassINET
	switch class {
	case miekgdns.ClassANY: // section 2.5.2: delete an RRset
		z.removeIf(h.Name, func(other miekgdns.RR) bool { return other.Header().Rrtype == h.Rrtype })
		return fmt.Sprintf("all of %s %s removed", h.Name, miekgdns.TypeToString[h.Rrtype])
	case miekgdns.ClassNONE: // section 2.5.4: delete an RR from an RRset
		z.remove(rr)
		return inWords(rr) + " removed"
	}
	z.insert(rr) // section 2.5.1: add to an RRset
	return fmt.Sprintf("%s added, TTL %d s", inWords(rr), h.Ttl)
}

// inWords is a record without TTL and class.
func inWords(rr miekgdns.RR) string {
	h := rr.Header()
	return h.Name + " " + miekgdns.TypeToString[h.Rrtype] + " " + rdata(rr)
}
