package test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/anycastd/anycastd/test/lab"
)

// reportKey is what a gateway signs its reports with.
const reportKey = "6f1d7d0c8a4e4b0f"

// listener takes what `anycastd report` posts.
type listener struct {
	mu      sync.Mutex
	reports []map[string]any
	forged  int
}

// ServeHTTP is part of http.Handler.
func (l *listener) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	mac := hmac.New(sha256.New, []byte(reportKey))
	mac.Write(body)
	var report map[string]any
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Method != "POST" || r.URL.Path != "/v1/report" || r.Header.Get("Anycastd-Signature") != hex.EncodeToString(mac.Sum(nil)) || json.Unmarshal(body, &report) != nil {
		l.forged++
		return
	}
	l.reports = append(l.reports, report)
}

// await waits for a report that is as wanted and came after the first n.
func (l *listener) await(network *lab.Lab, what string, n int, want func(map[string]any) bool) (seen int) {
	network.Eventually(what, patience, func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		seen = len(l.reports)
		if seen <= n || !want(l.reports[seen-1]) {
			return fmt.Errorf("got %d reports, %d forged: %v", seen, l.forged, l.reports)
		}
		return nil
	})
	return seen
}

// has says whether there was such a report.
func (l *listener) has(want func(map[string]any) bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.reports, want)
}

// listenOn serves a listener on the host.
func listenOn(t *testing.T, h *lab.Host, at string) *listener {
	t.Helper()
	var socket net.Listener
	if err := h.Do(func() (err error) { socket, err = net.Listen("tcp", at); return err }); err != nil {
		t.Fatal(err)
	}
	l := &listener{}
	srv := &http.Server{Handler: l}
	go func() { _ = srv.Serve(socket) }() // until it is closed
	t.Cleanup(func() { srv.Close() })
	return l
}

// sessions returns what wants that many in a report.
func sessions(n float64) func(map[string]any) bool {
	return func(report map[string]any) bool { return report["sessions"] == n && report["gateway"] == "gw1" }
}

func TestReportTellsFrontEndsWhatCharonHolds(t *testing.T) {
	l := newLab(t, charonProgram, "swanctl")
	client, gateway, front := l.Host("client"), l.Host("gw1"), l.Host("front")
	l.Link(client, "198.51.100.1/30", gateway, "198.51.100.2/30")
	l.Link(front, "192.0.2.10/24", gateway, "192.0.2.11/24")
	overTCP := []string{
		"plugins {", "plugins {\n\t\tvici { socket = tcp://127.0.0.1:4502 }",
		"swanctl { load = random openssl }", "swanctl {\n\tload = random openssl\n\tsocket = tcp://127.0.0.1:4502\n}",
	}
	charon := startCharon(gateway, gatewayConf(testSecret), overTCP...)
	listening := listenOn(t, front, "192.0.2.10:9651")
	key := gateway.File("report.key", reportKey+"\n")
	verb := []string{program(), "report", "--gateway", "gw1", "--vici", "tcp:127.0.0.1:4502", "--every", "1s", "--capacity", "500", "--secret-file", key}
	down := gateway.Start("report to one that is down", append(verb, "--to", "http://192.0.2.10:9652", "--to", "http://192.0.2.10:9651")...)
	seen := listening.await(l, "reports of an idle gateway", 1, func(r map[string]any) bool {
		cpu, known := r["cpu"].(float64)
		return sessions(0)(r) && r["capacity"] == 500. && known && cpu >= 0 && cpu <= 1
	})
	down.Await("connect: connection refused")

	initiator := startCharon(client, clientConf("alice@example.test", "%any4", "198.51.100.2", testSecret))
	if out, err := initiator.initiate("vpn"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	listening.await(l, "a report of one IKE SA", seen, sessions(1))
	mustHaveExit(t, gateway, 0, append(verb, "--once", "--draining", "--to", "http://192.0.2.10:9651/")...)
	if !listening.has(func(r map[string]any) bool { return r["draining"] == true }) {
		t.Error("want a report of a gateway that drains")
	}
	mustHaveExit(t, gateway, 1, append(verb, "--once", "--to", "http://192.0.2.10:9652")...)

	charon.Kill()
	down.Await("no figures, so no reports")
	mustHaveExit(t, gateway, 1, append(verb, "--once", "--to", "http://192.0.2.10:9651")...)
	seen = listening.await(l, "some reports", 0, func(map[string]any) bool { return true })
	startCharon(gateway, gatewayConf(testSecret), overTCP...)
	listening.await(l, "reports of the new charon", seen, sessions(0))
	if code := down.Stop(); code != 0 || len(down.Lines("does not take reports")) != 1 {
		t.Errorf("want exit code 0 and one line on the front-end that is down, got %d\n%s", code, down.Output())
	}
}

// mustHaveExit wants this exit code of a command.
func mustHaveExit(t *testing.T, h *lab.Host, want int, argv ...string) {
	t.Helper()
	out, err := h.Try(argv...)
	var exit interface{ ExitCode() int }
	got := 0
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	}
	if got != want {
		t.Errorf("%v: want exit code %d, got %d, %v\n%s", argv, want, got, err, out)
	}
}
