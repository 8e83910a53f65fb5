package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/ikefront"
	"github.com/anycastd/anycastd/ikefront/ike"
	"github.com/anycastd/anycastd/policy"
)

// ikeload runs the program and returns its report and exit code.
func ikeload(t *testing.T, args ...string) (r report, code int) {
	t.Helper()
	var out, complaints bytes.Buffer
	code = run(append(args, "-o", "json"), &out, &complaints)
	if complaints.Len() > 0 {
		t.Errorf("it complains: %s", complaints.String())
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	return r, code
}

// newFront returns a running front with one gateway.
func newFront(t *testing.T, cookie ikefront.CookieMode) *ikefront.Front {
	t.Helper()
	f := ikefront.New(ikefront.Config{Sockets: 1, Cookie: cookie, CookieSecret: make([]byte, ikefront.CookieSecretLen)}, zerolog.Nop())
	up := policy.Health{State: policy.Up}
	gw4, gw6 := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("2001:db8:61::1")
	f.Set(policy.Decide(
		&policy.Config{Gateways: []policy.Gateway{{Name: "gw", Weight: 1, Addresses: []netip.Addr{gw4, gw6}}}},
		&policy.View{Health: map[netip.Addr]policy.Health{gw4: up, gw6: up}}, time.Now()).Table)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return f
}

// front starts a front on a port that is free, and returns where it answers.
func front(t *testing.T, cookie ikefront.CookieMode, addr string) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenPacket("udp", net.JoinHostPort(addr, "0"))
	if err != nil {
		t.Skipf("no %s here: %v", addr, err)
	}
	at := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	conn.Close()
	if failed := newFront(t, cookie).Listen([]netip.AddrPort{at}); len(failed) > 0 {
		t.Fatal(failed)
	}
	return at
}

func TestARealFrontAnswersWithoutFault(t *testing.T) {
	at4, at6, cookies := front(t, ikefront.CookieNever, "127.0.0.1"), front(t, ikefront.CookieNever, "::1"), front(t, ikefront.CookieAlways, "127.0.0.1")
	for _, c := range []struct {
		name string
		args []string
		at   netip.AddrPort
	}{
		{"a closed loop by IPv4", []string{"closed", "-via", "udp", "-window", "8"}, at4},
		{"a closed loop by IPv6", []string{"closed", "-via", "udp", "-window", "8"}, at6},
		{"from many sources", []string{"closed", "-via", "udp", "-window", "8", "-from", "127.1.0.0/16"}, at4},
		{"an open loop", []string{"open", "-via", "udp", "-rate", "1000"}, at4},
		{"an honest client", []string{"client", "-rate", "200"}, at6},
		{"an honest client asked for cookies", []string{"client", "-rate", "200", "-retransmit"}, cookies},
		{"a loop of cookies alone", []string{"closed", "-via", "udp", "-window", "8", "-obey=false"}, cookies},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, code := ikeload(t, append(c.args, "-to", c.at.String(), "-duration", "300ms", "-timeout", "30s")...)
			if code != exitDone || r.Begun < 10 || r.Answered != r.Begun || r.Lost != 0 || len(r.Faults) != 0 {
				t.Errorf("exit code %d, %+v", code, r)
			}
			if r.Cookies > 0 != (c.at == cookies) {
				t.Errorf("got %d cookies", r.Cookies)
			}
			if l := r.Latency; l.P50 <= 0 || l.P50 > l.P99 || l.P99 > l.Max {
				t.Errorf("latency %+v", l)
			}
		})
	}
}

// liar is a responder that answers requests as it is told to.
func liar(t *testing.T, answer func(request []byte) (answers [][]byte, elsewhere bool)) string {
	t.Helper()
	var conns [2]*net.UDPConn
	for i := range conns {
		conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conns[i] = conn
	}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := conns[0].ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			answers, elsewhere := answer(buf[:n])
			for _, a := range answers {
				out := conns[0]
				if elsewhere {
					out = conns[1]
				}
				_, _ = out.WriteToUDPAddrPort(a, from)
			}
		}
	}()
	return conns[0].LocalAddr().String()
}

// truth is the right answer to a request.
func truth(request []byte) []byte {
	r, err := ike.ParseRequest(request)
	if err != nil {
		return nil
	}
	return ike.AppendRedirect(nil, &r, ike.GatewayID{Addr: netip.MustParseAddr("198.51.100.1")})
}

