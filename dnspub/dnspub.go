// Package dnspub publishes A and AAAA records in one zone of somebody's DNS
// server by dynamic update (RFC 2136), signed with TSIG (RFC 8945), and reads
// them back. It never removes an address that it has not published itself.
package dnspub

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	miekgdns "github.com/miekg/dns"
	"github.com/rs/zerolog"
)

// defaultTimeout is what an exchange may take where the Config names nothing.
const defaultTimeout = 5 * time.Second

// Config is where a zone's records go.
type Config struct {
	Zone    string
	Server  string // the primary, host:port, port 53 if none; "": the MNAME of the zone's SOA, found through Resolvers
	TSIG    TSIG
	Timeout time.Duration // for each exchange with a server; 0: 5 s

	// Resolvers returns whom to ask for the primary, each host:port, port 53 if
	// none. It is called by Set each time the primary has to be found, also where
	// Server is a name; then, if there are none, the system finds it. Its error is
	// Set's, and the next Set calls it again. nil: there are none.
	Resolvers func() ([]string, error)
}

// TSIG is a key shared with the server (RFC 8945).
type TSIG struct {
	Name      string // "": nothing is signed
	Algorithm string // hmac-sha1, hmac-sha224, hmac-sha256 (default), hmac-sha384 or hmac-sha512
	Secret    string // base64
}

// Record is one address of a name.
type Record struct {
	Name    string
	Address netip.Addr // IPv4 makes an A record, IPv6 an AAAA record
	TTL     uint32     // s; of those of one name and type, the smallest counts (RFC 2181 section 5.2)
}

// Status is how the wanted addresses of one name and type stand.
type Status struct {
	Name, Type string       // fully qualified in lower case; "A" or "AAAA"
	Want       []netip.Addr // sorted; empty while what is no longer wanted could not be removed
	Published  bool         // the server held them when it was last asked
	Reason     string
	Checked    time.Time // when that was found
}

// Publisher keeps the records of one zone. Its methods may be called from
// several goroutines; Set calls queue.
type Publisher struct {
	cfg Config
	log zerolog.Logger
	bad error            // what is wrong with the key
	now func() time.Time // the clock that signatures tell

	turn    sync.Mutex             // held by Set
	own     map[rrset][]netip.Addr // published by us and not known to be gone
	ttls    map[rrset]uint32       // s; what the server held at the last Set that worked
	servers []string               // the primary's addresses, once found, the one in use first
	primary string                 // the zone's MNAME last found

	mu     sync.Mutex
	status []Status
}

// New returns a Publisher that has asked nobody yet. What is wrong with the
// key, Set reports.
func New(cfg Config, log zerolog.Logger) *Publisher {
	p := &Publisher{cfg: cfg, now: time.Now, own: map[rrset][]netip.Addr{}, ttls: map[rrset]uint32{}}
	p.cfg.Zone = miekgdns.CanonicalName(cfg.Zone)
	p.log = log.With().Str("zone", p.cfg.Zone).Logger()
	if cfg.Server != "" {
		p.cfg.Server = withPort(cfg.Server)
	}
	if cfg.Timeout <= 0 {
		p.cfg.Timeout = defaultTimeout
	}
	if cfg.TSIG.Name != "" {
		p.cfg.TSIG, p.bad = cfg.TSIG.canonical()
	}
	return p
}

// withPort adds the port of the DNS where an address has none (RFC 1035
// section 4.2).
func withPort(server string) string {
	if _, _, err := net.SplitHostPort(server); err == nil {
		return server
	}
	return net.JoinHostPort(strings.Trim(server, "[]"), "53")
}

// Status returns how each wanted name and type stood at the last Set, sorted.
func (p *Publisher) Status() []Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.status)
}

// Set makes the zone hold the records: it asks the primary for each name and
// type, and where an address is missing or its TTL differs, or one published
// by an earlier Set is no longer wanted, sends one update and asks again. Other
// addresses beside ours stay. Nothing is sent where nothing differs.
//
// An error says so for each name and type that the server does not hold as
// wanted, and names the zone and the server.
func (p *Publisher) Set(ctx context.Context, records []Record) error {
	p.turn.Lock()
	defer p.turn.Unlock()
	goals, errs := p.goals(records)
	if p.bad != nil {
		p.report(abandon(goals, p.bad))
		return errors.Join(append(errs, fmt.Errorf("zone %s: %w", p.cfg.Zone, p.bad))...)
	}
	return p.settleAll(ctx, goals, errs)
}

// settleAll settles the goals in turn, until the server falls silent.
func (p *Publisher) settleAll(ctx context.Context, goals []goal, errs []error) error {
	var status []Status
	for i, g := range goals {
		err := p.settle(ctx, g)
		if err == nil {
			status = append(status, g.status("held by server "+p.servers[0], true)...)
			continue
		}
		status = append(status, g.status(err.Error(), false)...)
		errs = append(errs, fmt.Errorf("zone %s, %v: %w", p.cfg.Zone, g.rrset, err))
		if errors.As(err, new(silence)) {
			p.servers = nil // perhaps it has moved
			status = append(status, abandon(goals[i+1:], err)...)
			break
		}
	}
	p.report(status)
	return errors.Join(errs...)
}

// abandon returns the status of goals that the server could not be asked about.
func abandon(goals []goal, err error) []Status {
	var status []Status
	for _, g := range goals {
		status = append(status, g.status(err.Error(), false)...)
	}
	return status
}

func (p *Publisher) report(status []Status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = status
}

// settle brings about one goal. What the server holds decides whether that
// has worked: after an error the fate of an update is unknown.
func (p *Publisher) settle(ctx context.Context, g goal) error {
	have, err := p.read(ctx, g.rrset)
	if err != nil {
		return err
	}
	if g.unmet(have) == "" {
		p.met(g)
		return nil
	}
	p.warnOfRival(g, have)
	p.own[g.rrset] = slices.Concat(g.want, g.drop)
	errUpdate := p.update(ctx, g, have)
	have, err = p.read(ctx, g.rrset)
	if err != nil {
		return errors.Join(errUpdate, fmt.Errorf("reading back: %w", err))
	}
	lack := g.unmet(have)
	switch {
	case lack == "":
		p.met(g)
		p.log.Info().Str("server", p.servers[0]).Stringer("rrset", g.rrset).
			Stringers("published", stringers(g.want)).Stringers("removed", stringers(g.drop)).Uint32("ttl", g.ttl).Msg("records changed")
		return nil
	case errUpdate != nil:
		return errUpdate
	}
	return fmt.Errorf("server %s: it answered NOERROR to the update, but %s", p.servers[0], lack)
}

// met notes that the server holds what g wants.
func (p *Publisher) met(g goal) {
	p.own[g.rrset], p.ttls[g.rrset] = g.want, g.ttl
	if len(g.want) == 0 {
		delete(p.own, g.rrset)
		delete(p.ttls, g.rrset)
	}
}

// warnOfRival tells when a TTL that the server held as wanted is another now:
// two front-ends whose TTLs differ rewrite each other for ever, since all
// records of an RRset have one TTL (RFC 2181 section 5.2).
func (p *Publisher) warnOfRival(g goal, have map[netip.Addr]uint32) {
	ttl, ours := p.ttls[g.rrset]
	if !ours || ttl != g.ttl {
		return
	}
	for _, a := range g.want {
		if theirs, held := have[a]; held && theirs != ttl {
			p.log.Warn().Stringer("rrset", g.rrset).Uint32("ttl", ttl).Uint32("found", theirs).
				Msg("somebody else sets another TTL; all front-ends of a name need the same")
			return
		}
	}
}
