package ikefront

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// Listen makes the open sockets those of want: missing ones are opened,
// others closed, the rest left alone. It returns the errors of the endpoints
// that could not be opened; the others are open.
func (f *Front) Listen(want []netip.AddrPort) map[netip.AddrPort]error {
	failed := f.listenAll(want)
	for at, err := range failed {
		failed[at] = f.listenError(at, err)
	}
	return failed
}

// listenAll is Listen with errors that say less: it holds the lock.
func (f *Front) listenAll(want []netip.AddrPort) map[netip.AddrPort]error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for at, group := range f.open {
		if f.closed || !slices.Contains(want, at) {
			f.close(at, group)
		}
	}
	failed := map[netip.AddrPort]error{}
	for _, at := range want {
		if f.closed {
			failed[at] = errors.New("the front is closed")
		} else if f.open[at] == nil {
			if err := f.listen(at, queueFor(len(want))); err != nil {
				failed[at] = err
			}
		}
	}
	return failed
}

// bound returns where the sockets of at are bound to.
func (f *Front) bound(at netip.AddrPort) netip.AddrPort {
	if f.cfg.Bind == nil {
		return at
	}
	return netip.AddrPortFrom(at.Addr(), f.cfg.Bind(at.Port()))
}

// listen opens all sockets of at, each with a queue of so many octets, or none.
func (f *Front) listen(at netip.AddrPort, queue int) error {
	var group []*socket
	counts := f.counts[at]
	if counts == nil {
		counts = make([]apart, f.cfg.Sockets)
	}
	for i := range f.cfg.Sockets {
		s, err := open(at, f.bound(at), queue, &f.shared, &counts[i].Counters)
		if err != nil {
			for _, s := range group {
				s.conn.Close()
			}
			return err
		}
		group = append(group, s)
	}
	f.open[at], f.counts[at] = group, counts
	for _, s := range group {
		f.serve.Go(func() {
			err := s.serve()
			close(s.done)
			if err != nil {
				f.log.Error().Err(err).Stringer("at", at).Msg("a socket broke")
				f.drop(at, group)
			}
		})
	}
	f.log.Info().Stringer("at", at).Int("sockets", len(group)).Msg("answering IKE")
	return nil
}

// listenError says what stands in the way of at.
func (f *Front) listenError(at netip.AddrPort, err error) error {
	bound := f.bound(at)
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		who := "another IKE daemon on this host"
		if f.cfg.Holder != nil {
			who = cmp.Or(f.cfg.Holder(bound), who)
		}
		if bound != at {
			return fmt.Errorf("UDP %s, the stand-in for port %d, is taken by %s; let that one use another port: %w", bound, at.Port(), who, err)
		}
		return fmt.Errorf("UDP %s is taken by %s; let it bind its own addresses only or run it in a network namespace of its own, or set port_conflict = \"nft\": %w", at, who, err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("UDP %s needs CAP_NET_BIND_SERVICE: %w", bound, err)
	}
	return err
}

// drop closes the sockets of at after one of them broke, so that the next
// Listen opens them again, and asks for that.
func (f *Front) drop(at netip.AddrPort, group []*socket) {
	f.mu.Lock()
	if open := f.open[at]; len(open) > 0 && open[0] == group[0] { // not yet, by another one that broke
		f.close(at, group)
	}
	f.mu.Unlock()
	if f.cfg.Notify != nil {
		f.cfg.Notify()
	}
}

// close closes the sockets of at; their counts stay.
func (f *Front) close(at netip.AddrPort, group []*socket) {
	delete(f.open, at)
	for _, s := range group {
		s.finish()
	}
	f.account(group...)
	for _, s := range group {
		s.conn.Close()
	}
	f.log.Info().Stringer("at", at).Msg("no longer answering IKE")
}

// Listening returns the endpoints that have open sockets.
func (f *Front) Listening() []netip.AddrPort {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.SortedFunc(maps.Keys(f.open), netip.AddrPort.Compare)
}
