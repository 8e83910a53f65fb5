package policy

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/gaissmai/bart"
)

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
