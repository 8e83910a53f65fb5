package demo

import (
	"net/netip"
	"slices"
	"strings"
	"sync"

	miekgdns "github.com/miekg/dns"
)

// zoneTTL is the TTL in seconds of what the zone begins with, and of answers
// that something does not exist (RFC 2308 section 3).
const zoneTTL = 5

// zone is what an authoritative server knows. Its methods may be called from
// several goroutines.
type zone struct {
	origin string // fully qualified, lower case

	mu  sync.Mutex
	soa *miekgdns.SOA
	rrs map[string][]miekgdns.RR // by name; no SOA; an RRset's TTLs are equal (RFC 2181 section 5.2)
}

// newZone returns a zone with one name server, ns.ORIGIN, whose addresses are
// those given.
func newZone(origin string, addrs []netip.Addr) *zone {
	origin = miekgdns.CanonicalName(origin)
	ns := "ns." + origin
	z := &zone{origin: origin, rrs: map[string][]miekgdns.RR{}}
	z.soa = &miekgdns.SOA{
		Hdr: header(origin, miekgdns.TypeSOA), Ns: ns, Mbox: "hostmaster." + origin,
		Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: zoneTTL,
	}
	z.insert(&miekgdns.NS{Hdr: header(origin, miekgdns.TypeNS), Ns: ns})
	for _, a := range addrs {
		if a.Is4() {
			z.insert(&miekgdns.A{Hdr: header(ns, miekgdns.TypeA), A: a.AsSlice()})
		} else {
			z.insert(&miekgdns.AAAA{Hdr: header(ns, miekgdns.TypeAAAA), AAAA: a.AsSlice()})
		}
	}
	return z
}

// header is that of a record the zone begins with.
func header(name string, kind uint16) miekgdns.RR_Header {
	return miekgdns.RR_Header{Name: name, Rrtype: kind, Class: miekgdns.ClassINET, Ttl: zoneTTL}
}

// answer fills the reply to a question with what the zone holds (RFC 1034
// section 4.3.2). That something is not there it says with the SOA (RFC 2308
// section 2).
func (z *zone) answer(reply *miekgdns.Msg, q miekgdns.Question) {
	z.mu.Lock()
	defer z.mu.Unlock()
	name := miekgdns.CanonicalName(q.Name)
	if !miekgdns.IsSubDomain(z.origin, name) || q.Qclass != miekgdns.ClassINET {
		reply.Rcode = miekgdns.RcodeRefused
		return
	}
	reply.Authoritative = true
	for _, rr := range z.rrs[name] {
		if rr.Header().Rrtype == q.Qtype {
			reply.Answer = append(reply.Answer, miekgdns.Copy(rr))
		}
	}
	if name == z.origin && q.Qtype == miekgdns.TypeSOA {
		reply.Answer = append(reply.Answer, miekgdns.Copy(z.soa))
	}
	if len(reply.Answer) > 0 {
		return
	}
	reply.Ns = append(reply.Ns, miekgdns.Copy(z.soa))
	if !z.exists(name) {
		reply.Rcode = miekgdns.RcodeNameError
	}
}

// exists says whether there is anything at name or below it (RFC 8020 section 2).
func (z *zone) exists(name string) bool {
	for owner := range z.rrs {
		if miekgdns.IsSubDomain(name, owner) {
			return true
		}
	}
	return name == z.origin
}

// insert adds rr; in place of an equal one, whose TTL may differ (RFC 2136
// section 3.4.2.2). The whole RRset gets its TTL.
func (z *zone) insert(rr miekgdns.RR) {
	z.remove(rr)
	h := rr.Header()
	h.Name = miekgdns.CanonicalName(h.Name)
	for _, other := range z.rrs[h.Name] {
		if other.Header().Rrtype == h.Rrtype {
			other.Header().Ttl = h.Ttl
		}
	}
	z.rrs[h.Name] = append(z.rrs[h.Name], rr)
}

// remove takes out what has the name, type and data of rr.
func (z *zone) remove(rr miekgdns.RR) {
	z.removeIf(rr.Header().Name, func(other miekgdns.RR) bool { return miekgdns.IsDuplicate(rr, other) })
}

// removeIf takes out what doomed says of the records at name.
func (z *zone) removeIf(name string, doomed func(miekgdns.RR) bool) {
	name = miekgdns.CanonicalName(name)
	z.rrs[name] = slices.DeleteFunc(z.rrs[name], doomed)
	if len(z.rrs[name]) == 0 {
		delete(z.rrs, name)
	}
}

// rdata is the data of a record in the zone file's form.
func rdata(rr miekgdns.RR) string { return strings.TrimPrefix(rr.String(), rr.Header().String()) }
