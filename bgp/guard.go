package bgp

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Names of states (RFC 4271 section 8.2.2), which are also a connection's stages.
const (
	idle        = "Idle"
	connect     = "Connect"
	active      = "Active"
	openSent    = "OpenSent"
	openConfirm = "OpenConfirm"
	established = "Established"
)

// minOpenTime is the least time for a neighbor's OPEN to arrive; a longer hold
// time is given. RFC 4271 section 8.2.2 suggests four minutes, which is long for
// a host that has gone.
const minOpenTime = 10 * time.Second

// maxOpenTime is the most time for that (RFC 4271 section 8.2.2 suggests it).
const maxOpenTime = 4 * time.Minute

// firstCalm is for how long the session after one that was short has to wait;
// doubled each time.
const firstCalm = time.Second

// guard stands between one neighbor and GoBGP. It dials the neighbor, takes its
// connections from the listener, settles which of two is kept, and lets nothing
// through but what it has read and found good.
type guard struct {
	session
	speaker *Speaker
	entry   *entry
	ctx     context.Context
	cancel  context.CancelCauseFunc
	poked   chan struct{} // holds a token after a change that the dialing may wait for
	running sync.WaitGroup

	mu       sync.Mutex
	dialed   *connection // one of each at most
	accepted *connection
	until    time.Time // when the neighbor may come back
	next     time.Time // when it is dialed next
	short    int       // sessions in a row that ended before their hold time was over
	calm     time.Time // until when the next session has to wait
}

// newGuard begins to hold the session of s, until it is ended.
func newGuard(speaker *Speaker, s session) *guard {
	g := &guard{session: s, speaker: speaker, entry: speaker.book.add(s), poked: make(chan struct{}, 1)}
	g.ctx, g.cancel = context.WithCancelCause(context.Background())
	g.running.Go(g.run)
	return g
}

// end tells the neighbor why, if there is a session, and waits until it is over:
// for about a second at most.
func (g *guard) end(why *refusal) {
	g.mu.Lock() // whoever is about to begin a connection has begun it
	g.cancel(why)
	g.mu.Unlock()
	g.running.Wait()
}

// run dials the neighbor, whenever it is due.
func (g *guard) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-g.ctx.Done():
			g.mu.Lock()
			defer g.mu.Unlock()
			g.show(idle)
			return
		case <-g.poked:
		case <-timer.C:
		}
		wait, due := g.due()
		for ; due; wait, due = g.due() {
			g.dial()
		}
		timer.Reset(wait)
	}
}

// due returns whether the neighbor is to be dialed now; else, how long to wait
// before the next look at it.
func (g *guard) due() (wait time.Duration, due bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	switch {
	case g.ctx.Err() != nil, g.accepted != nil && g.accepted.stage != openSent:
		return time.Hour, false // a change of that pokes
	case now.Before(g.until):
		return g.until.Sub(now), false
	case g.Passive:
		g.show(active)
		return time.Hour, false
	case now.Before(g.next):
		g.show(active)
		return g.next.Sub(now), false
	}
	// Spread, as RFC 4271 section 10 wants it.
	g.next = now.Add(g.ConnectRetry - rand.N(g.ConnectRetry/4))
	g.show(connect)
	return 0, true
}

