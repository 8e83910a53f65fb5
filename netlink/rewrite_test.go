package netlink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/rs/zerolog"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// nft is the independent witness of what the kernel has.
func nft(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("nft", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("nft %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// rewrites reads "203.0.113.1 500 15500" and the like.
func rewrites(t *testing.T, all ...string) []Rewrite {
	t.Helper()
	var out []Rewrite
	for _, s := range all {
		var w Rewrite
		var addr string
		if _, err := fmt.Sscan(s, &addr, &w.Port, &w.Bound); err != nil {
			t.Fatal(err)
		}
		w.Addr, _ = netip.ParseAddr(addr)
		out = append(out, w)
	}
	return out
}

// usual is what a node with one address of each family wants.
func usual(t *testing.T) []Rewrite {
	return rewrites(t, "203.0.113.1 500 15500", "203.0.113.1 4500 19500", "2001:db8:a::1 500 15500", "2001:db8:a::1 4500 19500")
}

// newRewriter returns a Rewriter whose doings are undone at the end of the test.
func newRewriter(t *testing.T, cfg RewriterConfig) *Rewriter {
	t.Helper()
	namespace(t)
	r := NewRewriter(cfg, zerolog.New(zerolog.NewTestWriter(t)))
	t.Cleanup(func() {
		mustSet(t, r, nil)
		if left := nft(t, "list", "ruleset"); left != "" {
			t.Errorf("left behind: %s", left)
		}
	})
	return r
}

func mustSet(t *testing.T, r *Rewriter, want []Rewrite) {
	t.Helper()
	if err := r.Set(context.Background(), want); err != nil {
		t.Fatal(err)
	}
}

// generation counts the transactions that have changed the ruleset.
func generation(t *testing.T) uint32 {
	t.Helper()
	req := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETGEN, 0)
	req.AddData(&nl.Nfgenmsg{})
	msgs, err := req.Execute(unix.NETLINK_NETFILTER, 0)
	if err != nil {
		t.Fatal(err)
	}
	attrs, err := nl.ParseRouteAttr(msgs[0][nl.SizeofNfgenmsg:])
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range attrs {
		if a.Attr.Type == unix.NFTA_GEN_ID {
			return binary.BigEndian.Uint32(a.Value)
		}
	}
	t.Fatal("the kernel tells no generation")
	return 0
}

func TestSetMakesATableForEachFamilyThatNftCanRead(t *testing.T) {
	r := newRewriter(t, RewriterConfig{})
	mustSet(t, r, usual(t))
	want := map[string][]string{
		"ip": {
			"203.0.113.1 . 500 : 15500", "203.0.113.1 . 15500 : 500", "203.0.113.1 . 4500 : 19500", "203.0.113.1 . 19500 : 4500",
			"type filter hook prerouting priority raw; policy accept;", "ip daddr . udp dport @private drop",
			"udp checksum 0 udp dport set ip daddr . udp dport map @bound", "\tudp dport set ip daddr . udp dport map @bound",
			"type filter hook output priority raw; policy accept;", "udp sport set ip saddr . udp sport map @service",
		},
		"ip6": {
			"2001:db8:a::1 . 500 : 15500", "2001:db8:a::1 . 15500 : 500", "2001:db8:a::1 . 4500 : 19500", "2001:db8:a::1 . 19500 : 4500",
			"type filter hook prerouting priority raw; policy accept;", "ip6 daddr . udp dport @private drop",
			"\tudp dport set ip6 daddr . udp dport map @bound",
			"type filter hook output priority raw; policy accept;", "udp sport set ip6 saddr . udp sport map @service",
		},
	}
	for family, lines := range want {
		got := nft(t, "list", "table", family, "anycastd")
		for _, line := range lines {
			if !strings.Contains(got, line) {
				t.Errorf("want %q in %s", line, got)
			}
		}
	}
}

func TestASecondSetIsNoTransaction(t *testing.T) {
	r := newRewriter(t, RewriterConfig{})
	want := usual(t)
	mustSet(t, r, want)
	before := generation(t)
	mustSet(t, r, want)
	want[0], want[3] = want[3], want[0]
	mustSet(t, r, want)
	mustSet(t, NewRewriter(RewriterConfig{}, zerolog.Nop()), want) // of a daemon started again
	if after := generation(t); after != before {
		t.Errorf("want generation %d, got %d", before, after)
	}
	mustSet(t, r, want[:1])
	if after := generation(t); after != before+1 {
		t.Errorf("want both tables changed in one transaction, %d, got %d", before+1, after)
	}
}

func TestOneFamilyAloneHasOneTable(t *testing.T) {
	r := newRewriter(t, RewriterConfig{})
	for wanted, table := range map[string]string{"203.0.113.1 500 15500": "table ip anycastd\n", "2001:db8:a::1 500 15500": "table ip6 anycastd\n"} {
		mustSet(t, r, rewrites(t, wanted))
		if got := nft(t, "list", "tables"); got != table {
			t.Errorf("%s: want %q, got %q", wanted, table, got)
		}
	}
}

func TestARewriteThatCannotBeIsNamedAndTheOthersStand(t *testing.T) {
	for name, tc := range map[string]struct{ bad, want string }{
		"no address":              {"none 500 15500", "rewrite of invalid AddrPort (bound to 15500): there is no address"},
		"an IPv4 address as IPv6": {"::ffff:203.0.113.1 500 15500", "rewrite of [::ffff:203.0.113.1]:500 (bound to 15500): neither a plain IPv4 nor a plain IPv6 address"},
		"an address with a zone":  {"fe80::1%va 500 15500", "rewrite of [fe80::1%va]:500 (bound to 15500): neither a plain IPv4 nor a plain IPv6 address"},
		"port 0":                  {"203.0.113.2 0 15500", "rewrite of 203.0.113.2:0 (bound to 15500): 0 is no port"},
		"bound to port 0":         {"203.0.113.2 500 0", "rewrite of 203.0.113.2:500 (bound to 0): 0 is no port"},
		"bound to its own port":   {"203.0.113.2 500 500", "rewrite of 203.0.113.2:500 (bound to 500): both ports are the same"},
		"the same twice":          {"203.0.113.1 500 15500", "rewrite of 203.0.113.1:500 (bound to 15500): it is there already, as 203.0.113.1:500 (bound to 15500)"},
		"the same port otherwise": {"203.0.113.1 500 15501", "rewrite of 203.0.113.1:500 (bound to 15501): it is there already, as 203.0.113.1:500 (bound to 15500)"},
		"two bound to one port":   {"203.0.113.1 501 15500", "rewrite of 203.0.113.1:501 (bound to 15500): it shares a port with 203.0.113.1:500 (bound to 15500)"},
		"a bound port as service": {"203.0.113.1 15500 30500", "rewrite of 203.0.113.1:15500 (bound to 30500): it shares a port with 203.0.113.1:500 (bound to 15500)"},
		"bound to a service port": {"203.0.113.1 501 500", "rewrite of 203.0.113.1:501 (bound to 500): it shares a port with 203.0.113.1:500 (bound to 15500)"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRewriter(t, RewriterConfig{})
			err := r.Set(context.Background(), rewrites(t, "203.0.113.1 500 15500", tc.bad, "2001:db8:a::1 500 15500"))
			if err == nil || err.Error() != tc.want {
				t.Errorf("want %q, got %v", tc.want, err)
			}
			for _, table := range []string{"ip", "ip6"} {
				if got := nft(t, "list", "table", table, "anycastd"); strings.Count(got, ". 500 : 15500") != 1 || strings.Contains(got, "203.0.113.2") {
					t.Errorf("want the others alone, got %s", got)
				}
			}
		})
	}
}

func TestSixtyFourAddressesOfEachFamily(t *testing.T) {
	r := newRewriter(t, RewriterConfig{})
	var want []Rewrite
	for _, w := range usual(t) {
		for range 64 {
			want = append(want, w)
			w.Addr = w.Addr.Next()
		}
	}
	mustSet(t, r, want)
	before := generation(t)
	mustSet(t, r, want)
	if after := generation(t); after != before {
		t.Errorf("want no change, got %d transactions", after-before)
	}
	if got := strings.Count(nft(t, "list", "ruleset"), " : 15500"); got != 128 {
		t.Errorf("want 128 rewrites to 15500, got %d", got)
	}
}

func TestSetRewritesNothingOnceItsContextHasEnded(t *testing.T) {
	r := newRewriter(t, RewriterConfig{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.Set(ctx, usual(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("want %v, got %v", context.Canceled, err)
	}
}

func TestWithoutCAP_NET_ADMINTheErrorSaysSo(t *testing.T) {
	r := newRewriter(t, RewriterConfig{})
	runtime.LockOSThread() // capabilities are the thread's
	defer runtime.UnlockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var all, less [2]unix.CapUserData
	if err := unix.Capget(&header, &all[0]); err != nil {
		t.Fatal(err)
	}
	less = all
	less[0].Effective &^= 1 << unix.CAP_NET_ADMIN
	if err := unix.Capset(&header, &less[0]); err != nil {
		t.Fatal(err)
	}
	err := r.Set(context.Background(), usual(t))
	if again := unix.Capset(&header, &all[0]); again != nil {
		t.Fatal(again)
	}
	if want := "rewriting UDP ports: "; err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "CAP_NET_ADMIN is needed") {
		t.Errorf("want CAP_NET_ADMIN named, got %v", err)
	}
}

// A kernel without netfilter, or with one that has no nf_tables, is what a test
// can't make; these are the answers to the first question.
func TestWithoutNfTablesThereIsNothingToRemoveAndTheErrorSaysSo(t *testing.T) {
	for _, answer := range []error{unix.EPROTONOSUPPORT, unix.EINVAL} {
		r := NewRewriter(RewriterConfig{}, zerolog.Nop())
		r.dial = func() (*nftables.Conn, error) { return nil, answer }
		mustSet(t, r, nil)
		err := r.Set(context.Background(), usual(t))
		if want := "rewriting UDP ports: this kernel has no nf_tables (CONFIG_NF_TABLES): "; !errors.Is(err, ErrNoTables) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v: want %q, got %v", answer, want, err)
		}
	}
}
