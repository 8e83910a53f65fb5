// Package bgp announces prefixes to neighbors: the TCP sessions are its own, the
// routes and their UPDATEs those of an embedded GoBGP, which sees no octet of a
// neighbor. It takes over no neighbor's route and never touches the host's table.
package bgp

import (
	"net/netip"
	"time"
)

// GracefulShutdown is the community 65535:0: "this route is about to go away,
// prefer any other" (RFC 8326 section 5).
const GracefulShutdown uint32 = 0xFFFF0000

// DefaultHoldTime is the hold time of a neighbor that names none: a third of
// it, 3 s, is the keepalive interval.
const DefaultHoldTime = 9 * time.Second

// DefaultConnectRetry is the time between two dials of a neighbor that names
// none. Each is given as much time.
const DefaultConnectRetry = 5 * time.Second

// IdleTime is for how long a neighbor with too many prefixes is left alone.
const IdleTime = 5 * time.Minute

// Config is what a Speaker is made of.
type Config struct {
	ASN        uint32       // 1 to 4294967295
	RouterID   netip.Addr   // IPv4, not 0.0.0.0 (RFC 4271 section 4.2)
	ListenPort int          // TCP port that neighbors may dial; -1 or 0: only dial
	Listen     []netip.Addr // where they may dial it; none: every address of this host
	Neighbors  []Neighbor   // those to start with

	// NextHops has at most one address per family, put into every route of
	// that family. A family without one gets the session's own address, where
	// the session is of that family.
	NextHops []netip.Addr

	// Notify is called at each change of a session's state and at each new last
	// error, always from the goroutine of Run; Peers then shows that change, or a
	// later one. It must return quickly and call nothing of the Speaker but
	// Peers. It may be nil.
	Notify func(Peer)

	// Learned is called when what Speaker.Learned returns may have changed, from
	// any goroutine. It must return quickly. It may be nil.
	Learned func()
}

// Neighbor is a BGP speaker to hold a session with. It is comparable: equal
// neighbors keep their session across SetNeighbors.
type Neighbor struct {
	Address      netip.Addr    // IPv4 or IPv6; a link-local address needs its zone
	ASN          uint32        // 1 to 4294967295; that of the Config: an internal session
	Port         uint16        // TCP port to dial; 0: 179
	Password     string        // TCP MD5 key of at most 80 octets (RFC 2385); "": none
	LocalAddress netip.Addr    // our end; zero: the kernel's choice
	Interface    string        // link that the session is bound to (SO_BINDTODEVICE); "": any
	Passive      bool          // never dialed: it dials us
	HoldTime     time.Duration // whole seconds, 3 s to 65535 s; 0: DefaultHoldTime
	Keepalive    time.Duration // whole seconds, 1 s to a third of HoldTime; 0: that third
	ConnectRetry time.Duration // between two dials, 1 s to 1 h; 0: DefaultConnectRetry

	// Multihop is how many hops away the neighbor may be, 1 to 255. 0: an
	// external one 1, an internal one any.
	Multihop int

	// TTLSecurity is whether packets must come from no farther than Multihop
	// hops, 0 as 1, told by their TTL (RFC 5082). Both ends must do so.
	TTLSecurity bool

	// Families are offered. 0: the session's own, IPv6 also where there is an
	// IPv6 next hop, and IPv4 where there is an IPv4 one or, with an IPv6 next
	// hop (RFC 8950), no neighbor has an IPv4 address.
	Families Families

	// NextHop is put in place of the session's own address, for the routes of
	// which Config.NextHops says nothing. A session over loopback needs it.
	NextHop netip.Addr

	// MaxPrefixes is how many prefixes the neighbor may tell us before it is
	// taken for broken, and left alone for IdleTime (RFC 4486 section 4); 0: any
	// number. None is ever taken over.
	MaxPrefixes int

	// GracefulRestart is for how long the neighbor shall keep our routes after
	// our death, whole seconds, 0 to 4095 s (RFC 4724). 0: not at all. While it
	// keeps them, it sends traffic to a dead node.
	GracefulRestart time.Duration
}

// Families is a set of address families.
type Families uint8

// The families of routes (RFC 4760 section 6: AFI 1 and 2 of SAFI 1).
const (
	IPv4Unicast Families = 1 << iota
	IPv6Unicast
)

// Has reports whether all of g are in f.
func (f Families) Has(g Families) bool { return f&g == g }

// Peer is a neighbor's session as last seen.
type Peer struct {
	Address netip.Addr
	ASN     uint32

	// State is named as in RFC 4271 section 8.2.2: Idle, Connect, Active,
	// OpenSent, OpenConfirm or Established.
	State string

	// Since is when the session was last established or lost; before its first
	// time, when the neighbor was configured.
	Since time.Time

	// LastError says in words why the session last went down or could not come
	// up, at LastErrorAt. It stays after the session has recovered.
	LastError   string
	LastErrorAt time.Time

	// Announced counts the routes of the families that this session has agreed
	// on while it is Established, and is 0 otherwise.
	Announced int

	// What follows is of the session, and zero while it is not Established.
	LocalAddress netip.Addr    // our end
	RouterID     netip.Addr    // the neighbor's BGP Identifier
	Families     Families      // agreed on
	HoldTime     time.Duration // agreed on
	Prefixes     int           // that the neighbor has told us, if they are counted

	Established int      // times since it was configured
	Sent        Messages // since it was configured, over all sessions
	Received    Messages // likewise
}

// Messages counts BGP messages by their type (RFC 4271 section 4.1, RFC 2918).
type Messages struct {
	Open, Update, Notification, Keepalive, RouteRefresh uint64
}

// Up reports whether the session is up, so that routes are told on it.
func (p Peer) Up() bool { return p.State == established }

// Learned is what the fabric says of an address that is watched.
type Learned struct {
	Address netip.Addr
	Routed  bool         // some session has a host route to it
	Gone    bool         // there was one, and sessions that know all of the neighbor's routes have none
	By      []netip.Addr // the neighbors that have it, or that took it back last
	Since   time.Time    // of Routed or Gone
}
