// Package load learns how full gateways are: it asks charon over VICI, and takes
// the reports that gateways post. It never decides what follows from that, and
// what it does not know it never takes for idle.
package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/strongswan/govici/vici"
)

// maxPath is the length in octets that the path of a Unix socket can have (unix(7)).
const maxPath = 107

// ParseAddress reads where charon's VICI socket is: "unix:/run/charon.vici" or
// "tcp:198.51.100.11:4502".
func ParseAddress(s string) (network, address string, err error) {
	network, address, _ = strings.Cut(s, ":")
	switch network {
	case "unix":
		if !filepath.IsAbs(address) || len(address) > maxPath {
			return "", "", fmt.Errorf("VICI address %q: the path is not absolute, or longer than %d octets", s, maxPath)
		}
	case "tcp":
		host, port, err := net.SplitHostPort(address)
		if n, errPort := strconv.ParseUint(port, 10, 16); err != nil || errPort != nil || host == "" || n == 0 {
			return "", "", fmt.Errorf("VICI address %q: %q is not HOST:PORT", s, address)
		}
	default:
		return "", "", fmt.Errorf("VICI address %q is neither unix:PATH nor tcp:HOST:PORT", s)
	}
	return network, address, nil
}

// VICI asks one charon over a connection that it keeps while all is well. It is
// for one goroutine.
type VICI struct {
	network, address string
	session          *vici.Session
	conn             *frames
}

// NewVICI returns a VICI that connects when it is first asked something.
func NewVICI(network, address string) *VICI { return &VICI{network: network, address: address} }

// Close ends the connection; the next question makes another one.
func (v *VICI) Close() {
	if v.session != nil {
		_ = v.session.Close()
		v.session = nil
	}
}

// Sessions returns how many IKE SAs charon holds, half-open ones and those that
// it initiated included. After an error, and when ctx ends, which is an error
// too, the connection is closed.
func (v *VICI) Sessions(ctx context.Context) (int, error) {
	n, err := v.ask(ctx)
	if err != nil {
		v.Close()
		return 0, fmt.Errorf("VICI %s:%s: %w", v.network, v.address, err)
	}
	return n, nil
}

// ask is Sessions without its care for the connection.
func (v *VICI) ask(ctx context.Context) (int, error) {
	if v.session == nil {
		if err := v.dial(ctx); err != nil {
			return 0, err
		}
	}
	answer, err := v.session.Call(ctx, "stats", nil)
	if err != nil {
		return 0, v.cause(ctx, err)
	}
	return sessions(answer)
}

// dial connects.
func (v *VICI) dial(ctx context.Context) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, v.network, v.address)
	if err != nil {
		return err
	}
	v.conn = &frames{Conn: conn}
	v.session, err = vici.NewSession(vici.WithDialContext(func(context.Context, string, string) (net.Conn, error) { return v.conn, nil }))
	return err
}

// cause says why a call failed. Of a connection that broke the library often
// knows no more than that it is closed.
func (v *VICI) cause(ctx context.Context, err error) error {
	broken := v.conn.trouble.Load()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("no answer to stats: %w", ctx.Err())
	case broken != nil:
		return *broken
	case errors.Is(err, io.ErrClosedPipe):
		return errors.New("the answer to stats is malformed")
	}
	return err
}

// sessions reads the answer to stats. charon counts all SAs and the half-open
// ones among them one after the other, so that the latter can be more in a flood.
func sessions(answer *vici.Message) (int, error) {
	section, ok := answer.Get("ikesas").(*vici.Message)
	if !ok {
		return 0, errors.New("the answer to stats has no section ikesas")
	}
	total, errTotal := figure(section, "total")
	halfOpen, errHalfOpen := figure(section, "half-open")
	return max(total, halfOpen), errors.Join(errTotal, errHalfOpen)
}

// figure reads a number of the section ikesas.
func figure(section *vici.Message, name string) (int, error) {
	text, ok := section.Get(name).(string)
	if !ok {
		return 0, fmt.Errorf("the answer to stats has no ikesas.%s", name)
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("ikesas.%s: %s is not a whole number from 0 to %d", name, quote(text), maxFigure)
	}
	return int(n), nil
}

// maxFigure is the greatest number of sessions that is believed.
const maxFigure = 1<<31 - 1

// quote quotes what comes from outside, the beginning of it if it is long.
func quote(s string) string {
	const most = 60
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "…"
	}
	return strconv.QuoteToASCII(s)
}
