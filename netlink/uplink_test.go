package netlink

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
)

// wan is a network of two uplinks: one with neighbors, one by which all else
// is reached.
const wan = "link add eth0 type veth peer name far0; link add eth1 type veth peer name far1; " +
	"link set far0 up; link set far1 up; link set eth0 up; link set eth1 up; " +
	"address add 192.0.2.10/24 dev eth0; address add 2001:db8::10/64 dev eth0 nodad; address add 198.18.0.10/24 dev eth1"

func TestUplinksTellHowEachAddressIsReached(t *testing.T) {
	if !alone(t) {
		return
	}
	ips(t, wan+"; route add 203.0.113.0/24 via 198.18.0.1; route add unreachable 203.0.113.128/25; -6 route add blackhole 2001:db8:dead::/48; "+
		"route add 198.19.0.0/16 via inet6 fe80::1 dev eth0; link add dull type veth peer name far2; link set dull up; route add 100.64.0.0/10 dev dull")
	eth0 := strings.SplitN(ip(t, "-o", "link", "show", "eth0"), ":", 2)[0]
	for to, want := range map[string]Uplink{
		"192.0.2.1":          {Link: "eth0", Up: true},
		"2001:db8::1":        {Link: "eth0", Up: true},
		"203.0.113.1":        {Link: "eth1", Up: true},
		"198.19.0.1":         {Link: "eth0", Up: true},
		"fe80::1%eth1":       {Link: "eth1", Up: true},
		"fe80::1%" + eth0:    {Link: "eth0", Up: true},
		"127.0.0.1":          {Link: "lo", Up: true},
		"127.9.9.9":          {Link: "lo", Up: true},
		"::1":                {Link: "lo", Up: true},
		"192.0.2.10":         {Link: "lo", Up: true},
		"2001:db8::10":       {Link: "lo", Up: true},
		"::ffff:192.0.2.1":   {Link: "eth0", Up: true},
		"8.8.8.8":            {Reason: "no route to 8.8.8.8"},
		"2001:db8:f::1":      {Reason: "no route to 2001:db8:f::1"},
		"203.0.113.129":      {Reason: "no route to 203.0.113.129"},
		"2001:db8:dead::1":   {Reason: "no route to 2001:db8:dead::1"},
		"fe80::1%eth7":       {Reason: "there is no link eth7"},
		"100.64.0.1":         {Link: "dull", Reason: "dull has no carrier"},
		"fe80::1%dull":       {Link: "dull", Reason: "dull has no carrier"},
		"fe80::1%4000000000": {Reason: "there is no link 4000000000"},
	} {
		want.To = netip.MustParseAddr(to)
		u := NewUplinks(UplinksConfig{}, zerolog.Nop())
		u.Set([]netip.Addr{want.To})
		if diff := cmp.Diff([]Uplink{want}, u.Uplinks(), cmp.Comparer(sameAddr)); diff != "" {
			t.Errorf("%s: %s", to, diff)
		}
	}
}

func sameAddr(a, b netip.Addr) bool { return a == b }

func TestUplinksTellAtOnceWhatWasLostAndCameBack(t *testing.T) {
	back := "link set eth0 up; address add 192.0.2.10/24 dev eth0"
	for name, tc := range map[string]struct{ do, reason, undo string }{
		"the link set down":                      {"link set eth0 down", "eth0 is down", "link set eth0 up; address replace 2001:db8::10/64 dev eth0 nodad"},
		"the far end set down":                   {"link set far0 down", "eth0 has no carrier", "link set far0 up"},
		"the link removed":                       {"link del eth0", "eth0 is gone", "link add eth0 type veth peer name far0; link set far0 up; address add 2001:db8::10/64 dev eth0 nodad; " + back},
		"the link down, and another way around":  {"route add default via 198.18.0.1 metric 9; -6 route add default via fe80::1 dev eth1; link set eth0 down", "eth0 is down", "link set eth0 up; address replace 2001:db8::10/64 dev eth0 nodad"},
		"the cable out, and another way around":  {"route add default via 198.18.0.1 metric 9; link set far0 down", "eth0 has no carrier", "link set far0 up"},
		"the link renamed, and its far end down": {"link set eth0 down; link set eth0 name wan0; link set wan0 up; address replace 2001:db8::10/64 dev wan0 nodad; link set far0 down", "wan0 has no carrier", "link set far0 up; link set wan0 down; link set wan0 name eth0; link set eth0 up; address replace 2001:db8::10/64 dev eth0 nodad"},
	} {
		t.Run(name, func(t *testing.T) {
			if !alone(t) {
				return
			}
			ips(t, wan)
			w := watchUplinks(t, "192.0.2.1", "2001:db8::1", "198.18.0.1", "127.0.0.1")
			w.eventually("192.0.2.1 eth0 up, 2001:db8::1 eth0 up, 198.18.0.1 eth1 up, 127.0.0.1 lo up")
			ips(t, tc.do)
			link := strings.Fields(tc.reason)[0]
			w.eventually(fmt.Sprintf("192.0.2.1 %s %s, 2001:db8::1 %s %s, 198.18.0.1 eth1 up, 127.0.0.1 lo up", link, tc.reason, link, tc.reason))
			if want := `"level":"warn","to":"192.0.2.1","link":"` + link + `","message":"the uplink is lost: ` + tc.reason; !strings.Contains(w.logged(), want) {
				t.Errorf("want the log to have %s, got %s", want, w.logged())
			}
			ips(t, tc.undo)
			w.eventually("192.0.2.1 eth0 up, 2001:db8::1 eth0 up, 198.18.0.1 eth1 up, 127.0.0.1 lo up")
		})
	}
}

