package dnspub

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	miekgdns "github.com/miekg/dns"
	"github.com/rs/zerolog"
)

// resolver answers questions from a map of "NAME TYPE" to records.
func resolver(t *testing.T, zone map[string][]string) string {
	return serve(t, "127.0.0.1:0", func(w miekgdns.ResponseWriter, req *miekgdns.Msg) {
		q := req.Question[0]
		rrs, ok := zone[q.Name+" "+miekgdns.TypeToString[q.Qtype]]
		m := answer(req, miekgdns.RcodeSuccess, rrs...)
		if !ok {
			m = answer(req, miekgdns.RcodeNameError)
		}
		if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
			m.Answer, m.Truncated = nil, true // so that TCP must be asked
		}
		w.WriteMsg(m)
	})
}

// holding answers that vpn.example.test has its address, and counts.
func holding(n *atomic.Int32) miekgdns.HandlerFunc {
	return func(w miekgdns.ResponseWriter, req *miekgdns.Msg) {
		n.Add(1)
		w.WriteMsg(answer(req, miekgdns.RcodeSuccess, name300))
	}
}

func TestThePrimaryIsFoundInTheZonesSOA(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: the primary's port is 53")
	}
	var asked atomic.Int32
	host := fmt.Sprintf("127.83.%d.%d", os.Getpid()>>8&255, os.Getpid()&255)
	serve(t, host+":53", holding(&asked))
	r := resolver(t, map[string][]string{
		"example.test. SOA":     {"Example.Test. 60 SOA ns1.example.test. admin.example.test. 1 2 3 4 5"},
		"ns1.example.test. A":   {"ns1.example.test. 60 A " + host},
		"ns1.example.test. TXT": {},
	})
	p := New(Config{Zone: "Example.TEST", Resolvers: ask(closed(t), r), TSIG: testKey(), Timeout: 20 * time.Second},
		zerolog.New(zerolog.NewTestWriter(t)))
	set(t, p, record("203.0.113.1"))
	set(t, p, record("203.0.113.1"))
	if s := p.Status(); asked.Load() != 2 || s[0].Reason != "held by server "+host+":53" {
		t.Errorf("want it asked twice, got %d, %v", asked.Load(), s)
	}
}

// ask makes a Config's Resolvers of some.
func ask(resolvers ...string) func() ([]string, error) {
	return func() ([]string, error) { return resolvers, nil }
}

// closed returns a resolver that refuses connections.
func closed(t *testing.T) string {
	return fmt.Sprintf("127.0.0.1:%d", freePort(t))
}

func TestAServerByNameIsFoundThroughTheResolvers(t *testing.T) {
	var asked atomic.Int32
	server := serve(t, "127.0.0.1:0", holding(&asked))
	_, port, _ := strings.Cut(server, ":")
	r := resolver(t, map[string][]string{
		"ns1.example.test. AAAA": {"ns1.example.test. 60 AAAA ::1"}, // nobody listens there
		"ns1.example.test. A":    {"ns1.example.test. 60 CNAME ns2.example.test.", "ns2.example.test. 60 A 127.0.0.1"},
	})
	p := New(Config{Zone: zone, Server: "NS1.example.test:" + port, Resolvers: ask(r), TSIG: testKey(), Timeout: 20 * time.Second},
		zerolog.New(zerolog.NewTestWriter(t)))
	set(t, p, record("203.0.113.1"))
	if asked.Load() != 1 || p.servers[0] != server {
		t.Errorf("want one question to %s, got %d to %s", server, asked.Load(), p.servers[0])
	}
}

func TestWhereNoPrimaryIsFoundTheReasonIsTold(t *testing.T) {
	for name, tc := range map[string]struct {
		server string
		zone   map[string][]string // nil: there is no resolver
		want   []string
	}{
		"no resolver": {want: []string{"no server is configured, and no resolver to find the zone's primary by"}},
		"no zone":     {zone: map[string][]string{}, want: []string{"looking for its primary server: resolver ", "example.test. SOA: NXDOMAIN"}},
		"no SOA": {zone: map[string][]string{"example.test. SOA": {"example.test. 60 TXT x"}},
			want: []string{"the resolvers know no SOA of that name, so it is not a zone"}},
		"no address": {zone: map[string][]string{"example.test. SOA": {"example.test. 60 SOA ns1.example.test. a. 1 2 3 4 5"}, "ns1.example.test. A": {}},
			want: []string{"server ns1.example.test has no address", "ns1.example.test. AAAA: NXDOMAIN"}},
		"no such server": {server: "nowhere.example.test", zone: map[string][]string{}, want: []string{"server nowhere.example.test has no address"}},
	} {
		t.Run(name, func(t *testing.T) {
			var resolvers func() ([]string, error)
			if tc.zone != nil {
				resolvers = ask(resolver(t, tc.zone))
			}
			p := New(Config{Zone: zone, Server: tc.server, Resolvers: resolvers, Timeout: 20 * time.Second}, zerolog.Nop())
			err := p.Set(t.Context(), []Record{record("203.0.113.1"), record("2001:db8::1")})
			contains(t, err, append(tc.want, "zone example.test.")...)
			if s := p.Status(); len(s) != 2 || s[0].Published || s[1].Published || strings.Contains(s[0].Reason, "\n") {
				t.Errorf("want both types unpublished, with a reason on one line, got %v", s)
			}
		})
	}
}