// dial connects to the neighbor and serves the connection until its end.
func (g *guard) dial() {
	tcp, err := g.session.dial(g.ctx)
	switch {
	case err == nil:
		if c := g.begin(tcp, true); c != nil {
			g.serve(c)
		}
		return
	case g.ctx.Err() != nil:
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.blame(g.connectError(err))
}

// accept takes a connection that the neighbor has made, if it may have one now.
func (g *guard) accept(tcp *net.TCPConn) {
	if err := g.admit(tcp); err != nil {
		tcp.Close()
		g.mu.Lock()
		defer g.mu.Unlock()
		g.blame(err.Error())
		return
	}
	g.begin(tcp, false)
}

// begin makes a connection of tcp, or closes it and returns nil: the neighbor is
// left alone for a while, or has such a connection already. One that was not
// dialed it serves, begun before end can have stopped waiting for such.
func (g *guard) begin(tcp *net.TCPConn, dialed bool) *connection {
	g.mu.Lock()
	defer g.mu.Unlock()
	slot := g.slot(dialed)
	if g.ctx.Err() != nil || *slot != nil || time.Now().Before(g.until) {
		tcp.Close()
		return nil
	}
	c := newConnection(g.ctx, tcp, dialed, &g.entry.tally)
	*slot = c
	g.show(idle)
	if !dialed {
		g.running.Go(func() { g.serve(c) })
	}
	return c
}

// slot is the place of the connection that was dialed, or of the other one.
func (g *guard) slot(dialed bool) **connection {
	if dialed {
		return &g.dialed
	}
	return &g.accepted
}

// serve speaks with the neighbor until c ends.
func (g *guard) serve(c *connection) {
	cause := c.close(g.converseInCalm(c))
	g.mu.Lock()
	defer g.mu.Unlock()
	*g.slot(c.dialed) = nil
	g.soothe(c)
	if rest := g.rest(cause); rest > 0 {
		g.until = time.Now().Add(rest)
	}
	if c.stage == established || !isCollision(cause) && g.ctx.Err() == nil { // that we end it ourselves is no trouble
		g.blame(endReason(cause))
	}
	g.show(idle)
	g.poke()
}

// blame notes why there is no session, unless there is one, or soon will be, by
// another connection. The caller holds g.mu.
func (g *guard) blame(reason string) {
	for _, c := range []*connection{g.dialed, g.accepted} {
		if c != nil && c.stage != openSent {
			return
		}
	}
	g.speaker.book.problem(g.entry, reason)
}

// converseInCalm is converse, but waits if the neighbor flaps: each session that
// comes and goes costs us, GoBGP and the log. An open connection is kept waiting,
// not closed, for a neighbor may take that for an error of ours.
func (g *guard) converseInCalm(c *connection) error {
	g.mu.Lock()
	wait := time.Until(g.calm)
	g.mu.Unlock()
	select {
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	case <-time.After(wait):
		return g.converse(c)
	}
}

// soothe notes how long the session on c has lasted, now that it is over. The
// caller holds g.mu.
func (g *guard) soothe(c *connection) {
	if c.stage != established {
		return
	}
	hold, _ := g.hold(c.open.HoldTime)
	if time.Since(c.up) >= hold {
		g.short, g.calm = 0, time.Time{}
		return
	}
	g.calm = time.Now().Add(min(firstCalm<<min(g.short, 20), g.ConnectRetry))
	g.short++
}

// rest is for how long a neighbor is left alone after cause: one that makes
// errors must not make them as fast as it can.
func (g *guard) rest(cause error) time.Duration {
	var refused *refusal
	switch {
	case !errors.As(cause, &refused), refused.code == holdTimerError, isCollision(cause):
		return 0
	case refused.code == ceaseError && refused.subcode == tooManyPrefixes:
		return IdleTime
	}
	return g.ConnectRetry
}

// poke makes run look again. The caller may hold g.mu.
func (g *guard) poke() {
	select {
	case g.poked <- struct{}{}:
	default:
	}
}

// show puts the neighbor's state into the book: that of the connection that is
// farthest, or without any none. The caller holds g.mu.
func (g *guard) show(none string) {
	best := g.dialed
	if best == nil || g.accepted != nil && g.accepted.stage != openSent {
		best = g.accepted
	}
	if best == nil {
		g.speaker.book.state(g.entry, none, terms{})
		return
	}
	g.speaker.book.state(g.entry, best.stage, g.terms(best))
}

// terms are what a session has agreed on, and nothing before it is established.
func (g *guard) terms(c *connection) terms {
	if c.stage != established {
		return terms{}
	}
	hold, _ := g.hold(c.open.HoldTime)
	return terms{c.local(), c.open.RouterID, g.carried(c.open, c.local()), hold}
}

// terms are what a session has agreed on.
type terms struct {
	local    netip.Addr
	routerID netip.Addr
	families Families
	hold     time.Duration
}

// ask asks the neighbor for all its routes once more, if it has a session and
// knows such requests.
func (g *guard) ask() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range []*connection{g.dialed, g.accepted} {
		if c == nil || c.stage != established || !c.open.Refresh {
			continue
		}
		g.running.Go(func() {
			for _, f := range g.carried(c.open, c.local()).each() {
				c.send(refreshMessage(f), g.HoldTime) // if it fails, the session is about to end
			}
		})
	}
}
