package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// ReporterConfig is what a Reporter needs to know.
type ReporterConfig struct {
	Gateway  string
	To       []string      // URLs of front-ends, http or https; without a path: /v1/report
	Every    time.Duration // from one report to the next, ±10 %; at least 1 s
	Capacity int           // sessions; 0: that of the front-end's configuration
	Draining bool
	Secret   []byte      // signs the reports; empty: they go unsigned
	TLS      *tls.Config // for https; nil: the system's authorities, no client certificate
	Sessions func(context.Context) (int, error)
	CPU      func() float64 // share in use, 0 to 1; below 0: unknown
}

// idleTime is for how long a connection is kept for the next report: less than
// the front-end keeps it (5 s), for a report that meets its end is lost.
const idleTime = 2 * time.Second

// Reporter tells front-ends how full its gateway is.
type Reporter struct {
	cfg    ReporterConfig
	log    zerolog.Logger
	fronts []*front
	client http.Client
}

// front is a front-end to be told.
type front struct {
	url  string
	mail chan []byte // the latest report, until it is taken
}

// NewReporter returns a Reporter; an error names the URL that is none.
func NewReporter(cfg ReporterConfig, log zerolog.Logger) (*Reporter, error) {
	r := &Reporter{cfg: cfg, log: log, client: http.Client{
		Transport:     &http.Transport{TLSClientConfig: cfg.TLS, MaxIdleConnsPerHost: 1, IdleConnTimeout: idleTime},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for _, to := range cfg.To {
		u, err := reportURL(to)
		if err != nil {
			return nil, err
		}
		r.fronts = append(r.fronts, &front{url: u, mail: make(chan []byte, 1)})
	}
	return r, nil
}

// reportURL returns the URL that reports for the front-end at to go to.
func reportURL(to string) (string, error) {
	u, err := url.Parse(to)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return "", fmt.Errorf("front-end %q is neither http://HOST:PORT nor https://HOST:PORT", to)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "", fmt.Errorf("front-end %q has more than a host, a port and a path", to)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = reportPath
	}
	return u.String(), nil
}

// Once sends one report to each front-end at the same time; the error tells of
// all that did not take it.
func (r *Reporter) Once(ctx context.Context) error {
	body, err := r.write(ctx)
	if err != nil {
		return err
	}
	errs := make([]error, len(r.fronts))
	var posts sync.WaitGroup
	for i, f := range r.fronts {
		posts.Go(func() { errs[i] = r.post(ctx, f.url, body) })
	}
	posts.Wait()
	return errors.Join(errs...)
}

// Run reports until ctx ends. Without figures nothing is sent: to the
// front-ends the gateway's load becomes unknown then.
func (r *Reporter) Run(ctx context.Context) error {
	var carriers sync.WaitGroup
	defer carriers.Wait()
	for _, f := range r.fronts {
		carriers.Go(func() { r.carry(ctx, f) })
	}
	var o outage
	for {
		body, err := r.write(ctx)
		if ctx.Err() != nil {
			return nil
		}
		o.note(&r.log, err, "no figures, so no reports", "there are figures again")
		if err == nil {
			for _, f := range r.fronts {
				f.offer(body)
			}
		}
		if !pause(ctx, jitter(r.cfg.Every)) {
			return nil
		}
	}
}

// offer puts a report in the place of one that has not been taken yet. It is
// for one goroutine, so it never waits.
func (f *front) offer(body []byte) {
	select {
	case <-f.mail:
	default:
	}
	f.mail <- body
}

// carry posts to one front-end what is offered, until ctx ends.
func (r *Reporter) carry(ctx context.Context, f *front) {
	log := r.log.With().Str("to", f.url).Logger()
	var o outage
	for {
		select {
		case <-ctx.Done():
			return
		case body := <-f.mail:
			err := r.post(ctx, f.url, body)
			if ctx.Err() != nil {
				return
			}
			o.note(&log, err, "the front-end does not take reports", "the front-end takes reports again")
		}
	}
}

// write returns a report of now.
func (r *Reporter) write(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, bound(r.cfg.Every))
	defer cancel()
	n, err := r.cfg.Sessions(ctx)
	if err != nil {
		return nil, err
	}
	report := Report{
		Gateway: r.cfg.Gateway, Sessions: n, Capacity: r.cfg.Capacity, CPU: r.cfg.CPU(), Draining: r.cfg.Draining, Seq: time.Now().UnixMilli(),
	}
	return report.Append(nil), nil
}

// post sends a report to one front-end; the error has its words.
func (r *Reporter) post(ctx context.Context, to string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, bound(r.cfg.Every))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if len(r.cfg.Secret) > 0 {
		req.Header.Set(SignatureHeader, hex.EncodeToString(sign(r.cfg.Secret, body)))
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	words, _ := io.ReadAll(io.LimitReader(resp.Body, 500)) // that it took the report is told by the status alone
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("%s: status %d: %+q", to, resp.StatusCode, strings.TrimSpace(string(words)))
	}
	return nil
}
