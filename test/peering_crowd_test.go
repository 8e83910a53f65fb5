package test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestAHundredNeighborsComeUpAtOnce and are told the routes; the daemon's memory
// and the time are logged. They are one BIRD's, each at an address of its own.
func TestAHundredNeighborsComeUpAtOnce(t *testing.T) {
	const n = 100
	l := newLab(t, "bird", "birdc")
	front, core := l.Host("front"), l.Host("core")
	s := &site{Lab: l, front: front, core: core}
	core.Router()
	l.Uplink(front, "192.0.2.254/24 "+front6+"/64", core, "192.0.2.1/24 "+router6+"/64")
	c := birdConfig{RouterID: "192.0.2.1", ASN: routerASN}
	for i := range n {
		p := peering{Local: fmt.Sprintf("192.0.2.%d", 1+i), Remote: "192.0.2.254"}
		if i > 0 {
			core.Run("ip", "address", "add", p.Local+"/24", "dev", "front")
		}
		s.peerings = append(s.peerings, p)
		c.Neighbors = append(c.Neighbors, birdNeighbor{
			Name: fmt.Sprintf("n%d", i), Local: p.Local, Remote: p.Remote, ASN: frontASN, Options: "strict bind on;", Families: []string{"ipv4", "ipv6"},
		})
	}
	b := startBIRD(core, c)
	start := time.Now()
	daemon := startAnycastd(front, s.config("", front4, "192.0.2.254", "# next_hop", fmt.Sprintf("next_hop = [%q]", front6)))
	l.Eventually("all neighbors are established", patience, func() error {
		all, err := daemon.peers()
		up := 0
		for _, p := range all {
			if p.State == "Established" {
				up++
			}
		}
		if up < n {
			return fmt.Errorf("%d are, %v", up, err)
		}
		return nil
	})
	t.Logf("%d neighbors were up %.2f s after the start, with %s", n, time.Since(start).Seconds(), resident(t, daemon.PID()))
	for _, prefix := range []string{prefix4, prefix6} {
		l.Eventually("each has told BIRD of "+prefix, patience, func() error {
			if got := strings.Count(b.ask("show route "+prefix), "[n"); got != n {
				return fmt.Errorf("%d have", got)
			}
			return nil
		})
	}
	t.Logf("all had told both routes after %.2f s; now %s", time.Since(start).Seconds(), resident(t, daemon.PID()))
}

// resident is the memory that a process holds, in the kernel's words.
func resident(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "VmRSS:") {
			return strings.Join(strings.Fields(line), " ")
		}
	}
	t.Fatal("the kernel does not tell its resident memory")
	return ""
}
