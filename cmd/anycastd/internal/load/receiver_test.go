package load

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/policy"
)

const secret = "known to the gateways and the front-ends"

// receiving is a Receiver that knows gw1 and gw2, and what it has told.
type receiving struct {
	*Receiver
	log   logged
	loads []string
	last  policy.Load
	gone  map[string]bool // gateways that are not known any more
}

// receive returns a Receiver with that secret.
func receive(secret string) *receiving {
	r := &receiving{gone: map[string]bool{}}
	r.Receiver = NewReceiver(ReceiverConfig{
		Secret: []byte(secret), StaleAfter: 15 * time.Second,
		Known: func(gateway string) bool { return (gateway == "gw1" || gateway == "gw2") && !r.gone[gateway] },
		Notify: func(gateway string, l policy.Load) {
			r.loads = append(r.loads, fmt.Sprint(gateway, " ", l.Sessions))
			r.last = l
		},
	}, zerolog.New(&r.log))
	return r
}

// post posts body, signed with key unless that is "".
func (r *receiving) post(body, key string) (status int, words string) {
	req := httptest.NewRequest(http.MethodPost, "/v1/report", strings.NewReader(body))
	if key != "" {
		req.Header.Set(SignatureHeader, hex.EncodeToString(sign([]byte(key), []byte(body))))
	}
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, req)
	return w.Code, strings.TrimSpace(w.Body.String())
}

// at is a report of gw1 with a seq that is so far from now.
func at(d time.Duration) string {
	return fmt.Sprintf(`{"gateway":"gw1","sessions":5,"seq":%d}`, time.Now().Add(d).UnixMilli())
}

// wantCounts holds the counts that are not 0 to want.
func wantCounts(t *testing.T, r *Receiver, want map[string]uint64) {
	t.Helper()
	got := r.Counts()
	if len(got) != len(reasons()) {
		t.Errorf("want %d reasons, got %v", len(reasons()), got)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreMapEntries(func(_ string, n uint64) bool { return n == 0 })); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

func TestAGoodReportIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := receive(secret)
		body := string((&Report{"gw1", 1234, 20000, 0.25, true, time.Now().UnixMilli()}).Append(nil))
		if code, words := r.post(body, secret); code != http.StatusNoContent || words != "" {
			t.Fatalf("got %d %s", code, words)
		}
		want := policy.Load{Sessions: 1234, Capacity: 20000, CPU: 0.25, Draining: true, At: time.Now(), Source: "report", From: netip.MustParseAddr("192.0.2.1")}
		if diff := cmp.Diff(want, r.last, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("load (-want +got):\n%s", diff)
		}
		wantCounts(t, r.Receiver, map[string]uint64{"accepted": 1})
	})
}

func TestARefusedReportChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, tc := range map[string]struct {
			body, key string
			status    int
			words     string
			reason    Reason
		}{
			"not signed":        {at(0), "", 403, "neither Anycastd-Signature nor a client certificate", Signature},
			"wrongly signed":    {at(0), "another secret", 403, "Anycastd-Signature is not the HMAC-SHA256 of the body with this node's secret", Signature},
			"bad and unsigned":  {"{", "", 403, "neither", Signature},
			"bad JSON":          {"{", secret, 400, "the body ends too early", Syntax},
			"bad figures":       {`{"gateway":"gw1","sessions":3.5,"seq":1}`, secret, 400, "sessions:", Figures},
			"an unknown sender": {strings.Replace(at(0), "gw1", `gw\u001b9`, 1), secret, 404, `no gateway "gw\x1b9" in this node's configuration`, UnknownGateway},
			"from the future":   {at(37 * time.Second), secret, 409, "clock differs by 37s: seq ", Future},
			"just too far":      {at(MaxAhead + time.Millisecond), secret, 409, "is more than 10s ahead of this node's time", Future},
			"from the past":     {at(-15*time.Second - time.Millisecond), secret, 409, "clock differs by 15s, or that long on the way: ", Stale},
			"from 1970":         {`{"gateway":"gw1","sessions":5,"seq":0}`, secret, 409, "behind this node's time", Stale},
			"from afar":         {`{"gateway":"gw1","sessions":5,"seq":9007199254740991}`, secret, 409, "clock differs by 2", Future},
			"replayed":          {at(-10 * time.Second), secret, 409, "is not above", Replayed},
			"overtaken":         {at(-11 * time.Second), secret, 409, "that of the last report", Replayed},
			"too long":          {at(0) + strings.Repeat(" ", maxReport), secret, 413, "the body is longer than 4096 octets", TooLong},
		} {
			r := receive(secret)
			if code, words := r.post(at(-10*time.Second), secret); code != http.StatusNoContent {
				t.Fatalf("%s: the first report: %d %s", name, code, words)
			}
			code, words := r.post(tc.body, tc.key)
			if code != tc.status || !strings.Contains(words, tc.words) {
				t.Errorf("%s: want %d %q, got %d %q", name, tc.status, tc.words, code, words)
			}
			wantCounts(t, r.Receiver, map[string]uint64{"accepted": 1, string(tc.reason): 1})
			if len(r.loads) != 1 || r.log.lines(`"reason":"`+string(tc.reason)+`"`, `"from":"192.0.2.1"`, "report refused") != 1 {
				t.Errorf("%s: want nothing told and one line, got %v\n%s", name, r.loads, r.log.text.String())
			}
			if code, words := r.post(at(-9999*time.Millisecond), secret); code != http.StatusNoContent {
				t.Errorf("%s: the next good report: %d %s", name, code, words)
			}
		}
	})
}

