package config

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"github.com/anycastd/anycastd/bgp"
)

// announcements checks [bgp.announce] and [bgp.worse], with the neighbors known.
func (c *checker) announcements(raw *bgpTable, cfg *Config) {
	cfg.BGP.Announce = c.attributes("bgp.announce", &raw.Announce)
	cfg.BGP.Worse = c.attributes("bgp.worse", &raw.Worse)
	c.loop("bgp.announce.prepend", raw.Announce.Prepend, raw)
	c.loop("bgp.worse.prepend", raw.Worse.Prepend, raw)
	if sum := raw.Announce.Prepend + raw.Worse.Prepend; sum > bgp.MaxPrepend {
		c.fault("bgp.worse.prepend", "with those of bgp.announce that is %d prepends, more than %d", sum, bgp.MaxPrepend)
	}
	if c.fits("bgp.announce", cfg.BGP.Announce) {
		c.fits("bgp.worse", cfg.BGP.Announce.With(cfg.BGP.Worse))
	}
	c.preferredMore(raw)
	c.nobodyTold("bgp.announce.local_pref", raw)
	c.nobodyTold("bgp.worse.local_pref", raw)
}

// attributes checks a table of what routes say.
func (c *checker) attributes(table string, raw *attributesTable) bgp.Attributes {
	out := bgp.Attributes{
		Communities: communities(c, table+".communities", raw.Communities, community),
		Large:       communities(c, table+".large_communities", raw.Large, largeCommunity),
		Extended:    communities(c, table+".extended_communities", raw.Extended, extendedCommunity),
		MED:         uint32(raw.MED), Prepend: int(raw.Prepend),
	}
	if c.sound(table + ".local_pref") {
		pref := uint32(raw.LocalPref)
		out.LocalPref = &pref
	}
	return out
}

// communities returns what the texts of the list at path stand for.
func communities[T any](c *checker, path string, texts []string, parse func(string) (T, error)) []T {
	var out []T
	once := unique[string](c, "community")
	for i, text := range texts {
		at := item(path, i)
		if c.faulty(at) {
			continue
		}
		if v, err := parse(text); err != nil {
			c.fault(at, "%s: %s %v", path, quote(text), err)
		} else if once.add(text, at) {
			out = append(out, v)
		}
	}
	return out
}

// sameness reports whether a route is no other when it is worse, though
// nothing is wrong with what [bgp.announce] and [bgp.worse] say.
func (c *checker) sameness(raw *bgpTable, cfg *Config) bool {
	for _, key := range []string{"communities", "large_communities", "extended_communities", "med", "local_pref", "prepend"} {
		if c.faulty("bgp.announce."+key) || c.faulty("bgp.worse."+key) {
			return false
		}
	}
	w, is := &raw.Worse, &cfg.BGP.Worse
	left := len(w.Communities) - len(is.Communities) + len(w.Large) - len(is.Large) + len(w.Extended) - len(is.Extended)
	return left == 0 && cfg.BGP.Announce.With(*is).Equal(cfg.BGP.Announce)
}

// loop faults prepends that an internal neighbor would be told, too: its own
// AS in the path is a loop to it (RFC 4271 section 9.1.2).
func (c *checker) loop(path string, prepend int64, raw *bgpTable) {
	if prepend == 0 || raw.ASN == 0 {
		return
	}
	for _, n := range raw.Neighbor {
		if n.ASN == raw.ASN {
			c.fault(path, "neighbor %s is in this AS: it takes any prepend for a loop and drops the route", n.Address).
				suggest("leave prepend out: among internal neighbors communities, med and local_pref do it")
			return
		}
	}
}

// maxAttributes is how many octets of communities go into a message of 4096
// (RFC 4271 section 4.1), with room for all else.
const maxAttributes = 3500

// fits reports whether the communities of a route go into one message, and
// faults them if not.
func (c *checker) fits(path string, a bgp.Attributes) bool {
	n := 4*len(a.Communities) + 12*len(a.Large) + 8*len(a.Extended)
	if n > maxAttributes {
		c.fault(path, "the communities of a route take %d octets, more than %d", n, maxAttributes)
	}
	return n <= maxAttributes
}

