package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/cmd/anycastd/internal/control"
	"github.com/anycastd/anycastd/ikefront"
	"github.com/anycastd/anycastd/ikefront/ike"
	"github.com/anycastd/anycastd/policy"
)

// fake is a daemon that answers as told.
type fake struct {
	status  control.Status
	err     error
	drained []string
	seen    chan ikefront.Seen // what a watcher gets
	watched chan string        // by whom
}

func (f *fake) Status(context.Context) (control.Status, error) { return f.status, f.err }
func (f *fake) Reload(context.Context) error                   { return f.err }

func (f *fake) Drain(_ context.Context, gateway, reason string, lasting time.Duration) error {
	f.drained = append(f.drained, fmt.Sprintf("%q %q %v", gateway, reason, lasting))
	return f.err
}

func (f *fake) Undrain(_ context.Context, gateway string) error {
	f.drained = append(f.drained, fmt.Sprintf("undrain %q", gateway))
	return f.err
}

func (f *fake) Explain(_ context.Context, c policy.Client, identity string) (policy.Explanation, error) {
	return policy.Explanation{Client: c, Identity: identity, Target: &policy.Target{Gateway: "gw1"}}, f.err
}

func (f *fake) Watch(clients netip.Prefix, n int) (<-chan ikefront.Seen, func()) {
	f.watched <- fmt.Sprintf("%v %d", clients, n)
	return f.seen, func() { f.watched <- "stopped" }
}

// healthy is the status of a node in service.
func healthy() control.Status {
	return control.Status{
		Node: "n1", State: "in service", Ready: true, Started: time.Unix(0, 0), Packets: map[string]uint64{"redirected": 7, "filtered": 0},
		Cookies: true, Endpoints: []control.Endpoint{{Filtering: 1, Endpoint: netip.MustParseAddrPort("203.0.113.1:500"), Sockets: []map[string]uint64{{"redirected": 3}, {"redirected": 4}}}},
		Site: control.Site{State: "fit", Usable: 1, Load: share(0.25)}, Reports: map[string]uint64{"report_accepted": 5},
		Gateways:  []control.Gateway{{Name: "gw1", Usable: true, Load: share(0.25), Level: 8, Sent: 9, Health: []control.Health{{Address: netip.MustParseAddr("198.51.100.11"), State: "up"}}}, {Name: "gw2", Reason: "<script>"}},
		Addresses: []control.Address{{Address: netip.MustParseAddr("203.0.113.1"), Installed: true, Listening: true, Answers: true}},
		Routes:    []control.Route{{Prefix: netip.MustParsePrefix("203.0.113.0/24"), State: "announced"}},
		Records:   []control.Record{{Zone: "example.net.", Name: "vpn.example.net.", Type: "A", Address: netip.MustParseAddr("203.0.113.1"), Published: true}},
		Peers:     []control.Peer{{Address: netip.MustParseAddr("192.0.2.1"), State: "Active", Established: 3, Announced: 2, Prefixes: 4, Sent: map[string]uint64{"update": 5}, Received: map[string]uint64{"open": 6}}},
	}
}

// share is a known share.
func share(of float64) *float64 { return &of }

// get asks h and returns code and body.
func get(t *testing.T, h http.Handler, method, target string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(body)
}

func TestTheAPIRefusesBadQuestionsInWords(t *testing.T) {
	h := API(&fake{})
	for target, want := range map[string]string{
		"/v1/explain":                                        `client "" is no IP address`,
		"/v1/explain?client=gold":                            `client "gold" is no IP address`,
		"/v1/explain?client=192.0.2.1&spi=xyz":               `SPI "xyz" is not 1 to 16 hexadecimal digits`,
		"/v1/explain?client=192.0.2.1&spi=12345678123456789": "is not 1 to 16 hexadecimal digits",
		"/v1/explain?client=192.0.2.1&from=gw1":              `redirected-from "gw1" is no IP address`,
		"/v1/watch?client=gold&rate=1":                       `client "gold" is neither an IP address nor a prefix`,
		"/v1/watch?client=192.0.2.0/33&rate=1":               `client "192.0.2.0/33" is neither`,
		"/v1/watch":                                          `rate "" is not 1 to 1000`,
		"/v1/watch?rate=1001":                                `rate "1001" is not 1 to 1000`,
	} {
		if code, body := get(t, h, "GET", target); code != http.StatusBadRequest || !strings.Contains(body, want) {
			t.Errorf("%s: want 400 and %q, got %d and %q", target, want, code, body)
		}
	}
	for target, want := range map[string]int{"/v1/nothing": http.StatusNotFound, "/v1/reload": http.StatusMethodNotAllowed} {
		if code, _ := get(t, h, "GET", target); code != want {
			t.Errorf("%s: want %d, got %d", target, want, code)
		}
	}
}

