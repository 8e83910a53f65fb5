package bgp

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// book keeps what is known of each neighbor. The guards write it; nothing in it
// waits for anyone.
type book struct {
	log     zerolog.Logger
	now     func() time.Time
	changed chan struct{} // holds a token while there is something to deliver

	mu         sync.Mutex
	entries    map[netip.Addr]*entry
	queue      []Peer // changes to deliver, oldest first
	ipv4, ipv6 int    // announced prefixes
	leaving    bool   // sessions end because we end them
}

// entry is what is known of one neighbor.
type entry struct {
	session
	tally tally

	state string
	since time.Time // of the last change between up and down
	terms terms     // of the present session
	ups   int       // sessions so far
	err   string    // the last error
	erred time.Time
	told  string // the last error that tells something, since the session was up

	logged map[string]time.Time // when a reason for being down was logged, since it was up
}

func newBook(log zerolog.Logger, now func() time.Time) *book {
	return &book{log: log, now: now, changed: make(chan struct{}, 1), entries: make(map[netip.Addr]*entry)}
}

// peers returns all neighbors in the order of their addresses.
func (b *book) peers() []Peer {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]Peer, 0, len(b.entries))
	for _, e := range b.entries {
		all = append(all, b.peer(e))
	}
	slices.SortFunc(all, func(x, y Peer) int { return x.Address.Compare(y.Address) })
	return all
}

// peer is e for the outside. The caller holds b.mu.
func (b *book) peer(e *entry) Peer {
	p := Peer{
		Address: e.Address, ASN: e.ASN, State: e.state, Since: e.since,
		LastError: e.err, LastErrorAt: e.erred,
		Established: e.ups, Sent: messages(&e.tally.sent), Received: messages(&e.tally.received),
	}
	if e.state == established {
		p.LocalAddress, p.RouterID, p.Families, p.HoldTime = e.terms.local, e.terms.routerID, e.terms.families, e.terms.hold
		p.Announced = e.terms.families.count(b.ipv4, b.ipv6)
		p.Prefixes = int(e.tally.prefixes.Load())
	}
	return p
}

// count adds up the numbers of the families that are in f.
func (f Families) count(ipv4, ipv6 int) int {
	n := 0
	if f.Has(IPv4Unicast) {
		n += ipv4
	}
	if f.Has(IPv6Unicast) {
		n += ipv6
	}
	return n
}

// publish queues e as it is now. The caller holds b.mu.
func (b *book) publish(e *entry) {
	b.queue = append(b.queue, b.peer(e))
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

// deliver calls notify with each queued change.
func (b *book) deliver(notify func(Peer)) {
	b.mu.Lock()
	queue := b.queue
	b.queue = nil
	b.mu.Unlock()
	if notify == nil {
		return
	}
	for _, p := range queue {
		notify(p)
	}
}

// add begins s. One that is tried once more, since it could not be begun, keeps
// its error.
func (b *book) add(s session) *entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.entries[s.Address]; e != nil && e.session == s {
		return e
	}
	e := &entry{session: s, state: idle, since: b.now()}
	b.entries[s.Address] = e
	b.publish(e)
	return e
}

// fail notes why the session of s could not be begun.
func (b *book) fail(s session, reason string) {
	b.problem(b.add(s), reason)
}

// retain forgets the neighbors that are not in all.
func (b *book) retain(all map[netip.Addr]session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.entries, func(addr netip.Addr, _ *entry) bool { _, ok := all[addr]; return !ok })
}

// announce notes how many prefixes of each family are announced.
func (b *book) announce(ipv4, ipv6 int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ipv4, b.ipv6 = ipv4, ipv6
}

// leave notes that all sessions end now because we end them.
func (b *book) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leaving = true
}

// problem notes why the session of e is about to go down, or could not come up.
func (b *book) problem(e *entry, reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.blame(e, reason)
}

// again is when a reason that stands is worth another line.
const again = 10 * time.Minute

// closed is how a connection ends of which nobody says why.
const closed = "connection closed by the neighbor"

// blame is problem for those who hold b.mu. While the session is down each
// reason is logged once, and again from time to time: several may take turns. Of
// one that is still up the line comes when it goes down.
func (b *book) blame(e *entry, reason string) {
	switch {
	case reason != closed:
		e.told = reason
	case e.told != "":
		reason += " (before that: " + e.told + ")"
	}
	old := e.err
	e.err, e.erred = reason, b.now()
	if old != reason {
		b.publish(e)
	}
	if e.state != established && !b.leaving && b.news(e, reason) {
		b.log.Warn().Stringer("neighbor", e.Address).Str("reason", reason).Msg("session does not come up")
	}
}

// news reports whether reason is worth a line, and notes that it gets one. The
// caller holds b.mu.
func (b *book) news(e *entry, reason string) bool {
	maps.DeleteFunc(e.logged, func(_ string, at time.Time) bool { return b.now().Sub(at) >= again })
	if _, logged := e.logged[reason]; logged {
		return false
	}
	if e.logged == nil {
		e.logged = make(map[string]time.Time)
	}
	e.logged[reason] = b.now()
	return true
}

// state notes that the session of e changed to state, on these terms.
func (b *book) state(e *entry, state string, t terms) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e.state == state {
		return
	}
	old := e.state
	e.state, e.terms = state, t
	if state == established || old == established {
		e.since = b.now()
	}
	switch {
	case state == established:
		e.logged, e.told = nil, ""
		e.ups++
		b.log.Info().Stringer("neighbor", e.Address).Stringer("local", t.local).Stringer("hold", t.hold).Msg("session up")
	case old == established:
		b.news(e, e.err)
		level := zerolog.WarnLevel
		if b.leaving {
			level = zerolog.InfoLevel
		}
		b.log.WithLevel(level).Stringer("neighbor", e.Address).Str("reason", e.err).Msg("session down")
	}
	b.publish(e)
}
