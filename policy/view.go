package policy

import (
	"net/netip"
	"time"
)

// Fact is something observed, with its reason in words.
type Fact struct {
	OK     bool
	Reason string
}

// Liveness is what probes have shown of an address.
type Liveness string

// The states of an address.
const (
	Unknown Liveness = "unknown" // not yet proved either way
	Up      Liveness = "up"
	Down    Liveness = "down"
)

// Health is the liveness of one gateway address.
type Health struct {
	State  Liveness
	Reason string
}

// Own is what is known of one anycast address of this node.
type Own struct {
	Installed Fact // it is on the host
	Listening Fact // every socket of it is open
	Answers   Fact // it answers a probe
	Proven    bool // all of that has held at some time
}

// Load is what is known of a gateway's load.
type Load struct {
	Sessions int        // IKE SAs, half-open ones included
	Capacity int        // sessions; 0: that of the configuration
	CPU      float64    // share in use, 0 to 1; below 0: unknown
	CPUAt    time.Time  // when CPU came in; zero: At
	Draining bool       // the gateway itself wants no newcomers
	At       time.Time  // when it came in
	Source   string     // who said so, in words: "VICI", "report"
	From     netip.Addr // where from; invalid: this host; unspecified: unknown
	Sent     uint64     // clients that Table.Sent counted for the gateway by then
}

// Share is how much of its weight a gateway takes part with, as its load bids.
type Share struct {
	Level int       // sixteenths, 0 to FullShare
	Over  bool      // it is overloaded, and gets newcomers only while no other gateway takes them
	High  time.Time // of the first figure at overload or above in a row; zero: the last was below
	Since time.Time // when Level last rose, or began to wait for that
}

// FullShare is the Level of a gateway that takes part with all of its weight.
const FullShare = 16

// Drain is an operator's mark that something takes no newcomers.
type Drain struct {
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero"` // zero: until it is undone
}

// View is what is known when Decide is asked. Maps may lack entries: what is
// not there has not been observed yet. Own and Routes may have entries that the
// configuration lacks since a reload: they are taken out of service in order.
type View struct {
	Health   map[netip.Addr]Health // of gateway addresses
	Loads    map[string]Load       // of gateways
	Sent     map[string]uint64     // what Table.Sent counted a while ago, for gateways without a fresh Load
	Drained  map[string]Drain      // gateways that take no newcomers
	Own      map[netip.Addr]Own
	Spoken   map[netip.Prefix]bool // announced by the speaker at some time since the start
	Gone     map[netip.Addr]string // gateway addresses whose routes the fabric has lost, and why that is known; whatever Health says, they are down
	Node     *Drain                // nil: the node is not drained
	Stopping bool                  // the daemon has been told to stop

	// What the last plan said, which the next one goes on from.
	Routes map[netip.Prefix]RouteState
	Shares map[string]Share // of gateways
	Site   SiteState
	Table  *Table
}

// RouteWish is what is to be done with a route.
type RouteWish string

// The wishes.
const (
	Withdrawn        RouteWish = "withdrawn"
	Announced        RouteWish = "announced"
	Worse            RouteWish = "worse"             // announced so that the fabric prefers other sites
	GracefulShutdown RouteWish = "graceful-shutdown" // announced with 65535:0 (RFC 8326), soon to be withdrawn
)

// up says whether the prefix is announced as long as the node serves.
func (w RouteWish) up() bool { return w == Announced || w == Worse }

// RouteState is the wish for a route and its past.
type RouteState struct {
	Wish  RouteWish
	Since time.Time
	Ever  bool // it was to be announced at some time since the daemon's start
	Worse bool // before it was to be withdrawn gracefully, it was Worse
	HoldDown
}

// Plan is what must be true, and why.
type Plan struct {
	Table     *Table
	Gateways  []GatewayPlan
	Site      SitePlan
	Addresses []AddressPlan // the anycast addresses of the configuration, and those that leave
	Routes    []RoutePlan   // the prefixes of the configuration, and those that leave
	Records   []RecordPlan  // all records to be published
	Next      time.Time     // when to decide again though nothing happened; zero: never
	Stopped   bool          // the tear-down is complete
}

// GatewayPlan says whether a gateway takes newcomers.
type GatewayPlan struct {
	Name   string
	Usable bool
	Pools  []string
	Share  Share
	Load   float64 // share of its capacity in use by a fresh figure; below 0: unknown
	Reason string  // why it is usable or not

	bearing bearing
}

// Burden says what the gateway's load comes to; "" if nothing is known of it.
func (p *GatewayPlan) Burden() string { return p.bearing.String() }

// AddressPlan says whether an address is to be on the host and answered from.
type AddressPlan struct {
	Addr    netip.Addr
	Install bool
	Listen  bool
	Reason  string
}

// RoutePlan says what is to be done with a prefix.
type RoutePlan struct {
	Prefix netip.Prefix
	RouteState
	Reason string
}

// RecordPlan is an A or AAAA record. One with Publish false waits and is not
// to be touched yet.
type RecordPlan struct {
	Zone, Name string
	Addr       netip.Addr
	TTL        uint32
	Publish    bool
	Reason     string
}
