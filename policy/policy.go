// Package policy decides who goes where, and whether this node should be
// announced at all. Decide is pure: the same configuration, view and time
// always give the same plan. It never does I/O, reads a clock or starts a
// goroutine.
package policy

import (
	"net/netip"
	"time"
)

// Gateway is a VPN gateway or Mobile IPv6 home agent that clients can be
// redirected to.
type Gateway struct {
	Name       string
	Addresses  []netip.Addr // unicast, at most one per family
	FQDN       string       // lower case, without a final dot; "" if none
	RedirectBy RedirectBy
	Weight     int  // share of newcomers relative to the other gateways, 0 to 65535; 0: none
	Capacity   int  // sessions; 0: unknown
	Self       bool // runs on this very host
}

// RedirectBy says how a REDIRECT names a gateway (RFC 5685 section 9.2).
type RedirectBy string

// The ways to name a gateway.
const (
	ByAddress RedirectBy = "address"
	ByFQDN    RedirectBy = "fqdn"
)

// Choose is the way a gateway is chosen among the usable ones of a pool.
type Choose string

// The ways to choose.
const (
	Sticky      Choose = "sticky"       // the same client, the same gateway
	LeastLoaded Choose = "least-loaded" // the emptier of two
	SelfFirst   Choose = "self-first"   // this host's own gateway while it is usable
)

// Key is what makes two requests come from the same client.
type Key string

// The client keys.
const (
	BySource    Key = "source"     // IPv4 address or IPv6 /64
	BySourceSPI Key = "source+spi" // that, and the initiator's SPI
)

// Pool is a subscription profile: the gateways that serve a set of clients.
type Pool struct {
	Name       string
	Gateways   []string       // names, in the configuration's order
	Sources    []netip.Prefix // by where the client comes from
	Identities []string       // by who the client is
	Fallback   []string       // pools that serve its clients while it can't, by name, the first choice first
}

// Config is what the operator wants; it does not change between reloads.
type Config struct {
	Node       string         // this node's name, which sets it apart where all nodes would do the same at once
	Addresses  []netip.Addr   // anycast addresses, owned and answered from
	Prefixes   []netip.Prefix // announced
	Gateways   []Gateway
	Pools      []Pool
	Choose     Choose
	Key        Key
	Seed       string        // keys the client hash; the same on all nodes of a service
	Overload   float64       // load from which a gateway gets no newcomers while another is below, above 0, at most 1; 0: 1
	StaleAfter time.Duration // age from which a Load counts as unknown; 0: never
	TurnOff    bool          // clients that no usable gateway serves are told so while the node is in charge, else they get no answer
	Site       Site
	DrainWait  time.Duration
	Settle     time.Duration
	Zones      []Zone
}

// Site says when the site as a whole is less fit to be sent clients than
// others, and what its routes then say. The zero Site is always fit.
type Site struct {
	MinGateways    int           // usable gateways below which the site is short of them; 0: it never is
	WhenShort      SiteAction    // what the routes then do
	Overload       float64       // mean load from which, for OverloadFor, the site is overloaded; 0: it never is
	OverloadFor    time.Duration // at least 0
	Relief         float64       // mean load up to which, for ReliefFor, it is so no more; below Overload
	ReliefFor      time.Duration // at least 0
	WhenOverloaded SiteAction    // what the routes then do
	WhenDark       SiteAction    // what the routes do when no gateway is usable any more; "": WithdrawSite
	Hold           time.Duration // at least from one change for the better to the next, doubled with each relapse within RelapseWithin, up to MaxHold; 0: none
}

// SiteAction is what becomes of the routes of a site that is less fit.
type SiteAction string

// The actions.
const (
	Ignore       SiteAction = "ignore"   // status tells, routes stay
	MakeWorse    SiteAction = "worse"    // announced so that the fabric prefers other sites
	WithdrawSite SiteAction = "withdraw" // by graceful shutdown
)

// How hold-down grows.
const (
	RelapseWithin = 15 * time.Minute
	MaxHold       = 10 * time.Minute
)

// Zone is a DNS zone that the node publishes records in.
type Zone struct {
	Name     string   // fully qualified, lower case
	Names    []string // get the anycast addresses; fully qualified, lower case
	Gateways bool     // publish each gateway's FQDN that lies in this zone
	TTL      uint32   // seconds
}