func TestExplainTakesAMappedAddressAsIPv4(t *testing.T) {
	_, body := get(t, API(&fake{}), "GET", "/v1/explain?client=::ffff:192.0.2.1&spi=1f&from=203.0.113.1")
	for _, want := range []string{`"source": "192.0.2.1"`, `"spi": 31`, `"from": "203.0.113.1"`} {
		if !strings.Contains(body, want) {
			t.Errorf("want %s in %s", want, body)
		}
	}
}

func TestDrainAndUndrainReachTheDaemon(t *testing.T) {
	f := &fake{}
	h := API(f)
	for target, want := range map[string]int{
		"/v1/drain?gateway=gw1&reason=upgrade&for=30m": 200, "/v1/drain?reason=x": 200, "/v1/undrain?gateway=gw1": 200, "/v1/undrain": 200,
		"/v1/drain?for=-1s": 400, "/v1/drain?for=soon": 400, "/v1/drain?gateway=": 400, "/v1/undrain?gateway=": 400,
		"/v1/drain?reason=a%1bb": 400, "/v1/drain?reason=" + strings.Repeat("x", 201): 400,
	} {
		if code, body := get(t, h, "POST", target); code != want {
			t.Errorf("%s: want %d, got %d %q", target, want, code, body)
		}
	}
	slices.Sort(f.drained)
	want := []string{`"" "x" 0s`, `"gw1" "upgrade" 30m0s`, `undrain ""`, `undrain "gw1"`}
	if diff := cmp.Diff(want, f.drained); diff != "" {
		t.Errorf("asked of the daemon (-want +got):\n%s", diff)
	}
	f.err = errors.New("there is no gateway")
	if code, body := get(t, h, "POST", "/v1/drain?gateway=x"); code != http.StatusConflict || !strings.Contains(body, "there is no gateway") {
		t.Errorf("got %d %q", code, body)
	}
}

func TestHealthAndReadiness(t *testing.T) {
	out := healthy()
	out.State, out.Reason, out.Ready = "out of service", "node drained", false
	for name, tc := range map[string]struct {
		daemon          *fake
		healthz, readyz int
	}{
		"in service":         {&fake{status: healthy()}, 200, 200},
		"out of service":     {&fake{status: out}, 200, 503},
		"the loop is silent": {&fake{err: context.DeadlineExceeded}, 503, 503},
	} {
		h := Public(tc.daemon)
		if code, _ := get(t, h, "GET", "/healthz"); code != tc.healthz {
			t.Errorf("%s: healthz: want %d, got %d", name, tc.healthz, code)
		}
		if code, _ := get(t, h, "GET", "/readyz"); code != tc.readyz {
			t.Errorf("%s: readyz: want %d, got %d", name, tc.readyz, code)
		}
	}
}

func TestMetricsAndPageShowTheStatus(t *testing.T) {
	h := Public(&fake{status: healthy()})
	_, metrics := get(t, h, "GET", "/metrics")
	for _, want := range []string{
		`anycastd_packets_total{disposition="redirected",endpoint="203.0.113.1:500"} 7`,
		`anycastd_sockets_filtering{endpoint="203.0.113.1:500"} 1`, `anycastd_cookies_demanded 1`,
		`anycastd_packets_total{disposition="filtered",endpoint="203.0.113.1:500"} 0`, `anycastd_gateway_usable{gateway="gw2"} 0`,
		`anycastd_gateway_load_ratio{gateway="gw1"} 0.25`, `anycastd_gateway_weight_ratio{gateway="gw1"} 0.5`, `anycastd_gateway_sent_total{gateway="gw1"} 9`,
		`anycastd_gateway_address_up{address="198.51.100.11",gateway="gw1"} 1`, `anycastd_loads_total{outcome="report_accepted"} 5`,
		`anycastd_site_fit 1`, `anycastd_site_usable_gateways 1`, `anycastd_node_drained 0`, `anycastd_probes_total{outcome="late"} 0`,
		`anycastd_address_in_place{address="203.0.113.1"} 1`, `anycastd_route_announced{prefix="203.0.113.0/24"} 1`,
		`anycastd_record_published{address="203.0.113.1",name="vpn.example.net.",type="A",zone="example.net."} 1`, `anycastd_peer_established{neighbor="192.0.2.1"} 0`,
		`anycastd_bgp_sessions_total{neighbor="192.0.2.1"} 3`, `anycastd_bgp_announced_routes{neighbor="192.0.2.1"} 2`, `anycastd_bgp_received_prefixes{neighbor="192.0.2.1"} 4`,
		`anycastd_bgp_messages_total{direction="sent",neighbor="192.0.2.1",type="update"} 5`, `anycastd_bgp_messages_total{direction="received",neighbor="192.0.2.1",type="open"} 6`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics: want %s", want)
		}
	}
	code, page := get(t, h, "GET", "/")
	if code != 200 || !strings.Contains(page, "n1: in service") || strings.Contains(page, "<script>") {
		t.Errorf("page: got %d\n%s", code, page)
	}
	if _, m := get(t, Public(&fake{err: errors.New("stuck")}), "GET", "/metrics"); !strings.Contains(m, "go_goroutines") {
		t.Error("a stuck loop must not take the process's own metrics away")
	}
}

func TestWatchStreamsUntilOneSideEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	l, err := ListenControl(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	daemon := &fake{seen: make(chan ikefront.Seen, 2), watched: make(chan string, 2)}
	go Serve(ctx, l, API(daemon), zerolog.Nop())
	redirected := ikefront.Seen{
		Time: time.Unix(1, 0).UTC(), Endpoint: netip.MustParseAddrPort("203.0.113.1:500"), Source: netip.MustParseAddrPort("192.0.2.7:500"), Octets: 300,
		Request:     ike.Request{SPIi: 0x1f, From: netip.MustParseAddr("203.0.113.1")},
		Disposition: ikefront.Redirected, Target: policy.Target{Gateway: "gw1", Addr: netip.MustParseAddr("198.51.100.11")},
	}
	daemon.seen <- redirected
	daemon.seen <- ikefront.Seen{Disposition: ikefront.Response}
	watching, stop := context.WithCancel(ctx)
	var got []Datagram
	err = NewClient(path).Watch(watching, "192.0.2.7", 10, func(d Datagram) error {
		if got = append(got, d); len(got) == 2 {
			stop()
		}
		return nil
	})
	if err != nil {
		t.Errorf("a watcher that ends: got %v", err)
	}
	want := []Datagram{{
		Time: redirected.Time, Endpoint: redirected.Endpoint, Source: redirected.Source, Octets: 300, SPI: "000000000000001f",
		RedirectedFrom: "203.0.113.1", Disposition: "redirected", Gateway: "gw1", Target: "198.51.100.11",
	}, {Disposition: "response"}}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Errorf("watched (-want +got):\n%s", diff)
	}
	if who := <-daemon.watched; who != "192.0.2.7/32 10" {
		t.Errorf("watched as %q", who)
	}
	if end := <-daemon.watched; end != "stopped" {
		t.Errorf("got %q", end)
	}
	daemon.seen <- redirected
	err = NewClient(path).Watch(ctx, "", 10, func(Datagram) error { cancel(); return nil })
	if err != nil && !errors.Is(err, ErrUnreachable) {
		t.Errorf("a daemon that ends: got %v", err)
	}
}

func TestTheControlSocketIsPrivateAndHeldByOneDaemon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "control.sock")
	l, err := ListenControl(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("want mode 600, got %v, %v", info, err)
	}
	if _, err := ListenControl(path); err == nil || !strings.Contains(err.Error(), "a daemon already answers") {
		t.Errorf("second daemon: got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { Serve(ctx, l, API(&fake{status: healthy()}), zerolog.Nop()); close(done) }()
	var s control.Status
	if err := NewClient(path).Do(t.Context(), "GET", "/v1/status", nil, &s); err != nil || s.Node != "n1" {
		t.Errorf("got %+v, %v", s, err)
	}
	err = NewClient(path).Do(t.Context(), "GET", "/v1/explain", url.Values{"client": {"x"}}, &s)
	if err == nil || err.Error() != `client "x" is no IP address` {
		t.Errorf("want the daemon's words, got %v", err)
	}
	cancel()
	<-done
	if err := NewClient(path).Do(t.Context(), "GET", "/v1/status", nil, &s); !errors.Is(err, ErrUnreachable) {
		t.Errorf("want %v, got %v", ErrUnreachable, err)
	}
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false) // as after SIGKILL
	dead.Close()
	again, err := ListenControl(path)
	if err != nil {
		t.Fatalf("with a stale socket: %v", err)
	}
	again.Close()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ListenControl(path); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("a file in its place must stay: got %v", err)
	}
}
