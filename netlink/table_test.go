package netlink

import (
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

func TestWhateverSomebodyDoesToOurTablesIsPutRight(t *testing.T) {
	for name, do := range map[string]string{
		"the whole ruleset flushed":    "flush ruleset",
		"a table deleted":              "delete table ip6 anycastd",
		"a table emptied":              "delete table ip anycastd; add table ip anycastd",
		"a table put to sleep":         "add table ip anycastd { flags dormant; }",
		"the rules of a table flushed": "flush table ip anycastd",
		"a foreign rule added":         "add rule ip anycastd prerouting udp dport 53 accept",
		"a foreign rule put first":     "insert rule ip anycastd output accept",
		"a foreign chain added":        "add chain ip anycastd input { type filter hook input priority 0; }",
		"the policy changed":           "add chain ip6 anycastd output { policy drop; }",
		"an element added":             "add element ip anycastd bound { 203.0.113.9 . 500 : 15500 }",
		"an element removed":           "delete element ip anycastd private { 203.0.113.1 . 15500 }",
		"an element changed":           "delete element ip anycastd bound { 203.0.113.1 . 500 }; add element ip anycastd bound { 203.0.113.1 . 500 : 15501 }",
		"the table made by hand": "delete table ip anycastd; table ip anycastd { chain prerouting { type filter hook prerouting priority raw; " +
			"ip daddr 203.0.113.1 udp dport 500 udp dport set 15500; }; }",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRewriter(t, RewriterConfig{})
			var log strings.Builder
			r.log = zerolog.New(&log)
			mustSet(t, r, usual(t))
			want := nft(t, "-s", "list", "ruleset")
			nft(t, do)
			if nft(t, "-s", "list", "ruleset") == want {
				t.Fatal("nothing has changed")
			}
			mustSet(t, r, usual(t))
			if diff := cmp.Diff(sorted(want), sorted(nft(t, "-s", "list", "ruleset"))); diff != "" {
				t.Error(diff)
			}
			if !strings.Contains(log.String(), "somebody has changed our nftables tables") {
				t.Errorf("want it told, got %s", log.String())
			}
		})
	}
}

// sorted counts the words of a ruleset: elements have no order.
func sorted(ruleset string) map[string]int {
	words := map[string]int{}
	for _, w := range strings.Fields(ruleset) {
		words[strings.Trim(w, ",")]++
	}
	return words
}

func TestForeignTablesStayAsTheyAre(t *testing.T) {
	r := newRewriter(t, RewriterConfig{})
	t.Cleanup(func() { nft(t, "flush ruleset") })
	for _, table := range []string{"inet anycastd", "ip anycastd2", "ip6 Anycastd", "arp anycastd", "ip filter"} {
		nft(t, "table "+table+" { set bound { typeof arp htype; }; chain prerouting { }; }")
	}
	before := nft(t, "list", "ruleset")
	mustSet(t, r, usual(t))
	mustSet(t, r, usual(t)[:1])
	mustSet(t, r, nil)
	if diff := cmp.Diff(before, nft(t, "list", "ruleset")); diff != "" {
		t.Error(diff)
	}
}

func TestWhatAKilledDaemonLeftIsTakenOverOrRemoved(t *testing.T) {
	killed := newRewriter(t, RewriterConfig{})
	for name, next := range map[string][]Rewrite{
		"other ports":  rewrites(t, "203.0.113.1 501 15501"),
		"other family": rewrites(t, "2001:db8:a::2 500 15500"),
		"nothing":      nil,
	} {
		mustSet(t, killed, usual(t))
		mustSet(t, NewRewriter(RewriterConfig{}, zerolog.Nop()), next)
		got := nft(t, "list", "ruleset")
		if strings.Contains(got, "4500") || (next == nil) != (got == "") {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

func TestLeftNamesWhatIsOursAlone(t *testing.T) {
	r := newRewriter(t, RewriterConfig{})
	ip(t, "address", "add", "192.0.2.7/32", "dev", "lo")
	t.Cleanup(func() { ip(t, "address", "del", "192.0.2.7/32", "dev", "lo"); nft(t, "flush ruleset") })
	nft(t, "table inet anycastd")
	h := newHost(t, Config{Interface: "lo"})
	set(t, h, v4, v6)
	mustSet(t, r, usual(t))
	got, err := Left()
	want := []string{"address 203.0.113.1/32 on lo", "address 2001:db8:a::1/128 on lo", "nftables table ip anycastd", "nftables table ip6 anycastd"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	set(t, h)
	mustSet(t, r, nil)
	if got, err := Left(); err != nil || got != nil {
		t.Errorf("want nothing, got %v, %v", got, err)
	}
}

func TestAFlushOfTheRulesetIsToldAndRepaired(t *testing.T) {
	notify, told := notices()
	r := newRewriter(t, RewriterConfig{Notify: notify})
	mustSet(t, r, usual(t))
	running(t, r.Run)
	await(t, told) // the watch has begun
	for _, do := range []string{"flush ruleset", "delete table ip anycastd", "delete element ip6 anycastd bound { 2001:db8:a::1 . 500 }"} {
		nft(t, do)
		await(t, told)
		mustSet(t, r, usual(t))
		await(t, told) // of our own change
	}
}

func TestChangesOfForeignTablesAreNotTold(t *testing.T) {
	notify, told := notices()
	r := newRewriter(t, RewriterConfig{Notify: notify})
	mustSet(t, r, usual(t))
	running(t, r.Run)
	await(t, told)
	for range 20 {
		nft(t, "table ip filter { chain input { }; }; delete table ip filter")
	}
	if n := len(told); n > 0 {
		t.Errorf("want no notification, got %d", n)
	}
	nft(t, "flush ruleset")
	await(t, told)
}

func TestALostSubscriptionToTablesIsTakenUpAgain(t *testing.T) {
	notify, told := notices()
	r := newRewriter(t, RewriterConfig{Notify: notify})
	mustSet(t, r, usual(t))
	running(t, r.Run)
	await(t, told)

	r.mu.Lock() // holds up the reader
	conn, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	foreign := &nftables.Table{Name: "foreign", Family: nftables.TableFamilyIPv4}
	for range 200 {
		for range 50 {
			conn.AddTable(foreign)
			conn.DelTable(foreign)
		}
		if err := conn.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	r.mu.Unlock()
	await(t, told)
}

func FuzzOfOurTable(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0, 13, 0, 1, 0, 'a', 'n', 'y', 'c', 'a', 's', 't', 'd', 0, 0, 0, 0})
	f.Add([]byte{2, 0, 0, 0, 13, 0, 1, 0, 'a', 'n', 'y'})
	f.Fuzz(func(t *testing.T, body []byte) {
		m := syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: unix.NFNL_SUBSYS_NFTABLES << 8}, Data: body}
		if ofOurTable(m) && !strings.Contains(string(body), tableName) {
			t.Errorf("our table is not in %q", body)
		}
	})
}
