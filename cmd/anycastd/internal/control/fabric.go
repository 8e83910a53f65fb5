package control

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/anycastd/anycastd/bgp"
	"github.com/anycastd/anycastd/netlink"
)

// seeLearned takes in to which gateways the fabric has lost its routes.
func (l *Loop) seeLearned() {
	gone := map[netip.Addr]string{}
	for _, r := range l.parts.Speaker.Learned() {
		if r.Gone {
			gone[r.Address] = fmt.Sprintf("has no route in the fabric since %s (neighbor %s)", r.Since.Format(time.TimeOnly), list(r.By))
		}
	}
	l.view.Gone = gone // a new one: an explanation may be at the old one
}

// list writes addresses one after the other.
func list(all []netip.Addr) string {
	var words []string
	for _, a := range all {
		words = append(words, a.String())
	}
	return strings.Join(words, ", ")
}

// seeUplinks takes in by which links the neighbors are reached: that one went
// down BGP itself notices only when its hold timer ends.
func (l *Loop) seeUplinks() {
	l.uplinks = map[netip.Addr]netlink.Uplink{}
	for _, u := range l.parts.Uplinks.Uplinks() {
		l.uplinks[u.To] = u
	}
}

// unheard returns a function that says why no neighbor hears of a prefix, as it
// is now; "" if one does, or if there are none to. A session is as good as the
// link to the neighbor, as far as that is known.
func (l *Loop) unheard() func(netip.Prefix) string {
	if l.parts.Speaker == nil {
		return func(netip.Prefix) string { return "" }
	}
	peers := l.parts.Speaker.Peers()
	return func(p netip.Prefix) string { return l.unheardBy(peers, p) }
}

// unheardBy is why none of these neighbors hears of p; "" if one does.
func (l *Loop) unheardBy(peers []bgp.Peer, p netip.Prefix) string {
	why := "no neighbor is established"
	for _, peer := range peers {
		u, known := l.uplinks[peer.Address]
		switch {
		case !peer.Up():
		case known && !u.Up:
			why = "no neighbor can be reached: " + u.Reason
		case !carries(peer.Families, p):
			why = "no neighbor that is established takes routes of that family"
		default:
			return ""
		}
	}
	return why
}

// carries reports whether a session of these families has p.
func carries(f bgp.Families, p netip.Prefix) bool {
	if p.Addr().Is4() {
		return f.Has(bgp.IPv4Unicast)
	}
	return f.Has(bgp.IPv6Unicast)
}
