package control

import (
	"net/netip"
	"slices"
	"time"

	"github.com/anycastd/anycastd/ikefront/probe"
	"github.com/anycastd/anycastd/policy"
)

// model is what a torture itself knows of the gateways, from what it has told
// the loop: a second opinion, said as plainly as can be.
type model struct {
	*outside
	health map[netip.Addr]probe.Status
	loads  map[string][]figure // the last ones
	marks  Marks

	reloadedAt time.Time
}

// figure is a load, and what had been sent by then.
type figure struct {
	policy.Load
	sent uint64
}

// verdict is an answer that may not be certain: a load that is no urgent one
// is taken in within a second.
type verdict int

// The verdicts.
const (
	no verdict = iota
	maybe
	yes
)

// settlesIn is how long a load may take until it counts.
const settlesIn = selfEvery

// drainingHolds is for how long a gateway's own wish to drain certainly counts.
const drainingHolds = time.Hour

// configured forgets what a reload makes the loop forget.
func (m *model) configured() {
	m.reloadedAt = time.Now()
	known := m.health
	m.health = map[netip.Addr]probe.Status{}
	for i := range m.cfg.Policy.Gateways {
		g := &m.cfg.Policy.Gateways[i]
		for _, a := range g.Addresses {
			if m.cfg.Probes[g.Name].Every == 0 {
				m.health[a] = probe.Up
			} else if s, ok := known[a]; ok {
				m.health[a] = s
			}
		}
	}
	for name := range m.loads {
		if m.gateway(name) == nil {
			delete(m.loads, name)
		}
	}
}

// turned takes in what a probe has shown of a. What a dead gateway held is
// forgotten when it comes back, unless it was fresh.
func (m *model) turned(a netip.Addr, is probe.Status) {
	was := m.health[a]
	m.health[a] = is
	if was != probe.Down || is != probe.Up {
		return
	}
	for i := range m.cfg.Policy.Gateways {
		g := &m.cfg.Policy.Gateways[i]
		if _, old, _ := m.figure(g); old && slices.Contains(g.Addresses, a) {
			delete(m.loads, g.Name)
		}
	}
}

// gateway returns the gateway of this name, nil if there is none.
func (m *model) gateway(name string) *policy.Gateway {
	for i := range m.cfg.Policy.Gateways {
		if g := &m.cfg.Policy.Gateways[i]; g.Name == name {
			return g
		}
	}
	return nil
}

// expire forgets the marks whose time is over.
func (m *model) expire() {
	over := func(d policy.Drain) bool { return !d.Until.IsZero() && !time.Now().Before(d.Until) }
	if m.marks.Node != nil && over(*m.marks.Node) {
		m.marks.Node = nil
	}
	for name, d := range m.marks.Gateways {
		if over(d) {
			delete(m.marks.Gateways, name)
		}
	}
}

// alive says whether g lives, for clients of a family.
func (m *model) alive(g *policy.Gateway, v6 bool) bool {
	if g.RedirectBy == policy.ByFQDN {
		return len(g.Addresses) == 0 || slices.ContainsFunc(g.Addresses, func(a netip.Addr) bool { return m.health[a] == probe.Up })
	}
	return slices.ContainsFunc(g.Addresses, func(a netip.Addr) bool { return a.Is6() == v6 && m.health[a] == probe.Up })
}

// figure returns the last load of g; old says that it no longer counts, young
// that it may not count yet.
func (m *model) figure(g *policy.Gateway) (l figure, old, young bool) {
	all := m.loads[g.Name]
	if len(all) == 0 {
		return figure{}, true, false
	}
	l = all[len(all)-1]
	stale := m.cfg.Policy.StaleAfter
	urgent := l.Draining && (len(all) == 1 || !all[len(all)-2].Draining) // taken in at once
	return l, stale > 0 && time.Since(l.At) >= stale, time.Since(l.At) <= settlesIn && !urgent
}

// usable says whether clients of a family can be sent to g.
func (m *model) usable(g *policy.Gateway, v6 bool) verdict {
	if _, drained := m.marks.Gateways[g.Name]; drained || g.Weight <= 0 || !m.alive(g, v6) {
		return no
	}
	l, _, young := m.figure(g)
	switch {
	case young && slices.ContainsFunc(m.loads[g.Name], func(f figure) bool { return f.Draining }):
		return maybe
	case l.Draining && time.Since(l.At) >= drainingHolds:
		return maybe
	case l.Draining: // until it says otherwise, or was dead
		return no
	}
	return yes
}

// load returns the share of its capacity that g has in use by f, below 0: unknown.
func (m *model) load(g *policy.Gateway, f *figure) float64 {
	load := -1.
	if f.CPU >= 0 {
		load = f.CPU
	}
	if c := capacityOf(g, f); c > 0 {
		load = max(load, float64(f.Sessions)/float64(c))
	}
	return load
}

