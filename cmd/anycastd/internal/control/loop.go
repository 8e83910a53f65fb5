// Package control is the control loop: one goroutine that owns what is known,
// asks policy.Decide what must be true after each event, and hands that to the
// effectors. It never decides anything itself and never waits for an effector.
package control

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/bgp"
	"github.com/anycastd/anycastd/cmd/anycastd/internal/config"
	"github.com/anycastd/anycastd/cmd/anycastd/internal/load"
	"github.com/anycastd/anycastd/dnspub"
	"github.com/anycastd/anycastd/ikefront"
	"github.com/anycastd/anycastd/ikefront/probe"
	"github.com/anycastd/anycastd/netlink"
	"github.com/anycastd/anycastd/policy"
)

// Host puts addresses on the host; *netlink.Host is one.
type Host interface {
	Set(context.Context, []netip.Prefix) error
	Addresses() []netlink.Address
}

// Rewriter rewrites UDP ports; *netlink.Rewriter is one.
type Rewriter interface {
	Set(context.Context, []netlink.Rewrite) error
}

// Front answers IKE; *ikefront.Front is one.
type Front interface {
	Set(*policy.Table)
	Listen([]netip.AddrPort) map[netip.AddrPort]error
	Endpoints() map[netip.AddrPort]ikefront.Endpoint
	CookiesDemanded() bool
}

// Speaker announces routes; *bgp.Speaker is one.
type Speaker interface {
	Set(context.Context, []bgp.Route) error
	SetNeighbors(context.Context, []bgp.Neighbor) error
	Peers() []bgp.Peer
	Watch([]netip.Addr)
	Learned() []bgp.Learned
}

// Uplinks tells by which links neighbors are reached; *netlink.Uplinks is one.
type Uplinks interface {
	Set([]netip.Addr)
	Uplinks() []netlink.Uplink
}

// Publisher publishes the records of one zone; *dnspub.Publisher is one.
type Publisher interface {
	Set(context.Context, []dnspub.Record) error
	Status() []dnspub.Status
}

// Prober watches gateways and the node's own addresses; *probe.Prober is one.
type Prober interface {
	Set([]probe.Target)
	Prove(addr netip.AddrPort, at time.Time)
	Counts() probe.Counts
}

// Loads asks gateways for their load, and counts what they say.
type Loads interface {
	Set([]load.Source)
	Counts() map[string]uint64 // figures that came in, by what became of them
}

// Parts are what the loop works with.
type Parts struct {
	Host      Host
	Rewriter  Rewriter // nil: sockets are bound to the service ports
	Front     Front
	Speaker   Speaker // nil: no neighbors are configured
	Uplinks   Uplinks // nil like Speaker
	Prober    Prober
	Loads     Loads
	Marks     MarkStore
	Publisher func(config.DNSZone) Publisher
}

// Loop is the control loop. Its fields belong to the goroutine of Run.
type Loop struct {
	cfg       *config.Config
	parts     Parts
	log       zerolog.Logger
	events    chan func() // each is followed by a decision
	questions chan func() // change nothing
	ended     chan struct{}

	started time.Time
	view    policy.View
	plan    policy.Plan
	probes  map[netip.AddrPort]probe.State
	pulses  map[netip.AddrPort]pulse
	table   atomic.Pointer[policy.Table]   // that of view, for others to count by
	names   atomic.Pointer[map[string]int] // of the gateways, with their indices
	inbox   inbox
	marking chan struct{}                     // holds one while marks are being kept
	figures map[string]map[string]policy.Load // of gateways, by source

	markTrouble string            // why marks were lost
	counted     map[string]uint64 // by gateway, at countedAt
	countedAt   time.Time
	problem     error            // why the loop was told to stop, if that was no wish
	overdue     <-chan time.Time // when a stop is to be ended by force; nil: none is under way

	addresses *keeper[[]netip.Prefix]
	rewrites  *keeper[[]netlink.Rewrite]
	sockets   *keeper[[]netip.AddrPort]
	routes    *keeper[[]bgp.Route]
	neighbors *keeper[[]bgp.Neighbor]
	zones     map[string]*zone
	asked     desired                       // what the keepers were told last
	ports     ports                         // how far the endpoints are open
	routeErr  error                         // of the last Set of the speaker
	told      []netip.Prefix                // what the speaker took to announce in its last Set
	uplinks   map[netip.Addr]netlink.Uplink // of the neighbors
	tasks     sync.WaitGroup
	ctx       context.Context // of Run, for zones started later
}

