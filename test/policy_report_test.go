package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anycastd/anycastd/test/lab"
)

// reportsAt is where the front-end takes reports.
const reportsAt = front4 + ":9651"

// report is a gateway's report.
type report struct {
	gateway  string
	sessions int
	seq      time.Time
	more     string // further members, each behind a comma
}

// body is the report as JSON.
func (r report) body() string {
	return fmt.Sprintf(`{"gateway":%q,"sessions":%d,"capacity":20000,"seq":%d%s}`, r.gateway, r.sessions, r.seq.UnixMilli(), r.more)
}

// sign returns curl's arguments for the signature of a body.
func sign(key, body string) []string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(body))
	return []string{"-H", "Anycastd-Signature: " + hex.EncodeToString(mac.Sum(nil))}
}

// post posts a body by curl, and returns the HTTP status and what came back.
func post(h *lab.Host, url, body string, more ...string) (status, answer string) {
	file := h.File("report.json", body)
	argv := slices.Concat([]string{"curl", "-sS", "--max-time", "20", "-w", "\n%{http_code}", "--data-binary", "@" + file}, more, []string{url + "/v1/report"})
	out, _ := h.Try(argv...)
	at := strings.LastIndex(out, "\n")
	return out[at+1:], out[:max(at, 0)]
}

