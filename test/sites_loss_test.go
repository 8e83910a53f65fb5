package test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/anycastd/anycastd/test/lab"
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
	w := newPlaces(t, 1, plain)
	a := w.a.start(t, 0, "gw1", `"90s"`, `"9s"`)
	a.awaitState("in service")
	awaitRoute(w.transit, prefix4, "via "+w.a.up4(2))
	awaitRoute(w.transit, prefix6, "via "+w.a.up6(2))
	c := crowdBehind(t, w.Lab, w.client, w.transit)
	ends := []*lab.Host{w.a.router, w.a.fronts[0]}
	for _, h := range ends {
		h.Run("nft", "-f", h.File("lossy.nft", fmt.Sprintf(lossy, w.a.lan.Name)))
	}
	stop := c.stream(50)
	time.Sleep(11 * time.Second) // the hold time, and more
	stop()
	if got := c.among(clients(1000, 20)); got["gw1"] != 40 {
		t.Errorf("want all answered, got %v", got)
	}
	for _, h := range ends {
		if counted := h.Run("nft", "list", "table", "inet", "lossy"); strings.Contains(counted, "packets 0 ") {
			t.Errorf("%s has lost nothing:\n%s", h.Name, counted)
		}
	}
	if lines := a.Lines("session down"); len(lines) > 0 {
		t.Errorf("sessions went down:\n%s", strings.Join(lines, "\n"))
	}
	a.awaitState("in service")
}
