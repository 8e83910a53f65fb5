// Package ikefront answers IKE on anycast addresses: each IKE_SA_INIT request
// of a client that can follow gets a REDIRECT to the gateway that a
// policy.Table names (RFC 5685). It never keeps anything about a client, and
// never decides where one goes.
package ikefront

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/anycastd/anycastd/policy"
)

// Config is what a Front needs to know.
type Config struct {
	Sockets      int // SO_REUSEPORT sockets per address and port; 0: one per CPU
	Cookie       CookieMode
	CookieAbove  int    // requests/s, all sockets together, from which CookieAuto asks for cookies
	CookieSecret []byte // CookieSecretLen octets, the same on all nodes of an address
	Refuse       bool   // answer clients without redirect support with NO_PROPOSAL_CHOSEN
	SourceLimit  int    // answers/s to one IPv4 address or IPv6 /56; 0: no limit
	ReplyLimit   int    // answers/s in all; 0: no limit
	ErrorLimit   int    // error notifies/s in all; 0: no limit

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
	limits   *limits
	refuse   bool
	start    time.Time
}

// rules returns what the answers of the next batch go by.
func (s *shared) rules() rules {
	return rules{table: s.table.Load(), cookies: s.cookies.Load(), limits: s.limits, refuse: s.refuse, now: time.Since(s.start)}
}

// Front answers on a changing set of addresses by a changing table.
type Front struct {
	cfg    Config
	log    zerolog.Logger
	shared shared

	mu     sync.Mutex
	open   map[netip.AddrPort][]*socket
	counts map[netip.AddrPort][]apart // of each socket of an endpoint that was ever open
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
	f.shared.cookies.Store(newCookies(cfg.CookieSecret, now, cfg.Cookie == CookieAlways))
	f.shared.limits, f.shared.refuse, f.shared.start = newLimits(&cfg), cfg.Refuse, now
	return f
}

// Set makes t the table for every packet from now on.
func (f *Front) Set(t *policy.Table) { f.shared.table.Store(t) }

// Listen makes the open sockets those of want: missing ones are opened,
// others closed, the rest left alone. It returns the errors of the endpoints
// that could not be opened; the others are open.
func (f *Front) Listen(want []netip.AddrPort) map[netip.AddrPort]error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for at := range f.open {
		if f.closed || !slices.Contains(want, at) {
			f.close(at)
		}
	}
	failed := map[netip.AddrPort]error{}
	for _, at := range want {
		if f.closed {
			failed[at] = errors.New("the front is closed")
		} else if f.open[at] == nil {
			if err := f.listen(at); err != nil {
				failed[at] = err
			}
		}
	}
	return failed
}

// listen opens all sockets of at, or none.
func (f *Front) listen(at netip.AddrPort) error {
	var group []*socket
	if f.counts[at] == nil {
		f.counts[at] = make([]apart, f.cfg.Sockets)
	}
	for i := range f.cfg.Sockets {
		s, err := open(at, &f.shared, &f.counts[at][i].Counters)
		if err != nil {
			for _, s := range group {
				s.conn.Close()
				s.batch.free()
			}
			return f.listenError(at, err)
		}
		group = append(group, s)
	}
	for _, s := range group {
		f.serve.Go(func() {
			err := s.serve()
			close(s.done)
			if err != nil {
				f.log.Error().Err(err).Stringer("at", at).Msg("a socket broke")
				f.drop(at)
				if f.cfg.Notify != nil {
					f.cfg.Notify()
				}
			}
		})
	}
	f.open[at] = group
	f.log.Info().Stringer("at", at).Int("sockets", len(group)).Msg("answering IKE")
	return nil
}

// listenError says what stands in the way of at.
func (f *Front) listenError(at netip.AddrPort, err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		who := "another IKE daemon on this host"
		if f.cfg.Holder != nil {
			who = cmp.Or(f.cfg.Holder(at), who)
		}
		return fmt.Errorf("UDP %s is taken by %s; let it bind its own addresses only, or run it in a network namespace of its own: %w", at, who, err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("UDP %s needs CAP_NET_BIND_SERVICE: %w", at, err)
	}
	return err
}

// drop closes the sockets of at after one of them broke, so that the next
// Listen opens them again.
func (f *Front) drop(at netip.AddrPort) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.close(at)
}

// close closes the sockets of at; their counts stay.
func (f *Front) close(at netip.AddrPort) {
	group, ok := f.open[at]
	if !ok {
		return
	}
	delete(f.open, at)
	for _, s := range group {
		s.close()
	}
	f.log.Info().Stringer("at", at).Msg("no longer answering IKE")
}

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

// turn looks at the clock, the rate of requests and the gates each second until
// ctx ends.
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
		f.log.Warn().Bool("demanded", demanded).Uint64("requests_per_second", rate).Msg("cookies")
	}
	if was.demanded != demanded || was.keys[0].epoch != epochOf(now) {
		f.shared.cookies.Store(newCookies(f.cfg.CookieSecret, now, demanded))
	}
}

// turnGates opens the gates of the sockets that junk no longer floods.
func (f *Front) turnGates(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for at, group := range f.open {
		shut, changed := 0, false
		for _, s := range group {
			on, turned := s.gate.turn(now)
			changed = changed || turned
			if on {
				shut++
			}
		}
		if changed {
			f.log.Warn().Stringer("at", at).Int("filtering", shut).Int("sockets", len(group)).Msg("junk floods, or does no longer")
		}
	}
}

// requests returns how many valid IKE_SA_INIT requests have come since the start.
func (f *Front) requests() (n uint64) {
	for _, sockets := range f.Counts() {
		for _, counts := range sockets {
			for d, c := range counts {
				if Disposition(d).request() {
					n += c
				}
			}
		}
	}
	return n
}

// Listening returns the endpoints that have open sockets.
func (f *Front) Listening() []netip.AddrPort {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.SortedFunc(maps.Keys(f.open), netip.AddrPort.Compare)
}

// Counts are numbers of datagrams by disposition.
type Counts [Dispositions]uint64

// Answers returns how many were answered.
func (c *Counts) Answers() (n uint64) {
	for d, count := range c {
		if Disposition(d).answered() {
			n += count
		}
	}
	return n
}

// Counts returns how many datagrams each socket of each endpoint has had since
// the start, those of endpoints that are closed now included.
func (f *Front) Counts() map[netip.AddrPort][]Counts {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[netip.AddrPort][]Counts{}
	for at, sockets := range f.counts {
		for i := range sockets {
			if group := f.open[at]; group != nil {
				group[i].gate.count()
			}
			out[at] = append(out[at], sockets[i].values())
		}
	}
	return out
}