func TestResolversAreReadAgainUntilThePrimaryIsFound(t *testing.T) {
	r := resolver(t, map[string][]string{"ns1.example.test. A": {"ns1.example.test. 60 A 127.0.0.1"}, "ns1.example.test. AAAA": {}})
	server := serve(t, "127.0.0.1:0", holding(new(atomic.Int32)))
	_, port, _ := strings.Cut(server, ":")
	for name, tc := range map[string]struct{ server, want string }{
		"no server":        {"", "no server is configured and the resolvers can't be read: it rains"},
		"a server by name": {"ns1.example.test:" + port, "server ns1.example.test:" + port + ": the resolvers can't be read: it rains"},
	} {
		t.Run(name, func(t *testing.T) {
			err := errors.New("it rains")
			p := New(Config{Zone: zone, Server: tc.server, TSIG: testKey(), Timeout: 20 * time.Second,
				Resolvers: func() ([]string, error) { return []string{r}, err }}, zerolog.Nop())
			contains(t, p.Set(t.Context(), []Record{record("203.0.113.1")}), tc.want)
			if s := p.Status(); len(s) != 1 || s[0].Reason != tc.want {
				t.Errorf("want the reason %q, got %v", tc.want, s)
			}
			if err = nil; tc.server != "" {
				set(t, p, record("203.0.113.1"))
			}
		})
	}
}

func TestThePrimaryIsToldOnlyWhenItChanges(t *testing.T) {
	log := new(bytes.Buffer)
	p := New(Config{Zone: zone, Timeout: 20 * time.Second}, zerolog.New(log))
	for i, ns := range []string{"ns1", "ns1", "ns2", "ns2", "ns1"} {
		soa := []string{"example.test. 60 SOA " + ns + ".example.test. a. 1 2 3 4 5"}
		p.cfg.Resolvers = ask(resolver(t, map[string][]string{"example.test. SOA": soa}))
		contains(t, p.Set(t.Context(), []Record{record("203.0.113.1")}), "server "+ns+".example.test has no address")
		if got, want := strings.Count(log.String(), "primary server found"), []int{1, 1, 2, 2, 3}[i]; got != want {
			t.Errorf("%d. %s: want %d lines, got %d", i, ns, want, got)
		}
	}
}

func TestTheSameTroubleHasTheSameWords(t *testing.T) {
	reset := raw(t, func(c net.Conn) { c.Read(make([]byte, 1)); c.(*net.TCPConn).SetLinger(0) })
	for name, cfg := range map[string]Config{
		"no resolver listens": {Resolvers: ask(closed(t))},
		"a server resets":     {Server: reset},
		"nobody listens":      {Server: closed(t)},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.Zone, cfg.Timeout = zone, 20*time.Second
			p := New(cfg, zerolog.Nop())
			first := p.Set(t.Context(), []Record{record("203.0.113.1")})
			again := p.Set(t.Context(), []Record{record("203.0.113.1")})
			if first == nil || again == nil || first.Error() != again.Error() || strings.Contains(first.Error(), "->") {
				t.Errorf("want the same without our port, got %v and %v", first, again)
			}
		})
	}
}

func TestCauseLeavesOutOurPort(t *testing.T) {
	read := &net.OpError{Op: "read", Net: "udp", Source: &net.UDPAddr{Port: 39663}, Err: syscall.ECONNREFUSED}
	for want, err := range map[string]error{
		"connection refused":                             read,
		"lookup ns1 on 127.0.0.1:53: connection refused": &net.OpError{Op: "dial", Err: &net.DNSError{Name: "ns1", Server: "127.0.0.1:53", Err: read.Error()}},
		"lookup ns1: no such host":                       &net.DNSError{Name: "ns1", Err: "no such host"},
		"unexpected EOF":                                 io.ErrUnexpectedEOF,
	} {
		if got := cause(err).Error(); got != want {
			t.Errorf("%v: want %q, got %q", err, want, got)
		}
	}
}

func TestAServerWithoutPortIsAskedOnPort53(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.53":           "192.0.2.53:53",
		"192.0.2.53:5353":      "192.0.2.53:5353",
		"2001:db8::53":         "[2001:db8::53]:53",
		"[2001:db8::53]":       "[2001:db8::53]:53",
		"[2001:db8::53]:5353":  "[2001:db8::53]:5353",
		"fe80::1%eth0":         "[fe80::1%eth0]:53",
		"ns1.example.net.":     "ns1.example.net.:53",
		"ns1.example.net:5353": "ns1.example.net:5353",
	} {
		p := New(Config{Server: in, Resolvers: ask(in)}, zerolog.Nop())
		if r, err := p.resolvers(); err != nil || p.cfg.Server != want || r[0] != want {
			t.Errorf("%s: want %s, got %s and %v, %v", in, want, p.cfg.Server, r, err)
		}
	}
}
