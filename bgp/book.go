package bgp

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// established is the state in which routes are told (RFC 4271 section 8.2.2);
// idle is the one without a connection, and the first.
const (
	established = "Established"
	idle        = "Idle"
)

// book keeps what is known of each session. GoBGP's log writes it, from any
// goroutine and with GoBGP's locks held, so nothing in it waits for anyone.
type book struct {
	log     zerolog.Logger
	now     func() time.Time
	changed chan struct{} // holds a token while there is something to deliver

	mu         sync.Mutex
	entries    map[string]*entry // by session key
	queue      []Peer            // changes to deliver, oldest first
	ipv4, ipv6 int               // announced prefixes
	leaving    bool              // sessions end because we end them
}

// entry is what is known of one session.
type entry struct {
	session
	state    string
	since    time.Time // of the last change between up and down
	err      string    // the last error
	absent   bool      // it could not be begun: GoBGP has it no more
	told     bool      // the present connection's or attempt's error is known
	logged   string    // the reason last logged for being down
	unsigned string    // why the listener has no password for the neighbor; "": it has, or needs none
}

func newBook(log zerolog.Logger, now func() time.Time) *book {
	return &book{log: log, now: now, changed: make(chan struct{}, 1), entries: make(map[string]*entry)}
}

// peers returns all sessions in the order of their addresses.
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
	p := Peer{Address: e.Address, ASN: e.ASN, State: e.state, Since: e.since, LastError: e.err}
	if e.state == established {
		p.Announced = e.carries(b.ipv4, b.ipv6)
	}
	return p
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
func (b *book) add(s session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.entries[s.key()]; e != nil && e.session == s && e.absent {
		e.absent, e.unsigned = false, ""
		return
	}
	e := &entry{session: s, state: idle, since: b.now()}
	b.entries[s.key()] = e
	b.publish(e)
}

// fail notes why the session of key could not be begun. What is still logged
// about it is then ignored.
func (b *book) fail(key, reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[key]
	if e == nil {
		return
	}
	e.absent = true
	if e.state != idle {
		e.state = idle
		b.publish(e)
	}
	b.blame(e, reason)
}

// retain forgets the sessions that are not in all. What is still logged about
// them is then ignored.
func (b *book) retain(all map[string]session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.entries, func(key string, _ *entry) bool {
		_, ok := all[key]
		return !ok
	})
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

// idle reports whether no session has a connection.
func (b *book) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		if e.state != idle {
			return false
		}
	}
	return true
}

// problem notes why the session of key went down, or could not come up. A line
// is logged when that changes while it is down; of one that is still up the
// line comes when it goes down.
func (b *book) problem(key, reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.entries[key]; e != nil && !e.absent {
		b.blame(e, reason)
	}
}

// blame is problem with e found. The caller holds b.mu.
func (b *book) blame(e *entry, reason string) {
	e.told = true
	if e.err != reason {
		e.err = reason
		b.publish(e)
	}
	if e.state != established && e.logged != reason && !b.leaving {
		e.logged = reason
		b.log.Warn().Str("neighbor", e.key()).Str("reason", reason).Msg("session does not come up")
	}
}

// state notes that the session of key changed to state. The reason counts when
// it went back to Idle, unless a better one is known already.
func (b *book) state(key, state, reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[key]
	if e == nil || e.absent || e.state == state {
		return
	}
	old := e.state
	e.state = state
	if state == established || old == established {
		e.since = b.now()
	}
	switch {
	case state == established:
		e.logged = ""
		b.log.Info().Str("neighbor", key).Msg("session up")
	case old == established:
		b.down(e, cmp.Or(reason, "unknown"))
	case state == idle && reason != "" && !e.told:
		b.blame(e, reason)
	}
	if state != idle {
		e.told = false
	}
	b.publish(e)
}

// down logs that e, just gone from Established, is down. The caller holds b.mu.
func (b *book) down(e *entry, reason string) {
	if !e.told {
		e.err = reason
	}
	e.logged = e.err
	level := zerolog.WarnLevel
	if b.leaving {
		level = zerolog.InfoLevel
	}
	b.log.WithLevel(level).Str("neighbor", e.key()).Str("reason", e.err).Msg("session down")
}

// refuse notes why the listener has no password for key.
func (b *book) refuse(key, reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.entries[key]; e != nil {
		e.unsigned = reason
	}
}

// unsigned returns why the listener has no password for key, or "".
func (b *book) unsigned(key string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.entries[key]; e != nil {
		return e.unsigned
	}
	return ""
}
