// Package control is the control loop: one goroutine that owns what is known,
// asks policy.Decide what must be true after each event, and hands that to the
// effectors. It never decides anything itself and never waits for an effector.
package control

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/bgp"
	"github.com/anycastd/anycastd/cmd/anycastd/internal/config"
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

// Front answers IKE; *ikefront.Front is one.
type Front interface {
	Set(*policy.Table)
	Listen([]netip.AddrPort) map[netip.AddrPort]error
	Counts() map[netip.AddrPort][ikefront.Dispositions]uint64
}

// Speaker announces routes; *bgp.Speaker is one.
type Speaker interface {
	Set(context.Context, []bgp.Route) error
	SetNeighbors(context.Context, []bgp.Neighbor) error
	Peers() []bgp.Peer
}

// Publisher publishes the records of one zone; *dnspub.Publisher is one.
type Publisher interface {
	Set(context.Context, []dnspub.Record) error
	Status() []dnspub.Status
}

// Prober watches gateways and the node's own addresses; *probe.Prober is one.
type Prober interface {
	Set([]probe.Target)
}

// Parts are what the loop works with.
type Parts struct {
	Host      Host
	Front     Front
	Speaker   Speaker // nil: no neighbors are configured
	Prober    Prober
	Publisher func(config.DNSZone) (Publisher, error)
}

// Loop is the control loop. Its fields belong to the goroutine of Run.
type Loop struct {
	cfg    *config.Config
	parts  Parts
	log    zerolog.Logger
	events chan func()
	ended  chan struct{}

	started time.Time
	view    policy.View
	plan    policy.Plan
	probes  map[netip.AddrPort]probe.State
	problem error // why the loop was told to stop, if that was no wish

	addresses *keeper[[]netip.Prefix]
	sockets   *keeper[[]netip.AddrPort]
	routes    *keeper[[]bgp.Route]
	neighbors *keeper[[]bgp.Neighbor]
	zones     map[string]*zone
	asked     desired // what the keepers were told last
	routeErr  error   // of the last Set of the speaker
	tasks     sync.WaitGroup
	ctx       context.Context // of Run, for zones started later
}

// zone is one DNS zone's keeper.
type zone struct {
	cfg       config.DNSZone
	publisher Publisher
	keeper    *keeper[[]dnspub.Record]
	stop      context.CancelFunc
}

// New returns a loop for cfg. It does nothing until Run.
func New(cfg *config.Config, parts Parts, log zerolog.Logger) *Loop {
	l := &Loop{
		parts: parts, log: log, events: make(chan func(), 1024), ended: make(chan struct{}),
		probes: map[netip.AddrPort]probe.State{}, zones: map[string]*zone{},
	}
	l.view.Routes = map[netip.Prefix]policy.RouteState{}
	l.view.Own = map[netip.Addr]policy.Own{}
	l.view.Drained = map[string]string{}
	l.view.Spoken = map[netip.Prefix]bool{}
	l.addresses = newKeeper("addresses", log, parts.Host.Set, func([]netip.Prefix, error) { l.post(l.seeAddresses) })
	l.sockets = newKeeper("sockets", log, l.listen, func([]netip.AddrPort, error) {})
	if parts.Speaker != nil {
		l.routes = newKeeper("routes", log, parts.Speaker.Set, func(r []bgp.Route, err error) { l.post(func() { l.seeRoutes(r, err) }) })
		l.neighbors = newKeeper("neighbors", log, parts.Speaker.SetNeighbors, func([]bgp.Neighbor, error) {})
	}
	l.configure(cfg)
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
	l.tasks.Go(func() { l.sockets.run(ctx) })
	if l.routes != nil {
		l.tasks.Go(func() { l.routes.run(ctx) })
		l.tasks.Go(func() { l.neighbors.run(ctx) })
	}
	for {
		l.startZones()
		l.decide()
		if l.plan.Stopped {
			return l.problem
		}
		if !l.wait(ctx) {
			return l.problem
		}
	}
}

