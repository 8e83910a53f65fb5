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
	had   uint64 // sessions by the figure
	base  uint64 // what the meter had counted by then
	bound uint64 // sessions from which it takes nobody while another does
	per   uint64 // what sessions are compared by: capacity or weight, above 0
}

// unbounded is the bound of a gateway whose load or capacity is unknown.
const unbounded = math.MaxUint64

// sessions returns the sessions that are to be reckoned with.
func (g *gauge) sessions() uint64 { return g.had + g.meter.sent.Load() - g.base }

// room says whether the gateway takes one more.
func (g *gauge) room() bool { return g.sessions() < g.bound }

// take counts one more client, and says false, counting none, if there is no
// room for it.
func (g *gauge) take() bool {
	if g.had+g.meter.sent.Add(1)-g.base <= g.bound {
		return true
	}
	g.meter.sent.Add(^uint64(0))
	return false
}

// emptier says whether g is the emptier of the two.
func (g *gauge) emptier(than *gauge) bool {
	high, low := bits.Mul64(g.sessions(), than.per)
	h, l := bits.Mul64(than.sessions(), g.per)
	return high < h || high == h && low < l
}

// gauge gives r the gauges of group, its targets. A gateway whose load is
// unknown counts as loaded as the others are on average.
func (r *ring) gauge(group []member, full float64, meters map[string]*meter) {
	byCapacity := !slices.ContainsFunc(group, func(m member) bool { return m.capacity == 0 })
	mean := meanLoad(group, byCapacity)
	ids := 0
	for _, m := range group {
		g := gauge{meter: meters[m.target.Gateway], had: m.sessions, bound: unbounded, per: m.per(byCapacity)}
		g.base = min(m.base, g.meter.sent.Load())
		switch {
		case !m.known:
			g.had = uint64(mean * float64(g.per))
		case m.capacity > 0:
			g.bound = uint64(full * float64(m.capacity))
		}
		r.gauges = append(r.gauges, g)
		ids = max(ids, int(g.meter.id)+1)
	}
	r.rooms, r.place = newRooms(len(group)), make([]uint16, ids)
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
func meanLoad(group []member, byCapacity bool) float64 {
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

// memo remembers where the last clients were sent, so that a retransmission
// gets the same answer though the loads have moved on. It forgets a client when
// another one needs its place.
type memo [1 << 16]atomic.Uint64

// find returns the id of the meter of where the client with hash h was sent.
func (m *memo) find(h uint64) (id uint16, ok bool) {
	e := m[h>>48].Load()
	return uint16(e), e != 0 && e>>16 == h&(1<<48-1)
}

// keep remembers where the client with hash h is sent.
func (m *memo) keep(h uint64, id uint16) { m[h>>48].Store(h<<16 | uint64(id)) }
