package control

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/anycastd/anycastd/policy"
)

// inbox holds the loads that have come in since the loop looked last: with
// thousands of gateways they come too often for a decision each.
type inbox struct {
	mu       sync.Mutex
	loads    map[figureOf]policy.Load
	draining map[figureOf]bool // what said so last
}

// figureOf says whose figure it is, and by whom.
type figureOf struct{ gateway, source string }

// put adds a load and says whether it is too urgent to wait: the gateway wants
// no more newcomers.
func (b *inbox) put(gateway string, load policy.Load) (urgent bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.loads == nil {
		b.loads = map[figureOf]policy.Load{}
	}
	of := figureOf{gateway, load.Source}
	b.loads[of] = load
	if !load.Draining {
		delete(b.draining, of)
		return false
	}
	if b.draining == nil {
		b.draining = map[figureOf]bool{}
	}
	urgent = !b.draining[of]
	b.draining[of] = true
	return urgent
}

// forget forgets what a gateway said last.
func (b *inbox) forget(gateway string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.draining, func(of figureOf, _ bool) bool { return of.gateway == gateway })
}

// take returns what is there and empties it.
func (b *inbox) take() map[figureOf]policy.Load {
	b.mu.Lock()
	defer b.mu.Unlock()
	loads := b.loads
	b.loads = nil
	return loads
}

// report is the source of figures that gateways send by themselves.
const report = "report"

// Loaded tells the loop of a gateway's load. It is proof of life, too.
func (l *Loop) Loaded(gateway string, load policy.Load) {
	if t := l.table.Load(); t != nil {
		load.Sent = t.Sent(gateway)
	}
	if l.inbox.put(gateway, load) {
		l.post(func() {})
	}
}

// Knows says whether there is a gateway of this name. Any goroutine may ask.
func (l *Loop) Knows(gateway string) bool {
	_, known := (*l.names.Load())[gateway]
	return known
}

// takeLoads takes in the loads that have come, and says whether there are any.
func (l *Loop) takeLoads() (any bool) {
	for of, load := range l.inbox.take() {
		i, known := (*l.names.Load())[of.gateway]
		if !known {
			continue // it has left the configuration meanwhile
		}
		figures := l.figures[of.gateway]
		if figures == nil {
			figures = map[string]policy.Load{}
			l.figures[of.gateway] = figures
		}
		figures[of.source] = load
		l.view.Loads[of.gateway] = merged(figures, l.cfg.Policy.StaleAfter)
		l.prove(&l.cfg.Policy.Gateways[i], &load)
		any = true
	}
	return any
}

// merged puts together what is known of one gateway: the sessions by whoever
// counted them last, all else by its own report, which alone tells that; its CPU
// until that is stale.
func merged(figures map[string]policy.Load, stale time.Duration) policy.Load {
	var all policy.Load
	for _, f := range figures {
		if f.At.After(all.At) {
			all = f
		}
	}
	own, ok := figures[report]
	age := all.At.Sub(own.At)
	if !ok || age >= policy.FigureHolds {
		return all
	}
	all.Draining, all.Capacity = own.Draining, own.Capacity
	if stale <= 0 || age < stale {
		all.CPU, all.CPUAt = own.CPU, own.At
	}
	return all
}

// prove takes load as proof of life: of the address that it came from, or of all
// if it came from this very host. What a gateway says over one path says nothing
// of the others.
func (l *Loop) prove(g *policy.Gateway, load *policy.Load) {
	for _, at := range l.probedAt(g) {
		if !load.From.IsValid() || load.From == at.Addr() {
			l.parts.Prober.Prove(at, load.At)
		}
	}
}

// forgetDead drops the figures of gateways with address a, which was dead and
// comes back, unless they are newer: what they held is gone with them.
func (l *Loop) forgetDead(a netip.Addr) {
	stale := l.cfg.Policy.StaleAfter
	for i := range l.cfg.Policy.Gateways {
		g := &l.cfg.Policy.Gateways[i]
		figures := l.figures[g.Name]
		if !slices.Contains(g.Addresses, a) || len(figures) == 0 || stale <= 0 {
			continue
		}
		maps.DeleteFunc(figures, func(_ string, f policy.Load) bool { return time.Since(f.At) >= stale })
		if len(figures) == 0 {
			l.forget(g.Name)
			continue
		}
		l.view.Loads[g.Name] = merged(figures, stale)
	}
}

// forget drops all figures of a gateway.
func (l *Loop) forget(gateway string) {
	delete(l.view.Loads, gateway)
	delete(l.view.Sent, gateway)
	delete(l.figures, gateway)
	l.inbox.forget(gateway)
}

// takeCounts keeps what had been sent to each gateway a while ago, from which on
// those without a fresh figure are reckoned with. It says whether it has changed.
func (l *Loop) takeCounts(now time.Time) bool {
	if now.Sub(l.countedAt) < l.cfg.Policy.StaleAfter {
		return false
	}
	l.countedAt = now
	before := l.view.Sent
	l.view.Sent, l.counted = l.counted, map[string]uint64{}
	for _, g := range l.cfg.Policy.Gateways {
		l.counted[g.Name] = l.view.Table.Sent(g.Name)
	}
	return !maps.Equal(before, l.view.Sent)
}
