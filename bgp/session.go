package bgp

import (
	"net/netip"
	"slices"
	"time"

	gobgpapi "github.com/osrg/gobgp/v3/api"
)

// connectRetry is the time between two attempts to connect, in seconds. GoBGP
// waits between once and twice of it, and gives each attempt a second less.
const connectRetry = 5

// session is a neighbor and the address families to offer it. It is
// comparable, and equal sessions need no change.
type session struct {
	Neighbor
	ipv4, ipv6 bool
}

// sessions returns the session to hold with each neighbor, by its key. Its own family it
// always offers, the other one only where a usable next hop is known.
func sessions(neighbors []Neighbor, nextHops []netip.Addr) map[string]session {
	is4 := func(n Neighbor) bool { return n.Address.Is4() }
	hop4 := slices.ContainsFunc(nextHops, netip.Addr.Is4)
	hop6 := slices.ContainsFunc(nextHops, netip.Addr.Is6)
	// IPv4 with an IPv6 next hop (RFC 8950 section 4): the fabric has no IPv4
	// sessions, so this is its only way to learn IPv4 routes.
	extended := !slices.ContainsFunc(neighbors, is4)
	all := make(map[string]session, len(neighbors))
	for _, n := range neighbors {
		if n.HoldTime == 0 {
			n.HoldTime = DefaultHoldTime
		}
		s := session{Neighbor: n, ipv4: is4(n) || hop4 || extended, ipv6: !is4(n) || hop6}
		all[s.key()] = s
	}
	return all
}

// key is the name of s in GoBGP's calls and log lines.
func (s session) key() string { return s.Address.String() }

// carries counts the prefixes that are of a family of s.
func (s session) carries(ipv4, ipv6 int) int {
	n := 0
	if s.ipv4 {
		n += ipv4
	}
	if s.ipv6 {
		n += ipv6
	}
	return n
}

// peer is s in GoBGP's terms. There is no graceful restart in it: routes of a
// speaker that died must go, not stay.
func (s session) peer() *gobgpapi.Peer {
	hold := uint64(s.HoldTime / time.Second)
	p := &gobgpapi.Peer{
		Conf: &gobgpapi.PeerConf{
			NeighborAddress: s.key(), PeerAsn: s.ASN, AuthPassword: s.Password,
			// Else GoBGP would tell an internal neighbor neither of prepends nor
			// that a route which had some is gone.
			AllowAspathLoopLocal: true,
		},
		Timers: &gobgpapi.Timers{Config: &gobgpapi.TimersConfig{
			ConnectRetry:      connectRetry,
			HoldTime:          hold,
			KeepaliveInterval: hold / 3, // RFC 4271 section 4.4
		}},
		Transport: &gobgpapi.Transport{RemotePort: uint32(s.Port), LocalAddress: s.localAddress()},
	}
	if s.ipv4 {
		p.AfiSafis = append(p.AfiSafis, offer(gobgpapi.Family_AFI_IP))
	}
	if s.ipv6 {
		p.AfiSafis = append(p.AfiSafis, offer(gobgpapi.Family_AFI_IP6))
	}
	return p
}

// localAddress is where GoBGP shall dial from; "" is its own choice. For a
// link-local neighbor it must be told "::", else it sends no next hop.
func (s session) localAddress() string {
	switch {
	case s.LocalAddress.IsValid():
		return s.LocalAddress.String()
	case s.Address.Is6() && s.Address.IsLinkLocalUnicast():
		return netip.IPv6Unspecified().String()
	}
	return ""
}

// offer is the unicast family of afi in GoBGP's terms.
func offer(afi gobgpapi.Family_Afi) *gobgpapi.AfiSafi {
	return &gobgpapi.AfiSafi{Config: &gobgpapi.AfiSafiConfig{Family: unicast(afi), Enabled: true}}
}

// unicast is SAFI 1 of afi (RFC 4760 section 6).
func unicast(afi gobgpapi.Family_Afi) *gobgpapi.Family {
	return &gobgpapi.Family{Afi: afi, Safi: gobgpapi.Family_SAFI_UNICAST}
}
