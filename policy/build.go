package policy

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/gaissmai/bart"
)

// member is a gateway as a ring takes it in.
type member struct {
	target   Target
	weight   int
	share    Share
	self     bool
	known    bool   // its load is, by a fresh figure
	reckoned bool   // its load is, at least by an old figure or by those of others
	sessions uint64 // if reckoned
	capacity uint64 // 0: unknown
	base     uint64 // what its meter had counted when the load was taken
}

// admission says whether a gateway, by its index, takes clients of a family,
// and as what.
type admission func(int, family) (member, bool)

// newTable builds the table for the gateways that admit says take clients of
// a family. Slots for candidates that prev had too are taken from there.
func newTable(cfg *Config, admit admission, prev *Table) *Table {
	sum := sha256.Sum256([]byte("anycastd table key\x00" + cfg.Seed))
	t := &Table{
		k0: binary.LittleEndian.Uint64(sum[:]), k1: binary.LittleEndian.Uint64(sum[8:]),
		key: cfg.Key, anycast: cfg.Addresses, made: map[string]slots{},
	}
	if prev == nil {
		prev = &Table{memo: new(memo), last: new(memo), counted: new(memo)}
	}
	t.meters, t.epoch = metersFor(cfg.Gateways, prev.meters), prev.epoch+1
	t.memo, t.last, t.counted = prev.memo, prev.last, prev.counted
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

// stages are those that gateways make, in the order in which they are tried.
type stages [2][]stage // by family

// pools makes the chains of pools: a pool's own gateways, the overloaded ones
// last, then in the same way those of its fallbacks.
func (b *builder) pools(pools []Pool) {
	order := byName(b.cfg.Gateways)
	made, index := make([]stages, len(pools)), map[string]int{}
	for i := len(pools) - 1; i >= 0; i-- { // of two pools of a name the first counts
		index[pools[i].Name] = i
	}
	for i, p := range pools {
		members := members(b.cfg.Gateways, order, p.Gateways)
		for _, f := range families {
			made[i][f] = b.stages(members, f)
		}
		b.t.pools = append(b.t.pools, poolTable{name: p.Name, members: members})
	}
	for i, p := range pools {
		for _, f := range families {
			chain := made[i][f]
			for _, name := range p.Fallback {
				if j, ok := index[name]; ok {
					chain = slices.Concat(chain, made[j][f])
				}
			}
			b.t.pools[i].chains[f] = chain
		}
	}
}

// stages makes the stages of some gateways: this host's own if that goes first,
// then all others that are not overloaded, then those that are, which may become
// full; at last the first ones may, too. One that comes back from overload is not
// left alone with everybody: it is among the overloaded ones until another is fit.
func (b *builder) stages(gateways []int, f family) (out []stage) {
	all := b.members(gateways, f)
	recovered := slices.ContainsFunc(all, func(m member) bool { return m.share.Level == FullShare && !m.share.Over })
	var self, fit, late []*member
	for i := range all {
		switch m := &all[i]; {
		case m.share.Over || m.share.Level == 0 || !recovered:
			late = append(late, m)
		case m.self && b.cfg.Choose == SelfFirst && m.share.Level == FullShare:
			self = append(self, m)
		default:
			fit = append(fit, m)
		}
	}
	for _, group := range [][]*member{self, fit} {
		if len(group) > 0 {
			out = append(out, stage{b.ring(group), calm})
		}
	}
	calmly := len(out)
	if len(late) > 0 {
		r := b.ring(late)
		r.late = true
		out = append(out, stage{r, full})
	}
	if len(out) > 1 {
		out[0].over = b.overflow(all)
	}
	for _, s := range out[:calmly] {
		if s.gauges != nil {
			out = append(out, stage{s.ring, full})
		}
	}
	return out
}

// members returns the gateways that take clients of family f.
func (b *builder) members(gateways []int, f family) []member {
	out := make([]member, 0, len(gateways))
	for _, i := range gateways {
		if m, ok := b.admit(i, f); ok && m.weight > 0 {
			out = append(out, m)
		}
	}
	return out
}

// overflow makes the ring of all, each with all of its weight.
func (b *builder) overflow(all []member) *ring {
	group := make([]*member, len(all))
	for i := range all {
		all[i].share = Share{Level: FullShare}
		group[i] = &all[i]
	}
	return b.ring(group)
}

// ring makes the ring of group, which is in the order of names, on which all
// nodes agree.
func (b *builder) ring(group []*member) *ring {
	r := &ring{targets: make([]Target, len(group)), from: make([]candidate, len(group)), emptier: b.cfg.Choose == LeastLoaded}
	gauged := r.emptier
	for i, m := range group {
		r.from[i] = candidate{m.target.Gateway, m.weight * max(m.share.Level, 1)}
		r.targets[i] = m.target
		gauged = gauged || m.reckoned && m.capacity > 0
	}
	r.slots = b.slots(r.from)
	if gauged {
		r.gauge(group, b.cfg.overload(), b.t.meters)
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

// members returns the indices of the gateways with the given names, in order.
func members(all []Gateway, order []int, names []string) []int {
	wanted := make(map[string]bool, len(names))
	for _, n := range names {
		wanted[n] = true
	}
	out := make([]int, 0, len(names))
	for _, i := range order {
		if wanted[all[i].Name] {
			out = append(out, i)
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