func TestSignaturesThatAreNone(t *testing.T) {
	body := at(0)
	good := hex.EncodeToString(sign([]byte(secret), []byte(body)))
	for _, given := range []string{"x", good[:62], good + "00", "sha256=" + good, strings.Repeat("0", 64), hex.EncodeToString(sign(nil, []byte(body)))} {
		r := receive(secret)
		req := httptest.NewRequest(http.MethodPost, "/v1/report", strings.NewReader(body))
		req.Header.Set(SignatureHeader, given)
		w := httptest.NewRecorder()
		if r.Handler().ServeHTTP(w, req); w.Code != http.StatusForbidden || len(r.loads) > 0 {
			t.Errorf("%q: got %d %v", given, w.Code, r.loads)
		}
	}
	r := receive(secret)
	req := httptest.NewRequest(http.MethodPost, "/v1/report", strings.NewReader(body))
	req.Header.Set(SignatureHeader, strings.ToUpper(good))
	w := httptest.NewRecorder()
	if r.Handler().ServeHTTP(w, req); w.Code != http.StatusNoContent {
		t.Errorf("capitals: got %d %s", w.Code, w.Body)
	}
}

func TestWithoutSecretAndCertificatesEveryReportIsRefused(t *testing.T) {
	r := receive("")
	for _, key := range []string{"", secret} {
		if code, words := r.post(at(0), key); code != http.StatusForbidden || !strings.Contains(words, "this node has no secret") {
			t.Errorf("got %d %q", code, words)
		}
	}
	body := at(0)
	req := httptest.NewRequest(http.MethodPost, "/v1/report", strings.NewReader(body))
	req.Header.Set(SignatureHeader, hex.EncodeToString(sign(nil, []byte(body)))) // what no secret would sign
	w := httptest.NewRecorder()
	if r.Handler().ServeHTTP(w, req); w.Code != http.StatusForbidden {
		t.Errorf("got %d", w.Code)
	}
	wantCounts(t, r.Receiver, map[string]uint64{"signature": 3})
}

func TestOnlyPostsToTheOnePathAreReports(t *testing.T) {
	r := receive(secret)
	for target, want := range map[string]int{"GET /v1/report": 405, "PUT /v1/report": 405, "POST /": 404, "POST /v1/reports": 404} {
		method, path, _ := strings.Cut(target, " ")
		w := httptest.NewRecorder()
		if r.Handler().ServeHTTP(w, httptest.NewRequest(method, path, nil)); w.Code != want {
			t.Errorf("%s: want %d, got %d", target, want, w.Code)
		}
	}
	wantCounts(t, r.Receiver, map[string]uint64{})
}

func TestABodyThatBreaksOffIsRefused(t *testing.T) {
	r := receive(secret)
	body := io.MultiReader(strings.NewReader(`{"gateway":"gw1"`), iotest.ErrReader(io.ErrUnexpectedEOF))
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/report", body))
	if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "the body ends too early") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	wantCounts(t, r.Receiver, map[string]uint64{"syntax": 1})
}

// counting counts what is read from its connections.
type counting struct {
	net.Listener
	read atomic.Int64
}

func (c *counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	return &countingConn{conn, &c.read}, err
}

type countingConn struct {
	net.Conn
	read *atomic.Int64
}

func (c *countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read.Add(int64(n))
	return n, err
}

