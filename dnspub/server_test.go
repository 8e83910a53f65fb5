package dnspub

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	miekgdns "github.com/miekg/dns"
	"github.com/rs/zerolog"
)

const (
	zone        = "example.test."
	name        = "vpn.example.test."
	secret      = "c2VjcmV0IG9mIHRoZSB0ZXN0cywgMzIgb2N0ZXRzLi4="
	otherSecret = "YW5vdGhlciBzZWNyZXQgb2YgdGhlIHRlc3RzLCAzMi4="
)

// testKey is a key that the servers of the tests know.
func testKey() TSIG { return TSIG{Name: "anycastd.", Algorithm: "hmac-sha256", Secret: secret} }

// record returns a record of vpn.example.test with a TTL of 300 s.
func record(address string) Record {
	return Record{Name: name, Address: netip.MustParseAddr(address), TTL: 300}
}

// publisher returns a Publisher for the zone on a server, with patience for a
// slow machine.
func publisher(t *testing.T, server string, key TSIG) *Publisher {
	return New(Config{Zone: zone, Server: server, TSIG: key, Timeout: 20 * time.Second}, zerolog.New(zerolog.NewTestWriter(t)))
}

// serve answers messages on addr by handler, over UDP and TCP, until the end of
// the test, and returns where.
func serve(t *testing.T, addr string, handler miekgdns.HandlerFunc) string {
	t.Helper()
	tcp, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accept := func(miekgdns.Header) miekgdns.MsgAcceptAction { return miekgdns.MsgAccept } // updates, too
	for _, s := range []*miekgdns.Server{{Listener: tcp}, {PacketConn: udp}} {
		s.Handler, s.MsgAcceptFunc = handler, accept
		s.TsigSecret = map[string]string{"anycastd.": secret}
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go s.ActivateAndServe()
		<-started
		t.Cleanup(func() { s.Shutdown() })
	}
	return tcp.Addr().String()
}

// answer returns an answer to req with a code and records, signed if req is.
func answer(req *miekgdns.Msg, rcode int, rrs ...string) *miekgdns.Msg {
	m := new(miekgdns.Msg)
	m.SetRcode(req, rcode)
	for _, text := range rrs {
		rr, err := miekgdns.NewRR(text)
		if err != nil {
			panic(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	if req.IsTsig() != nil {
		m.SetTsig("anycastd.", miekgdns.HmacSHA256, fudge, time.Now().Unix())
	}
	return m
}

// nameserver is a server with the zone, for the test alone.
type nameserver struct {
	addr string
	t    *testing.T
}

// startNamed runs BIND on a loopback port. Key anycastd. may change the
// addresses of vpn.example.test and everything below gw.example.test, key
// stranger. nothing.
func startNamed(t *testing.T) *nameserver {
	t.Helper()
	path, err := exec.LookPath("named")
	if err != nil {
		t.Skip("needs BIND's named: ", err)
	}
	dir := t.TempDir()
	port := freePort(t)
	conf := fmt.Sprintf(`
options { directory %q; listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; }; pid-file "named.pid";
  session-keyfile none; recursion no; dnssec-validation no; notify no; };
controls { };
key "anycastd." { algorithm hmac-sha256; secret %q; };
key "stranger." { algorithm hmac-sha512; secret %q; };
zone "example.test" { type primary; file "zone"; update-policy {
  grant anycastd. name vpn.example.test. A AAAA; grant anycastd. subdomain gw.example.test. ANY; }; };
`, dir, port, secret, otherSecret)
	text := `$TTL 300
@ SOA ns admin 1 3600 600 86400 60
  NS ns
ns A 192.0.2.53
alias.gw CNAME ns
`
	write(t, filepath.Join(dir, "named.conf"), conf)
	write(t, filepath.Join(dir, "zone"), text)
	return start(t, port, path, "-g", "-n", "1", "-c", filepath.Join(dir, "named.conf"))
}

// start runs a server that listens on a loopback port, and waits until it has
// the zone.
func start(t *testing.T, port int, command ...string) *nameserver {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	n := &nameserver{fmt.Sprintf("127.0.0.1:%d", port), t}
	n.awaitZone(log.Name())
	return n
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (n *nameserver) awaitZone(log string) {
	n.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		m := new(miekgdns.Msg)
		m.SetQuestion(zone, miekgdns.TypeSOA)
		if r, err := n.put(m); err == nil && r.Rcode == miekgdns.RcodeSuccess {
			return
		}
	}
	text, _ := os.ReadFile(log)
	n.t.Fatalf("the server does not answer:\n%s", text)
}

func (n *nameserver) put(m *miekgdns.Msg) (*miekgdns.Msg, error) {
	c := miekgdns.Client{Net: "tcp", Timeout: 20 * time.Second, TsigSecret: map[string]string{"anycastd.": secret}}
	r, _, err := c.Exchange(m, n.addr)
	return r, err
}

// ask returns what the server has of a name and type.
func (n *nameserver) ask(name string, kind uint16) []miekgdns.RR {
	n.t.Helper()
	m := new(miekgdns.Msg)
	m.SetQuestion(name, kind)
	r, err := n.put(m)
	if err != nil {
		n.t.Fatal(err)
	}
	return r.Answer
}

// holds returns the addresses of a name, sorted, each as "TTL address".
func (n *nameserver) holds(name string, kind uint16) string {
	n.t.Helper()
	var have []string
	for _, rr := range n.ask(name, kind) {
		if a, ok := address(rr); ok {
			have = append(have, fmt.Sprint(rr.Header().Ttl, " ", a))
		}
	}
	slices.Sort(have)
	return strings.Join(have, ", ")
}

// want fails the test unless the server holds these for vpn.example.test.
func (n *nameserver) want(kind uint16, want string) {
	n.t.Helper()
	if got := n.holds(name, kind); got != want {
		n.t.Errorf("%s: want %q, got %q", miekgdns.TypeToString[kind], want, got)
	}
}

// serial counts the changes of the zone.
func (n *nameserver) serial() uint32 {
	n.t.Helper()
	for _, rr := range n.ask(zone, miekgdns.TypeSOA) {
		if soa, ok := rr.(*miekgdns.SOA); ok {
			return soa.Serial
		}
	}
	n.t.Fatal("no SOA")
	return 0
}

// insert adds a record as another front-end does.
func (n *nameserver) insert(text string) {
	n.t.Helper()
	rr, err := miekgdns.NewRR(text)
	if err != nil {
		n.t.Fatal(err)
	}
	m := new(miekgdns.Msg)
	m.SetUpdate(zone)
	m.Insert([]miekgdns.RR{rr})
	m.SetTsig("anycastd.", miekgdns.HmacSHA256, fudge, time.Now().Unix())
	if r, err := n.put(m); err != nil || r.Rcode != miekgdns.RcodeSuccess {
		n.t.Fatalf("inserting %s: %v, %v", text, r, err)
	}
}

// contains fails the test unless err has each of the texts.
func contains(t *testing.T, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("want an error with %q, got none", texts)
	}
	for _, want := range texts {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in %q", want, err)
		}
	}
}
