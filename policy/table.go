package policy

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/dchest/siphash"
	"github.com/gaissmai/bart"
)

// Client is what is known of a client when it asks.
type Client struct {
	Source netip.Addr `json:"source"` // without zone, IPv4 never mapped into IPv6
	SPI    uint64     `json:"spi"`    // the initiator's SPI
	From   netip.Addr `json:"from"`   // who redirected it to us (RFC 5685 section 9.3); invalid if nobody did
}

// Target is the gateway that a client is sent to.
type Target struct {
	Gateway string     `json:"gateway"`
	Addr    netip.Addr `json:"address"`        // in the client's family; invalid if the gateway has none there
	Other   netip.Addr `json:"-"`              // in the other family, by which it may have redirected the client
	FQDN    string     `json:"fqdn,omitempty"` // names the gateway instead of Addr, unless empty
}

// family indexes what is kept for each address family.
type family int

const (
	ipv4 family = iota
	ipv6
)

// familyOf returns a's family.
func familyOf(a netip.Addr) family {
	if a.Is4() {
		return ipv4
	}
	return ipv6
}

// String returns how clients are told to go there.
func (t *Target) String() string {
	if t.FQDN != "" {
		return t.FQDN
	}
	return t.Addr.String()
}

// ring is what a pool offers to clients of one family.
type ring struct {
	targets []Target
	slots   slots // indices into targets
	others  *ring // with SelfFirst, for clients that this host's own gateway failed; nil: none
}

// poolTable is a pool's rings; an empty ring serves nobody.
type poolTable struct {
	name    string
	members []string
	rings   [2]ring
}

// Table says where each client goes. It is immutable: any number of
// goroutines may use it. The zero Table serves nobody.
type Table struct {
	k0, k1  uint64
	key     Key
	anycast []netip.Addr
	pools   []poolTable
	bySrc   *bart.Table[int] // index into pools; nil: there are no source prefixes
	rest    int              // index of the pool of clients that no prefix claims; -1: none
	made    map[string]slots // by fingerprint, for the next table to take over
	before  map[string]slots // those of the table before: a flap makes nothing anew
}

// Pick returns the gateway for c, or nil if no usable gateway serves it. The
// same table gives the same client the same gateway. A client that comes back
// from where it was sent gets another one, as far as there is one. Pick
// allocates nothing and takes the same time for any number of gateways.
func (t *Table) Pick(c Client) *Target {
	r := t.ring(c.Source)
	if r == nil || len(r.targets) == 0 {
		return nil
	}
	h := t.hash(c)
	first := r.at(h)
	if !t.failed(c.From, first) {
		return first
	}
	if r.others != nil {
		r = r.others
	}
	if t.own(c.From) { // each attempt of its has another SPI, and may reach another gateway
		h ^= c.SPI
	}
	const tries = 4 // by weight; each misses with the share that the failed gateway has
	for range tries {
		if next := r.at(splitmix(&h)); next.Gateway != first.Gateway {
			return next
		}
	}
	return r.other(first, h)
}

// Look returns where Pick will look last for c, if it goes by its source alone;
// nil if it won't. Who asks for many clients reads all of that first, and so
// waits for memory once.
func (t *Table) Look(c Client) *uint16 {
	r := t.ring(c.Source)
	if r == nil || len(r.slots) == 0 {
		return nil
	}
	return &r.slots[t.hash(c)%slotCount]
}

// failed says whether a client redirected by from can't use target: it was
// redirected by that very gateway, or comes back to us from the target that
// the same table gave it (RFC 5685 section 9.3).
func (t *Table) failed(from netip.Addr, target *Target) bool {
	return from.IsValid() && (from == target.Addr || from == target.Other || t.own(from))
}

// own says whether a is an anycast address of this node.
func (t *Table) own(a netip.Addr) bool { return slices.Contains(t.anycast, a) }

// Serves says whether any client of a's family gets a gateway.
func (t *Table) Serves(a netip.Addr) bool {
	return slices.ContainsFunc(t.pools, func(p poolTable) bool { return len(p.rings[familyOf(a)].targets) > 0 })
}

// at returns the target of hash h.
func (r *ring) at(h uint64) *Target { return &r.targets[r.slots[h%slotCount]] }

// other returns any target but t, the same for the same h; t if there is none.
func (r *ring) other(t *Target, h uint64) *Target {
	n := uint64(len(r.targets))
	if next := &r.targets[h%n]; next.Gateway != t.Gateway {
		return next
	}
	return &r.targets[(h+1)%n]
}

// ring returns what serves clients from src; nil if no pool claims them.
func (t *Table) ring(src netip.Addr) *ring {
	p := t.pool(src)
	if p == nil {
		return nil
	}
	return &p.rings[familyOf(src)]
}

// pool returns the pool of clients from src: the longest source prefix that
// covers it, else the pool for the rest, else nil.
func (t *Table) pool(src netip.Addr) *poolTable {
	if t.bySrc != nil {
		if i, ok := t.bySrc.Lookup(src); ok {
			return &t.pools[i]
		}
	}
	if t.rest < 0 || len(t.pools) == 0 {
		return nil
	}
	return &t.pools[t.rest]
}

// hash is the keyed hash of what makes c the same client: its IPv4 address or
// its IPv6 /64, and with BySourceSPI its SPI. It is the same in every process
// that has the same seed.
func (t *Table) hash(c Client) uint64 {
	var b [24]byte
	if c.Source.Is4() {
		a := c.Source.As4()
		copy(b[:], a[:])
		b[15] = 4 // no IPv6 /64 looks like this
	} else {
		a := c.Source.As16()
		copy(b[:], a[:8])
	}
	if t.key == BySourceSPI {
		binary.BigEndian.PutUint64(b[16:], c.SPI)
	}
	return siphash.Hash(t.k0, t.k1, b[:])
}
