package policy

import "net/netip"

// ring is one set of gateways that serve a pool's clients of one family.
type ring struct {
	targets []Target
	from    []candidate // the same gateways
	slots   slots       // indices into targets
	late    bool        // of overloaded gateways
	emptier bool        // of two gateways the emptier one is chosen (LeastLoaded)
	gauges  []gauge     // by target; nil: no load is known, nothing is counted
	rooms   [2]rooms    // of gauges, by limit
	place   []uint16    // target by the id of its meter; len(targets): not here
	over    *ring       // of all gateways of the pool, for when nobody has room; nil: this one
}

// stage is a ring that is tried, and how full its gateways may become by that.
type stage struct {
	*ring
	up limit
}

// query is a Pick under way.
type query struct {
	from   netip.Addr // who redirected the client
	known  uint64     // what the client is remembered by
	source uint64     // hash of its source
	avoid  string     // the gateway that failed it; "": none did
	up     limit      // of the stage that is tried
	sent   bool       // the client is sent, not only asked about
	count  bool       // and counts: its source was not counted by this table before
}

// suits says whether the client can be sent to target i of r at all.
func (q *query) suits(r *ring, i int) bool {
	t := &r.targets[i]
	return t.Gateway != q.avoid && (!q.from.IsValid() || q.from != t.Addr && q.from != t.Other)
}

// takes says whether target i of r suits and has room, and counts the client
// if that is to be done.
func (q *query) takes(r *ring, i int) bool {
	if !q.suits(r, i) {
		return false
	}
	if r.gauges == nil {
		return true
	}
	g := &r.gauges[i]
	if q.count && g.take(q.up) || !q.count && g.room(q.up) {
		return true
	}
	if q.sent {
		r.rooms[q.up].remove(i)
	}
	return false
}

// at returns the target of hash h.
func (r *ring) at(h uint64) int { return int(r.slots[h%slotCount]) }

// tries is how often another slot is tried before any target is taken. They go
// by weight; each misses with the share of the targets that don't do.
const tries = 4

// find returns the target for hash h, the next best if that does not suit or
// has no room; -1 if there is none.
func (r *ring) find(h uint64, q *query) int {
	i := r.at(h)
	if r.emptier {
		i = r.emptierOf(i, h, q)
	}
	for range tries {
		if q.takes(r, i) {
			return i
		}
		i = r.at(splitmix(&h))
	}
	return r.scan(h, q)
}

// emptierOf returns the emptier of i and another target for hash h.
func (r *ring) emptierOf(i int, h uint64, q *query) int {
	j := i
	for range tries {
		if j = r.at(splitmix(&h)); j != i {
			break
		}
	}
	if n := uint64(len(r.targets)); j == i && n > 1 {
		j = int((uint64(i) + 1 + h%(n-1)) % n)
	}
	if q.suits(r, j) && (!q.suits(r, i) || r.gauges[j].emptier(&r.gauges[i])) {
		return j
	}
	return i
}

// scan returns any target that suits and has room, -1 if there is none. It goes
// on from h only past those that don't suit, which are three at most, and those
// that it finds full, each once in a table's life.
func (r *ring) scan(h uint64, q *query) int {
	n := len(r.targets)
	start := int(h % uint64(n))
	for i, left := start, n; left > 0; left-- {
		if r.gauges != nil {
			next := r.rooms[q.up].next(i)
			if next < 0 {
				next = r.rooms[q.up].next(0)
			}
			if next < 0 {
				return -1
			}
			i = next
		}
		if q.takes(r, i) {
			return i
		}
		i = (i + 1) % n
	}
	return -1
}

// any returns the target for hash h though none has room; one that does not
// suit only if there is no other.
func (r *ring) any(h uint64, q *query) int {
	first := r.at(h)
	i := first
	if r.emptier {
		i = r.emptierOf(i, h, q)
	}
	for range tries {
		if q.suits(r, i) {
			return i
		}
		i = r.at(splitmix(&h))
	}
	for range min(len(r.targets), 4) {
		if q.suits(r, i) {
			return i
		}
		i = (i + 1) % len(r.targets)
	}
	return first
}

// placed returns the target of the gateway whose meter has this id, -1 if it is
// not here.
func (r *ring) placed(id uint16) int {
	if int(id) >= len(r.place) || int(r.place[id]) >= len(r.targets) {
		return -1
	}
	return int(r.place[id])
}

// count counts a client that is sent to target i whether or not it has room.
func (r *ring) count(i int, q *query) {
	if q.count && r.gauges != nil {
		r.gauges[i].meter.sent.Add(1)
	}
}
