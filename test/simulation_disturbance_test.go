package test

import (
	"time"

	"github.com/anycastd/anycastd/policy"
)

// What happens when.
const (
	steadyFrom  = 5 * time.Minute
	burstAt     = 15 * time.Minute // ends the steady state
	burstFor    = 30 * time.Second
	burstTimes  = 5
	deathAt     = 20 * time.Minute // of the largest gateway
	deathFor    = 5 * time.Minute
	restartAt   = 36 * time.Minute // of the first so many gateways
	restarts    = 10
	restartFor  = 20 * time.Second
	noticeDeath = 3 * time.Second // three probes
	noticeLife  = 2 * time.Second // two probes
)

// disturb has the disturbances happen.
func (w *world) disturb() {
	w.in(burstAt, func() { w.rate *= burstTimes })
	w.in(burstAt+burstFor, func() { w.rate /= burstTimes })
	w.in(deathAt, func() { w.kill(w.stations[w.largest()], deathFor) })
	w.in(restartAt, func() {
		for _, s := range w.stations[:restarts] {
			w.kill(s, restartFor)
		}
	})
}

// largest returns the gateway with the most capacity.
func (w *world) largest() (best int) {
	for i, s := range w.stations {
		if s.Capacity > w.stations[best].Capacity {
			best = i
		}
	}
	return best
}

// kill lets s be dead for a while, and then come back empty.
func (w *world) kill(s *station, long time.Duration) {
	s.up = false
	s.lives++
	for _, lost := range s.sessions {
		lost.place = -1
		w.in(w.upTo(comeBack), func() { w.arrive(lost.source) })
	}
	s.sessions = nil
	w.in(noticeDeath, func() { w.notice(s, policy.Down) })
	w.in(long, func() { s.up = true })
	w.in(long+noticeLife, func() { w.notice(s, policy.Up) })
}

// notice lets all front-ends see the state of s.
func (w *world) notice(s *station, state policy.Liveness) {
	for _, f := range w.fronts {
		f.view.Health[s.Addresses[0]] = policy.Health{State: state}
		f.decide(w.now)
	}
}
