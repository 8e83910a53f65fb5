package netlink

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// interference is something that another does to what is ours.
type interference struct {
	do     string   // commands of ip, separated by a semicolon
	lost   []string // of everything below, what can't be had after that
	reason string   // for each of them
	theirs []string // what is left to another after that
	undo   string   // after which all is there again
}

// everything is what the tests of interference want.
var everything = []string{v6, wide6, wide4, v4}

func TestForeignInterferenceIsRepairedOrTold(t *testing.T) {
	for name, tc := range map[string]interference{
		"an IPv4 address removed":                           {do: "address del 203.0.113.1/32 dev va"},
		"an IPv6 address removed":                           {do: "address del 2001:db8:a::1/128 dev va"},
		"an address replaced by one of other length":        {do: "address del 203.0.113.1/32 dev va; address add 203.0.113.1/24 dev va", theirs: []string{v4}},
		"an IPv6 address replaced by one of other length":   {do: "address del 2001:db8:a::1/128 dev va; address add 2001:db8:a::1/64 dev va nodad", theirs: []string{v6}},
		"an address that lost its mark":                     {do: "address replace 203.0.113.1/32 dev va", theirs: []string{v4}},
		"all addresses of the link flushed":                 {do: "address flush dev va"},
		"all addresses of lo flushed":                       {do: "address flush dev lo"},
		"the link set down":                                 {do: "link set va down"},
		"lo set down":                                       {do: "link set lo down"},
		"an IPv4 local route removed":                       {do: "route del local 198.51.100.0/24 table local"},
		"an IPv6 local route removed":                       {do: "route del local 2001:db8:b::/48 dev lo table local"},
		"an IPv4 local route replaced by one without mark":  {do: "route replace local 198.51.100.0/24 dev lo table local", theirs: []string{wide4}},
		"an IPv6 local route without mark beside ours":      {do: "route replace local 2001:db8:b::/48 dev lo table local"},
		"an IPv6 local route with a blackhole beside":       {do: "-6 route replace blackhole 2001:db8:b::/48 table local"},
		"an IPv4 local route replaced by a blackhole":       {do: "route replace blackhole 198.51.100.0/24 table local", lost: []string{wide4}, reason: "in the way (ip -4 route show table local 198.51.100.0/24)", undo: "route del blackhole 198.51.100.0/24 table local"},
		"an IPv6 local route replaced by a blackhole":       {do: "-6 route del local 2001:db8:b::/48 dev lo table local; -6 route add blackhole 2001:db8:b::/48 table local metric 1", lost: []string{wide6}, reason: "in the way (ip -6 route show table local 2001:db8:b::/48)", undo: "-6 route del blackhole 2001:db8:b::/48 table local metric 1"},
		"an IPv4 local route replaced by one on a link":     {do: "route replace local 198.51.100.0/24 dev va table local", lost: []string{wide4}, reason: "somebody else's route is in the way", undo: "route del local 198.51.100.0/24 dev va table local"},
		"the route to an address replaced by a blackhole":   {do: "route replace blackhole 203.0.113.1 table local", lost: []string{v4}, reason: "in the way (ip -4 route show table local 203.0.113.1/32)", undo: "route del blackhole 203.0.113.1 table local"},
		"the IPv4 routes of table local flushed":            {do: "-4 route flush table local"},
		"the IPv6 routes of table local flushed":            {do: "-6 route flush table local"},
		"a rule removed":                                    {do: "rule del from 203.0.113.1 lookup 100"},
		"a rule replaced by one without mark":               {do: "rule del from 203.0.113.1 lookup 100; rule add from 203.0.113.1 lookup 100 priority 1000"},
		"a rule replaced by one with another condition":     {do: "rule del from 203.0.113.1 lookup 100; rule add from 203.0.113.1 iif va lookup 100 priority 1000"},
		"an IPv6 rule removed":                              {do: "-6 rule del from 2001:db8:b::/48 lookup 100"},
		"all rules flushed":                                 {do: "-4 rule flush; -6 rule flush"},
		"all of a link's IPv4 routes and addresses flushed": {do: "address flush dev va; -4 route flush dev lo table local"},
	} {
		t.Run(name, func(t *testing.T) { tc.try(t) })
	}
}

