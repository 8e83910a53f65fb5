// Package bgp announces prefixes to neighbors: the TCP sessions are its own, the
// routes and their UPDATEs those of an embedded GoBGP, which sees no octet of a
// neighbor. It takes over no neighbor's route and never touches the host's table.
package bgp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
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

// Limits of a neighbor's settings.
const (
	minHoldTime     = 3 * time.Second     // RFC 4271 section 4.2: zero or at least three seconds
	maxHoldTime     = 65535 * time.Second // two octets on the wire
	minConnectRetry = time.Second
	maxConnectRetry = time.Hour
	maxRestartTime  = maxRestart * time.Second // twelve bits on the wire (RFC 4724 section 3)
	maxPassword     = 80                       // octets; the kernel's TCP_MD5SIG_MAXKEYLEN
	maxInterface    = 15                       // octets; the kernel's IFNAMSIZ less one
)

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

// Validate returns everything that is wrong with c, joined, or nil.
func (c Config) Validate() error {
	var errs []error
	if c.ASN == 0 {
		errs = append(errs, errors.New("asn 0 is reserved (RFC 7607)"))
	}
	if !c.RouterID.Is4() || c.RouterID.IsUnspecified() {
		errs = append(errs, fmt.Errorf("router id %v is not an IPv4 address", c.RouterID))
	}
	if c.ListenPort < -1 || c.ListenPort > 65535 {
		errs = append(errs, fmt.Errorf("listen port %d is not a TCP port and not -1", c.ListenPort))
	}
	for _, addr := range c.Listen {
		if !addr.IsValid() || addr.Is4In6() || addr.IsMulticast() {
			errs = append(errs, fmt.Errorf("listen address %v is not an address of a host", addr))
		}
	}
	errs = append(errs, validateNextHops(c.NextHops), validateNeighbors(c.Neighbors))
	return errors.Join(errs...)
}

// validateNextHops holds next hops to one usable address per family.
func validateNextHops(hops []netip.Addr) error {
	var errs []error
	for i, hop := range hops {
		if !isNextHop(hop) {
			errs = append(errs, fmt.Errorf("next hop %v is not a unicast address", hop))
		}
		if slices.ContainsFunc(hops[:i], func(h netip.Addr) bool { return h.Is4() == hop.Is4() }) {
			errs = append(errs, fmt.Errorf("next hop %v is the second of its family", hop))
		}
	}
	return errors.Join(errs...)
}

// isNextHop reports whether hop can stand in a route.
func isNextHop(hop netip.Addr) bool { return isUnicast(hop) && hop.Zone() == "" }

// isUnicast reports whether a is one host's address.
func isUnicast(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.Is4In6()
}

// validateNeighbors checks each neighbor, and that no address comes twice.
func validateNeighbors(neighbors []Neighbor) error {
	var errs []error
	seen := make(map[netip.Addr]bool, len(neighbors))
	passwords := make(map[netip.Addr]string, len(neighbors))
	for _, n := range neighbors {
		if err := n.validate(); err != nil {
			errs = append(errs, fmt.Errorf("neighbor %v: %w", n.Address, err))
		}
		if seen[n.Address] {
			errs = append(errs, fmt.Errorf("neighbor %v is there twice", n.Address))
		}
		seen[n.Address] = true
		bare := n.Address.WithZone("")
		if other, ok := passwords[bare]; ok && other != n.Password {
			errs = append(errs, fmt.Errorf("neighbor %v: another one with that address on another link has another password, which the kernel cannot tell apart", n.Address))
		}
		passwords[bare] = n.Password
	}
	return errors.Join(errs...)
}

// validate returns the first thing that is wrong with n.
func (n Neighbor) validate() error {
	switch {
	case !isUnicast(n.Address):
		return errors.New("not a unicast address")
	case n.Address.Is6() && n.Address.IsLinkLocalUnicast() && n.Address.Zone() == "":
		return errors.New("a link-local address needs its interface, as in fe80::1%eth0")
	case n.ASN == 0:
		return errors.New("asn 0 is reserved (RFC 7607)")
	case n.Families&^(IPv4Unicast|IPv6Unicast) != 0:
		return fmt.Errorf("families %#x are not all known", uint8(n.Families))
	case n.Multihop < 0 || n.Multihop > maxTTL:
		return fmt.Errorf("%d hops are not 0 to %d", n.Multihop, maxTTL)
	case n.MaxPrefixes < 0:
		return fmt.Errorf("%d prefixes at most are less than none", n.MaxPrefixes)
	case n.NextHop.IsValid() && !isNextHop(n.NextHop):
		return fmt.Errorf("next hop %v is not a unicast address", n.NextHop)
	}
	return errors.Join(n.validateEnds(), n.validateTimes())
}

// validateEnds checks what n says of the connection.
func (n Neighbor) validateEnds() error {
	local := n.LocalAddress
	switch {
	case len(n.Password) > maxPassword:
		return fmt.Errorf("password of %d octets, at most %d fit into TCP MD5", len(n.Password), maxPassword)
	case len(n.Interface) > maxInterface:
		return fmt.Errorf("interface %s has a name of more than %d octets", n.Interface, maxInterface)
	case n.Interface != "" && n.Address.Zone() != "" && n.Interface != n.Address.Zone():
		return fmt.Errorf("interface %s is not that of the address", n.Interface)
	case local.IsValid() && (local.Is4() != n.Address.Is4() || local.Is4In6()):
		return fmt.Errorf("local address %v is of another family", local)
	}
	return nil
}

// validateTimes checks n's durations; zeros stand for defaults.
func (n Neighbor) validateTimes() error {
	hold, retry := n.HoldTime, n.ConnectRetry
	switch most := n.withDefaults().HoldTime / 3; {
	case hold != 0 && !isSeconds(hold, minHoldTime, maxHoldTime):
		return fmt.Errorf("hold time %v is not whole seconds from %v to %v", hold, minHoldTime, maxHoldTime)
	case n.Keepalive != 0 && !isSeconds(n.Keepalive, time.Second, most):
		return fmt.Errorf("keepalive time %v is not whole seconds from 1s to a third of the hold time, %v", n.Keepalive, most)
	case retry != 0 && (retry < minConnectRetry || retry > maxConnectRetry):
		return fmt.Errorf("connect retry %v is not %v to %v", retry, minConnectRetry, maxConnectRetry)
	case !isSeconds(n.GracefulRestart, 0, maxRestartTime):
		return fmt.Errorf("graceful restart %v is not whole seconds from 0s to %v", n.GracefulRestart, maxRestartTime)
	}
	return nil
}

// isSeconds reports whether d is whole seconds from least to most.
func isSeconds(d, least, most time.Duration) bool {
	return d >= least && d <= most && d%time.Second == 0
}
