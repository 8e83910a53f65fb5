package dnspub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	miekgdns "github.com/miekg/dns"
)

// fudge is by how many seconds the clocks of a signer and a verifier may differ
// (RFC 8945 section 10, recommended).
const fudge = 300

// silence is an exchange that brought no answer: what became of the request
// is not known.
type silence struct{ error }

func (s silence) Unwrap() error { return s.error }

// read asks the primary which addresses an RRset has.
func (p *Publisher) read(ctx context.Context, set rrset) (map[netip.Addr]uint32, error) {
	m := new(miekgdns.Msg)
	m.SetQuestion(set.name, set.kind)
	m.RecursionDesired = false
	r, err := p.exchange(ctx, m)
	if err != nil {
		return nil, err
	}
	for _, rr := range r.Answer {
		if alias, ok := rr.(*miekgdns.CNAME); ok && miekgdns.CanonicalName(alias.Hdr.Name) == set.name {
			return nil, fmt.Errorf("server %s: the name is an alias of %s (CNAME), which can have no addresses of its own", p.servers[0], alias.Target)
		}
	}
	return set.addresses(r.Answer), nil
}

func (p *Publisher) update(ctx context.Context, g goal, have map[netip.Addr]uint32) error {
	_, err := p.exchange(ctx, g.update(p.cfg.Zone, have))
	return err
}

// exchange puts m to the primary, signed if there is a key, and returns the
// answer if it does not refuse. Each has a connection of its own, and it is TCP:
// an update over UDP may arrive twice, or its answer not at all. The library,
// too, takes the second message of a connection for a continuation of the
// first when it signs.
func (p *Publisher) exchange(ctx context.Context, m *miekgdns.Msg) (*miekgdns.Msg, error) {
	conn, err := p.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	signed := p.now()
	if p.cfg.TSIG.Name != "" {
		m.SetTsig(p.cfg.TSIG.Name, p.cfg.TSIG.Algorithm, fudge, signed.Unix())
	}
	r, err := talk(ctx, conn, m, p.cfg.Timeout, p.cfg.TSIG)
	if r != nil {
		err = verdict(r, err, p.cfg.TSIG, signed)
	}
	if err != nil {
		return nil, fmt.Errorf("server %s: %w", p.servers[0], err)
	}
	return r, nil
}

// verdict returns nil for an answer that may be believed and is no refusal. A
// refusal is none the less one for not being signed; anything else must be, to a
// signed request (RFC 8945 section 5.3). That a name does not exist answers a
// question, not an update.
func verdict(r *miekgdns.Msg, signature error, key TSIG, signed time.Time) error {
	fine := r.Rcode == miekgdns.RcodeSuccess || r.Rcode == miekgdns.RcodeNameError && r.Opcode == miekgdns.OpcodeQuery
	switch {
	case !fine || tsigError(r) != 0:
		return refusal(r, key, signed)
	case signature != nil:
		return fmt.Errorf("the answer is not signed with key %s as it should be: %w", key.Name, signature)
	case key.Name != "" && r.IsTsig() == nil:
		return fmt.Errorf("the answer is not signed with key %s, as the request was", key.Name)
	}
	return nil
}

// connect connects to the first address of the primary that lets it, and puts
// that one first. Its errors are a silence.
func (p *Publisher) connect(ctx context.Context) (net.Conn, error) {
	if len(p.servers) == 0 {
		found, err := p.locate(ctx)
		if err != nil {
			return nil, silence{err}
		}
		p.servers = found
	}
	dialer := net.Dialer{Timeout: p.cfg.Timeout}
	var errs []error
	for i, server := range p.servers {
		conn, err := dialer.DialContext(ctx, "tcp", server)
		if err == nil {
			p.servers = slices.Concat(p.servers[i:], p.servers[:i])
			return conn, nil
		}
		errs = append(errs, fmt.Errorf("server %s: no connection: %w", server, cause(err)))
	}
	return nil, silence{errors.Join(errs...)}
}

// cause is err without the addresses of its connection: the caller names the
// server, and our own port, another each time, would make each error a new one.
func cause(err error) error {
	var lookup *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &lookup): // holds an OpError as text
		bare := *lookup
		bare.Err = strings.TrimSpace(bare.Err[strings.LastIndex(bare.Err, ": ")+1:])
		return &bare
	case errors.As(err, &op):
		return op.Err
	}
	return err
}

// talk is one exchange on a connection. Its errors are a silence, unless there
// is an answer whose signature is wrong.
func talk(ctx context.Context, conn net.Conn, m *miekgdns.Msg, timeout time.Duration, key TSIG) (*miekgdns.Msg, error) {
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	client := miekgdns.Client{Timeout: timeout}
	if key.Name != "" {
		client.TsigSecret = map[string]string{key.Name: key.Secret}
	}
	r, _, err := client.ExchangeWithConnContext(ctx, m, &miekgdns.Conn{Conn: conn})
	switch {
	case ctx.Err() != nil:
		return nil, silence{ctx.Err()}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, silence{fmt.Errorf("no answer within %v", timeout)}
	case errors.Is(err, io.EOF):
		return nil, silence{errors.New("the server closed the connection without an answer")}
	case r == nil:
		return nil, silence{cause(err)}
	case r.Id != m.Id || !r.Response || r.Opcode != m.Opcode:
		return nil, silence{errors.New("what came is not an answer to the request")}
	}
	var broken *miekgdns.Error
	if errors.As(err, &broken) && !isSignature(err) {
		return nil, silence{fmt.Errorf("unreadable answer: %w", err)}
	}
	return r, err
}

// isSignature says whether the library means a signature, not a message.
func isSignature(err error) bool {
	for _, sig := range []error{miekgdns.ErrAuth, miekgdns.ErrSig, miekgdns.ErrTime, miekgdns.ErrSecret, miekgdns.ErrKeyAlg, miekgdns.ErrNoSig} {
		if errors.Is(err, sig) {
			return true
		}
	}
	return false
}
