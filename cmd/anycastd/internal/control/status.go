package control

import (
	"net/netip"
	"time"

	"github.com/anycastd/anycastd/ikefront/probe"
)

// Status is everything that the daemon knows of itself. Its JSON form is
// stable: names are only ever added.
type Status struct {
	Node      string            `json:"node"`
	State     string            `json:"state"` // starting, in service, in service, made worse; unheard, partly in service, draining, out of service, stopping
	Reason    string            `json:"reason"`
	Ready     bool              `json:"ready"` // every prefix is announced, and heard if there are neighbors
	Started   time.Time         `json:"started"`
	Drained   *Drained          `json:"drained"` // the node, by an operator; null: it is not
	Site      Site              `json:"site"`
	Gateways  []Gateway         `json:"gateways"`
	Addresses []Address         `json:"addresses"`
	Routes    []Route           `json:"routes"`
	Records   []Record          `json:"records"`
	Peers     []Peer            `json:"peers"`
	Probes    probe.Counts      `json:"probes"`
	Reports   map[string]uint64 `json:"reports"` // of gateways' loads, by what became of them
	Packets   map[string]uint64 `json:"packets"` // by disposition, all endpoints together
	Endpoints []Endpoint        `json:"endpoints"`
	Cookies   bool              `json:"cookies_demanded"` // of every client, at present
	Warnings  []string          `json:"warnings"`
}

// Gateway is a gateway's part of a Status.
type Gateway struct {
	Name       string       `json:"name"`
	Usable     bool         `json:"usable"`
	Reason     string       `json:"reason"`
	Weight     int          `json:"weight"`
	RedirectBy string       `json:"redirect_by"`
	FQDN       string       `json:"fqdn,omitempty"`
	Pools      []string     `json:"pools"`
	Addresses  []netip.Addr `json:"addresses"`
	Health     []Health     `json:"health"`   // of each address
	Drained    *Drained     `json:"drained"`  // by an operator; null: it is not
	Load       *float64     `json:"load"`     // share of its capacity in use; null: unknown
	Sessions   *int         `json:"sessions"` // by the last figure; null: there is none, or it is too old
	Capacity   int          `json:"capacity"` // sessions; 0: unknown
	Source     string       `json:"load_source,omitempty"`
	Level      int          `json:"level"`      // sixteenths of its weight that it takes part with
	Overloaded bool         `json:"overloaded"` // gets newcomers only while no other does
	Sent       uint64       `json:"sent"`       // clients counted as sent there, as far as loads count
}

// Health is what probes have shown of a gateway's address.
type Health struct {
	Address netip.Addr `json:"address"`
	State   string     `json:"state"` // up, down, unknown
	Reason  string     `json:"reason"`
}

// Drained is an operator's drain mark in a Status.
type Drained struct {
	Reason string     `json:"reason"`
	Since  time.Time  `json:"since"`
	Until  *time.Time `json:"until"` // null: until it is undone
}

// Site is how fit the site is to be sent clients.
type Site struct {
	State  string    `json:"state"` // fit, short, overloaded, dark; "" as long as no gateway has been usable
	Since  time.Time `json:"since"`
	Usable int       `json:"usable"` // gateways
	Load   *float64  `json:"load"`   // mean of the usable gateways'; null: unknown
	Reason string    `json:"reason"`
}

// Address is an anycast address's part of a Status.
type Address struct {
	Address   netip.Addr `json:"address"`
	Interface string     `json:"interface"`
	Installed bool       `json:"installed"`
	Listening bool       `json:"listening"`
	Answers   bool       `json:"answers"`
	Reason    string     `json:"reason"`
}

// Route is a prefix's part of a Status.
type Route struct {
	Prefix netip.Prefix `json:"prefix"`
	State  string       `json:"state"` // announced, worse, graceful-shutdown, withdrawn
	Since  time.Time    `json:"since"`
	Reason string       `json:"reason"`
}

// Record is a DNS record's part of a Status.
type Record struct {
	Zone      string     `json:"zone"`
	Name      string     `json:"name"`
	Type      string     `json:"type"`
	Address   netip.Addr `json:"address"`
	TTL       uint32     `json:"ttl"`
	Published bool       `json:"published"`
	Reason    string     `json:"reason"`
}

// Peer is a BGP neighbor's part of a Status.
type Peer struct {
	Address   netip.Addr `json:"address"`
	ASN       uint32     `json:"asn"`
	State     string     `json:"state"`
	Since     time.Time  `json:"since"`
	Announced int        `json:"announced"`
	Reason    string     `json:"reason"`

	// What follows is of the session, and empty or 0 while there is none.
	LocalAddress netip.Addr `json:"local_address"` // our end
	RouterID     netip.Addr `json:"router_id"`     // the neighbor's
	Families     []string   `json:"families"`      // agreed on: ipv4, ipv6
	HoldTime     int        `json:"hold_time"`     // seconds, agreed on
	Prefixes     int        `json:"prefixes"`      // that the neighbor has told us, if they are counted

	Established int               `json:"established"`   // times since it was configured
	LastError   string            `json:"last_error"`    // in words; it stays when the session is up again
	LastErrorAt *time.Time        `json:"last_error_at"` // null: there was none
	Sent        map[string]uint64 `json:"sent"`          // messages by type since it was configured
	Received    map[string]uint64 `json:"received"`      // likewise
	Uplink      *Uplink           `json:"uplink"`        // by which it is reached; null: unknown
}

// Uplink is the link by which a neighbor is reached.
type Uplink struct {
	Link   string `json:"link"`
	Up     bool   `json:"up"` // with carrier
	Reason string `json:"reason"`
}

// Endpoint is a UDP endpoint's part of a Status.
type Endpoint struct {
	Endpoint  netip.AddrPort      `json:"endpoint"`
	Sockets   []map[string]uint64 `json:"sockets"`   // datagrams of each socket by disposition; without those that did not occur
	Filtering int                 `json:"filtering"` // sockets with a filter against a flood of junk, at present
}
