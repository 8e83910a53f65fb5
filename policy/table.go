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

// families are all of them.
var families = [...]family{ipv4, ipv6}

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

// poolTable is a pool's gateways as its clients meet them.
type poolTable struct {
	name    string
	members []int      // indices of the configuration's gateways, by name
	chains  [2][]stage // by family; tried one after the other
}

// Table says where each client goes. It is immutable, but for the counts of
// the clients that it has sent: any number of goroutines may use it. The zero
// Table serves nobody.
type Table struct {
	k0, k1   uint64
	key      Key
	anycast  []netip.Addr
	pools    []poolTable
	bySrc    *bart.Table[int] // index into pools; nil: there are no source prefixes
	rest     int              // index of the pool of clients that no prefix claims; -1: none
	made     map[string]slots // by fingerprint, for the next table to take over
	before   map[string]slots // those of the table before: a flap makes nothing anew
	meters   map[string]*meter
	memo     *memo  // where clients were sent
	last     *memo  // where clients were sent last, by source
	counted  *memo  // which sources were counted by which table
	epoch    uint16 // of this table, for counted
	turnsOff bool
}

// Pick returns the gateway for c, or nil if no usable gateway serves it, and
// counts c as sent there: each source once, for whoever forges the initiator's
// SPI must not fill a gateway in our books. By weights alone the same table gives the
// same client the same gateway; where loads count, it does so while it remembers
// the client by its SPI, for retransmissions. A client that comes back from where
// it was sent gets another one, as far as there is one. Pick allocates nothing and
// takes the same time for any number of gateways.
func (t *Table) Pick(c Client) *Target { return t.pick(c, true) }

// Peek returns what Pick would, and changes nothing.
func (t *Table) Peek(c Client) *Target { return t.pick(c, false) }

// pick is Pick, or Peek if the client is not sent.
func (t *Table) pick(c Client, sent bool) *Target {
	chain := t.chain(c.Source)
	if len(chain) == 0 {
		return nil
	}
	h := t.hash(c)
	r := chain[0].ring
	first := r.at(h)
	back := t.failed(c.From, &r.targets[first])
	if r.gauges == nil && !back {
		return &r.targets[first]
	}
	q := query{from: c.From, known: knownBy(h, c.SPI), source: h, sent: sent}
	if t.key == BySourceSPI {
		q.source = t.hashOf(Client{Source: c.Source})
	}
	if target := t.remembered(chain, &q); target != nil { // a retransmission
		return target
	}
	if back {
		q.avoid = r.targets[first].Gateway
	}
	if t.own(c.From) { // each attempt of its has another SPI, and may reach another gateway
		q.avoid = t.lastTarget(chain, &q, &r.targets[first]).Gateway
		h ^= c.SPI
	}
	return t.search(chain, h, &q)
}

// remembered returns where the client was sent before, nil if that is forgotten
// or does not suit any more.
func (t *Table) remembered(chain []stage, q *query) *Target {
	if id, ok := t.memo.find(q.known); ok {
		for _, s := range chain {
			if i := s.placed(id); i >= 0 && q.suits(s.ring, i) {
				return &s.targets[i]
			}
		}
	}
	return nil
}

// lastTarget returns where somebody from the client's source was sent last, as
// far as that is remembered, else what its hash falls on.
func (t *Table) lastTarget(chain []stage, q *query, first *Target) *Target {
	if id, ok := t.last.find(q.source); ok {
		for _, s := range chain {
			if i := s.placed(id); i >= 0 {
				return &s.targets[i]
			}
		}
	}
	return first
}

// search goes through chain for what suits q: the first that has room, else, as
// if all had room, any of the first pool.
func (t *Table) search(chain []stage, h uint64, q *query) *Target {
	q.count = q.sent && !t.hasCounted(q.source)
	for _, s := range chain {
		q.up = s.up
		if i := s.find(h, q); i >= 0 {
			return t.sent(s.ring, i, q)
		}
	}
	r := chain[0].ring
	if r.over != nil {
		r = r.over // those that are tried first may be few
	}
	i := r.any(h, q)
	r.count(i, q)
	return t.sent(r, i, q)
}

// hasCounted says whether this table has counted a client from the source with
// this hash.
func (t *Table) hasCounted(source uint64) bool {
	epoch, ok := t.counted.find(source)
	return ok && epoch == t.epoch
}

// knownBy is the hash by which a client is remembered.
func knownBy(h, spi uint64) uint64 {
	h ^= spi
	return splitmix(&h)
}

// sent returns target i of r, and remembers that q's client was sent there.
func (t *Table) sent(r *ring, i int, q *query) *Target {
	if q.sent && r.gauges != nil {
		t.memo.keep(q.known, r.gauges[i].meter.id)
		t.last.keep(q.source, r.gauges[i].meter.id)
	}
	if q.count {
		t.counted.keep(q.source, t.epoch)
	}
	return &r.targets[i]
}

// Sent returns how many clients have been counted as sent to a gateway by this
// table and those before it.
func (t *Table) Sent(gateway string) uint64 {
	if m := t.meters[gateway]; m != nil {
		return m.sent.Load()
	}
	return 0
}

// Look returns where Pick will look last for c, if it goes by its source alone;
// nil if it won't. Who asks for many clients reads all of that first, and so
// waits for memory once.
func (t *Table) Look(c Client) *uint16 {
	chain := t.chain(c.Source)
	if len(chain) == 0 {
		return nil
	}
	return &chain[0].slots[t.hash(c)%slotCount]
}

// failed says whether a client redirected by from can't use target: it was
// redirected by that very gateway, or comes back to us from the target that
// the same table gave it (RFC 5685 section 9.3).
func (t *Table) failed(from netip.Addr, target *Target) bool {
	return from.IsValid() && (from == target.Addr || from == target.Other || t.own(from))
}

// own says whether a is an anycast address of this node.
func (t *Table) own(a netip.Addr) bool { return slices.Contains(t.anycast, a) }

// TurnsOff says whether clients that Pick has nothing for are to be told so.
func (t *Table) TurnsOff() bool { return t.turnsOff }

// Serves says whether any client of a's family gets a gateway.
func (t *Table) Serves(a netip.Addr) bool {
	return slices.ContainsFunc(t.pools, func(p poolTable) bool { return len(p.chains[familyOf(a)]) > 0 })
}

// chain returns the stages that serve clients from src; none if no pool claims them.
func (t *Table) chain(src netip.Addr) []stage {
	p := t.pool(src)
	if p == nil {
		return nil
	}
	return p.chains[familyOf(src)]
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
	if t.key != BySourceSPI {
		c.SPI = 0
	}
	return t.hashOf(c)
}

// hashOf is the keyed hash of c's source and SPI.
func (t *Table) hashOf(c Client) uint64 {
	var b [24]byte
	if c.Source.Is4() {
		a := c.Source.As4()
		copy(b[:], a[:])
		b[15] = 4 // no IPv6 /64 looks like this
	} else {
		a := c.Source.As16()
		copy(b[:], a[:8])
	}
	binary.BigEndian.PutUint64(b[16:], c.SPI)
	return siphash.Hash(t.k0, t.k1, b[:])
}
