package test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestAHundredNeighborsComeUpAtOnce and are told the routes; the daemon's memory
// and the time are logged. They are one BIRD's,
// each at an address of its own, which BIRD wants of both ends.
func TestAHundredNeighborsComeUpAtOnce(t *testing.T) {
	const n = 100
	l := newLab(t, "bird", "birdc")
	front, core := l.Host("front"), l.Host("core")
	s := &site{Lab: l, front: front, core: core}
	core.Router()
	l.Uplink(front, "192.0.2.101/24 "+front6+"/64", core, "192.0.2.1/24 "+router6+"/64")
	c := birdConfig{RouterID: "192.0.2.1", ASN: routerASN}
	edits := []string{"# next_hop", fmt.Sprintf("next_hop = [%q]", front6)}
	locals, remotes := "", ""
	for i := range n {
		p := peering{Name: fmt.Sprintf("n%d", i), Local: fmt.Sprintf("192.0.2.%d", 1+i), Remote: fmt.Sprintf("192.0.2.%d", 101+i)}
		if i > 0 {
			locals += "address add " + p.Local + "/24 dev front\n"
			remotes += "address add " + p.Remote + "/24 dev core\n"
		}
		s.peerings = append(s.peerings, p)
		edits = append(edits, fmt.Sprintf("address = %q\n", p.Local), fmt.Sprintf("address = %q\nlocal_address = %q\n", p.Local, p.Remote))
		c.Neighbors = append(c.Neighbors, birdNeighbor{
			Name: p.Name, Local: p.Local, Remote: p.Remote, ASN: frontASN, Families: []string{"ipv4", "ipv6"},
		})
	}
	core.Run("ip", "-batch", core.File("addresses", locals))
	front.Run("ip", "-batch", front.File("addresses", remotes))
	b := startBIRD(core, c)
	start := time.Now()
	daemon := startAnycastd(front, s.config("", edits...))
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