func TestOfTenMegabytesLittleIsRead(t *testing.T) {
	r := receive(secret)
	srv := httptest.NewUnstartedServer(r.Handler())
	l := &counting{Listener: srv.Listener}
	srv.Listener = l
	srv.Start()
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() { // the server may close before it has all
		fmt.Fprintf(conn, "POST /v1/report HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", 10<<20)
		_, _ = conn.Write(bytes.Repeat([]byte("x"), 10<<20))
	}()
	answer := make([]byte, len("HTTP/1.1 413"))
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "HTTP/1.1 413" {
		t.Errorf("got %q, %v", answer, err)
	}
	if got := l.read.Load(); got > 16<<10 { // the server's own buffer and ours
		t.Errorf("read %d octets", got)
	}
	wantCounts(t, r.Receiver, map[string]uint64{"too_long": 1})
}

func TestAFloodOfBadReportsDoesNotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := receive(secret)
		flood := func(signed string) {
			for i := range 1000 {
				req := httptest.NewRequest(http.MethodPost, "/v1/report", strings.NewReader("{"))
				req.RemoteAddr = fmt.Sprintf("[2001:db8::%x]:1000", i)
				if signed != "" {
					req.Header.Set(SignatureHeader, hex.EncodeToString(sign([]byte(secret), []byte("{"))))
				}
				r.Handler().ServeHTTP(httptest.NewRecorder(), req)
			}
		}
		flood("")
		flood("signed")
		if got := r.log.lines("report refused"); got != r.strangers.most {
			t.Errorf("want %d lines, got %d", r.strangers.most, got)
		}
		for range 1000 {
			r.post(at(time.Minute), secret) // gw1's own trouble is logged all the same
		}
		if got := r.log.lines(`"gateway":"gw1"`); got != 1 {
			t.Errorf("want 1 line on gw1, got %d", got)
		}
		time.Sleep(quiet)
		r.post(at(time.Minute), secret)
		if got := r.log.lines(`"gateway":"gw1"`, `"not_logged":999`); got != 1 {
			t.Errorf("want a line on gw1 again, got\n%s", r.log.text.String())
		}
		flood("")
		if got := r.log.lines("report refused"); got != 2*r.strangers.most+2 || len(r.strangers.kinds) != r.strangers.most {
			t.Errorf("want %d lines, got %d; %d kinds remembered", 2*r.strangers.most+2, got, len(r.strangers.kinds))
		}
		wantCounts(t, r.Receiver, map[string]uint64{"signature": 2000, "syntax": 1000, "future": 1001})
	})
}

func TestOnlyKnownGatewaysAreRemembered(t *testing.T) {
	r := receive(secret)
	r.post(at(0), secret)
	for i := range 100 {
		r.post(strings.Replace(at(0), "gw1", fmt.Sprint("other", i), 1), secret)
	}
	if len(r.senders) != 1 {
		t.Errorf("want 1 remembered, got %d", len(r.senders))
	}
	r.gone["gw1"] = true
	r.post(strings.Replace(at(0), "gw1", "gw2", 1), secret)
	if _, ok := r.senders["gw2"]; !ok || len(r.senders) != 1 {
		t.Errorf("want gw2 remembered alone, got %v", r.senders)
	}
}

func TestSeqIsEachGatewaysOwn(t *testing.T) {
	r := receive(secret)
	r.post(at(5*time.Second), secret)
	if code, words := r.post(strings.Replace(at(0), "gw1", "gw2", 1), secret); code != http.StatusNoContent {
		t.Errorf("got %d %s", code, words)
	}
	if diff := cmp.Diff([]string{"gw1 5", "gw2 5"}, r.loads); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

func TestTheCPUsShareIsAveragedOver15Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := receive(secret)
		tell := func(cpu float64) float64 {
			t.Helper()
			time.Sleep(5 * time.Second)
			body := string((&Report{Gateway: "gw1", CPU: cpu, Seq: time.Now().UnixMilli()}).Append(nil))
			if code, words := r.post(body, secret); code != http.StatusNoContent {
				t.Fatalf("got %d %s", code, words)
			}
			return r.last.CPU
		}
		if got := tell(0.2); got != 0.2 {
			t.Errorf("the first: want it as it is, got %v", got)
		}
		if got, want := tell(1), 1-0.8*math.Exp(-1./3); math.Abs(got-want) > 1e-9 {
			t.Errorf("a flicker: want %v, got %v", want, got)
		}
		tell(1)
		if got, want := tell(1), 1-0.8/math.E; math.Abs(got-want) > 1e-9 {
			t.Errorf("after 15 s: want %v, got %v", want, got)
		}
		if got := tell(-1); got != -1 {
			t.Errorf("unknown: want -1, got %v", got)
		}
		if got := tell(0.5); got != 0.5 {
			t.Errorf("known again: want it as it is, got %v", got)
		}
	})
}
