package policy

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"github.com/gaissmai/bart"
)

// member is a gateway as a ring takes it in.
type member struct {
	target   Target
	weight   int
	share    Share
	self     bool
	known    bool   // whether its load is
	sessions uint64 // if known
	capacity uint64 // 0: unknown
	base     uint64 // what its meter had counted when the load was taken
}

// admission says whether a gateway takes clients of a family, and as what.
type admission func(*Gateway, family) (member, bool)

// newTable builds the table for the gateways that admit says take clients of
// a family. Slots for candidates that prev had too are taken from there.
func newTable(cfg *Config, admit admission, prev *Table) *Table {
	sum := sha256.Sum256([]byte("anycastd table key\x00" + cfg.Seed))
	t := &Table{
		k0: binary.LittleEndian.Uint64(sum[:]), k1: binary.LittleEndian.Uint64(sum[8:]),
		key: cfg.Key, anycast: cfg.Addresses, made: map[string]slots{},
	}
	if prev == nil {
		prev = &Table{memo: new(memo)}
	}
	t.meters, t.memo = metersFor(cfg.Gateways, prev.meters), prev.memo
	if prev.k0 != t.k0 || prev.k1 != t.k1 {
		prev = &Table{}
	}
	t.before = prev.made
	pools, rest := layout(cfg)
	t.rest = rest
	b := builder{cfg: cfg, admit: admit, t: t, prev: prev}
	b.pools(pools)
	for i, p := range pools {
		for _, src := range p.Sources {
			if t.bySrc == nil {
				t.bySrc = new(bart.Table[int])
			}
			t.bySrc.Insert(src, i)
		}
	}
	if maps.EqualFunc(t.made, prev.made, func(a, b slots) bool { return &a[0] == &b[0] }) {
		t.before = prev.before // nothing is new: keep what a flap back may need
	}
	return t
}

// metersFor returns a meter for each gateway, those that there were before
// included.
func metersFor(gateways []Gateway, before map[string]*meter) map[string]*meter {
	known := func(g Gateway) bool { return before[g.Name] != nil }
	if len(before) == len(gateways) && !slices.ContainsFunc(gateways, func(g Gateway) bool { return !known(g) }) {
		return before
	}
	all, taken := make(map[string]*meter, len(gateways)), map[uint16]bool{}
	for _, g := range gateways {
		if known(g) {
			all[g.Name] = before[g.Name]
			taken[before[g.Name].id] = true
		}
	}
	id := uint16(0)
	for _, g := range gateways {
		if all[g.Name] != nil {
			continue
		}
		for taken[id] {
			id++
		}
		all[g.Name] = &meter{id: id}
		taken[id] = true
	}
	return all
}

// builder is a table under way.
type builder struct {
	cfg   *Config
	admit admission
	t     *Table
	prev  *Table // whose slots can be taken over
}

// rings are the rings that gateways make: those to be tried first, and those
// of the gateways that take newcomers only while all others are full.
type rings struct{ fit, late []*ring }

// pools makes the chains of pools: a pool's own gateways, then those of its
// fallbacks, then, in the same order, those that are overloaded.
func (b *builder) pools(pools []Pool) {
	made := map[string][2]rings{}
	for _, p := range pools {
		made[p.Name] = [2]rings{b.rings(p.Gateways, ipv4), b.rings(p.Gateways, ipv6)}
	}
	for _, p := range pools {
		pt := poolTable{name: p.Name, members: p.Gateways}
		for _, f := range []family{ipv4, ipv6} {
			pt.chains[f] = made[p.Name][f].fit
			for _, name := range p.Fallback {
				pt.chains[f] = slices.Concat(pt.chains[f], made[name][f].fit)
			}
			for _, name := range slices.Concat([]string{p.Name}, p.Fallback) {
				pt.chains[f] = slices.Concat(pt.chains[f], made[name][f].late)
			}
		}
		b.t.pools = append(b.t.pools, pt)
	}
}

// rings makes the rings of the gateways with the given names.
func (b *builder) rings(names []string, f family) (out rings) {
	var self, rest, late, all []member
	for _, g := range members(b.cfg.Gateways, names) {
		m, ok := b.admit(g, f)
		if !ok || m.weight <= 0 {
			continue
		}
		full := m
		full.share = Share{Level: FullShare}
		all = append(all, full)
		switch {
		case m.share.Over || m.share.Level == 0:
			late = append(late, m)
		case m.self && b.cfg.Choose == SelfFirst:
			self = append(self, m)
		default:
			rest = append(rest, m)
		}
	}
	for _, group := range [][]member{self, rest} {
		if len(group) > 0 {
			out.fit = append(out.fit, b.ring(group, b.cfg.overload()))
		}
	}
	if len(late) > 0 {
		out.late = append(out.late, b.ring(late, 1))
	}
	if in := slices.Concat(out.fit, out.late); len(in) > 1 {
		in[0].over = b.ring(all, 1)
	}
	return out
}

// ring makes the ring of group, each of which takes clients up to the share
// full of its capacity.
func (b *builder) ring(group []member, full float64) *ring {
	slices.SortFunc(group, func(x, y member) int { return strings.Compare(x.target.Gateway, y.target.Gateway) })
	r := &ring{targets: make([]Target, len(group)), from: make([]candidate, len(group)), emptier: b.cfg.Choose == LeastLoaded}
	for i, m := range group {
		r.from[i] = candidate{m.target.Gateway, m.weight * max(m.share.Level, 1)}
		r.targets[i] = m.target
	}
	r.slots = b.slots(r.from)
	if r.emptier || slices.ContainsFunc(group, func(m member) bool { return m.known && m.capacity > 0 }) {
		r.gauge(group, full, b.t.meters)
	}
	return r
}

// slots returns the slots of from, made now or before.
func (b *builder) slots(from []candidate) slots {
	id := fingerprint(from)
	if s, ok := b.t.made[id]; ok {
		return s
	}
	s, ok := b.prev.made[id]
	if !ok {
		s, ok = b.prev.before[id]
	}
	if !ok {
		s = rendezvous(b.t.k0, b.t.k1, from)
	}
	b.t.made[id] = s
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
