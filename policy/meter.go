package policy

import (
	"math"
	"math/bits"
	"slices"
	"sync/atomic"
)

// meter counts the clients that were sent to a gateway. Tables share it with
// those made after them: it is the one thing about them that changes.
type meter struct {
	id   uint16 // of its own among the meters of a table
	sent atomic.Uint64
	_    [48]byte // a cache line of its own
}

// gauge is a gateway's load as a ring knows it: the last figure, and what has
// been sent since.
type gauge struct {
	meter *meter
	had   uint64    // sessions by the figure
	base  uint64    // what the meter had counted by then
	bound [2]uint64 // sessions from which it takes nobody, by limit
	per   uint64    // what sessions are compared by: capacity or weight, above 0
}

// unbounded is the bound of a gateway whose load or capacity is unknown.
const unbounded = math.MaxUint64

// sessions returns the sessions that are to be reckoned with.
func (g *gauge) sessions() uint64 { return g.with(g.meter.sent.Load()) }

// with returns the sessions if the meter shows sent. A meter of a table that is
// older than the figure may show less than the base.
func (g *gauge) with(sent uint64) uint64 { return g.had + sent - min(sent, g.base) }

// limit is how full gateways may become.
type limit int

const (
	calm limit = iota // up to the overload of the configuration
	full              // up to their capacity
)

// room says whether the gateway takes one more.
func (g *gauge) room(up limit) bool { return g.sessions() < g.bound[up] }

// take counts one more client, and says false, counting none, if there is no
// room for it.
func (g *gauge) take(up limit) bool {
	for {
		sent := g.meter.sent.Load()
		if g.with(sent) >= g.bound[up] {
			return false
		}
		if g.meter.sent.CompareAndSwap(sent, sent+1) {
			return true
		}
	}
}

// emptier says whether g is the emptier of the two.
func (g *gauge) emptier(than *gauge) bool {
	high, low := bits.Mul64(g.sessions(), than.per)
	h, l := bits.Mul64(than.sessions(), g.per)
	return high < h || high == h && low < l
}

// gauge gives r the gauges of group, its targets. A gateway without a fresh
// figure has at least as many sessions as the others have on average.
func (r *ring) gauge(group []*member, overload float64, meters map[string]*meter) {
	byCapacity := !slices.ContainsFunc(group, func(m *member) bool { return m.capacity == 0 })
	mean := meanLoad(group, byCapacity)
	r.gauges = make([]gauge, 0, len(group))
	ids := 0
	for _, m := range group {
		g := gauge{meter: meters[m.target.Gateway], had: m.sessions, bound: [2]uint64{unbounded, unbounded}, per: m.per(byCapacity)}
		g.base = min(m.base, g.meter.sent.Load())
		if !m.known {
			g.had = max(m.sessions, uint64(mean*float64(g.per)))
		}
		if m.reckoned && m.capacity > 0 {
			g.bound = [2]uint64{uint64(overload * float64(m.capacity)), m.capacity}
		}
		r.gauges = append(r.gauges, g)
		ids = max(ids, int(g.meter.id)+1)
	}
	r.rooms, r.place = [2]rooms{newRooms(len(group)), newRooms(len(group))}, make([]uint16, ids)
	for id := range r.place {
		r.place[id] = uint16(len(group))
	}
	for i := range r.gauges {
		r.place[r.gauges[i].meter.id] = uint16(i)
	}
}

// per returns what m's sessions are compared by: its capacity, or its weight.
func (m *member) per(byCapacity bool) uint64 {
	if byCapacity {
		return m.capacity
	}
	return uint64(m.weight)
}

// meanLoad returns the mean load of those in group whose load is known.
func meanLoad(group []*member, byCapacity bool) float64 {
	var sessions, per uint64
	for _, m := range group {
		if m.known {
			sessions, per = sessions+m.sessions, per+m.per(byCapacity)
		}
	}
	if per == 0 {
		return 0
	}
	return float64(sessions) / float64(per)
}

// rooms is the set of a ring's targets that may have room, as bits with a
// pyramid of summaries above them: the next one is found in as many steps as
// there are levels, three for 65,536 targets. Targets only ever leave it.
type rooms [][]atomic.Uint64

// newRooms returns the set of all of n targets.
func newRooms(n int) rooms {
	var levels rooms
	for {
		level := make([]atomic.Uint64, (n+63)/64)
		for i := range level {
			level[i].Store(^uint64(0))
		}
		if n%64 != 0 {
			level[n/64].Store(1<<(n%64) - 1)
		}
		levels = append(levels, level)
		if n = len(level); n <= 1 {
			return levels
		}
	}
}

// remove takes target i out.
func (r rooms) remove(i int) {
	for _, level := range r {
		bit := uint64(1) << (i % 64)
		if level[i/64].And(^bit) != bit {
			return // others are left in this word, or i was not there
		}
		i /= 64
	}
}

// next returns the first target from i on, -1 if there is none.
func (r rooms) next(i int) int {
	for level := 0; level < len(r); level++ {
		if i/64 < len(r[level]) {
			if word := r[level][i/64].Load() >> (i % 64); word != 0 {
				return r.descend(level, i+bits.TrailingZeros64(word))
			}
		}
		i = i/64 + 1
	}
	return -1
}

// descend returns the first target below i of a level.
func (r rooms) descend(level, i int) int {
	for ; level > 0; level-- {
		word := r[level-1][i].Load()
		if word == 0 { // has just been emptied
			return r.next((i + 1) << (6 * level))
		}
		i = i*64 + bits.TrailingZeros64(word)
	}
	return i
}

// memo remembers a number for each of the last clients, by a hash. It forgets
// one when another needs its place.
type memo [1 << 16]atomic.Uint64

// find returns the number that is remembered for h.
func (m *memo) find(h uint64) (n uint16, ok bool) {
	e := m[h>>48].Load()
	return uint16(e), e != 0 && e>>16 == h&(1<<48-1)
}

// keep remembers n for h.
func (m *memo) keep(h uint64, n uint16) { m[h>>48].Store(h<<16 | uint64(n)) }