// wait returns true when it is time for another decision, false when ctx ends.
func (l *Loop) wait(ctx context.Context) bool {
	var due <-chan time.Time
	if !l.plan.Next.IsZero() {
		timer := time.NewTimer(time.Until(l.plan.Next))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-ctx.Done():
		return false
	case e := <-l.events:
		e()
		l.drainEvents()
	case <-due:
	}
	return true
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

// ask makes the loop call f and waits until it has.
func (l *Loop) ask(ctx context.Context, f func()) error {
	done := make(chan struct{})
	l.post(func() { f(); close(done) })
	select {
	case <-done:
		return nil
	case <-l.ended:
		return errEnded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stop begins the tear-down. The error, if any, is why, and what Run returns.
func (l *Loop) Stop(why error) {
	l.post(func() {
		if !l.view.Stopping {
			l.log.Info().Err(why).Stringer("drain_wait", l.cfg.Policy.DrainWait).Stringer("settle", l.cfg.Policy.Settle).Msg("stopping")
		}
		l.view.Stopping = true
		l.problem = errors.Join(l.problem, why)
	})
}

// Probed tells the loop what a probe has shown.
func (l *Loop) Probed(s probe.State) { l.post(func() { l.seeProbe(s) }) }

// HostChanged tells the loop that the host's addresses may have changed.
func (l *Loop) HostChanged() { l.addresses.again() }

// decide asks policy what must be true, remembers it and hands it on.
func (l *Loop) decide() {
	last := l.plan
	l.plan = policy.Decide(&l.cfg.Policy, &l.view, time.Now())
	l.view.Table = l.plan.Table
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

// tellChanges logs what the new plan says otherwise than the last.
func (l *Loop) tellChanges(last policy.Plan) {
	for _, r := range l.plan.Routes {
		i := slices.IndexFunc(last.Routes, func(o policy.RoutePlan) bool { return o.Prefix == r.Prefix })
		if i < 0 || last.Routes[i].Wish != r.Wish || last.Routes[i].Reason != r.Reason {
			l.log.Info().Stringer("prefix", r.Prefix).Str("route", string(r.Wish)).Str("reason", r.Reason).Msg("route decided")
		}
	}
	for _, r := range last.Routes {
		if _, still := l.view.Routes[r.Prefix]; !still {
			l.log.Info().Stringer("prefix", r.Prefix).Msg("route gone")
		}
	}
	for _, g := range l.plan.Gateways {
		i := slices.IndexFunc(last.Gateways, func(o policy.GatewayPlan) bool { return o.Name == g.Name })
		if i < 0 || last.Gateways[i].Usable != g.Usable || last.Gateways[i].Reason != g.Reason {
			l.log.Info().Str("gateway", g.Name).Bool("usable", g.Usable).Str("reason", g.Reason).Msg("gateway decided")
		}
	}
}

// startZones makes the running publishers those of the configuration. A zone
// that left it keeps its records: other front-ends may share them.
func (l *Loop) startZones() {
	wanted := map[string]config.DNSZone{}
	for _, z := range l.cfg.Zones {
		wanted[z.Name] = z
	}
	for name, z := range l.zones {
		if wanted[name] != z.cfg {
			z.stop()
			delete(l.zones, name)
			delete(l.asked.records, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if l.zones[name] == nil {
			l.startZone(wanted[name])
		}
	}
}

// startZone starts the publisher of one zone.
func (l *Loop) startZone(cfg config.DNSZone) {
	p, err := l.parts.Publisher(cfg)
	if err != nil {
		l.log.Error().Err(err).Str("zone", cfg.Name).Msg("zone not published")
		p = broken{err}
	}
	z := &zone{cfg: cfg, publisher: p}
	z.keeper = newKeeper("zone "+cfg.Name, l.log, p.Set, func([]dnspub.Record, error) {})
	ctx, stop := context.WithCancel(l.ctx)
	z.stop = stop
	l.tasks.Go(func() { z.keeper.run(ctx) })
	l.zones[cfg.Name] = z
}

// broken is the publisher of a zone that can't have one.
type broken struct{ err error }

func (b broken) Set(context.Context, []dnspub.Record) error { return b.err }
func (b broken) Status() []dnspub.Status                    { return nil }
