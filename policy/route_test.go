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
