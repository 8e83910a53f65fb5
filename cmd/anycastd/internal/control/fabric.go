package control

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
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

// seeUplinks takes in by which links the neighbors are reached, and tells of one
// that went down: BGP itself notices when its hold timer ends.
func (l *Loop) seeUplinks() {
	was := l.uplinks
	l.uplinks = map[netip.Addr]netlink.Uplink{}
	for _, u := range l.parts.Uplinks.Uplinks() {
		l.uplinks[u.To] = u
	}
	for _, to := range slices.SortedFunc(maps.Keys(l.uplinks), netip.Addr.Compare) {
		u, before := l.uplinks[to], was[to]
		if u.Up == before.Up && u.Reason == before.Reason {
			continue
		}
		if _, known := was[to]; known || !u.Up {
			l.log.WithLevel(level(!u.Up)).Stringer("neighbor", to).Str("uplink", u.Link).Bool("up", u.Up).Str("reason", u.Reason).Msg("uplink changed")
		}
	}
}

// reached says whether p's session is up, and the link to p as far as is known.
func (l *Loop) reached(p bgp.Peer) bool {
	u, known := l.uplinks[p.Address]
	return p.Up() && (!known || u.Up)
}

// unreached is why no neighbor hears what is announced.
func (l *Loop) unreached() string {
	for _, p := range l.parts.Speaker.Peers() {
		if u := l.uplinks[p.Address]; p.Up() && u.Reason != "" {
			return "no neighbor can be reached: " + u.Reason
		}
	}
	return "no neighbor is established"
}
