package test

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"

	"github.com/anycastd/anycastd/test/lab"
)

var halfOpen = regexp.MustCompile(`IKE_SAs: (\d+) total, (\d+) half-open`)

// ikeSAs returns how many IKE SAs a strongSwan has.
func ikeSAs(t *testing.T, h *lab.Host) int {
	t.Helper()
	m := halfOpen.FindStringSubmatch(h.Run("swanctl", "--stats"))
	if m == nil {
		t.Fatal("swanctl --stats tells nothing of IKE SAs")
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// TestProbesOfEveryKindFindStrongSwanAliveAndLeaveItIdle: with strongSwan's own
// limits. A probe that makes half-open IKE SAs soon gets a COOKIE instead, which
// proves life as well.
func TestProbesOfEveryKindFindStrongSwanAliveAndLeaveItIdle(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate", charonProgram, "swanctl"))
	f.startGateways()
	of := func(kind string) string {
		return f.config(`every = "500ms", timeout = "500ms", rise = 2, fall = 3`, `every = "100ms", timeout = "500ms", rise = 2, fall = 3, kind = "`+kind+`"`)
	}
	daemon := f.daemon(t, of("version"))
	for _, kind := range []string{"version", "proposal"} {
		f.front.File("anycastd.toml", of(kind))
		daemon.awaitProbes(kind)
		for _, g := range f.gateways { // one may be there for the moment that its answer takes
			f.Eventually("probes of kind "+kind+" leave no IKE SA at "+g.Name, patience, func() error {
				if n := ikeSAs(t, g); n > 0 {
					return fmt.Errorf("%d", n)
				}
				return nil
			})
		}
	}
	f.front.File("anycastd.toml", of("init"))
	daemon.awaitProbes("init")
	for _, g := range f.gateways {
		if n := ikeSAs(t, g); n == 0 || n > 10 { // cookies are demanded of an address with 3, and there are two of ours
			t.Errorf("probes of kind init have left %d IKE SAs at %s", n, g.Name)
		}
	}
}

// awaitProbes reloads the configuration, lets 80 probes of its kind be
// answered, and wants both gateways alive by both families.
func (a *anycastd) awaitProbes(kind string) {
	var s struct{ Probes struct{ Answered int } }
	answered := func() int { _ = a.ask(&s, "status"); return s.Probes.Answered }
	a.awaitState("in service")
	a.mustDo("reload")
	begin := answered()
	a.host.Lab.Eventually("80 probes of kind "+kind+" are answered", patience, func() error {
		if n := answered() - begin; n < 80 {
			return fmt.Errorf("%d are", n)
		}
		return nil
	})
	a.awaitHealth(0, "up", "up")
	a.awaitHealth(1, "up", "up")
}
