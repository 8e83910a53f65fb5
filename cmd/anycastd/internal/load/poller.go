package load

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/policy"
)

// Source is a charon to be asked.
type Source struct {
	Gateway          string
	Network, Address string        // "unix", "/run/charon.vici" or "tcp", "198.51.100.11:4502"
	Every            time.Duration // from one question to the next, ±10 %; at least 100 ms
}

// PollerConfig is what a Poller needs to know. Both functions are called from
// several goroutines, must return quickly and not call the Poller. After Set has
// taken a source away, one more call for it may come.
type PollerConfig struct {
	Notify func(gateway string, l policy.Load)
	Failed func(gateway string, err error) // each question without a sound answer
}

// Polls counts the questions to a gateway.
type Polls struct {
	Answered, Failed uint64
}

// Poller asks any number of charons, each over a connection and in a goroutine
// of its own, so that one that hangs holds up nobody else.
type Poller struct {
	cfg  PollerConfig
	log  zerolog.Logger
	wake chan struct{}

	mu     sync.Mutex
	wanted map[Source]bool
	counts map[string]Polls
}

// NewPoller returns a Poller without sources.
func NewPoller(cfg PollerConfig, log zerolog.Logger) *Poller {
	return &Poller{cfg: cfg, log: log, wake: make(chan struct{}, 1), counts: map[string]Polls{}}
}

// Set makes sources the ones to be asked, new ones at once. Those that stay as
// they were keep their connection. It never waits.
func (p *Poller) Set(sources []Source) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = map[Source]bool{}
	counts := map[string]Polls{}
	for _, s := range sources {
		p.wanted[s] = true
		counts[s.Gateway] = p.counts[s.Gateway]
	}
	p.counts = counts
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Counts returns what came of the questions to each gateway.
func (p *Poller) Counts() map[string]Polls {
	p.mu.Lock()
	defer p.mu.Unlock()
	counts := make(map[string]Polls, len(p.counts))
	for gateway, n := range p.counts {
		counts[gateway] = n
	}
	return counts
}

// Run asks until ctx ends.
func (p *Poller) Run(ctx context.Context) error {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	running := map[Source]context.CancelFunc{}
	for {
		p.mu.Lock()
		wanted := p.wanted // Set never changes the map, it makes another
		p.mu.Unlock()
		for s, stop := range running {
			if !wanted[s] {
				stop()
				delete(running, s)
			}
		}
		for s := range wanted {
			if running[s] == nil {
				own, stop := context.WithCancel(ctx)
				running[s] = stop
				tasks.Go(func() { p.watch(own, s) })
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		}
	}
}

// watch asks one charon until ctx ends.
func (p *Poller) watch(ctx context.Context, s Source) {
	log := p.log.With().Str("gateway", s.Gateway).Logger()
	charon := NewVICI(s.Network, s.Address)
	defer charon.Close()
	var o outage
	var b backoff
	for {
		call, cancel := context.WithTimeout(ctx, bound(s.Every))
		n, err := charon.Sessions(call)
		cancel()
		if ctx.Err() != nil {
			return
		}
		o.note(&log, err, "the gateway's VICI gives no figures", "the gateway's VICI gives figures again")
		p.tell(s, n, err)
		wait := jitter(max(s.Every, 100*time.Millisecond))
		if err != nil {
			wait = b.next()
		} else {
			b = backoff{}
		}
		if !pause(ctx, wait) {
			return
		}
	}
}

// tell counts an answer and passes it on.
func (p *Poller) tell(s Source, sessions int, err error) {
	p.mu.Lock()
	n, known := p.counts[s.Gateway]
	if err == nil {
		n.Answered++
	} else {
		n.Failed++
	}
	if known { // not taken away meanwhile
		p.counts[s.Gateway] = n
	}
	p.mu.Unlock()
	if err != nil {
		p.cfg.Failed(s.Gateway, err)
		return
	}
	p.cfg.Notify(s.Gateway, policy.Load{Sessions: sessions, CPU: -1, At: time.Now(), Source: "VICI", From: s.from()})
}

// elsewhere returns a in its plain form, the zero Addr if it is this very host.
func elsewhere(a netip.Addr) netip.Addr {
	if a = a.Unmap().WithZone(""); a.IsLoopback() {
		return netip.Addr{}
	}
	return a
}

// from returns the address that s answers from: the zero Addr if that is this
// host, an unspecified one if it is not known.
func (s *Source) from() netip.Addr {
	if s.Network == "unix" {
		return netip.Addr{}
	}
	at, err := netip.ParseAddrPort(s.Address)
	if err != nil {
		return netip.IPv6Unspecified()
	}
	return elsewhere(at.Addr())
}

// bound returns how long something may take that is done so often.
func bound(every time.Duration) time.Duration {
	return max(time.Second, min(every, 5*time.Second))
}

// jitter returns d ±10 %, so that many do not keep step.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
}

// pause waits, and says whether ctx still lasts.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// backoff is the pause between tries that fail: from 1 to 2 seconds after the
// first, twice that after each other one, from 15 to 30 seconds in the end.
type backoff struct{ last time.Duration }

// next returns how long to wait now.
func (b *backoff) next() time.Duration {
	b.last = max(2*time.Second, min(2*b.last, 30*time.Second))
	return b.last/2 + rand.N(b.last/2+1)
}

// outage tells the log when something begins to fail and when that ends.
type outage struct{ since time.Time }

// note takes what came of a try.
func (o *outage) note(log *zerolog.Logger, err error, fails, again string) {
	switch {
	case err != nil && o.since.IsZero():
		o.since = time.Now()
		log.Warn().Err(err).Msg(fails)
	case err == nil && !o.since.IsZero():
		log.Info().Dur("after", time.Since(o.since)).Msg(again)
		o.since = time.Time{}
	}
}
