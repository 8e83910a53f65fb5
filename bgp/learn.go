package bgp

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// settleTime is when a session that says no End-of-RIB has told all its routes.
const settleTime = 30 * time.Second

// learner keeps which host routes to watched addresses the neighbors have told.
// They go nowhere else.
type learner struct {
	changed func() // called when what learned returns may have changed

	mu      sync.Mutex
	watched map[netip.Addr]*watch
	views   map[netip.Addr]*view // by neighbor
}

// watch is one address that is watched.
type watch struct {
	begun time.Time
	last  Learned
}

// view is what one neighbor says, over all its sessions since it was configured.
type view struct {
	has map[netip.Addr]bool // by its present or last session; false: it took it back

	// Of the present session.
	up       bool
	since    time.Time
	families Families
	refresh  bool     // it can be asked for all its routes once more
	all      Families // of which it has told all, by its own word
	routes   map[netip.Addr]struct{}
}

func newLearner(changed func()) *learner {
	if changed == nil {
		changed = func() {}
	}
	return &learner{changed: changed, watched: make(map[netip.Addr]*watch), views: make(map[netip.Addr]*view)}
}

// listens reports whether any address is watched.
func (l *learner) listens() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.watched) > 0
}

// watch makes addrs the watched ones, and reports whether some of them are new,
// so that the neighbors have to say once more what they know.
func (l *learner) watch(addrs []netip.Addr) (more bool) {
	defer l.judge()
	l.mu.Lock()
	defer l.mu.Unlock()
	watched := make(map[netip.Addr]*watch, len(addrs))
	for _, a := range addrs {
		watched[a] = l.watched[a]
		if watched[a] == nil {
			watched[a], more = &watch{begun: time.Now(), last: Learned{Address: a}}, true
		}
	}
	l.watched = watched
	for _, v := range l.views {
		v.forget(func(a netip.Addr) bool { return watched[a] == nil })
	}
	if more {
		time.AfterFunc(settleTime, l.judge)
	}
	return more
}

// forget drops what v knows of the addresses that gone is true of.
func (v *view) forget(gone func(netip.Addr) bool) {
	for a := range v.has {
		if gone(a) {
			delete(v.has, a)
			delete(v.routes, a)
		}
	}
}

// up begins a session that carries families.
func (l *learner) up(neighbor netip.Addr, families Families, refresh bool) {
	defer l.judge()
	l.mu.Lock()
	defer l.mu.Unlock()
	v := l.views[neighbor]
	if v == nil {
		v = &view{has: make(map[netip.Addr]bool)}
		l.views[neighbor] = v
	}
	v.up, v.since, v.families, v.refresh, v.all = true, time.Now(), families, refresh, 0
	v.routes = make(map[netip.Addr]struct{})
	if len(l.watched) > 0 {
		time.AfterFunc(settleTime, l.judge)
	}
}

// down ends a session. Its routes are lost, which does not mean that they are
// gone.
func (l *learner) down(neighbor netip.Addr) {
	defer l.judge()
	l.mu.Lock()
	defer l.mu.Unlock()
	if v := l.views[neighbor]; v != nil {
		v.up, v.routes = false, nil
	}
}

// retain forgets the neighbors that are not in all.
func (l *learner) retain(all map[netip.Addr]session) {
	defer l.judge()
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.views, func(addr netip.Addr, _ *view) bool { _, ok := all[addr]; return !ok })
}

// hear takes what a neighbor has told.
func (l *learner) hear(neighbor netip.Addr, u update) {
	if l.take(neighbor, u) {
		l.judge()
	}
}

// take is hear, and reports whether anything may have changed.
func (l *learner) take(neighbor netip.Addr, u update) (news bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := l.views[neighbor]
	if v == nil || !v.up {
		return false
	}
	for _, p := range u.Withdrawn {
		if a := p.Addr(); p.IsSingleIP() && v.has[a] {
			v.has[a], news = false, true
			delete(v.routes, a)
		}
	}
	for _, p := range u.Announced {
		if a := p.Addr(); p.IsSingleIP() && l.watched[a] != nil && v.families.Has(familyOf(a)) {
			v.has[a], news = true, true
			v.routes[a] = struct{}{}
		}
	}
	news = news || u.EndOfRIB&^v.all != 0
	v.all |= u.EndOfRIB
	return news
}

// familyOf is the family of a.
func familyOf(a netip.Addr) Families {
	if a.Is4() {
		return IPv4Unicast
	}
	return IPv6Unicast
}

// judge looks at all watched addresses anew, and tells if anything has changed.
func (l *learner) judge() {
	if l.reconsider() {
		l.changed()
	}
}

// reconsider is judge without telling.
func (l *learner) reconsider() (changed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for a, w := range l.watched {
		now := l.of(a, w)
		if now.Routed == w.last.Routed && now.Gone == w.last.Gone && slices.Equal(now.By, w.last.By) {
			continue
		}
		now.Since = w.last.Since
		if now.Routed != w.last.Routed || now.Gone != w.last.Gone {
			now.Since = time.Now()
		}
		w.last, changed = now, true
	}
	return changed
}

// of is what is known of a now, but for Since. The caller holds l.mu.
func (l *learner) of(a netip.Addr, w *watch) Learned {
	var routed, took []netip.Addr
	sessions, unsure := 0, false
	for neighbor, v := range l.views {
		has, ever := v.has[a]
		up := v.up && v.families.Has(familyOf(a))
		_, routes := v.routes[a]
		if up {
			sessions++
		}
		switch {
		case up && routes:
			routed = append(routed, neighbor)
		case up && !v.knows(a, w):
			unsure = true
		case has && up: // by its last session, and not by this one
			v.has[a], took = false, append(took, neighbor)
		case has: // its session is lost, and the route with it
			unsure = true
		case ever:
			took = append(took, neighbor)
		}
	}
	slices.SortFunc(routed, netip.Addr.Compare)
	slices.SortFunc(took, netip.Addr.Compare)
	switch {
	case len(routed) > 0:
		return Learned{Address: a, Routed: true, By: routed}
	case sessions > 0 && !unsure && len(took) > 0:
		return Learned{Address: a, Gone: true, By: took}
	}
	return Learned{Address: a}
}

// knows reports whether v's session has told all its routes since a is watched.
func (v *view) knows(a netip.Addr, w *watch) bool {
	if late := w.begun.After(v.since); late {
		return v.refresh && time.Since(w.begun) >= settleTime
	}
	return v.all.Has(familyOf(a)) || time.Since(v.since) >= settleTime
}

// learned returns what is known of each watched address, in their order.
func (l *learner) learned() []Learned {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]Learned, 0, len(l.watched))
	for _, w := range l.watched {
		all = append(all, w.last)
	}
	slices.SortFunc(all, func(x, y Learned) int { return x.Address.Compare(y.Address) })
	for i := range all {
		all[i].By = slices.Clone(all[i].By)
	}
	return all
}
