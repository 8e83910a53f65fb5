package netlink

import (
	"context"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestEveryAddressOfAWiderPrefixIsThisHosts(t *testing.T) {
	if !alone(t) {
		return
	}
	ip(t, "link", "set", "lo", "down") // which is set up
	h := newHost(t, Config{Interface: "nowhere"})
	set(t, h, wide6, wide4)

	want := []Address{
		{prefixes(wide4)[0], true, "installed by anycastd as a local route on lo"},
		{prefixes(wide6)[0], true, "installed by anycastd as a local route on lo"},
	}
	if diff := cmp.Diff(want, h.Addresses(), cmp.Comparer(samePrefix)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"local route " + wide4 + " on lo", "local route " + wide6 + " on lo"}, marked(t)); diff != "" {
		t.Error(diff)
	}
	if got := ip(t, "-o", "link", "show"); strings.Count(got, "\n") != 1 {
		t.Errorf("want no link made for it, got %s", got)
	}
	for _, addr := range []string{"198.51.100.77", "2001:db8:b:7::1"} {
		echo(t, addr)
	}
}

// echo sends a datagram from addr to itself.
func echo(t *testing.T, addr string) {
	t.Helper()
	free := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		_ = c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_FREEBIND, 1) })
		if strings.Contains(addr, ".") {
			return nil
		}
		return err
	}}
	c, err := free.ListenPacket(t.Context(), "udp", net.JoinHostPort(addr, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.WriteTo([]byte("x"), c.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	if _, from, err := c.ReadFrom(make([]byte, 1)); err != nil || from.String() != c.LocalAddr().String() {
		t.Errorf("want a datagram from %v, got one from %v, %v", c.LocalAddr(), from, err)
	}
}

func TestWhatSomebodyElseRoutesOrRulesCountsAndStays(t *testing.T) {
	if !alone(t) {
		return
	}
	ips(t, "route add local 198.51.100.0/24 dev lo table local; route add local 2001:db8:b::/48 dev lo table local; "+
		"rule add from 198.51.100.0/24 lookup 100 priority 1000; -6 rule add from 2001:db8:b::/48 lookup 100 priority 1000")
	before := state(t)
	h := newHost(t, Config{Interface: "lo", ReplyTable: 100, ReplyPriority: 1000})
	set(t, h, wide4, wide6)
	want := []Address{
		{prefixes(wide4)[0], true, "was there before, as a local route on lo; left to its owner"},
		{prefixes(wide6)[0], true, "was there before, as a local route on lo; left to its owner"},
	}
	if diff := cmp.Diff(want, h.Addresses(), cmp.Comparer(samePrefix)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(before, state(t)); diff != "" {
		t.Errorf("want nothing added: %s", diff)
	}
	set(t, h)
	if diff := cmp.Diff(before, state(t)); diff != "" {
		t.Errorf("want nothing removed: %s", diff)
	}
}

func TestTheNextRunCleansWhatAnotherConfigurationLeft(t *testing.T) {
	left := Config{Interface: "lo", ReplyTable: 100, ReplyPriority: 1000}
	for name, tc := range map[string]struct {
		next Config
		want []string
	}{
		"the same": {left, []string{
			v6 + " lo", v4 + " lo", "local route 198.51.100.0/24 on lo",
			"rule from 198.51.100.0/24 lookup 100 (priority 1000)", "rule from 2001:db8:a::1/128 lookup 100 (priority 1000)", "rule from 203.0.113.1/32 lookup 100 (priority 1000)",
		}},
		"another table": {Config{Interface: "lo", ReplyTable: 4294967295, ReplyPriority: 1000}, []string{
			v6 + " lo", v4 + " lo", "local route 198.51.100.0/24 on lo",
			"rule from 198.51.100.0/24 lookup 4294967295 (priority 1000)", "rule from 2001:db8:a::1/128 lookup 4294967295 (priority 1000)", "rule from 203.0.113.1/32 lookup 4294967295 (priority 1000)",
		}},
		"another priority": {Config{Interface: "lo", ReplyTable: 100, ReplyPriority: 32765}, []string{
			v6 + " lo", v4 + " lo", "local route 198.51.100.0/24 on lo",
			"rule from 198.51.100.0/24 lookup 100 (priority 32765)", "rule from 2001:db8:a::1/128 lookup 100 (priority 32765)", "rule from 203.0.113.1/32 lookup 100 (priority 32765)",
		}},
		"another link, no table": {Config{Interface: "va"}, []string{v6 + " va", v4 + " va", "local route 198.51.100.0/24 on lo"}},
	} {
		t.Run(name, func(t *testing.T) {
			if !alone(t) {
				return
			}
			link(t, "va")
			set(t, newHost(t, left), everything...)
			set(t, newHost(t, tc.next), v4, v6, wide4)
			if diff := cmp.Diff(tc.want, marked(t)); diff != "" {
				t.Error(diff)
			}
			set(t, newHost(t, Config{Interface: "lo"}))
			if got := marked(t); got != nil {
				t.Errorf("want all removed, got %v", got)
			}
		})
	}
}

func TestLeftNamesWhatIsOurs(t *testing.T) {
	if !alone(t) {
		return
	}
	ips(t, "address add 192.0.2.7/32 dev lo; route add local 192.0.2.128/25 dev lo table local; rule add from 192.0.2.7 lookup 7")
	h := newHost(t, Config{Interface: "lo", ReplyTable: 100, ReplyPriority: 1000})
	set(t, h, v4, wide6)
	got, err := Left()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"address 203.0.113.1/32 on lo", "local route 2001:db8:b::/48 on lo",
		"rule from 203.0.113.1/32 lookup 100 (priority 1000)", "rule from 2001:db8:b::/48 lookup 100 (priority 1000)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	set(t, h)
	if got, err := Left(); err != nil || got != nil {
		t.Errorf("want nothing left, got %v, %v", got, err)
	}
}

func TestAPrefixWithoutItsRuleIsNotInstalled(t *testing.T) {
	if !alone(t) {
		return
	}
	h := newHost(t, Config{Interface: "lo", ReplyTable: 1 << 32, ReplyPriority: 1000}) // of which the kernel makes another table
	err := h.Set(context.Background(), prefixes(v4))
	const reason = "rule from 203.0.113.1/32 lookup 0 (priority 1000): gone again right after it was added"
	if err == nil || err.Error() != "address 203.0.113.1/32: "+reason {
		t.Errorf("want %q, got %v", reason, err)
	}
	if a := h.Addresses()[0]; a.Installed || a.Reason != reason {
		t.Errorf("want it not installed, for %q, got %v", reason, a)
	}
}

func TestAThousandRoundsLeaveTheHostAsItWas(t *testing.T) {
	if !alone(t) {
		return
	}
	ips(t, "link add wan type veth peer name far; link set wan up; address add 192.0.2.10/24 dev wan; address add 2001:db8::10/64 dev wan nodad; "+
		"route add default via 192.0.2.1; rule add from 192.0.2.10 lookup 7")
	before := state(t)
	h := newHost(t, Config{Interface: "lo", ReplyTable: 100, ReplyPriority: 1000})
	for range 1000 {
		set(t, h, everything...)
		set(t, h)
	}
	if diff := cmp.Diff(before, state(t)); diff != "" {
		t.Error(diff)
	}
	if got := h.Addresses(); len(got) != 0 {
		t.Errorf("want none, got %v", got)
	}
}

// state returns all addresses, routes and rules, in order.
func state(t *testing.T) (lines []string) {
	t.Helper()
	for _, c := range []string{"-d address show", "route show table all", "-6 route show table all", "rule show", "-6 rule show"} {
		l := strings.Split(ip(t, strings.Fields(c)...), "\n")
		if strings.Contains(c, "route") {
			slices.Sort(l) // rules part table local from main, and then it is told later
		}
		lines = append(lines, l...)
	}
	return lines
}

// What the host connects to is to come from its uplink, or from the host's own
// address where the uplink is unnumbered.
func TestTheHostConnectsFromNoneOfIt(t *testing.T) {
	for name, tc := range map[string]struct{ uplink, want4, want6 string }{
		"numbered": {"address add 192.0.2.10/24 dev wan; address add 2001:db8::10/64 dev wan nodad; route add default via 192.0.2.1; route add default via 2001:db8::1",
			"192.0.2.10", "2001:db8::10"},
		"unnumbered": {"address add 192.0.2.200/32 dev lo; address add 2001:db8::200/128 dev lo nodad; route add default dev wan; route add default via fe80::1 dev wan",
			"192.0.2.200", "2001:db8::200"},
	} {
		t.Run(name, func(t *testing.T) {
			if !alone(t) {
				return
			}
			ips(t, "link add wan type veth peer name far; link set wan up; link set far up; "+tc.uplink)
			h := newHost(t, Config{Interface: "lo", ReplyTable: 100, ReplyPriority: 1000})
			set(t, h, everything...)
			for to, want := range map[string]string{
				"192.0.2.1": tc.want4, "198.18.0.1": tc.want4, "198.51.101.1": tc.want4, "203.0.113.2": tc.want4,
				"2001:db8::1": tc.want6, "2001:db8:a::2": tc.want6, "2001:db8:c::1": tc.want6,
			} {
				c, err := net.Dial("udp", net.JoinHostPort(to, "9"))
				if err != nil {
					t.Fatal(err)
				}
				if got := c.LocalAddr().(*net.UDPAddr).IP.String(); got != want {
					t.Errorf("to %s: want it from %s, got %s", to, want, got)
				}
				c.Close()
			}
		})
	}
}