func TestUplinksFollowTheRoutes(t *testing.T) {
	if !alone(t) {
		return
	}
	ips(t, wan+"; route add 203.0.113.1 via 192.0.2.1")
	w := watchUplinks(t, "203.0.113.1", "192.0.2.1")
	w.eventually("203.0.113.1 eth0 up, 192.0.2.1 eth0 up")
	for _, step := range []struct{ do, want string }{
		{"route replace 203.0.113.1 via 198.18.0.1", "203.0.113.1 eth1 up, 192.0.2.1 eth0 up"},
		{"route del 203.0.113.1", "203.0.113.1 eth1 no route to 203.0.113.1, 192.0.2.1 eth0 up"},
		{"rule add to 203.0.113.1 lookup 7; route add 203.0.113.0/24 via 192.0.2.1 table 7", "203.0.113.1 eth0 up, 192.0.2.1 eth0 up"},
		{"address del 192.0.2.10/24 dev eth0", "203.0.113.1 eth0 no route to 203.0.113.1, 192.0.2.1 eth0 no route to 192.0.2.1"},
		{"address add 203.0.113.1/32 dev eth1", "203.0.113.1 lo up, 192.0.2.1 eth0 no route to 192.0.2.1"},
		{"route add default via 198.18.0.1", "203.0.113.1 lo up, 192.0.2.1 eth1 up"},
	} {
		ips(t, step.do)
		w.eventually(step.want)
	}
	w.Set(nil)
	w.eventually("")
}

func TestUplinksTellOnlyOfChanges(t *testing.T) {
	if !alone(t) {
		return
	}
	ips(t, wan)
	w := watchUplinks(t, "192.0.2.1")
	w.eventually("192.0.2.1 eth0 up")
	for range 20 {
		ips(t, "route add 203.0.113.0/24 via 198.18.0.1; route del 203.0.113.0/24 via 198.18.0.1; "+
			"link set far1 down; link set far1 up; link set eth0 mtu 1400; link set eth0 mtu 1500; address add 192.0.2.11/24 dev eth0; address del 192.0.2.11/24 dev eth0")
	}
	ip(t, "link", "set", "far0", "down")
	w.eventually("192.0.2.1 eth0 eth0 has no carrier")
	await(t, w.told)
	if n := len(w.told); n > 0 {
		t.Errorf("want one notification, got %d more", n)
	}
}

// uplinks are such as a test watches.
type uplinks struct {
	*Uplinks
	t    *testing.T
	told chan struct{}
	log  *bytes.Buffer
}

// watchUplinks runs Uplinks until the end of the test.
func watchUplinks(t *testing.T, to ...string) uplinks {
	t.Helper()
	notify, told := notices()
	log := &bytes.Buffer{}
	u := uplinks{NewUplinks(UplinksConfig{Notify: notify}, zerolog.New(log)), t, told, log}
	var addrs []netip.Addr
	for _, a := range to {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	u.Set(addrs)
	running(t, u.Run)
	return u
}

// logged returns the log, which is written with the lock held.
func (u uplinks) logged() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.log.String()
}

// eventually waits until the uplinks are as wanted.
func (u uplinks) eventually(want string) {
	u.t.Helper()
	var got string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		var words []string
		for _, l := range u.Uplinks.Uplinks() {
			how := l.Reason
			if l.Up {
				how = "up"
			}
			words = append(words, strings.TrimSpace(fmt.Sprintf("%v %s %s", l.To, l.Link, how)))
		}
		if got = strings.Join(words, ", "); got == want {
			return
		}
	}
	u.t.Fatalf("want %s, got %s", want, got)
}
