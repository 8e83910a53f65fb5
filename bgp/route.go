package bgp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	gobgpapi "github.com/osrg/gobgp/v3/api"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Route is a prefix to announce. Its origin is IGP, its next hop that of the
// Config.
type Route struct {
	Prefix netip.Prefix
	Attributes
}

// rib maps prefixes to their attributes, sorted.
type rib map[netip.Prefix]Attributes

// newRIB indexes routes. Of several for one prefix the last one counts.
func newRIB(routes []Route) (rib, error) {
	all := make(rib, len(routes))
	for _, r := range routes {
		if !r.Prefix.IsValid() || r.Prefix.Addr().Is4In6() {
			return nil, fmt.Errorf("prefix %v is not an IPv4 or IPv6 prefix", r.Prefix)
		}
		if r.Prepend < 0 || r.Prepend > MaxPrepend {
			return nil, fmt.Errorf("prefix %v: %d prepends, not 0 to %d", r.Prefix, r.Prepend, MaxPrepend)
		}
		all[r.Prefix.Masked()] = r.sorted()
	}
	return all, nil
}

// count returns how many prefixes of each family r has.
func (r rib) count() (ipv4, ipv6 int) {
	for p := range r {
		if p.Addr().Is4() {
			ipv4++
		} else {
			ipv6++
		}
	}
	return ipv4, ipv6
}

// Set makes routes the complete set of announced routes: it compares them with
// the RIB and adds, replaces or deletes the difference. A route is withdrawn by
// leaving it out. Set waits for the Speaker to be ready, and returns an error
// if ctx ends, the Speaker has ended, or GoBGP refuses or does not answer; then
// a part may be done, and the next call does the rest.
func (s *Speaker) Set(ctx context.Context, routes []Route) error {
	want, err := newRIB(routes)
	if err != nil {
		return err
	}
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	have, err := s.announced(ctx)
	if err != nil {
		return fmt.Errorf("read the rib: %w", err)
	}
	err = s.change(ctx, have, want)
	s.book.announce(want.count())
	return err
}

// change turns the RIB from have into want, as far as it can.
func (s *Speaker) change(ctx context.Context, have, want rib) error {
	var errs []error
	for p, a := range want {
		if old, ok := have[p]; ok && old.Equal(a) {
			continue
		}
		if err := s.add(ctx, p, a); err != nil {
			errs = append(errs, fmt.Errorf("announce %v: %w", p, err))
		}
	}
	for p := range have {
		if _, ok := want[p]; ok {
			continue
		}
		if err := s.withdraw(ctx, p); err != nil {
			errs = append(errs, fmt.Errorf("withdraw %v: %w", p, err))
		}
	}
	return errors.Join(errs...)
}

// announced reads what the RIB has. No neighbor's route comes near it, so
// whatever is in it is ours.
func (s *Speaker) announced(ctx context.Context) (rib, error) {
	all := make(rib)
	for _, afi := range []gobgpapi.Family_Afi{gobgpapi.Family_AFI_IP, gobgpapi.Family_AFI_IP6} {
		destinations, err := call(ctx, func() ([]*gobgpapi.Destination, error) {
			var list []*gobgpapi.Destination
			err := s.engine.server.ListPath(context.Background(), &gobgpapi.ListPathRequest{Family: unicast(afi)},
				func(d *gobgpapi.Destination) { list = append(list, d) })
			return list, err
		})
		if err != nil {
			return nil, err
		}
		for _, d := range destinations {
			p, err := netip.ParsePrefix(d.Prefix)
			if err != nil {
				return nil, err
			}
			if all[p], err = attributesOf(d); err != nil {
				return nil, fmt.Errorf("%v: %w", p, err)
			}
		}
	}
	return all, nil
}

// add announces p, or replaces its attributes: one update, by which neighbors
// never lose the route (RFC 4271 section 3.1).
func (s *Speaker) add(ctx context.Context, p netip.Prefix, a Attributes) error {
	path, err := s.path(p, a)
	if err != nil {
		return err
	}
	err = do(ctx, func() error {
		_, err := s.engine.server.AddPath(context.Background(), &gobgpapi.AddPathRequest{Path: path})
		return err
	})
	if err == nil {
		s.log.Info().Stringer("prefix", p).EmbedObject(a).Msg("announced")
	}
	return err
}

// withdraw deletes p by its prefix: a path's UUID changes with each
// replacement, and an older one would not find it.
func (s *Speaker) withdraw(ctx context.Context, p netip.Prefix) error {
	path, err := s.path(p, Attributes{})
	if err != nil {
		return err
	}
	err = do(ctx, func() error {
		return s.engine.server.DeletePath(context.Background(), &gobgpapi.DeletePathRequest{Family: path.Family, Path: path})
	})
	if err == nil {
		s.log.Info().Stringer("prefix", p).Msg("withdrawn")
	}
	return err
}

// path is the route to p in GoBGP's terms.
func (s *Speaker) path(p netip.Prefix, a Attributes) (*gobgpapi.Path, error) {
	attributes := append([]proto.Message{
		&gobgpapi.OriginAttribute{Origin: 0}, // IGP (RFC 4271 section 4.3)
		&gobgpapi.NextHopAttribute{NextHop: s.nextHop(p.Addr()).String()},
	}, a.messages(s.cfg.ASN)...)
	path := &gobgpapi.Path{Family: unicast(gobgpapi.Family_AFI_IP)}
	if p.Addr().Is6() {
		path.Family = unicast(gobgpapi.Family_AFI_IP6)
	}
	var err error
	if path.Nlri, err = anypb.New(&gobgpapi.IPAddressPrefix{Prefix: p.Addr().String(), PrefixLen: uint32(p.Bits())}); err != nil {
		return nil, err
	}
	for _, m := range attributes {
		attr, err := anypb.New(m)
		if err != nil {
			return nil, err
		}
		path.Pattrs = append(path.Pattrs, attr)
	}
	return path, nil
}

// nextHop is the next hop of routes of addr's family; the unspecified address
// makes GoBGP put in the session's own.
func (s *Speaker) nextHop(addr netip.Addr) netip.Addr {
	for _, hop := range s.cfg.NextHops {
		if hop.Is4() == addr.Is4() {
			return hop
		}
	}
	if addr.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}