// capacityOf returns g's capacity by f or the configuration.
func capacityOf(g *policy.Gateway, f *figure) int {
	if f.Capacity > 0 {
		return f.Capacity
	}
	return g.Capacity
}

// over says whether g is overloaded. One that is coming back may be, and so may
// one of unknown load, which is taken to be as it was or as others are.
func (m *model) over(g *policy.Gateway) verdict {
	l, old, young := m.figure(g)
	if young || old {
		return maybe
	}
	limit := m.cfg.Policy.Overload
	switch load := m.load(g, &l); {
	case load >= limit && m.highBefore(g, limit):
		return yes
	case load < limit*0.87 || m.calmBefore(g, limit):
		return no
	}
	return maybe
}

// highBefore says whether the figure before g's last one was certainly taken in
// under the present configuration, and was at limit or above, as were all since.
func (m *model) highBefore(g *policy.Gateway, limit float64) bool {
	all := m.loads[g.Name]
	last := all[len(all)-1]
	for i := len(all) - 2; i >= 0 && m.load(g, &all[i]) >= limit && all[i].At.After(m.reloadedAt); i-- {
		if last.At.Sub(all[i].At) > settlesIn {
			return true
		}
	}
	return false
}

// calmBefore says whether the figure before g's last one was certainly taken in
// as a fresh one, and was well below limit: a single one above it is no overload.
func (m *model) calmBefore(g *policy.Gateway, limit float64) bool {
	all := m.loads[g.Name]
	if len(all) < 2 {
		return false
	}
	before, last := &all[len(all)-2], &all[len(all)-1]
	apart, stale := last.At.Sub(before.At), m.cfg.Policy.StaleAfter
	fresh := stale == 0 || apart+settlesIn < stale
	return m.load(g, before) < limit*0.87 && apart > settlesIn && fresh && before.At.After(m.reloadedAt)
}

// roomy says whether g certainly takes more newcomers.
func (m *model) roomy(g *policy.Gateway) bool {
	l, old, young := m.figure(g)
	c := capacityOf(g, &l)
	if young || old || c == 0 {
		return !young && c == 0
	}
	had := max(float64(l.Sessions), m.load(g, &l)*float64(c)) // a busy CPU counts as sessions
	return had+float64(m.table.Sent(g.Name)-l.sent)+30 < m.cfg.Policy.Overload*float64(c)
}

// takes says whether g certainly takes newcomers of a family.
func (m *model) takes(g *policy.Gateway, v6 bool) bool {
	return g != nil && m.usable(g, v6) == yes && m.over(g) == no && m.roomy(g)
}

// groups returns the names of the gateways that serve clients from src, in the
// order of preference: those of the pool, of its first fallback, and so on.
func (m *model) groups(src netip.Addr) (out [][]string) {
	pool := m.pool(src)
	if pool == nil {
		return nil
	}
	out = append(out, pool.Gateways)
	for _, name := range pool.Fallback {
		i := slices.IndexFunc(m.cfg.Policy.Pools, func(p policy.Pool) bool { return p.Name == name })
		out = append(out, m.cfg.Policy.Pools[i].Gateways)
	}
	return out
}

// pool returns the pool of the clients from src; nil: nobody serves them.
func (m *model) pool(src netip.Addr) *policy.Pool {
	pools := m.cfg.Policy.Pools
	for i := range pools {
		if slices.ContainsFunc(pools[i].Sources, func(p netip.Prefix) bool { return p.Contains(src) }) {
			return &pools[i]
		}
	}
	return m.rest()
}

// rest returns the pool of the clients that no source claims: one without
// sources, else the gateways that are in no pool.
func (m *model) rest() *policy.Pool {
	pools := m.cfg.Policy.Pools
	free := &policy.Pool{}
	for i := range pools {
		if len(pools[i].Sources) == 0 {
			return &pools[i]
		}
	}
	for _, g := range m.cfg.Policy.Gateways {
		if !slices.ContainsFunc(pools, func(p policy.Pool) bool { return slices.Contains(p.Gateways, g.Name) }) {
			free.Gateways = append(free.Gateways, g.Name)
		}
	}
	if len(free.Gateways) == 0 {
		return nil
	}
	return free
}

// dark says whether certainly no gateway is usable at all.
func (m *model) dark() bool {
	return !slices.ContainsFunc(m.cfg.Policy.Gateways, func(g policy.Gateway) bool {
		return m.usable(&g, false) != no || m.usable(&g, true) != no
	})
}

// served says whether any client of a family gets a gateway.
func (m *model) served(v6 bool) verdict {
	best := no
	pools := slices.Clone(m.cfg.Policy.Pools)
	if rest := m.rest(); rest != nil {
		pools = append(pools, *rest)
	}
	for _, p := range pools {
		for _, name := range p.Gateways {
			if g := m.gateway(name); g != nil {
				best = max(best, m.usable(g, v6))
			}
		}
	}
	return best
}
