package test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/anycastd/anycastd/policy"
)

// The simulated service. docs/choice.md has it in words.
const (
	worldGateways = 50
	worldSources  = 20_000
	worldLoad     = 0.7 // offered, as a share of all capacity
	reportEvery   = 5 * time.Second
	reportDelay   = 3 * time.Second // at most
	reportLost    = 0.05
	comeBack      = 30 * time.Second // at most, until a client whose gateway has died asks again
	worldEnds     = 50 * time.Minute
	worldTick     = 50 * time.Millisecond
)

// A session is short or long: exponential with either mean.
const (
	shortSession = 8 * time.Minute
	longSession  = time.Hour
	longShare    = 0.05
)

// timeline is what is to happen, by tick.
type timeline struct {
	now time.Duration
	due [worldEnds / worldTick][]func()
}

// in lets f happen after d, in the next tick at the earliest.
func (l *timeline) in(d time.Duration, f func()) {
	if i := max(int((l.now+d)/worldTick), int(l.now/worldTick)+1); i < len(l.due) {
		l.due[i] = append(l.due[i], f)
	}
}

// session is a client's, at a gateway.
type session struct {
	source netip.Addr
	at     *station
	place  int // in at.sessions; -1: it has ended
}

// station is a gateway of the world.
type station struct {
	policy.Gateway
	up       bool
	lives    int // so many times it has died
	sessions []*session
}

// load is the share of its capacity in use.
func (s *station) load() float64 { return float64(len(s.sessions)) / float64(s.Capacity) }

// end ends a session, unless it has already.
func (s *session) end() {
	if s.place < 0 {
		return
	}
	last := s.at.sessions[len(s.at.sessions)-1]
	s.at.sessions[s.place], last.place = last, s.place
	s.at.sessions = s.at.sessions[:len(s.at.sessions)-1]
	s.place = -1
}

// world is a service under simulation.
type world struct {
	timeline
	rand     *rand.Rand
	stations []*station
	fronts   []*simulatedFront
	rate     float64 // newcomers per tick
	log      record
}

// newWorld returns a world of so many front-ends that choose in this way, in
// which every gateway already has the sessions that its weight brings it.
func newWorld(fronts int, how simulatedChoice) *world {
	w := &world{rand: rand.New(rand.NewPCG(5685, 7296))}
	total := 0
	for i := range worldGateways {
		capacity := 200 + 50*w.rand.IntN(37)
		total += capacity
		w.stations = append(w.stations, &station{up: true, Gateway: policy.Gateway{
			Name: fmt.Sprintf("gw%d", i), Addresses: []netip.Addr{netip.AddrFrom4([4]byte{198, 18, 0, byte(i)})},
			RedirectBy: policy.ByAddress, Weight: capacity, Capacity: capacity,
		}})
	}
	sessions := worldLoad * float64(total)
	w.rate = sessions * float64(worldTick) / (float64(shortSession)*(1-longShare) + float64(longSession)*longShare)
	w.begin(int(sessions))
	for range fronts {
		w.fronts = append(w.fronts, newSimulatedFront(w.stations, how))
	}
	return w
}

// begin opens the sessions that there are in the steady state of a choice by
// weight alone. Of those that run, more are long than of those that begin.
func (w *world) begin(sessions int) {
	byWeight := newSimulatedFront(w.stations, simulatedChoice{policy: policy.Sticky})
	long := longShare * float64(longSession)
	running := long / (long + (1-longShare)*float64(shortSession))
	for range sessions {
		source := w.source()
		w.open(w.stations[byWeight.choose(source, w.rand.Uint64())], source, w.lasts(running))
	}
}

// source returns the address of any client.
func (w *world) source() netip.Addr {
	n := w.rand.IntN(worldSources)
	return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
}

// lasts returns how long a session goes on, if this share of them is long.
func (w *world) lasts(long float64) time.Duration {
	mean := shortSession
	if w.rand.Float64() < long {
		mean = longSession
	}
	return time.Duration(w.rand.ExpFloat64() * float64(mean))
}

// open opens a session.
func (w *world) open(at *station, source netip.Addr, lasts time.Duration) {
	s := &session{source, at, len(at.sessions)}
	at.sessions = append(at.sessions, s)
	w.in(lasts, s.end)
}

// run lets the world go on to its end.
func (w *world) run() *record {
	w.disturb()
	for _, s := range w.stations {
		w.in(w.upTo(reportEvery), func() { w.report(s) })
	}
	for _, f := range w.fronts {
		w.in(w.upTo(time.Second), func() { w.beat(f) })
	}
	for i := range w.due {
		w.now = time.Duration(i) * worldTick
		for _, f := range w.due[i] {
			f()
		}
		w.due[i] = nil
		for gaps := w.rand.ExpFloat64(); gaps < w.rate; gaps += w.rand.ExpFloat64() {
			w.arrive(w.source())
		}
		if w.now%time.Second == 0 {
			w.log.sample(w.stations)
		}
	}
	return &w.log
}

// upTo returns any time below d.
func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.rand.Int64N(int64(d))) }

// report sends each front-end the load of s, and the next one in time.
func (w *world) report(s *station) {
	w.in(reportEvery, func() { w.report(s) })
	if !s.up {
		return
	}
	sessions := len(s.sessions)
	for _, f := range w.fronts {
		delay, lost := w.upTo(reportDelay), w.rand.Float64() < reportLost
		if !lost {
			w.in(delay, func() { f.loaded(s, sessions, w.now) })
		}
	}
}

// beat lets f take its loads in, once a second.
func (w *world) beat(f *simulatedFront) {
	w.in(time.Second, func() { w.beat(f) })
	f.beat(w.now)
}

// arrive lets a newcomer ask its front-end, which routing chooses by where it
// comes from. Its session counts when it is authenticated at the gateway.
func (w *world) arrive(source netip.Addr) {
	a := source.As4()
	f := w.fronts[int(a[3])%len(w.fronts)]
	s := w.stations[f.choose(source, w.rand.Uint64())]
	w.log.newcomer(s)
	const roundTrip, slow = 50 * time.Millisecond, 2 * time.Second
	setUp, lasts, life := roundTrip+w.upTo(slow-roundTrip), w.lasts(longShare), s.lives
	w.in(setUp, func() {
		if !s.up || s.lives != life {
			w.in(w.upTo(comeBack), func() { w.arrive(source) })
			return
		}
		w.open(s, source, lasts)
	})
}