// preferredMore warns of what makes a route better that is to be worse.
func (c *checker) preferredMore(raw *bgpTable) {
	usual, worse := raw.Announce, raw.Worse
	if worse.MED > 0 && worse.MED < usual.MED {
		c.warn("bgp.worse.med", "bgp.worse.med is lower than bgp.announce.med: neighbors prefer the lower one")
	}
	const local = "bgp.announce.local_pref"
	if !c.sound(local) && !c.faulty(local) {
		usual.LocalPref = defaultLocalPref
	}
	if c.sound("bgp.worse.local_pref") && worse.LocalPref > usual.LocalPref && !c.faulty(local) {
		c.warn("bgp.worse.local_pref", "bgp.worse.local_pref is higher than the usual %d: neighbors prefer the higher one", usual.LocalPref)
	}
}

// defaultLocalPref is what internal neighbors are told otherwise.
const defaultLocalPref = 100

// nobodyTold warns of a local preference that no neighbor is told.
func (c *checker) nobodyTold(path string, raw *bgpTable) {
	if !c.sound(path) || len(raw.Neighbor) == 0 || raw.ASN == 0 {
		return
	}
	for _, n := range raw.Neighbor {
		if n.ASN == raw.ASN || n.ASN == 0 {
			return
		}
	}
	c.warn(path, "no neighbor is told local_pref: all are external (RFC 4271 section 5.1.5)").suggest("among external neighbors communities, med and prepend do it")
}

// community returns what two halves of 16 bits stand for (RFC 1997).
func community(s string) (uint32, error) {
	n, err := numbers(s, 2, 16)
	if err != nil {
		return 0, err
	}
	v := n[0]<<16 | n[1]
	if v == bgp.GracefulShutdown {
		return 0, errors.New("is graceful shutdown, which only says that a route is about to go away (RFC 8326)")
	}
	return v, nil
}

// largeCommunity returns what three numbers of 32 bits stand for (RFC 8092).
func largeCommunity(s string) (bgp.LargeCommunity, error) {
	n, err := numbers(s, 3, 32)
	if err != nil {
		return bgp.LargeCommunity{}, err
	}
	return bgp.LargeCommunity(n), nil
}

// extendedCommunity returns what a kind, an AS or IPv4 address, and a number
// stand for (RFC 4360 sections 3 to 5, RFC 5668).
func extendedCommunity(s string) (bgp.ExtendedCommunity, error) {
	var v bgp.ExtendedCommunity
	words := strings.Split(s, ":")
	if len(words) != 3 {
		return v, errors.New("is not a kind, an AS or IPv4 address, and a number, with colons between them")
	}
	switch words[0] {
	case "rt":
		v[1] = bgp.RouteTarget
	case "soo":
		v[1] = bgp.RouteOrigin
	default:
		return v, fmt.Errorf("has the kind %s, not rt or soo", quote(words[0]))
	}
	if a, err := netip.ParseAddr(words[1]); err == nil && a.Is4() {
		v[0] = bgp.OfIPv4
		copy(v[2:], a.AsSlice())
		return v, number16(v[6:], words[2])
	}
	as, err := number(words[1], 32)
	switch {
	case err != nil:
		return v, fmt.Errorf("has %s, neither an AS nor an IPv4 address", quote(words[1]))
	case as > math.MaxUint16:
		v[0] = bgp.OfFourOctetAS
		binary.BigEndian.PutUint32(v[2:], as)
		return v, number16(v[6:], words[2])
	}
	binary.BigEndian.PutUint16(v[2:], uint16(as))
	n, err := number(words[2], 32)
	binary.BigEndian.PutUint32(v[4:], n)
	return v, err
}

// number16 puts a number of 16 bits into b.
func number16(b []byte, word string) error {
	n, err := number(word, 16)
	binary.BigEndian.PutUint16(b, uint16(n))
	return err
}

// numbers returns numbers of so many bits that colons part.
func numbers(s string, count, bits int) ([]uint32, error) {
	words := strings.Split(s, ":")
	if len(words) != count {
		return nil, fmt.Errorf("is not %d numbers with colons between them", count)
	}
	var out []uint32
	for _, w := range words {
		n, err := number(w, bits)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

// number returns a number of so many bits.
func number(word string, bits int) (uint32, error) {
	n, err := strconv.ParseUint(word, 10, bits)
	if err != nil {
		return 0, fmt.Errorf("has %s, not a number from 0 to %d", quote(word), uint64(1)<<bits-1)
	}
	return uint32(n), nil
}
