package bgp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"sync"
)

// How sessions are ended that we end (RFC 4486 section 4).
var (
	errRemoved = &refusal{code: ceaseError, subcode: deconfigured, reason: "removed from the configuration"}
	errAltered = &refusal{code: ceaseError, subcode: otherChange, reason: "its configuration has changed"}
	errStopped = &refusal{code: ceaseError, subcode: adminShutdown, data: shutdownText(stopText), reason: stopText}
)

// SetNeighbors makes neighbors the complete set of sessions. Sessions that stay
// as they are stay up; a changed one is ended and begun anew. Adding the first
// IPv4 neighbor, or removing the last one, changes the IPv6 sessions that
// carried IPv4 for want of it. SetNeighbors waits for the Speaker to be ready,
// and returns an error if a neighbor is not valid (then nothing is changed),
// ctx ends or the Speaker has ended before, or the listener does not take a
// neighbor's password; then the others are set, this one has that for its
// LastError, and the next call tries again.
func (s *Speaker) SetNeighbors(ctx context.Context, neighbors []Neighbor) error {
	if err := validateNeighbors(neighbors); err != nil {
		return err
	}
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	return s.setGuards(s.cfg.sessions(neighbors))
}

// setGuards turns the guards into those of want, as far as it can. The caller
// holds s.mu.
func (s *Speaker) setGuards(want map[netip.Addr]session) error {
	gone := make(map[*guard]*refusal)
	for addr, g := range s.all() {
		if session, ok := want[addr]; !ok {
			gone[g] = errRemoved
		} else if session != g.session {
			gone[g] = errAltered
		}
	}
	s.endGuards(gone)
	for g, why := range gone {
		s.key(g.Address, "") // a key too much keeps out only its former owner
		s.log.Info().Stringer("neighbor", g.Address).Str("reason", why.reason).Msg("neighbor removed")
	}
	s.book.retain(want)
	s.learner.retain(want)
	var errs []error
	for addr, session := range want {
		if s.guard(addr) != nil {
			continue
		}
		if err := s.begin(session); err != nil {
			s.book.fail(session, err.Error())
			errs = append(errs, fmt.Errorf("neighbor %v: %w", addr, err))
		}
	}
	return errors.Join(errs...)
}

// begin begins to hold session. Without its password on the listener the
// neighbor's unsigned connection would be accepted there.
func (s *Speaker) begin(session session) error {
	if session.Password != "" {
		if err := s.key(session.Address, session.Password); err != nil {
			return err
		}
	}
	s.guardsMu.Lock()
	defer s.guardsMu.Unlock()
	if s.guards == nil {
		return errEnded
	}
	s.guards[session.Address] = newGuard(s, session)
	s.log.Info().Stringer("neighbor", session.Address).Uint32("asn", session.ASN).Msg("neighbor added")
	return nil
}

// endGuards ends those guards at once, telling each neighbor why, and waits for
// it.
func (s *Speaker) endGuards(gone map[*guard]*refusal) {
	var ending sync.WaitGroup
	for g, why := range gone {
		s.guardsMu.Lock()
		delete(s.guards, g.Address)
		s.guardsMu.Unlock()
		ending.Go(func() { g.end(why) })
	}
	ending.Wait()
}

// guard returns the guard of the neighbor with addr, or nil.
func (s *Speaker) guard(addr netip.Addr) *guard {
	s.guardsMu.RLock()
	defer s.guardsMu.RUnlock()
	return s.guards[addr]
}

// all returns the guards, by their neighbors' addresses.
func (s *Speaker) all() map[netip.Addr]*guard {
	s.guardsMu.RLock()
	defer s.guardsMu.RUnlock()
	return maps.Clone(s.guards)
}

// key makes the listeners sign what they exchange with addr, and drop from it
// what is not signed; with "" they no longer do.
func (s *Speaker) key(addr netip.Addr, password string) error {
	for _, l := range s.listeners {
		if addrOf(l.Addr()).Is4() != addr.Is4() {
			continue
		}
		raw, err := l.SyscallConn()
		if err == nil {
			err = control(raw, func(fd int) error { return sign(fd, addr, password) })
		}
		if err != nil {
			return fmt.Errorf("no password on the listener %v: %w", l.Addr(), err)
		}
	}
	return nil
}
