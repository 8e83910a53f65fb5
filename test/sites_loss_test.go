package test

import (
	"fmt"
	"testing"
	"time"
)

// lossy drops a fifth of what comes in by an interface.
const lossy = `table inet lossy {
	chain prerouting {
		type filter hook prerouting priority raw;
		iifname "%s" numgen random mod 100 < 20 counter drop
	}
}
`

// TestSessionsOutliveTheLossOfAFifthOfAllPackets: between router and front-end,
// each way, for longer than the hold time. Clients that ask again are answered.
func TestSessionsOutliveTheLossOfAFifthOfAllPackets(t *testing.T) {
	w := newSites(t, 1, plain)
	a := w.a.start(t, 0, "gw1", `"90s"`, `"9s"`)
	a.awaitState("in service")
	awaitRoute(w.transit, prefix4, "via "+w.a.up4(2))
	awaitRoute(w.transit, prefix6, "via "+w.a.up6(2))
	c := crowdBehind(t, w.Lab, w.client, w.transit)
	w.a.router.Run("nft", "-f", w.a.router.File("lossy.nft", fmt.Sprintf(lossy, w.a.lan.Name)))
	w.a.fronts[0].Run("nft", "-f", w.a.fronts[0].File("lossy.nft", fmt.Sprintf(lossy, w.a.lan.Name)))
	begin := time.Now()
	for i := 0; time.Since(begin) < 15*time.Second; i++ {
		if got := c.among(clients(i, 20)); got["gw1"] != 40 {
			t.Fatalf("%v after the begin: want all answered, got %v", time.Since(begin), got)
		}
	}
	if lines := a.Lines("session down"); len(lines) > 0 {
		t.Errorf("sessions went down:\n%s", lines)
	}
	a.awaitState("in service")
	t.Log(w.a.router.Run("nft", "list", "ruleset"))
}
