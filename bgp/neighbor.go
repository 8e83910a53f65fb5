package bgp

import (
	"context"
	"errors"
	"fmt"

	gobgpapi "github.com/osrg/gobgp/v3/api"
)

// SetNeighbors makes neighbors the complete set of sessions. Sessions that stay
// as they are stay up; a changed one is ended and begun anew. Adding the first
// IPv4 neighbor, or removing the last one, changes the IPv6 sessions that
// carried IPv4 for want of it. SetNeighbors waits for the Speaker to be ready,
// and returns an error if a neighbor is not valid (then nothing is changed),
// ctx ends, the Speaker has ended, or GoBGP refuses or does not answer; then a
// part may be done, a neighbor that could not be added has that for its
// LastError, and the next call does the rest.
func (s *Speaker) SetNeighbors(ctx context.Context, neighbors []Neighbor) error {
	if err := validateNeighbors(neighbors); err != nil {
		return err
	}
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	return s.setSessions(ctx, neighbors)
}

// setSessions turns the sessions into those of neighbors, as far as it can.
func (s *Speaker) setSessions(ctx context.Context, neighbors []Neighbor) error {
	have, err := s.configured(ctx)
	if err != nil {
		return fmt.Errorf("read the neighbors: %w", err)
	}
	want := sessions(neighbors, s.cfg.NextHops)
	var errs []error
	for key, old := range have {
		if want[key] == old {
			continue
		}
		if err := s.deletePeer(ctx, key); err != nil {
			errs = append(errs, fmt.Errorf("remove neighbor %v: %w", key, err))
			want[key] = old
		}
	}
	s.book.retain(want)
	for key, session := range want {
		if have[key] == session {
			continue
		}
		if err := s.addPeer(ctx, session); err != nil {
			s.book.fail(key, err.Error())
			errs = append(errs, fmt.Errorf("add neighbor %v: %w", key, err))
		}
	}
	return errors.Join(errs...)
}

// configured reads which sessions GoBGP has. One that it was not known to have,
// because its answer came too late, is the zero session.
func (s *Speaker) configured(ctx context.Context) (map[string]session, error) {
	keys, err := call(ctx, func() ([]string, error) {
		var keys []string
		err := s.server.ListPeer(context.Background(), &gobgpapi.ListPeerRequest{},
			func(p *gobgpapi.Peer) { keys = append(keys, p.Conf.NeighborAddress) })
		return keys, err
	})
	all := make(map[string]session, len(keys))
	for _, key := range keys {
		all[key] = s.sessions[key]
	}
	return all, err
}

// addPeer begins a session. It refuses one whose password the listener did not
// take: GoBGP would accept the neighbor's unsigned connection there.
func (s *Speaker) addPeer(ctx context.Context, session session) error {
	key := session.key()
	s.book.add(session)
	err := do(ctx, func() error {
		return s.server.AddPeer(context.Background(), &gobgpapi.AddPeerRequest{Peer: session.peer()})
	})
	if err != nil {
		return err
	}
	if reason := s.book.unsigned(key); reason != "" {
		return errors.Join(errors.New(reason), s.disconnect(ctx, key))
	}
	s.sessions[key] = session
	s.log.Info().Str("neighbor", key).Uint32("asn", session.ASN).Msg("neighbor added")
	return nil
}

// deletePeer ends a session.
func (s *Speaker) deletePeer(ctx context.Context, key string) error {
	if err := s.disconnect(ctx, key); err != nil {
		return err
	}
	delete(s.sessions, key)
	s.log.Info().Str("neighbor", key).Msg("neighbor removed")
	return nil
}

// disconnect makes GoBGP forget a neighbor; what that is told is Cease, Peer
// De-configured (RFC 4486 section 4).
func (s *Speaker) disconnect(ctx context.Context, key string) error {
	return do(ctx, func() error {
		return s.server.DeletePeer(context.Background(), &gobgpapi.DeletePeerRequest{Address: key})
	})
}
