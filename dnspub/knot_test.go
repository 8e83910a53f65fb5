package dnspub

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	miekgdns "github.com/miekg/dns"
	"github.com/rs/zerolog"
)

// startKnot runs Knot on a loopback port. Key anycastd. may change the zone.
func startKnot(t *testing.T) *nameserver {
	t.Helper()
	path, err := exec.LookPath("knotd")
	if err != nil {
		t.Skip("needs Knot's knotd: ", err)
	}
	dir := t.TempDir()
	port := freePort(t)
	conf := filepath.Join(dir, "knot.conf")
	write(t, conf, fmt.Sprintf(`
server:
  listen: 127.0.0.1@%[1]d
  rundir: %[2]q
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
key:
  - id: anycastd.
    algorithm: hmac-sha256
    secret: %[3]s
acl:
  - id: ours
    key: anycastd.
    action: update
database:
  storage: %[2]q
template:
  - id: default
    storage: %[2]q
    file: zone
    acl: ours
zone:
  - domain: example.test
`, port, dir, secret))
	write(t, filepath.Join(dir, "zone"), "$TTL 300\n@ SOA ns admin 1 3600 600 86400 60\n  NS ns\nns A 192.0.2.53\n")
	return start(t, port, path, "-c", conf)
}

// Knot ignores the insertion of a record that is there, whatever its TTL.
func TestKnotTakesTheTTLUp(t *testing.T) {
	for name, tc := range map[string]struct{ foreign, want string }{
		"of the only address":        {"", "%[1]d 203.0.113.1"},
		"beside another front-end's": {name + " 300 A 203.0.113.9", "%[1]d 203.0.113.1, %[1]d 203.0.113.9"},
	} {
		t.Run(name, func(t *testing.T) {
			n := startKnot(t)
			if tc.foreign != "" {
				n.insert(tc.foreign)
			}
			p := publisher(t, n.addr, testKey())
			a := record("203.0.113.1")
			for _, a.TTL = range []uint32{300, 60, 0, 300} {
				set(t, p, a)
				n.want(miekgdns.TypeA, fmt.Sprintf(tc.want, a.TTL))
				before := n.serial()
				set(t, p, a)
				if after := n.serial(); before != after {
					t.Errorf("TTL %d: want no update, got serial %d after %d", a.TTL, after, before)
				}
			}
		})
	}
}

func TestATTLThatSomebodyElseSetsIsTold(t *testing.T) {
	for name, start := range map[string]func(*testing.T) *nameserver{"BIND": startNamed, "Knot": startKnot} {
		t.Run(name, func(t *testing.T) {
			n := start(t)
			log := new(bytes.Buffer)
			p, rival := publisher(t, n.addr, testKey()), publisher(t, n.addr, testKey())
			p.log = zerolog.New(log)
			a, theirs := record("203.0.113.1"), record("203.0.113.1")
			theirs.TTL = 60
			warned := func(want int) {
				t.Helper()
				if got := strings.Count(log.String(), "somebody else sets another TTL"); got != want {
					t.Errorf("want %d warnings, got %d:\n%s", want, got, log)
				}
			}
			set(t, rival, theirs)
			set(t, p, a) // ours for the first time
			warned(0)
			set(t, rival, theirs)
			set(t, p, a)
			warned(1)
			n.want(miekgdns.TypeA, "300 203.0.113.1")
			a.TTL = 30
			set(t, p, a) // it is we who change it
			warned(1)
		})
	}
}
