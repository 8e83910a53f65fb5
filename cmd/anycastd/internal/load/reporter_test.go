package load

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/policy"
)

// reporting returns the configuration of a Reporter of gw1.
func reporting(to ...string) ReporterConfig {
	return ReporterConfig{
		Gateway: "gw1", To: to, Every: time.Second, Capacity: 100, Draining: true, Secret: []byte(secret),
		Sessions: func(context.Context) (int, error) { return 17, nil }, CPU: func() float64 { return 0.5 },
	}
}

// newReporter returns a Reporter.
func newReporter(t *testing.T, cfg ReporterConfig, log *logged) *Reporter {
	t.Helper()
	r, err := NewReporter(cfg, zerolog.New(log))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// runReporter runs r until the test ends.
func runReporter(t *testing.T, r *Reporter) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestAReceiverTakesWhatAReporterSends(t *testing.T) {
	a, b := receive(secret), receive(secret)
	first, second := httptest.NewServer(a.Handler()), httptest.NewServer(b.Handler())
	defer first.Close()
	defer second.Close()
	if err := newReporter(t, reporting(first.URL, second.URL+"/v1/report"), &logged{}).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*receiving{a, b} {
		got := r.last
		got.At = time.Time{}
		if diff := cmp.Diff(policy.Load{Sessions: 17, Capacity: 100, CPU: 0.5, Draining: true, Source: "report"}, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("load (-want +got):\n%s", diff)
		}
	}
}

func TestOnceTellsWhoDidNotTakeTheReport(t *testing.T) {
	other := receive("another secret")
	srv := httptest.NewServer(other.Handler())
	defer srv.Close()
	away := httptest.NewServer(http.RedirectHandler(srv.URL, http.StatusTemporaryRedirect))
	defer away.Close()
	closed := httptest.NewServer(nil)
	closed.Close()
	err := newReporter(t, reporting(srv.URL, closed.URL, away.URL), &logged{}).Once(t.Context())
	for _, want := range []string{
		srv.URL + `/v1/report: status 403: "Anycastd-Signature is not the HMAC-SHA256 of the body with this node's secret"`,
		closed.URL, "connection refused", away.URL + "/v1/report: status 307",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in %v", want, err)
		}
	}
	cfg := reporting(srv.URL)
	cfg.Sessions = func(context.Context) (int, error) { return 0, errors.New("charon is gone") }
	if err := newReporter(t, cfg, &logged{}).Once(t.Context()); err == nil || err.Error() != "charon is gone" {
		t.Errorf("without figures: got %v", err)
	}
}

func TestAFrontThatHangsDelaysNoOther(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // the kernel completes connections, nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var taken atomic.Int32
	var ill atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if taken.Add(1); ill.Load() {
			http.Error(w, "no", http.StatusTeapot)
		}
	}))
	defer srv.Close()
	log := &logged{}
	hanging := "http://" + l.Addr().String()
	runReporter(t, newReporter(t, reporting(hanging, srv.URL), log))
	eventually(t, "the hanging one is logged", func() bool { return log.lines(hanging, "does not take reports", "deadline exceeded") == 1 })
	n := taken.Load()
	eventually(t, "the other gets reports", func() bool { return n > 0 && taken.Load() >= n+2 })
	ill.Store(true)
	eventually(t, "a refusal is logged", func() bool { return log.lines(srv.URL, "does not take reports", `status 418: \"no\"`) == 1 })
	ill.Store(false)
	eventually(t, "its end is logged", func() bool { return log.lines(srv.URL, "takes reports again") == 1 })
	if got := log.lines(hanging); got != 1 {
		t.Errorf("want one line on the hanging one, got %d", got)
	}
}

func TestWithoutFiguresNothingIsReported(t *testing.T) {
	var taken atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { taken.Add(1) }))
	defer srv.Close()
	var well atomic.Bool
	var asked atomic.Int32
	cfg := reporting(srv.URL)
	cfg.Sessions = func(context.Context) (int, error) {
		if asked.Add(1); well.Load() {
			return 1, nil
		}
		return 0, errors.New("charon is gone")
	}
	log := &logged{}
	runReporter(t, newReporter(t, cfg, log))
	eventually(t, "two questions", func() bool { return asked.Load() >= 2 })
	if got := taken.Load(); got != 0 || log.lines("no figures, so no reports", "charon is gone") != 1 {
		t.Errorf("want none and one line, got %d reports\n%s", got, log.text.String())
	}
	well.Store(true)
	eventually(t, "a report", func() bool { return taken.Load() > 0 && log.lines("there are figures again") == 1 })
}

func TestFrontEndsAreURLs(t *testing.T) {
	for to, want := range map[string]string{
		"http://192.0.2.10:9651":             "http://192.0.2.10:9651/v1/report",
		"https://[2001:db8::1]:9651/":        "https://[2001:db8::1]:9651/v1/report",
		"https://lb.example.net/x/v1/report": "https://lb.example.net/x/v1/report",
		"":                                   `front-end "" is neither http://HOST:PORT nor https://HOST:PORT`,
		"192.0.2.10:9651":                    "is neither",
		"192.0.2.10":                         "is neither",
		"ftp://192.0.2.10":                   "is neither",
		"http://":                            "is neither",
		"http://:9651":                       "is neither",
		"http://a:b@192.0.2.10":              "has more than a host, a port and a path",
		"http://192.0.2.10?x=y":              "has more than a host, a port and a path",
		"http://192.0.2.10/\x7f":             "is neither",
	} {
		got, err := reportURL(to)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: want %q, got %q", to, want, got)
		}
	}
}
