// Package ikefront answers IKE on anycast addresses: each IKE_SA_INIT request
// of a client that can follow gets a REDIRECT to the gateway that a
// policy.Table names (RFC 5685). It never keeps anything about a client, and
// never decides where one goes.
package ikefront

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/policy"
)

// NATTPort is the port on which a non-ESP marker tells IKE from ESP (RFC 7296
// section 2.23, RFC 3948 section 2.2).
const NATTPort = 4500

// Config is what a Front needs to know.
type Config struct {
	Sockets int // SO_REUSEPORT sockets per address and port; 0: one per CPU
}

// Front answers on a changing set of addresses by a changing table.
type Front struct {
	cfg   Config
	log   zerolog.Logger
	table atomic.Pointer[policy.Table]

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
	f.table.Store(&policy.Table{})
	return f
}

// Set makes t the table for every packet from now on.
func (f *Front) Set(t *policy.Table) { f.table.Store(t) }

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
	for range f.cfg.Sockets {
		s, err := open(at, &f.table)
		if err != nil {
			for _, s := range group {
				s.conn.Close()
				s.batch.free()
			}
			return err
		}
		group = append(group, s)
	}
	for _, s := range group {
		f.serve.Go(func() {
			if err := s.serve(); err != nil {
				f.log.Error().Err(err).Stringer("at", at).Msg("a socket broke")
				f.drop(at)
			}
		})
	}
	f.open[at] = group
	f.log.Info().Stringer("at", at).Int("sockets", len(group)).Msg("answering IKE")
	return nil
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
		f.gone[at].add(&s.counts)
	}
	f.log.Info().Stringer("at", at).Msg("no longer answering IKE")
}

// Run returns nil when ctx ends, with all sockets closed and their goroutines
// gone. No socket can be opened after that.
func (f *Front) Run(ctx context.Context) error {
	<-ctx.Done()
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.Listen(nil)
	f.serve.Wait()
	return nil
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
