package probe

import (
	"container/heap"
	"net/netip"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Status is what the probes have shown.
type Status string

// The statuses. The first answer proves a new target alive; Rise is for those
// that were dead.
const (
	Unknown Status = "unknown"
	Up      Status = "up"
	Down    Status = "down"
)

// State is a target's status with its reason in words.
type State struct {
	Addr   netip.AddrPort
	Status Status
	Reason string
	Since  time.Time
	Proof  time.Time // the last proof of life; zero: none yet
}

// Config is what a Prober needs to know.
type Config struct {
	Notify func(State) // each change of status; from one goroutine, must return quickly and not call the Prober

	// What probes are sent from. Zero: what the kernel chooses for each target,
	// of all addresses but the anycast ones, which package netlink keeps out of
	// its choice: an answer to one of those would go to the nearest site.
	Source4, Source6 netip.Addr
}

// Counts is what a Prober has sent and received so far. Each probe sent ends
// as answered or silent, unless its target is no longer watched.
type Counts struct {
	Sent     uint64 // probes, those included that the kernel refused to send
	Answered uint64 // in time
	Silent   uint64 // not in time
	Late     uint64 // answers to silent probes
	Strange  uint64 // datagrams that answer no probe: malformed, with an unknown SPI, from elsewhere, or once more
}

// Prober watches any number of targets from three goroutines and one socket
// per family. Any well-formed response with a probe's SPI, from where the
// probe went, proves life, whatever it says.
type Prober struct {
	cfg  Config
	log  zerolog.Logger
	wake chan struct{}
	work work

	mu     sync.Mutex
	queue  queue
	byKey  map[netip.AddrPort]*entry
	bySPI  map[uint64]*entry
	counts Counts
}

// New returns a Prober without targets.
func New(cfg Config, log zerolog.Logger) *Prober {
	return &Prober{
		cfg: cfg, log: log, wake: make(chan struct{}, 1), work: work{in: make([]byte, 1<<16)},
		byKey: map[netip.AddrPort]*entry{}, bySPI: map[uint64]*entry{},
	}
}

// Set makes targets the ones to be watched; of several with one address the
// last counts. Those that were watched before keep their state, but are given
// a whole Every × Fall from now if their timing is another; new ones are
// probed at once.
func (p *Prober) Set(targets []Target) {
	wanted := make(map[netip.AddrPort]Target, len(targets))
	for _, t := range targets {
		wanted[t.Addr] = t
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for at, e := range p.byKey {
		if _, ok := wanted[at]; !ok {
			delete(p.byKey, at)
			delete(p.bySPI, e.spi)
			heap.Remove(&p.queue, e.index)
		}
	}
	now := time.Now()
	for at, t := range wanted {
		switch e := p.byKey[at]; {
		case e == nil:
			p.add(t, now)
		case e.Target != t:
			p.change(e, t, now)
		}
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// add begins to watch t.
func (p *Prober) add(t Target, now time.Time) {
	e := &entry{Target: t, state: State{Addr: t.Addr, Status: Unknown, Reason: "not probed yet", Since: now}, due: now}
	p.byKey[t.Addr] = e
	heap.Push(&p.queue, e)
}

// change makes t the target of e.
func (p *Prober) change(e *entry, t Target, now time.Time) {
	e.Target, e.counted = t, now
	switch {
	case e.waiting:
		p.reschedule(e, e.sent.Add(e.Timeout))
	case !e.sent.IsZero():
		p.reschedule(e, e.next())
	}
}

// Prove takes in that the target at addr lived at the time at, by its load
// report for one. While it is up and no probe of it has been silent since the
// last answer, that puts off the next probe as an answer does, but not beyond
// 10 × Every after the last one. Otherwise, and of an address that is not
// watched, it changes nothing: only an answer shows that the way to it is open.
// A time to come counts as now.
func (p *Prober) Prove(addr netip.AddrPort, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.byKey[addr]
	if e == nil || e.state.Status != Up || e.streak < 0 {
		return
	}
	now := time.Now()
	at = now.Add(-max(now.Sub(at), 0)) // by our monotonic clock, too
	if !at.After(e.state.Proof) {
		return
	}
	e.state.Proof, e.vouched = at, at
	if at.After(e.counted) {
		e.counted = at
	}
	if next := e.next(); !e.waiting && next.After(e.due) {
		p.reschedule(e, next)
	}
}

// Counts returns what has been sent and received so far.
func (p *Prober) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts
}
