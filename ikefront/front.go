// Package ikefront answers IKE on anycast addresses: each IKE_SA_INIT request
// of a client that can follow gets a REDIRECT to the gateway that a
// policy.Table names (RFC 5685). It never keeps anything about a client, and
// never decides where one goes.
package ikefront

import (
	"context"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/policy"
)

// Config is what a Front needs to know.
type Config struct {
	Sockets      int // SO_REUSEPORT sockets per address and port; 0: one per CPU
	Cookie       CookieMode
	CookieAbove  int    // requests/s, all sockets together, from which CookieAuto asks for cookies
	CookieSecret []byte // CookieSecretLen octets, the same on all nodes of an address
	Refuse       bool   // answer clients without redirect support with NO_PROPOSAL_CHOSEN
	SourceLimit  int    // answers/s to one IPv4 address or IPv6 /56, and as many to its clients with a cookie; 0: no limit
	ReplyLimit   int    // answers/s in all; 0: no limit
	ErrorLimit   int    // error notifies/s in all; 0: no limit

	// Bind gives the port that the sockets for a service port are bound to,
	// where something outside rewrites one into the other. An endpoint keeps
	// the name of its service port everywhere. Nil: the service port itself.
	Bind func(service uint16) uint16
	// UDPErrors returns the namespace's counts. Nil: what the kernel drops is
	// put down to full queues or, while there is one, to the filter.
	UDPErrors func() (ipv4, ipv6 UDPErrors)
	// Notify is called when a socket has broken and its endpoint is closed:
	// call Listen again. Nil: nobody asks.
	Notify func()
	// Holder names the process that holds a UDP endpoint or its wildcard, ""
	// if it can't tell. Nil: nobody can.
	Holder func(netip.AddrPort) string
}

// shared is what the sockets of a Front have in common.
type shared struct {
	table    atomic.Pointer[policy.Table]
	cookies  atomic.Pointer[cookies]
	watchers atomic.Pointer[watchers] // nil: nobody watches
	batches  batches
	limits   *limits
	refuse   bool
	start    time.Time
}

// Front answers on a changing set of addresses by a changing table.
type Front struct {
	cfg    Config
	log    zerolog.Logger
	shared shared

	mu     sync.Mutex
	open   map[netip.AddrPort][]*socket
	counts map[netip.AddrPort][]apart // of each socket of an endpoint that was ever open
	errors [2]UDPErrors               // of IPv4 and IPv6, when last looked at
	closed bool
	serve  sync.WaitGroup
}

// apart keeps the counters of sockets, each of which has a CPU of its own, out
// of one cache line.
type apart struct {
	Counters
	_ [64]byte
}

// New returns a Front with an empty table and no sockets.
func New(cfg Config, log zerolog.Logger) *Front {
	if cfg.Sockets <= 0 {
		cfg.Sockets = runtime.GOMAXPROCS(0)
	}
	f := &Front{cfg: cfg, log: log, open: map[netip.AddrPort][]*socket{}, counts: map[netip.AddrPort][]apart{}}
	now := time.Now()
	f.shared.table.Store(&policy.Table{})
	f.shared.cookies.Store(newCookies(&cfg, now, cfg.Cookie == CookieAlways))
	f.shared.limits, f.shared.refuse, f.shared.start = newLimits(&cfg), cfg.Refuse, now
	return f
}

// Set makes t the table for every packet from now on.
func (f *Front) Set(t *policy.Table) { f.shared.table.Store(t) }

// CookiesDemanded says whether every client is asked for a cookie at present.
func (f *Front) CookiesDemanded() bool { return f.shared.cookies.Load().demanded }

// Run turns the cookies' keys and the demand for them, and opens the sockets'
// gates after floods. It returns nil when ctx ends, with all sockets closed and
// their goroutines gone. No socket can be opened after that.
func (f *Front) Run(ctx context.Context) error {
	f.turn(ctx)
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.Listen(nil)
	f.serve.Wait()
	return nil
}

// turn looks at the clock, the rate of requests and the kernel's counts each
// second until ctx ends.
func (f *Front) turn(ctx context.Context) {
	heat, before, at := thermostat{above: uint64(f.cfg.CookieAbove)}, f.requests(), time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		requests, now := f.requests(), time.Now()
		f.turnCookies(&heat, uint64(float64(requests-before)/now.Sub(at).Seconds()), now)
		before, at = requests, now
		f.turnGates(now)
	}
}

// turnCookies puts the keys of now in place, and the demand for cookies at this
// rate of requests/s.
func (f *Front) turnCookies(heat *thermostat, rate uint64, now time.Time) {
	demanded := f.cfg.Cookie == CookieAlways || f.cfg.Cookie == CookieAuto && heat.feel(rate, now)
	was := f.shared.cookies.Load()
	if was.demanded != demanded {
		what := "too many requests: cookies are demanded"
		if !demanded {
			what = "fewer requests: cookies are no longer demanded"
		}
		f.log.Warn().Uint64("requests_per_second", rate).Msg(what)
	}
	if was.demanded != demanded || was.keys[0].epoch != epochOf(now) {
		f.shared.cookies.Store(newCookies(&f.cfg, now, demanded))
	}
}

// turnGates counts what the kernel has dropped, and opens the gates of the
// sockets that junk no longer floods.
func (f *Front) turnGates(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.account()
	for at, group := range f.open {
		var shut, opened int
		var failed error
		for _, s := range group {
			turned, err := s.gate.turn(s.filtered, now)
			switch {
			case err != nil && !s.told:
				failed, s.told = err, true
			case turned && s.gate.was:
				shut++
			case turned:
				opened++
			}
		}
		f.tellGates(at, shut, opened, failed)
	}
}

// tellGates logs what has become of the gates of an endpoint's sockets.
func (f *Front) tellGates(at netip.AddrPort, shut, opened int, failed error) {
	if shut > 0 {
		f.log.Warn().Stringer("at", at).Int("sockets", shut).Msg("a flood of junk: the kernel drops it before it is read")
	}
	if opened > 0 {
		f.log.Info().Stringer("at", at).Int("sockets", opened).Msg("the flood of junk is over: everything is read again")
	}
	if failed != nil {
		f.log.Error().Err(failed).Stringer("at", at).Msg("the kernel takes no filter against a flood of junk")
	}
}

// rules returns what the answers of the next batch at address self go by.
func (s *shared) rules(self netip.Addr) rules {
	return rules{table: s.table.Load(), cookies: s.cookies.Load(), limits: s.limits, refuse: s.refuse, self: self, now: time.Since(s.start)}
}
