// Package web serves the daemon's state over HTTP: the control API on its Unix
// socket, and on a TCP address metrics, health and a status page. It never
// changes anything itself: what is asked goes to the daemon.
package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/cmd/anycastd/internal/control"
	"github.com/anycastd/anycastd/ikefront"
	"github.com/anycastd/anycastd/policy"
)

// Daemon is what is asked.
type Daemon interface {
	Status(context.Context) (control.Status, error)
	Explain(ctx context.Context, c policy.Client, identity string) (policy.Explanation, error)
	Drain(ctx context.Context, gateway, reason string, lasting time.Duration) error
	Undrain(ctx context.Context, gateway string) error
	Reload(context.Context) error
	Watch(clients netip.Prefix, perSecond int) (seen <-chan ikefront.Seen, stop func())
}

// maxHeader bounds a request's header, in octets.
const maxHeader = 16 << 10

// timeout bounds each request and its answer.
const timeout = 5 * time.Second

// API returns the handler of the control socket.
func API(d Daemon) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) {
		s, err := d.Status(r.Context())
		answer(w, s, err)
	})
	mux.HandleFunc("GET /v1/explain", func(w http.ResponseWriter, r *http.Request) {
		c, err := clientOf(r.URL.Query())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		e, err := d.Explain(r.Context(), c, r.URL.Query().Get("identity"))
		answer(w, e, err)
	})
	mux.HandleFunc("POST /v1/reload", func(w http.ResponseWriter, r *http.Request) {
		answer(w, struct{}{}, d.Reload(r.Context()))
	})
	mux.HandleFunc("POST /v1/drain", func(w http.ResponseWriter, r *http.Request) {
		m, err := markOf(r.URL.Query())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer(w, struct{}{}, d.Drain(r.Context(), m.gateway, m.reason, m.lasting))
	})
	mux.HandleFunc("POST /v1/undrain", func(w http.ResponseWriter, r *http.Request) {
		m, err := markOf(r.URL.Query())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer(w, struct{}{}, d.Undrain(r.Context(), m.gateway))
	})
	all := http.NewServeMux()
	all.Handle("/", bounded(mux))
	all.HandleFunc("GET /v1/watch", func(w http.ResponseWriter, r *http.Request) { watch(w, r, d) })
	return all
}

// bounded bounds the time of each of h's answers.
func bounded(h http.Handler) http.Handler {
	return http.TimeoutHandler(h, timeout, "the daemon does not answer\n")
}

// clientOf reads the client that an explanation is asked for.
func clientOf(q url.Values) (policy.Client, error) {
	src, err := netip.ParseAddr(q.Get("client"))
	if err != nil {
		return policy.Client{}, fmt.Errorf("client %q is no IP address", q.Get("client"))
	}
	c := policy.Client{Source: src.Unmap().WithZone("")}
	if s := q.Get("spi"); s != "" {
		if c.SPI, err = strconv.ParseUint(s, 16, 64); err != nil {
			return c, fmt.Errorf("SPI %q is not 1 to 16 hexadecimal digits", s)
		}
	}
	if s := q.Get("from"); s != "" {
		if c.From, err = netip.ParseAddr(s); err != nil {
			return c, fmt.Errorf("redirected-from %q is no IP address", s)
		}
	}
	return c, nil
}

// mark is what a drain is to be.
type mark struct {
	gateway, reason string        // gateway "": this node
	lasting         time.Duration // 0: until it is undone
}

// maxReason bounds a drain's reason, in octets.
const maxReason = 200

// markOf reads what is to be drained. An empty name is not taken for the node:
// a script whose variable is empty must not take it out of service.
func markOf(q url.Values) (m mark, err error) {
	m.gateway, m.reason = q.Get("gateway"), cmp.Or(q.Get("reason"), "no reason given")
	switch {
	case q.Has("gateway") && m.gateway == "":
		return m, errors.New("the gateway's name is empty")
	case len(m.reason) > maxReason:
		return m, fmt.Errorf("the reason is %d octets long, more than %d", len(m.reason), maxReason)
	case strings.ContainsFunc(m.reason, func(r rune) bool { return !unicode.IsPrint(r) }):
		return m, errors.New("the reason has a control character")
	}
	if text := q.Get("for"); text != "" {
		if m.lasting, err = time.ParseDuration(text); err != nil || m.lasting < 0 {
			return m, fmt.Errorf("for %q is no time such as 30m", text)
		}
	}
	return m, nil
}

// answer writes v as JSON, or err as text.
func answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // the client has gone
}

// ListenControl opens the control socket at path, for root and the daemon's
// own user. A socket that a killed daemon left is replaced; one that answers
// is an error, for it means that a daemon runs.
func ListenControl(path string) (net.Listener, error) {
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return nil, fmt.Errorf("a daemon already answers on %s", path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != os.ModeSocket {
			return nil, fmt.Errorf("%s is there and is no socket", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	return l, os.Chmod(path, 0o600)
}

// Serve serves h on l until ctx ends.
func Serve(ctx context.Context, l net.Listener, h http.Handler, log zerolog.Logger) {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: timeout, ReadTimeout: timeout, MaxHeaderBytes: maxHeader, ErrorLog: stdlog.New(quietly{log}, "", 0)}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		log.Error().Err(err).Stringer("at", l.Addr()).Msg("HTTP server ended")
	}
}

// quietly logs what net/http has to say, such as of each failed TLS handshake:
// anybody can make it say that.
type quietly struct{ log zerolog.Logger }

// Write is part of io.Writer.
func (q quietly) Write(line []byte) (int, error) {
	q.log.Debug().Msg(string(trimNewline(line)))
	return len(line), nil
}

// Client asks the daemon behind a control socket.
type Client struct {
	path string
	http http.Client
}

// NewClient returns a client of the daemon that listens on path.
func NewClient(path string) *Client {
	return &Client{path: path, http: http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		},
	}}}
}

// ErrUnreachable is what a Client returns when no daemon answers.
var ErrUnreachable = errors.New("no daemon answers")

// Do sends a request and decodes the JSON that comes back into v.
func (c *Client) Do(ctx context.Context, method, path string, query url.Values, v any) error {
	ctx, cancel := context.WithTimeout(ctx, 2*timeout)
	defer cancel()
	body, err := c.open(ctx, method, path, query)
	if err != nil {
		return err
	}
	defer body.Close()
	return json.NewDecoder(io.LimitReader(body, 64<<20)).Decode(v)
}

// open sends a request and returns the body of its good answer.
func (c *Client) open(ctx context.Context, method, path string, query url.Values) (io.ReadCloser, error) {
	u := url.URL{Scheme: "http", Host: "anycastd", Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return nil, fmt.Errorf("%w on %s: %v", ErrUnreachable, c.path, err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		words, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		return nil, cmp.Or(err, errors.New(string(trimNewline(words))))
	}
	return resp.Body, nil
}

// trimNewline cuts the newline off that http.Error puts behind its text.
func trimNewline(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		return b[:n-1]
	}
	return b
}