// New returns a loop for cfg. It does nothing until Run.
func New(cfg *config.Config, parts Parts, log zerolog.Logger) *Loop {
	l := &Loop{
		parts: parts, log: log, events: make(chan func(), 1024), questions: make(chan func()), ended: make(chan struct{}),
		probes: map[netip.AddrPort]probe.State{}, pulses: map[netip.AddrPort]pulse{}, zones: map[string]*zone{},
		marking: make(chan struct{}, 1), figures: map[string]map[string]policy.Load{},
	}
	l.view.Routes = map[netip.Prefix]policy.RouteState{}
	l.view.Own = map[netip.Addr]policy.Own{}
	l.view.Drained, l.view.Loads = map[string]policy.Drain{}, map[string]policy.Load{}
	l.view.Spoken = map[netip.Prefix]bool{}
	l.addresses = newKeeper("addresses", log, parts.Host.Set, func([]netip.Prefix, error) { l.post(l.seeAddresses) })
	if parts.Rewriter != nil {
		l.rewrites = newKeeper("rewrites", log, parts.Rewriter.Set, func(w []netlink.Rewrite, err error) { l.post(func() { l.seeRewrites(w, err) }) })
	}
	l.sockets = newKeeper("sockets", log, l.listen, func([]netip.AddrPort, error) {})
	if parts.Speaker != nil {
		l.routes = newKeeper("routes", log, parts.Speaker.Set, func(r []bgp.Route, err error) { l.post(func() { l.seeRoutes(r, err) }) })
		l.neighbors = newKeeper("neighbors", log, parts.Speaker.SetNeighbors, func([]bgp.Neighbor, error) {})
	}
	l.configure(cfg)
	l.recall()
	return l
}

// Run keeps what is in line with what must be until a Stop has been carried
// out or ctx, which skips its waits, ends. It returns the error given to Stop.
func (l *Loop) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		close(l.ended)
		l.tasks.Wait()
	}()
	l.ctx, l.started = ctx, time.Now()
	l.tasks.Go(func() { l.addresses.run(ctx) })
	if l.rewrites != nil {
		l.tasks.Go(func() { l.rewrites.run(ctx) })
	}
	l.tasks.Go(func() { l.sockets.run(ctx) })
	if l.routes != nil {
		l.tasks.Go(func() { l.routes.run(ctx) })
		l.tasks.Go(func() { l.neighbors.run(ctx) })
	}
	beat := time.NewTicker(selfEvery)
	defer beat.Stop()
	for {
		l.startZones()
		l.decide()
		if l.plan.Stopped {
			return l.problem
		}
		if !l.wait(ctx, beat.C) {
			return l.problem
		}
	}
}

// wait returns true when it is time for another decision, false when ctx ends.
func (l *Loop) wait(ctx context.Context, beat <-chan time.Time) bool {
	var due <-chan time.Time
	if !l.plan.Next.IsZero() {
		timer := time.NewTimer(time.Until(l.plan.Next))
		defer timer.Stop()
		due = timer.C
	}
	for {
		select {
		case <-ctx.Done():
			return false
		case q := <-l.questions:
			q()
			continue
		case <-beat:
			if !l.beat() {
				continue
			}
		case e := <-l.events:
			e()
			l.drainEvents()
			l.takeLoads()
		case <-due:
		case <-l.overdue:
			l.log.Error().Msg("the stop takes too long; ending at once")
			return false
		}
		return true
	}
}

