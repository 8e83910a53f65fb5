package bgp

import (
	"context"
	"errors"
	"fmt"
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
	gone := make(map[netip.Addr]*refusal)
	for addr, g := range s.all() {
		if session, ok := want[addr]; !ok {
			gone[addr] = errRemoved
		} else if session != g.session {
			gone[addr] = errAltered
		}
	}
	s.endGuards(gone)
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
	if err := s.key(session.Address, session.Password); err != nil && session.Password != "" {
		return err
	}
	g := newGuard(s, session)
	s.guardsMu.Lock()
	s.guards[session.Address] = g
	s.guardsMu.Unlock()
	s.log.Info().Stringer("neighbor", session.Address).Uint32("asn", session.ASN).Msg("neighbor added")
	return nil
}

// endGuards ends those guards at once, telling each neighbor why.
func (s *Speaker) endGuards(why map[netip.Addr]*refusal) {
	var ending sync.WaitGroup
	for addr, reason := range why {
		g := s.guard(addr)
		s.guardsMu.Lock()
		delete(s.guards, addr)
		s.guardsMu.Unlock()
		ending.Go(func() { g.end(reason) })
	}
	ending.Wait()
	for addr, reason := range why {
		if reason != errStopped {
			s.log.Info().Stringer("neighbor", addr).Str("reason", reason.reason).Msg("neighbor removed")
		}
	}
}

// guard returns the guard of the neighbor with addr, or nil.
func (s *Speaker) guard(addr netip.Addr) *guard {
	s.guardsMu.RLock()
	defer s.guardsMu.RUnlock()
	return s.guards[addr]
}
