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

	// Bind gives the port that the sockets for a service port are bound to,
	// where something outside rewrites one into the other. An endpoint keeps
	// the name of its service port everywhere. Nil: the service port itself.
	Bind func(service uint16) uint16
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
	refuse   bool
	refusals *pauses // of clients without redirect support
	renewals *pauses // of clients with a wrong cookie
}

// Front answers on a changing set of addresses by a changing table.
type Front struct {
	cfg    Config
	log    zerolog.Logger
	shared shared

	mu     sync.Mutex
	open   map[netip.AddrPort][]*socket
	gone   map[netip.AddrPort]*Counters // of sockets closed since the start
	closed bool
	serve  sync.WaitGroup
}

// New returns a Front with an empty table and no sockets.
func New(cfg Config, log zerolog.Logger) *Front {
	if cfg.Sockets <= 0 {
		cfg.Sockets = runtime.GOMAXPROCS(0)
	}
	f := &Front{cfg: cfg, log: log, open: map[netip.AddrPort][]*socket{}, gone: map[netip.AddrPort]*Counters{}}
	now := time.Now()
	f.shared.table.Store(&policy.Table{})
	f.shared.cookies.Store(newCookies(cfg.CookieSecret, now, cfg.Cookie == CookieAlways))
	f.shared.refuse, f.shared.refusals, f.shared.renewals = cfg.Refuse, newPauses(now), newPauses(now)
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
	bind := at
	if f.cfg.Bind != nil {
		bind = netip.AddrPortFrom(at.Addr(), f.cfg.Bind(at.Port()))
	}
	for range f.cfg.Sockets {
		s, err := open(at, bind, &f.shared)
		if err != nil {
			for _, s := range group {
				s.conn.Close()
				s.batch.free()
			}
			return f.listenError(at, bind, err)
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

// listenError says what stands in the way of at, whose sockets go to bind.
func (f *Front) listenError(at, bind netip.AddrPort, err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		who := "another IKE daemon on this host"
		if f.cfg.Holder != nil {
			who = cmp.Or(f.cfg.Holder(bind), who)
		}
		if bind != at {
			return fmt.Errorf("UDP %s, the stand-in for port %d, is taken by %s; let that one use another port: %w", bind, at.Port(), who, err)
		}
		return fmt.Errorf("UDP %s is taken by %s; let it bind its own addresses only or run it in a network namespace of its own, or set port_conflict = \"nft\": %w", at, who, err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("UDP %s needs CAP_NET_BIND_SERVICE: %w", bind, err)
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

// close closes the sockets of at and keeps their counts.
func (f *Front) close(at netip.AddrPort) {
	group, ok := f.open[at]
	if !ok {
		return
	}
	delete(f.open, at)
	if f.gone[at] == nil {
		f.gone[at] = new(Counters)
	}
	for _, s := range group {
		s.conn.Close()
		<-s.done
		f.gone[at].add(&s.counts)
	}
	f.log.Info().Stringer("at", at).Msg("no longer answering IKE")
}

// Run turns the cookies' keys and the demand for them. It returns nil when ctx
// ends, with all sockets closed and their goroutines gone. No socket can be
// opened after that.
func (f *Front) Run(ctx context.Context) error {
	f.turnCookies(ctx)
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.Listen(nil)
	f.serve.Wait()
	return nil
}

// turnCookies looks at the clock and the rate of requests each second until
// ctx ends.
func (f *Front) turnCookies(ctx context.Context) {
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
		rate := uint64(float64(requests-before) / now.Sub(at).Seconds())
		before, at = requests, now
		demanded := f.cfg.Cookie == CookieAlways || f.cfg.Cookie == CookieAuto && heat.feel(rate, now)
		was := f.shared.cookies.Load()
		if was.demanded != demanded {
			f.log.Warn().Bool("demanded", demanded).Uint64("requests_per_second", rate).Msg("cookies")
		}
		if was.demanded != demanded || was.keys[0].epoch != epochOf(now) {
			f.shared.cookies.Store(newCookies(f.cfg.CookieSecret, now, demanded))
		}
	}
}

// requests returns how many valid IKE_SA_INIT requests have come since the start.
func (f *Front) requests() (n uint64) {
	for _, counts := range f.Counts() {
		for d, c := range counts {
			if Disposition(d).request() {
				n += c
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

// Counts returns how many datagrams each endpoint has had since the start, by
// disposition.
func (f *Front) Counts() map[netip.AddrPort][Dispositions]uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	sums := map[netip.AddrPort]*Counters{}
	for at, c := range f.gone {
		sums[at] = new(Counters)
		sums[at].add(c)
	}
	for at, group := range f.open {
		if sums[at] == nil {
			sums[at] = new(Counters)
		}
		for _, s := range group {
			sums[at].add(&s.counts)
		}
	}
	out := map[netip.AddrPort][Dispositions]uint64{}
	for at, c := range sums {
		out[at] = c.values()
	}
	return out
}