// beat does what is due each second, and says whether it asks for a decision.
func (l *Loop) beat() bool {
	now := time.Now()
	flooded, loaded, counted := l.takePulses(), l.takeLoads(), l.takeCounts(now)
	return flooded || loaded || counted || l.expired(now) // the clock may have been set
}

// drainEvents takes what else has happened meanwhile, so that one decision
// answers many events.
func (l *Loop) drainEvents() {
	for range cap(l.events) {
		select {
		case e := <-l.events:
			e()
		default:
			return
		}
	}
}

// post makes the loop call f, unless it has ended.
func (l *Loop) post(f func()) {
	select {
	case l.events <- f:
	case <-l.ended:
	}
}

// errEnded is what callers get that come too late.
var errEnded = errors.New("the daemon is stopping")

// ask makes the loop call f, by one of its channels, and waits until it has.
// If it returns an error, f has not been called and will not be.
func (l *Loop) ask(ctx context.Context, by chan<- func(), f func()) error {
	asked, done := make(chan struct{}), make(chan struct{})
	call := func() {
		select {
		case asked <- struct{}{}:
			f()
			close(done)
		case <-ctx.Done():
		}
	}
	select {
	case by <- call:
	case <-l.ended:
		return errEnded
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-asked:
		<-done
		return nil
	case <-l.ended:
		return errEnded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stopGrace is how long a stop may take beyond drain_wait and settle before
// its remaining waits are skipped.
const stopGrace = 3 * time.Second

// Stop begins the tear-down. The error, if any, is why, and what Run returns.
func (l *Loop) Stop(why error) {
	l.post(func() {
		if !l.view.Stopping {
			l.overdue = time.After(l.cfg.Policy.DrainWait + l.cfg.Policy.Settle + stopGrace)
			l.log.Info().Err(why).Stringer("drain_wait", l.cfg.Policy.DrainWait).Stringer("settle", l.cfg.Policy.Settle).Msg("stopping")
		}
		l.view.Stopping = true
		l.problem = errors.Join(l.problem, why)
	})
}

// Probed tells the loop what a probe has shown.
func (l *Loop) Probed(s probe.State) { l.post(func() { l.seeProbe(s) }) }

// PeersChanged tells the loop that BGP sessions may have changed.
func (l *Loop) PeersChanged() { l.post(func() {}) }

// LearnedChanged tells the loop that the fabric's routes to gateways may have
// changed.
func (l *Loop) LearnedChanged() { l.post(l.seeLearned) }

// UplinksChanged tells the loop that the links to the neighbors may have changed.
func (l *Loop) UplinksChanged() { l.post(l.seeUplinks) }

// SocketsChanged tells the loop that a socket has closed by itself.
func (l *Loop) SocketsChanged() { l.sockets.again() }

// HostChanged tells the loop that the host's addresses may have changed.
func (l *Loop) HostChanged() { l.addresses.again() }

// RewritesChanged tells the loop that the host's rewrites may have changed.
func (l *Loop) RewritesChanged() { l.rewrites.again() }

// Turns returns nil when the loop has turned once more.
func (l *Loop) Turns(ctx context.Context) error { return l.ask(ctx, l.questions, func() {}) }

// decide asks policy what must be true, remembers it and hands it on.
func (l *Loop) decide() {
	last, now := l.plan, time.Now()
	l.lookAround()
	l.forgetExpired(now)
	l.plan = policy.Decide(&l.cfg.Policy, &l.view, now)
	l.view.Table, l.view.Site, l.view.Shares = l.plan.Table, l.plan.Site.SiteState, map[string]policy.Share{}
	l.table.Store(l.plan.Table)
	for _, g := range l.plan.Gateways {
		l.view.Shares[g.Name] = g.Share
	}
	clear(l.view.Routes)
	for _, r := range l.plan.Routes {
		l.view.Routes[r.Prefix] = r.RouteState
	}
	for a := range l.view.Own {
		if !slices.ContainsFunc(l.plan.Addresses, func(p policy.AddressPlan) bool { return p.Addr == a }) {
			delete(l.view.Own, a) // it has left
		}
	}
	l.tellChanges(last)
	l.apply()
}