// metric returns the value of a metric at the daemon's public address.
func (a *anycastd) metric(name string) string {
	for line := range strings.Lines(a.host.Run("curl", "-sS", "http://127.0.0.1:9650/metrics")) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// explanations returns what the daemon explains of 50 clients, all in one go as
// the verb asks for one.
func (a *anycastd) explanations() string {
	argv := []string{"curl", "-sS", "--unix-socket", "/run/anycastd/control.sock"}
	for _, c := range clients(0, 25) {
		argv = append(argv, "http://anycastd/v1/explain?client="+c.String())
	}
	return a.host.Run(argv...)
}

// reporting is the fabric's configuration with these lines in [report].
func (f *fabric) reporting(lines string) string {
	return f.config("[bgp]\n", "[policy]\nstale_after = \"10m\"\n[report]\nlisten = \""+reportsAt+"\"\n"+lines+"[bgp]\n")
}

// TestReportsSignedOverHTTPTakeAGatewayOutAndBadOnesChangeNothing: reports of
// the program and of curl, draining, and all that is to be refused.
func TestReportsSignedOverHTTPTakeAGatewayOutAndBadOnesChangeNothing(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate", charonProgram, "swanctl", "curl"))
	f.startGateways()
	daemon := f.daemon(t, f.reporting(fmt.Sprintf("secret_file = %q\n", f.front.File("report.key", reportKey))))
	daemon.awaitState("in service")
	crowd := f.newCrowd(t)
	verb := []string{program(), "report", "--gateway", "gw1", "--to", "http://" + reportsAt, "--capacity", "20000", "--cpu=false", "--secret-file", f.gateways[0].File("report.key", reportKey)}
	running := f.gateways[0].Start("report", append(verb, "--every", "1s")...)
	last := report{gateway: "gw2", sessions: 10000, seq: time.Now()}
	if status, answer := post(f.gateways[1], "http://"+reportsAt, last.body(), sign(reportKey, last.body())...); status != "204" {
		t.Errorf("curl: %s %s", status, answer)
	}
	daemon.awaitSessions(0, 10000)
	running.Stop()

	stop := crowd.stream(200)
	crowd.awaitVisit("gw1", time.Time{})
	f.gateways[0].Run(append(verb, "--once", "--draining")...)
	drained := time.Now().Add(time.Second + slack + crowd.lateness()) // by then at the latest
	crowd.awaitVisit("gw2", drained)
	back := time.Now()
	f.gateways[0].Run(append(verb, "--once")...)
	crowd.awaitVisit("gw1", back)
	stop()
	crowd.mustNotSend("gw1", drained, back)

	before := daemon.explanations()
	accepted := daemon.metric(`anycastd_loads_total{outcome="report_accepted"}`)
	f.mustRefuse(t, daemon, last)
	if after := daemon.explanations(); after != before || strings.Count(before, `"target": {`) != 50 {
		t.Errorf("refused reports have changed decisions: before\n%s\nafter\n%s", before, after)
	}
	if now := daemon.metric(`anycastd_loads_total{outcome="report_accepted"}`); now != accepted {
		t.Errorf("accepted %s before and %s after reports that were all refused", accepted, now)
	}
}

// mustRefuse posts reports that must be refused, each counted and logged; last
// is gw2's last good one.
func (f *fabric) mustRefuse(t *testing.T, daemon *anycastd, last report) {
	t.Helper()
	now := time.Now()
	for _, bad := range []struct{ name, status, reason, body, key string }{
		{"an unknown gateway", "404", "unknown_gateway", report{gateway: "gw9", sessions: 1, seq: now}.body(), reportKey},
		{"a replay", "409", "replayed", last.body(), reportKey},
		{"from the future", "409", "future", report{gateway: "gw2", sessions: 19999, seq: now.Add(time.Hour)}.body(), reportKey},
		{"from the past", "409", "stale", report{gateway: "gw1", sessions: 19999, seq: now.Add(-time.Hour)}.body(), reportKey},
		{"10 MB", "413", "too_long", report{gateway: "gw2", seq: now, more: `,"x":"` + strings.Repeat("x", 10<<20) + `"`}.body(), reportKey},
		{"another's signature", "403", "signature", report{gateway: "gw2", sessions: 19999, seq: now}.body(), "not " + reportKey},
		{"half a report", "400", "syntax", `{"gateway":"gw2","sess`, reportKey},
		{"-5 sessions", "400", "figures", report{gateway: "gw2", sessions: -5, seq: now}.body(), reportKey},
	} {
		name := `anycastd_loads_total{outcome="report_` + bad.reason + `"}`
		was := daemon.metric(name)
		status, answer := post(f.gateways[1], "http://"+reportsAt, bad.body, sign(bad.key, bad.body)...)
		if status != bad.status {
			t.Errorf("%s: want HTTP status %s, got %s %s", bad.name, bad.status, status, answer)
		}
		if is := daemon.metric(name); was != "0" || is != "1" {
			t.Errorf("%s: %s was %q and is %q", bad.name, name, was, is)
		}
		daemon.Await(`"reason":"` + bad.reason + `"`)
	}
	if n := len(daemon.Lines("report refused")); n != 8 {
		t.Errorf("want 8 refusals in the log, got %d", n)
	}
}

// authority signs the certificates of a scenario.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

// newAuthority returns an authority that signs itself.
func newAuthority(t *testing.T) *authority {
	a := &authority{t: t}
	a.pem, _ = a.issue(x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// issue returns a certificate and its key in PEM; the first is the authority's.
func (a *authority) issue(c x509.Certificate) (cert, key string) {
	a.t.Helper()
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	c.SerialNumber, _ = rand.Int(rand.Reader, big.NewInt(1<<62))
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = &c, own
	}
	der, err := x509.CreateCertificate(rand.Reader, &c, parent, own.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	if a.cert == nil {
		a.cert, _ = x509.ParseCertificate(der)
		a.key = own
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

// give writes a certificate for name and its key to the host.
func (a *authority) give(h *lab.Host, name string, at ...net.IP) (cert, key string) {
	c, k := a.issue(x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IPAddresses: at,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	return h.File(name+".crt", c), h.File(name+".key", k)
}

// TestReportsByClientCertificate: each gateway may report for itself alone, and
// nobody without a certificate.
func TestReportsByClientCertificate(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate", charonProgram, "swanctl", "curl"))
	f.startGateways()
	ca := newAuthority(t)
	trusted := f.front.File("ca.crt", ca.pem)
	cert, key := ca.give(f.front, "front1", netip.MustParseAddr(front4).AsSlice())
	daemon := f.daemon(t, f.reporting(fmt.Sprintf("cert_file = %q\nkey_file = %q\nclient_ca_file = %q\n", cert, key, trusted)))
	daemon.awaitState("in service")
	cert1, key1 := ca.give(f.gateways[0], "gw1")
	cert2, key2 := ca.give(f.gateways[1], "gw2")
	f.gateways[0].Run(program(), "report", "--once", "--gateway", "gw1", "--to", "https://"+reportsAt, "--capacity", "20000", "--cert", cert1, "--key", key1, "--ca", trusted)
	good := report{gateway: "gw2", sessions: 7, seq: time.Now()}
	as2 := []string{"--cacert", trusted, "--cert", cert2, "--key", key2}
	if status, answer := post(f.gateways[1], "https://"+reportsAt, good.body(), as2...); status != "204" {
		t.Errorf("curl: %s %s", status, answer)
	}
	daemon.awaitSessions(0, 7)

	before := daemon.explanations()
	forged := report{gateway: "gw1", sessions: 19999, seq: time.Now(), more: `,"draining":true`}
	if status, answer := post(f.gateways[1], "https://"+reportsAt, forged.body(), as2...); status != "403" || !strings.Contains(answer, `that of "gw2", not of "gw1"`) {
		t.Errorf("gw2 for gw1: %s %s", status, answer)
	}
	other, otherKey := newAuthority(t).give(f.gateways[1], "gw1")
	for name, more := range map[string][]string{"no certificate": nil, "another authority's": {"--cert", other, "--key", otherKey}} {
		if status, answer := post(f.gateways[1], "https://"+reportsAt, forged.body(), append(more, "--cacert", trusted)...); status != "000" {
			t.Errorf("%s: want no HTTP at all, got %s %s", name, status, answer)
		}
	}
	mustHaveExit(t, f.gateways[0], 1, program(), "report", "--once", "--gateway", "gw1", "--to", "https://"+reportsAt, "--cert", cert1, "--key", key1) // whose authority is not the system's
	if after := daemon.explanations(); after != before || strings.Count(before, `"target": {`) != 50 {
		t.Errorf("refused reports have changed decisions: before\n%s\nafter\n%s", before, after)
	}
}

// TestAVICIThatHangsAmidAMessageDelaysNobody: the other gateway's figures keep
// coming, the daemon answers, and the gateway itself is served on.
func TestAVICIThatHangsAmidAMessageDelaysNobody(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate", charonProgram, "swanctl"))
	startCharon(f.gateways[0], gatewayConf(testSecret), slices.Concat(patient(), viciOverTCP(gw14+":4502"))...)
	startCharon(f.gateways[1], gatewayConf(testSecret))
	hang(t, f.gateways[1], gw24+":4502")
	edits := []string{}
	for name, at := range map[string]string{"gw1": gw14, "gw2": gw24} {
		edits = append(edits, fmt.Sprintf("name      = %q", name), fmt.Sprintf("name = %q\nvici = \"tcp:%s:4502\"\nvici_every = \"200ms\"", name, at))
	}
	daemon := f.daemon(t, f.config(edits...))
	daemon.awaitState("in service")
	crowd := f.newCrowd(t)
	for n := range 3 {
		daemon.awaitSessions(5 * n)
		crowd.burden(gw14, 5)
	}
	daemon.awaitSessions(15)
	daemon.Await("no answer to stats")
	daemon.awaitStatus("has gw2 usable, by its probes", func(s status) error {
		if !s.Gateways[1].Usable {
			return fmt.Errorf("%+v", s.Gateways)
		}
		return nil
	})
	if got := crowd.among(clients(0, 50)); got["gw1"] == 0 || got["gw2"] == 0 {
		t.Errorf("want newcomers at both, got %v", got)
	}
}

// hang serves TCP at an address of a host: to each that connects it sends the
// beginning of a VICI message, and then nothing any more.
func hang(t *testing.T, h *lab.Host, at string) {
	t.Helper()
	var socket net.Listener
	if err := h.Do(func() (err error) { socket, err = net.Listen("tcp", at); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	go func() {
		for {
			conn, err := socket.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			_, _ = conn.Write([]byte{0, 0, 0, 200, 1, 1, 6, 'u', 'p', 't'})
		}
	}()
}
