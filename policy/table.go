package policy

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
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

// newTable builds the table for the gateways that usable says take clients of
// a family. Slots for candidates that prev had too are taken from there.
func newTable(cfg *Config, usable func(*Gateway, family) (Target, bool), prev *Table) *Table {
	sum := sha256.Sum256([]byte("anycastd table key\x00" + cfg.Seed))
	t := &Table{
		k0: binary.LittleEndian.Uint64(sum[:]), k1: binary.LittleEndian.Uint64(sum[8:]),
		key: cfg.Key, anycast: cfg.Addresses, rest: -1, made: map[string]slots{},
	}
	if prev == nil || prev.k0 != t.k0 || prev.k1 != t.k1 {
		prev = &Table{}
	}
	t.before = prev.made
	pools, rest := layout(cfg)
	for i, p := range pools {
		pt := poolTable{name: p.Name, members: p.Gateways}
		for _, f := range []family{ipv4, ipv6} {
			pt.rings[f] = t.newRing(cfg, p.Gateways, f, usable, prev)
		}
		t.pools = append(t.pools, pt)
		for _, src := range p.Sources {
			if t.bySrc == nil {
				t.bySrc = new(bart.Table[int])
			}
			t.bySrc.Insert(src, i)
		}
	}
	t.rest = rest
	if maps.EqualFunc(t.made, prev.made, func(a, b slots) bool { return &a[0] == &b[0] }) {
		t.before = prev.before // nothing is new: keep what a flap back may need
	}
	return t
}

// newRing builds the ring of the gateways among names that usable admits.
func (t *Table) newRing(cfg *Config, names []string, f family, usable func(*Gateway, family) (Target, bool), prev *Table) ring {
	var self, others []candidate
	targets := map[string]Target{}
	for _, g := range members(cfg.Gateways, names) {
		target, ok := usable(g, f)
		if !ok || g.Weight <= 0 {
			continue
		}
		targets[g.Name] = target
		if cfg.Choose == SelfFirst && g.Self {
			self = []candidate{{g.Name, 1}}
			continue
		}
		others = append(others, candidate{g.Name, g.Weight})
	}
	rest := t.ringOf(others, targets, prev)
	if len(self) == 0 {
		return rest
	}
	first := t.ringOf(self, targets, prev)
	if len(rest.targets) > 0 {
		first.others = &rest
	}
	return first
}

// ringOf builds the ring of the gateways from.
func (t *Table) ringOf(from []candidate, targets map[string]Target, prev *Table) ring {
	if len(from) == 0 {
		return ring{}
	}
	sortCandidates(from)
	r := ring{slots: t.slots(from, prev)}
	for _, c := range from {
		r.targets = append(r.targets, targets[c.name])
	}
	return r
}

// slots returns the slots of from, made now or before.
func (t *Table) slots(from []candidate, prev *Table) slots {
	id := fingerprint(from)
	if s, ok := t.made[id]; ok {
		return s
	}
	s, ok := prev.made[id]
	if !ok {
		s, ok = prev.before[id]
	}
	if !ok {
		s = rendezvous(t.k0, t.k1, from)
	}
	t.made[id] = s
	return s
}

// members returns the gateways with the given names, in their own order.
func members(all []Gateway, names []string) []*Gateway {
	wanted := make(map[string]bool, len(names))
	for _, n := range names {
		wanted[n] = true
	}
	var out []*Gateway
	for i := range all {
		if wanted[all[i].Name] {
			out = append(out, &all[i])
		}
	}
	return out
}

// Everyone is the name shown for the clients that no pool claims.
const Everyone = "everyone"

// layout returns the pools to build, and which of them serves the clients that
// no source prefix claims (-1: nobody does). That is the first pool without
// sources and identities; without one, the gateways that stand in no pool;
// without any pool at all, all gateways.
func layout(cfg *Config) (pools []Pool, rest int) {
	pools = slices.Clone(cfg.Pools)
	if i := slices.IndexFunc(pools, func(p Pool) bool { return len(p.Sources) == 0 && len(p.Identities) == 0 }); i >= 0 {
		return pools, i
	}
	taken := map[string]bool{}
	for _, p := range pools {
		for _, name := range p.Gateways {
			taken[name] = true
		}
	}
	var free []string
	for _, g := range cfg.Gateways {
		if !taken[g.Name] {
			free = append(free, g.Name)
		}
	}
	if len(free) == 0 {
		return pools, -1
	}
	return append(pools, Pool{Name: Everyone, Gateways: free}), len(pools)
}