// try does it in a namespace of its own.
func (tc interference) try(t *testing.T) {
	if !alone(t) {
		return
	}
	link(t, "va")
	k := keep(t, Config{Interface: "va", ReplyTable: 100, ReplyPriority: 1000}, everything...)
	k.installed(everything...)
	before := marked(t)
	k.behind(tc.do)
	if tc.lost != nil {
		for _, p := range tc.lost {
			k.lost(p, tc.reason)
		}
		k.installed(without(everything, tc.lost)...)
		ips(t, tc.undo)
	}
	k.theirs(tc.theirs...)
	k.installed(everything...)
	if tc.theirs == nil && !strings.Contains(tc.do, "rule add") {
		if diff := cmp.Diff(before, marked(t)); diff != "" {
			t.Errorf("want all that is ours as before: %s", diff)
		}
	}
}

func TestAnAddressRemovedAgainAndAgainComesBackEachTime(t *testing.T) {
	if !alone(t) {
		return
	}
	k := keep(t, Config{Interface: "lo"}, v4, v6)
	for range 20 {
		k.installed(v4, v6)
		ip(t, "address", "del", v4, "dev", "lo")
		k.eventually("it is back", func() string { return lacks(ip(t, "address", "show", "dev", "lo"), v4) })
	}
	k.installed(v4, v6)
}

func TestALinkThatWasMadeIsMadeAgain(t *testing.T) {
	for name, do := range map[string]string{
		"when it is removed":              "link del anycast0",
		"when it is renamed":              "link set anycast0 name elsewhere",
		"when it lost its alias and went": "link set anycast0 alias x; link del anycast0",
	} {
		t.Run(name, func(t *testing.T) {
			if !alone(t) {
				return
			}
			k := keep(t, Config{Interface: "anycast0"}, v4, v6)
			k.installed(v4, v6)
			ips(t, do)
			k.eventually("the addresses are there", func() string {
				if diff := cmp.Diff([]string{v6 + " anycast0", v4 + " anycast0"}, marked(t)); diff != "" {
					return diff
				}
				return has(ip(t, "link", "show"), "elsewhere")
			})
		})
	}
}

func TestALinkInAnotherNamespaceIsMadeAgain(t *testing.T) {
	if !alone(t) {
		return
	}
	other := exec.Command("sleep", "60")
	other.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := other.Start(); err != nil {
		t.Skip("no namespace to move it to: ", err)
	}
	t.Cleanup(func() { other.Process.Kill(); other.Wait() })
	ip(t, "link", "add", "anycast0", "type", "veth", "peer", "name", "far") // bridges stay where they are
	k := keep(t, Config{Interface: "anycast0"}, v4, v6)
	k.installed(v4, v6)
	ip(t, "link", "set", "anycast0", "netns", fmt.Sprint(other.Process.Pid))
	k.eventually("the addresses are there", func() string {
		return cmp.Diff([]string{v6 + " anycast0", v4 + " anycast0"}, marked(t))
	})
	k.eventually("on one of our making", func() string { return lacks(ip(t, "link", "show", "anycast0"), "alias anycastd") })
}

func TestIPv6ThatIsDisabledForAWhileIsToldAndRepaired(t *testing.T) {
	if !alone(t) {
		return
	}
	k := keep(t, Config{Interface: "lo"}, v4, v6, wide6)
	k.installed(v4, v6, wide6)
	for range 3 {
		sysctl(t, "net/ipv6/conf/lo/disable_ipv6", "1")
		k.lost(v6, "permission denied (IPv6 is disabled there: net.ipv6.conf.*.disable_ipv6)")
		k.installed(v4)
		sysctl(t, "net/ipv6/conf/lo/disable_ipv6", "0")
		k.installed(v4, v6, wide6)
	}
}

// ips runs commands of ip, separated by a semicolon.
func ips(t *testing.T, commands string) {
	t.Helper()
	for c := range strings.SplitSeq(commands, ";") {
		ip(t, strings.Fields(c)...)
	}
}

func sysctl(t *testing.T, name, value string) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0); err != nil {
		t.Skip("no such switch to turn: ", err)
	}
}

func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(some, s) })
}

// lacks and has say what is wrong if s lacks or has part.
func lacks(s, part string) string {
	if strings.Contains(s, part) {
		return ""
	}
	return s
}

func has(s, part string) string {
	if strings.Contains(s, part) {
		return s
	}
	return ""
}
