package main

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anycastd/anycastd/cmd/anycastd/internal/control"
)

func TestPeersFitIntoATerminalAndTellOfTheLastError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ago := func(d time.Duration) *time.Time { at := time.Now().Add(-d); return &at }
		addr := netip.MustParseAddr
		s := &control.Status{Peers: []control.Peer{{
			Address: addr("192.0.2.1"), ASN: 64500, State: "Established", Since: *ago(49 * time.Hour), Announced: 2, Reason: "session up",
			LocalAddress: addr("192.0.2.10"), HoldTime: 9, Sent: map[string]uint64{"keepalive": 58800, "open": 1}, Received: map[string]uint64{"keepalive": 58799},
		}, {
			Address: addr("2001:db8:f::1"), ASN: 64500, State: "Established", Since: *ago(time.Minute), Announced: 1, Reason: "session up",
			LocalAddress: addr("2001:db8:f::10"), HoldTime: 90, LastError: "hold timer expired", LastErrorAt: ago(65 * time.Second),
		}, {
			Address: addr("192.0.2.3"), ASN: 65010, State: "Active", Since: *ago(time.Hour), Reason: "connection refused",
			LastError: "connection refused", LastErrorAt: ago(2 * time.Second),
		}, {
			Address: addr("192.0.2.4"), ASN: 64500, State: "Idle", Since: *ago(0), Reason: "no session yet",
		}}}
		const want = `
NEIGHBOR       AS     STATE        FOR      LOCAL           HOLD  ROUTES  SENT   RECEIVED  REASON
192.0.2.1      64500  Established  49h0m0s  192.0.2.10      9s    2       58801  58799     session up
2001:db8:f::1  64500  Established  1m0s     2001:db8:f::10  90s   1       0      0         session up (1m5s ago: hold timer expired)
192.0.2.3      65010  Active       1h0m0s   -               -     0       0      0         connection refused (2s ago)
192.0.2.4      64500  Idle         0s       -               -     0       0      0         no session yet
`
		var b strings.Builder
		printPeers(&b, s)
		if diff := cmp.Diff(want, "\n"+b.String()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for _, line := range strings.Split(b.String(), "\n") {
			if len(line) > 120 && !strings.Contains(line, "ago: ") {
				t.Errorf("want at most 120 columns, got %d: %s", len(line), line)
			}
		}
	})
}
