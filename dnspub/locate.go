package dnspub

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	miekgdns "github.com/miekg/dns"
)

// locate finds the addresses of the primary server, each host:port.
func (p *Publisher) locate(ctx context.Context) ([]string, error) {
	if p.cfg.Server == "" {
		return p.locateByZone(ctx)
	}
	host, port, _ := net.SplitHostPort(p.cfg.Server)
	if _, err := netip.ParseAddr(host); err == nil {
		return []string{p.cfg.Server}, nil
	}
	resolvers, err := p.resolvers()
	switch {
	case err != nil:
		return nil, fmt.Errorf("server %s: %w", p.cfg.Server, err)
	case len(resolvers) == 0:
		return []string{p.cfg.Server}, nil
	}
	return p.lookup(ctx, resolvers, host, port)
}

// locateByZone finds the primary's addresses by the zone's SOA (RFC 2136
// section 4.3).
func (p *Publisher) locateByZone(ctx context.Context) ([]string, error) {
	resolvers, err := p.resolvers()
	switch {
	case err != nil:
		return nil, fmt.Errorf("no server is configured and %w", err)
	case len(resolvers) == 0:
		return nil, errors.New("no server is configured, and no resolver to find the zone's primary by")
	}
	r, err := p.ask(ctx, resolvers, p.cfg.Zone, miekgdns.TypeSOA)
	if err != nil {
		return nil, fmt.Errorf("looking for its primary server: %w", err)
	}
	for _, rr := range r.Answer {
		if soa, ok := rr.(*miekgdns.SOA); ok && miekgdns.CanonicalName(soa.Hdr.Name) == p.cfg.Zone {
			if p.primary != soa.Ns {
				p.primary = soa.Ns
				p.log.Info().Str("primary", soa.Ns).Msg("primary server found in the zone's SOA")
			}
			return p.lookup(ctx, resolvers, soa.Ns, "53")
		}
	}
	return nil, errors.New("the resolvers know no SOA of that name, so it is not a zone")
}

// resolvers returns the resolvers there are now, each with its port.
func (p *Publisher) resolvers() ([]string, error) {
	if p.cfg.Resolvers == nil {
		return nil, nil
	}
	found, err := p.cfg.Resolvers()
	if err != nil {
		return nil, fmt.Errorf("the resolvers can't be read: %w", err)
	}
	all := make([]string, len(found))
	for i, r := range found {
		all[i] = withPort(r)
	}
	return all, nil
}

// lookup returns the addresses of a server's name, with the port.
func (p *Publisher) lookup(ctx context.Context, resolvers []string, host, port string) ([]string, error) {
	var found []string
	var errs []error
	for _, kind := range []uint16{miekgdns.TypeAAAA, miekgdns.TypeA} {
		r, err := p.ask(ctx, resolvers, miekgdns.CanonicalName(host), kind)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, rr := range r.Answer {
			if a, ok := address(rr); ok {
				found = append(found, net.JoinHostPort(a.String(), port))
			}
		}
	}
	if len(found) == 0 {
		errs = append(errs, fmt.Errorf("server %s has no address", strings.TrimSuffix(host, ".")))
		return nil, errors.Join(errs...)
	}
	return found, nil
}

// ask puts a question to the resolvers in turn, over UDP and, where that
// brings no whole answer, over TCP (RFC 7766 section 5).
func (p *Publisher) ask(ctx context.Context, resolvers []string, name string, kind uint16) (*miekgdns.Msg, error) {
	var errs []error
	for _, resolver := range resolvers {
		for _, network := range []string{"udp", "tcp"} {
			r, err := p.askOne(ctx, network, resolver, name, kind)
			if err == nil && !r.Truncated {
				return r, nil
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("resolver %s (%s): %w", resolver, network, err))
			}
		}
	}
	return nil, errors.Join(errs...)
}

func (p *Publisher) askOne(ctx context.Context, network, resolver, name string, kind uint16) (*miekgdns.Msg, error) {
	d := net.Dialer{Timeout: p.cfg.Timeout}
	conn, err := d.DialContext(ctx, network, resolver)
	if err != nil {
		return nil, cause(err)
	}
	defer conn.Close()
	m := new(miekgdns.Msg)
	m.SetQuestion(name, kind)
	r, err := talk(ctx, conn, m, p.cfg.Timeout, TSIG{})
	if err != nil {
		return nil, err
	}
	if r.Rcode != miekgdns.RcodeSuccess {
		return nil, fmt.Errorf("%s %s: %s", name, miekgdns.TypeToString[kind], miekgdns.RcodeToString[r.Rcode])
	}
	return r, nil
}
