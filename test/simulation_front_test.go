package test

import (
	"math"
	"net/netip"
	"time"

	"github.com/anycastd/anycastd/policy"
)

// simulatedChoice is how a simulated front-end chooses.
type simulatedChoice struct {
	policy policy.Choose
	herd   bool // instead of the policy: everybody to the gateway with the lowest last report
}

// simulatedFront is a front-end as the control loop is one, but for the
// packets: loads come in, a decision is made of them, clients are sent by its
// table.
type simulatedFront struct {
	cfg     policy.Config
	view    policy.View
	inbox   map[string]policy.Load // what has come in since the last beat
	counted map[string]uint64      // what had been sent at since
	since   time.Duration          // when it was counted
	index   map[string]int         // of a gateway
	herd    bool
	lowest  int // the gateway that the herd goes to
}

// worldStart is when simulated time begins.
func worldStart() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// newSimulatedFront returns a front-end that has just started.
func newSimulatedFront(stations []*station, how simulatedChoice) *simulatedFront {
	f := &simulatedFront{
		cfg:   policy.Config{Choose: how.policy, Key: policy.BySource, Overload: 0.9, StaleAfter: 15 * time.Second},
		view:  policy.View{Health: map[netip.Addr]policy.Health{}, Loads: map[string]policy.Load{}},
		inbox: map[string]policy.Load{}, index: map[string]int{},
	}
	for i, s := range stations {
		f.cfg.Gateways = append(f.cfg.Gateways, s.Gateway)
		f.view.Health[s.Addresses[0]] = policy.Health{State: policy.Up}
		f.index[s.Name] = i
	}
	f.decide(0)
	f.herd = how.herd
	return f
}

// loaded takes a report that comes in.
func (f *simulatedFront) loaded(s *station, sessions int, now time.Duration) {
	f.inbox[s.Name] = policy.Load{
		Sessions: sessions, Capacity: s.Capacity, CPU: -1, At: worldStart().Add(now), Source: "report", Sent: f.view.Table.Sent(s.Name),
	}
}

// beat takes in what has come since the last one, and decides.
func (f *simulatedFront) beat(now time.Duration) {
	for name, load := range f.inbox {
		f.view.Loads[name] = load
	}
	clear(f.inbox)
	if f.cfg.Choose == policy.LeastLoaded && now-f.since >= f.cfg.StaleAfter {
		f.since, f.view.Sent, f.counted = now, f.counted, map[string]uint64{}
		for name := range f.index {
			f.counted[name] = f.view.Table.Sent(name)
		}
	}
	f.decide(now)
}

// decide decides, and goes on from there.
func (f *simulatedFront) decide(now time.Duration) {
	if f.herd {
		f.lowest = f.lowestReport()
		return
	}
	p := policy.Decide(&f.cfg, &f.view, worldStart().Add(now))
	f.view.Table, f.view.Site, f.view.Shares = p.Table, p.Site.SiteState, map[string]policy.Share{}
	for _, g := range p.Gateways {
		f.view.Shares[g.Name] = g.Share
	}
}

// lowestReport returns the living gateway with the lowest last report.
func (f *simulatedFront) lowestReport() int {
	best, low := 0, math.Inf(1)
	for i, g := range f.cfg.Gateways {
		l := f.view.Loads[g.Name]
		load := float64(l.Sessions) / float64(g.Capacity)
		if f.view.Health[g.Addresses[0]].State == policy.Up && load < low {
			best, low = i, load
		}
	}
	return best
}

// choose returns the index of the gateway that a newcomer is sent to.
func (f *simulatedFront) choose(source netip.Addr, spi uint64) int {
	if f.herd {
		return f.lowest
	}
	return f.index[f.view.Table.Pick(policy.Client{Source: source, SPI: spi}).Gateway]
}
