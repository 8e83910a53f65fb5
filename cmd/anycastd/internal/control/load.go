package control

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/anycastd/anycastd/policy"
)

// inbox holds the loads that have come in since the loop looked last: with
// thousands of gateways they come too often for a decision each.
type inbox struct {
	mu    sync.Mutex
	loads map[string]policy.Load
}

// put adds a load and says whether it is too urgent to wait: the gateway wants
// no newcomers.
func (b *inbox) put(gateway string, load policy.Load) (urgent bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.loads == nil {
		b.loads = map[string]policy.Load{}
	}
	b.loads[gateway] = load
	return load.Draining
}

// take returns what is there and empties it.
func (b *inbox) take() map[string]policy.Load {
	b.mu.Lock()
	defer b.mu.Unlock()
	loads := b.loads
	b.loads = nil
	return loads
}

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
func (l *Loop) Knows(gateway string) bool { return (*l.names.Load())[gateway] }

// takeLoads takes in the loads that have come, and says whether there are any.
func (l *Loop) takeLoads() (any bool) {
	for name, load := range l.inbox.take() {
		i := slices.IndexFunc(l.cfg.Policy.Gateways, func(g policy.Gateway) bool { return g.Name == name })
		if i < 0 {
			continue // it has left the configuration meanwhile
		}
		l.view.Loads[name] = load
		for _, at := range l.probedAt(&l.cfg.Policy.Gateways[i]) {
			l.parts.Prober.Prove(at, load.At)
		}
		any = true
	}
	return any
}

// takeCounts keeps what had been sent to each gateway a while ago, which
// gateways without known load are compared by. It says whether that has changed.
func (l *Loop) takeCounts(now time.Time) bool {
	if l.cfg.Policy.Choose != policy.LeastLoaded || now.Sub(l.countedAt) < l.cfg.Policy.StaleAfter {
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
