package dnspub

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	miekgdns "github.com/miekg/dns"
)

// rrset names what is asked and updated as one: a name and a type.
type rrset struct {
	name string // canonical: fully qualified, lower case
	kind uint16 // A or AAAA
}

func (r rrset) String() string { return r.name + " " + miekgdns.TypeToString[r.kind] }

// goal is what an RRset shall hold, among other things.
type goal struct {
	rrset
	ttl  uint32
	want []netip.Addr // sorted
	drop []netip.Addr // published earlier, no longer wanted
}

// goals sorts the records into one goal for each RRset that has or had some of
// ours, and returns an error for each record that cannot be in the zone.
func (p *Publisher) goals(records []Record) ([]goal, []error) {
	var errs []error
	byRRset := map[rrset]goal{}
	for _, r := range records {
		set, err := p.place(r)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		g, again := byRRset[set]
		if !again || r.TTL < g.ttl {
			g.ttl = r.TTL
		}
		g.want = append(g.want, r.Address.Unmap())
		byRRset[set] = g
	}
	for set := range p.own {
		if _, ok := byRRset[set]; !ok {
			byRRset[set] = goal{}
		}
	}
	return p.complete(byRRset), errs
}

// complete puts the goals in order and adds what is no longer wanted.
func (p *Publisher) complete(byRRset map[rrset]goal) []goal {
	goals := make([]goal, 0, len(byRRset))
	order := func(a, b rrset) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.kind, b.kind)) }
	for _, set := range slices.SortedFunc(maps.Keys(byRRset), order) {
		g := byRRset[set]
		g.rrset = set
		slices.SortFunc(g.want, netip.Addr.Compare)
		g.want = slices.Compact(g.want)
		for _, a := range p.own[set] {
			if !slices.Contains(g.want, a) {
				g.drop = append(g.drop, a)
			}
		}
		goals = append(goals, g)
	}
	return goals
}

// place says which RRset of the zone a record belongs to.
func (p *Publisher) place(r Record) (rrset, error) {
	name := miekgdns.CanonicalName(r.Name)
	_, valid := miekgdns.IsDomainName(r.Name)
	switch {
	case r.Name == "" || !valid:
		return rrset{}, fmt.Errorf("zone %s: %q is not a domain name", p.cfg.Zone, r.Name)
	case !miekgdns.IsSubDomain(p.cfg.Zone, name):
		return rrset{}, fmt.Errorf("zone %s: %s is not in this zone", p.cfg.Zone, name)
	case !r.Address.IsValid() || r.Address.Zone() != "":
		return rrset{}, fmt.Errorf("zone %s, %s: %q is not an address for the DNS", p.cfg.Zone, name, r.Address)
	case r.Address.Unmap().Is4():
		return rrset{name, miekgdns.TypeA}, nil
	}
	return rrset{name, miekgdns.TypeAAAA}, nil
}

// unmet says in words how what the server holds, addresses with their TTL in
// seconds, falls short of the goal; "": it does not.
func (g goal) unmet(have map[netip.Addr]uint32) string {
	for _, a := range g.want {
		switch ttl, ok := have[a]; {
		case !ok:
			return fmt.Sprintf("it does not hold %v", a)
		case ttl != g.ttl:
			return fmt.Sprintf("%v has a TTL of %d s, not %d s", a, ttl, g.ttl)
		}
	}
	for _, a := range g.drop {
		if _, ok := have[a]; ok {
			return fmt.Sprintf("it still holds %v", a)
		}
	}
	return ""
}

// update returns the message that brings about the goal where the server holds
// have, all or nothing (RFC 2136 section 3.4.2.7), so that nobody sees the
// RRset empty. Records with another TTL are removed before they are inserted:
// Knot ignores the insertion of one that is there, whatever its TTL. The
// records are made afresh: Insert and Remove change them.
func (g goal) update(zone string, have map[netip.Addr]uint32) *miekgdns.Msg {
	m := new(miekgdns.Msg)
	m.SetUpdate(zone)
	stale := slices.DeleteFunc(slices.Clone(g.want), func(a netip.Addr) bool {
		ttl, held := have[a]
		return !held || ttl == g.ttl
	})
	m.Remove(g.records(stale))
	m.Insert(g.records(g.want))
	m.Remove(g.records(g.drop))
	return m
}

func (g goal) records(addrs []netip.Addr) []miekgdns.RR {
	rrs := make([]miekgdns.RR, 0, len(addrs))
	for _, a := range addrs {
		header := miekgdns.RR_Header{Name: g.name, Rrtype: g.kind, Class: miekgdns.ClassINET, Ttl: g.ttl}
		if g.kind == miekgdns.TypeA {
			rrs = append(rrs, &miekgdns.A{Hdr: header, A: a.AsSlice()})
		} else {
			rrs = append(rrs, &miekgdns.AAAA{Hdr: header, AAAA: a.AsSlice()})
		}
	}
	return rrs
}

// status tells of the goal, with the reason on one line; a removal that has
// worked needs no telling.
func (g goal) status(reason string, published bool) []Status {
	if len(g.want) == 0 && published {
		return nil
	}
	return []Status{{
		Name: g.name, Type: miekgdns.TypeToString[g.kind], Want: g.want,
		Published: published, Reason: strings.ReplaceAll(reason, "\n", "; "), Checked: time.Now(),
	}}
}

// addresses returns the addresses that an answer has for an RRset, with their
// TTL in seconds.
func (r rrset) addresses(answer []miekgdns.RR) map[netip.Addr]uint32 {
	have := map[netip.Addr]uint32{}
	for _, rr := range answer {
		h := rr.Header()
		if miekgdns.CanonicalName(h.Name) != r.name || h.Rrtype != r.kind {
			continue
		}
		if a, ok := address(rr); ok {
			have[a] = h.Ttl
		}
	}
	return have
}

func address(rr miekgdns.RR) (netip.Addr, bool) {
	var raw []byte
	switch rr := rr.(type) {
	case *miekgdns.A:
		raw = rr.A.To4()
	case *miekgdns.AAAA:
		raw = rr.AAAA.To16()
	}
	return netip.AddrFromSlice(raw)
}

func stringers(addrs []netip.Addr) []fmt.Stringer {
	out := make([]fmt.Stringer, len(addrs))
	for i, a := range addrs {
		out[i] = a
	}
	return out
}
