package policy

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestAnAddressThatJoinsDoesNotCutAGracefulShutdownShort: an address on its way
// into a prefix that goes down gracefully is no reason to withdraw at once.
func TestAnAddressThatJoinsDoesNotCutAGracefulShutdownShort(t *testing.T) {
	const none = " | graceful-shutdown: no usable gateway for IPv6 clients"
	cfg, view := site()
	decide(cfg, view, 0)
	cfg.Addresses = append(cfg.Addresses, netip.MustParseAddr("203.0.113.2"))
	view.Health = nil
	for _, at := range []time.Duration{time.Second, 2 * time.Second, 5 * time.Second} {
		want := "graceful-shutdown: no usable gateway for IPv4 clients" + none
		if diff := cmp.Diff(want, wishes(decide(cfg, view, at))); diff != "" {
			t.Errorf("after %v (-want +got):\n%s", at, diff)
		}
	}
}

// TestALeavingAddressIsAnsweredFromAsLongAsItsPrefixIsAnnounced: though one of
// its sockets is not open, the others are, and clients still come.
func TestALeavingAddressIsAnsweredFromAsLongAsItsPrefixIsAnnounced(t *testing.T) {
	cfg, view := site()
	decide(cfg, view, 0)
	cfg.Addresses, cfg.Prefixes = []netip.Addr{any4}, []netip.Prefix{net4}
	view.Own[any6] = Own{Fact{OK: true}, Fact{false, "port 4500 is taken"}, Fact{}, true}
	for _, tc := range []struct {
		at   time.Duration
		want AddressPlan
	}{
		{time.Second, AddressPlan{any6, true, true, noLonger}},
		{6 * time.Second, AddressPlan{any6, true, true, noLonger}},   // withdrawn
		{8 * time.Second, AddressPlan{any6, false, false, noLonger}}, // settled
	} {
		p := decide(cfg, view, tc.at)
		if diff := cmp.Diff(tc.want, p.Addresses[1], cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("after %v (-want +got):\n%s", tc.at, diff)
		}
	}
}
