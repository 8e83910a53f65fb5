package control

import (
	"cmp"
	"time"

	"github.com/anycastd/anycastd/bgp"
)

// peers lists the BGP neighbors.
func (l *Loop) peers() []Peer {
	out := []Peer{}
	if l.parts.Speaker == nil {
		return out
	}
	for _, p := range l.parts.Speaker.Peers() {
		out = append(out, peerAs(p))
	}
	return out
}

// peerAs is a neighbor in a status.
func peerAs(p bgp.Peer) Peer {
	out := Peer{
		Address: p.Address, ASN: p.ASN, State: p.State, Since: p.Since, Announced: p.Announced, Reason: cmp.Or(p.LastError, "no session yet"),
		LocalAddress: p.LocalAddress, RouterID: p.RouterID, Families: familyNames(p.Families), HoldTime: int(p.HoldTime / time.Second),
		Prefixes: p.Prefixes, Established: p.Established, LastError: p.LastError, Sent: messages(p.Sent), Received: messages(p.Received),
	}
	if p.Up() {
		out.Reason = "session up"
	}
	if !p.LastErrorAt.IsZero() {
		out.LastErrorAt = &p.LastErrorAt
	}
	return out
}

// familyNames are the families of f as the configuration names them.
func familyNames(f bgp.Families) []string {
	out := []string{}
	if f.Has(bgp.IPv4Unicast) {
		out = append(out, "ipv4")
	}
	if f.Has(bgp.IPv6Unicast) {
		out = append(out, "ipv6")
	}
	return out
}

// messages are counts of messages by their type.
func messages(m bgp.Messages) map[string]uint64 {
	return map[string]uint64{
		"open": m.Open, "update": m.Update, "notification": m.Notification, "keepalive": m.Keepalive, "route_refresh": m.RouteRefresh,
	}
}