func TestALiarIsFoundOut(t *testing.T) {
	changed := func(at int) func([]byte) ([][]byte, bool) {
		return func(request []byte) ([][]byte, bool) {
			a := truth(request)
			a[at] ^= 1
			return [][]byte{a}, false
		}
	}
	for _, c := range []struct {
		name   string
		answer func([]byte) ([][]byte, bool)
		want   verdict
	}{
		{"a wrong nonce", changed(50), wrongNonce},
		{"a wrong initiator SPI", changed(0), unknownSPI},
		{"a responder SPI", changed(9), responderSPI},
		{"another port", func(r []byte) ([][]byte, bool) { return [][]byte{truth(r)}, true }, wrongSource},
		{"two answers", func(r []byte) ([][]byte, bool) { return [][]byte{truth(r), truth(r)}, false }, answeredTwice},
		{"a long answer", func(r []byte) ([][]byte, bool) { return [][]byte{append(truth(r), make([]byte, 400)...)}, false }, longer},
		{"the request", func(r []byte) ([][]byte, bool) { return [][]byte{r}, false }, wrongHeader},
		{"nothing much", func(r []byte) ([][]byte, bool) { return [][]byte{{0}}, false }, tooShort},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, code := ikeload(t, "closed", "-via", "udp", "-window", "4", "-to", liar(t, c.answer), "-duration", "200ms", "-timeout", "100ms")
			if code != exitProblem || r.Faults[c.want.String()] == 0 || len(r.Faults) != 1 {
				t.Errorf("want exit code %d for %s, got %d, %v", exitProblem, c.want, code, r.Faults)
			}
			if c.want != answeredTwice && r.Answered != 0 {
				t.Errorf("%d were taken for answers", r.Answered)
			}
		})
	}
}

func TestAClientAsksAgainUntilItIsAnswered(t *testing.T) {
	asked := map[string]int{}
	at := liar(t, func(request []byte) ([][]byte, bool) {
		if asked[string(request[:8])]++; asked[string(request[:8])] < 2 {
			return nil, false
		}
		return [][]byte{truth(request)}, false
	})
	r, code := ikeload(t, "client", "-to", at, "-rate", "50", "-duration", "100ms", "-retransmit")
	if code != exitDone || r.FirstTry != 0 || r.Answered != r.Begun || r.Retransmitted != r.Begun || r.Latency.P50 < 490e3 {
		t.Errorf("exit code %d, %+v, %+v", code, r, r.Latency)
	}
	if r, _ := ikeload(t, "client", "-to", liar(t, func([]byte) ([][]byte, bool) { return nil, false }), "-rate", "50", "-duration", "100ms", "-timeout", "100ms"); r.Lost != r.Begun || r.AnsweredShare != 0 {
		t.Errorf("from a silent one: %+v", r)
	}
}

// TestAnOpenLoopCountsFromWhenARequestWasDue: a responder that stalls keeps
// nobody from asking, and each who asks meanwhile waits.
func TestAnOpenLoopCountsFromWhenARequestWasDue(t *testing.T) {
	first := true
	at := liar(t, func(request []byte) ([][]byte, bool) {
		if first {
			time.Sleep(300 * time.Millisecond)
		}
		first = false
		return [][]byte{truth(request)}, false
	})
	r, _ := ikeload(t, "open", "-via", "udp", "-to", at, "-rate", "200", "-duration", "400ms", "-timeout", "30s")
	if r.Answered != r.Begun {
		t.Errorf("%d of %d were answered", r.Answered, r.Begun)
	}
	if r.Latency.P50 < 50e3 { // of 80 requests 60 wait, for 150 ms on average
		t.Errorf("the stall shows in too few: %+v", r.Latency)
	}
}

func TestTheCommandLine(t *testing.T) {
	for name, args := range map[string][]string{
		"no verb":               {"-to", "127.0.0.1:500"},
		"an unknown verb":       {"dance", "-to", "127.0.0.1:500"},
		"no target":             {"closed"},
		"two families":          {"closed", "-to", "127.0.0.1:500,[::1]:500"},
		"two ports":             {"closed", "-to", "127.0.0.1:500,127.0.0.1:4500"},
		"sources of the other":  {"closed", "-to", "127.0.0.1:500", "-from", "2001:db8::/64"},
		"sources that are none": {"closed", "-to", "127.0.0.1:500", "-from", "many"},
		"an unknown flag":       {"closed", "-speed", "high"},
	} {
		var complaints bytes.Buffer
		if got := run(args, &complaints, &complaints); got != exitUsage || complaints.Len() == 0 {
			t.Errorf("%s: want exit code %d and a word, got %d, %q", name, exitUsage, got, complaints.String())
		}
	}
	var complaints bytes.Buffer
	if got := run([]string{"-h"}, &complaints, &complaints); got != exitDone || !strings.Contains(complaints.String(), "usage:") {
		t.Errorf("-h: got %d, %q", got, complaints.String())
	}
}

func TestAReportInWords(t *testing.T) {
	r := report{
		Verb: "closed", Seconds: 2, Sent: 10, Begun: 10, Answered: 9, Rate: 4.5, FirstTryShare: .9, AnsweredShare: .9, Lost: 1,
		Latency: &latency{1, 2, 3, 4}, Process: &process{.5, 2048, 4096}, Faults: map[string]uint64{"wrong_nonce": 1},
	}
	var got bytes.Buffer
	if err := r.write(&got, "text"); err != nil {
		t.Fatal(err)
	}
	want := `closed: 10 datagrams sent (0 not taken by the kernel), 2.0 s counted
answered   9 of 10, 4/s; 90.000 % at the first try, 90.000 % in all; 1 lost, 0 late, 0 sent again, 0 cookies
latency    p50 1 µs, p99 2 µs, p99.9 3 µs, max 4 µs
own CPU    0 %
process    50 % CPU, resident 2 kB before, 4 kB after
FAULT      wrong_nonce: 1
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}
