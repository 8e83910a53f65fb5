package bgp

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// Gateways whose host routes are looked out for.
var (
	gateway4 = netip.MustParseAddr("198.51.100.11")
	gateway6 = netip.MustParseAddr("2001:db8:1::11")
)

// fabric is a learner that watches both gateways, with how often it has told of
// a change.
type fabric struct {
	*learner
	changes int
}

func newFabric() *fabric {
	f := new(fabric)
	f.learner = newLearner(func() { f.changes++ })
	f.watch([]netip.Addr{gateway4, gateway6})
	return f
}

// says is one step of a neighbor's session.
type says func(*fabric)

// Steps of a session.
func comesUp(neighbor netip.Addr) says  { return func(f *fabric) { f.up(neighbor, both, true) } }
func goesDown(neighbor netip.Addr) says { return func(f *fabric) { f.down(neighbor) } }
func announces(neighbor netip.Addr, prefixes ...string) says {
	return func(f *fabric) { f.hear(neighbor, update{Announced: prefixesOf(prefixes...)}) }
}
func withdraws(neighbor netip.Addr, prefixes ...string) says {
	return func(f *fabric) { f.hear(neighbor, update{Withdrawn: prefixesOf(prefixes...)}) }
}
func hasToldAll(neighbor netip.Addr) says {
	return func(f *fabric) { f.hear(neighbor, update{EndOfRIB: both}) }
}
func aWhileLater(f *fabric) { time.Sleep(settleTime) }

func TestAHostRouteIsLearned(t *testing.T) {
	const host, net = "198.51.100.11/32", "198.51.100.0/24"
	routed := func(by ...netip.Addr) Learned { return Learned{Address: gateway4, Routed: true, By: by} }
	gone := func(by ...netip.Addr) Learned { return Learned{Address: gateway4, Gone: true, By: by} }
	unknown := Learned{Address: gateway4}
	for name, tc := range map[string]struct {
		steps []says
		want  Learned
	}{
		"nothing is said":                       {nil, unknown},
		"no neighbor ever has it":               {[]says{comesUp(their4), hasToldAll(their4), aWhileLater}, unknown},
		"one has it":                            {[]says{comesUp(their4), announces(their4, host)}, routed(their4)},
		"one has a wider one":                   {[]says{comesUp(their4), announces(their4, net)}, unknown},
		"one has another host's":                {[]says{comesUp(their4), announces(their4, "198.51.100.12/32")}, unknown},
		"two have it":                           {[]says{comesUp(their6), announces(their6, host), comesUp(their4), announces(their4, host)}, routed(their4, their6)},
		"it is taken back":                      {[]says{comesUp(their4), hasToldAll(their4), announces(their4, host), withdraws(their4, host)}, gone(their4)},
		"it is taken back and comes again":      {[]says{comesUp(their4), hasToldAll(their4), announces(their4, host), withdraws(their4, host), announces(their4, host)}, routed(their4)},
		"a wider one is taken back":             {[]says{comesUp(their4), hasToldAll(their4), announces(their4, host, net), withdraws(their4, net)}, routed(their4)},
		"it is taken back too early":            {[]says{comesUp(their4), announces(their4, host), withdraws(their4, host)}, unknown},
		"and then time passes":                  {[]says{comesUp(their4), announces(their4, host), withdraws(their4, host), aWhileLater}, gone(their4)},
		"one of two takes it back":              {[]says{comesUp(their4), announces(their4, host), comesUp(their6), announces(their6, host), aWhileLater, withdraws(their4, host)}, routed(their6)},
		"the session is lost":                   {[]says{comesUp(their4), announces(their4, host), aWhileLater, goesDown(their4)}, unknown},
		"one of two sessions is lost":           {[]says{comesUp(their4), announces(their4, host), comesUp(their6), hasToldAll(their6), aWhileLater, goesDown(their4)}, unknown},
		"and comes back, not yet with all":      {[]says{comesUp(their4), announces(their4, host), comesUp(their6), aWhileLater, goesDown(their4), comesUp(their4)}, unknown},
		"and comes back without it":             {[]says{comesUp(their4), announces(their4, host), comesUp(their6), aWhileLater, goesDown(their4), comesUp(their4), hasToldAll(their4)}, gone(their4)},
		"and comes back without it, by time":    {[]says{comesUp(their4), announces(their4, host), aWhileLater, goesDown(their4), comesUp(their4), aWhileLater}, gone(their4)},
		"and comes back with it":                {[]says{comesUp(their4), announces(their4, host), aWhileLater, goesDown(their4), comesUp(their4), announces(their4, host), hasToldAll(their4)}, routed(their4)},
		"gone, and the session is lost":         {[]says{comesUp(their4), hasToldAll(their4), announces(their4, host), withdraws(their4, host), goesDown(their4)}, unknown},
		"gone, and another session is lost":     {[]says{comesUp(their4), hasToldAll(their4), comesUp(their6), hasToldAll(their6), announces(their4, host), withdraws(their4, host), goesDown(their6)}, gone(their4)},
		"gone, and another one comes up":        {[]says{comesUp(their4), hasToldAll(their4), announces(their4, host), withdraws(their4, host), comesUp(their6)}, unknown},
		"gone, and another one has told all":    {[]says{comesUp(their4), hasToldAll(their4), announces(their4, host), withdraws(their4, host), comesUp(their6), aWhileLater}, gone(their4)},
		"its neighbor is no longer configured":  {[]says{comesUp(their4), hasToldAll(their4), announces(their4, host), withdraws(their4, host), func(f *fabric) { f.retain(nil) }}, unknown},
		"it is no longer watched, then again":   {[]says{comesUp(their4), announces(their4, host), func(f *fabric) { f.watch(nil); f.watch([]netip.Addr{gateway4}) }}, unknown},
		"a session carries another family only": {[]says{func(f *fabric) { f.up(their6, IPv6Unicast, true) }, comesUp(their4), hasToldAll(their4), announces(their4, host), withdraws(their4, host)}, gone(their4)},
		"a session of another family tells it":  {[]says{func(f *fabric) { f.up(their6, IPv6Unicast, true) }, announces(their6, host)}, unknown},
		"watched late, by one that cannot say": {[]says{func(f *fabric) {
			f.watch(nil)
			f.up(their6, both, false)
			time.Sleep(time.Second)
			f.watch([]netip.Addr{gateway4})
		}, announces(their6, host), withdraws(their6, host), aWhileLater}, unknown},
		"watched late, by one that can": {[]says{func(f *fabric) {
			f.watch(nil)
			f.up(their6, both, true)
			time.Sleep(time.Second)
			f.watch([]netip.Addr{gateway4})
		}, announces(their6, host), withdraws(their6, host), aWhileLater}, gone(their6)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFabric()
				for _, step := range tc.steps {
					step(f)
				}
				synctest.Wait()
				opts := cmp.Options{cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Learned{}, "Since")}
				if diff := cmp.Diff(tc.want, f.learned()[0], opts); diff != "" {
					t.Errorf("learned (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestLearnedTellsOnlyOfChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFabric()
		comesUp(their4)(f)
		hasToldAll(their4)(f)
		announces(their4, "2001:db8:1::11/128")(f)
		since := f.learned()[1].Since
		time.Sleep(time.Second)
		announces(their4, "2001:db8:1::11/128")(f)
		announces(their4, "2001:db8:1::/64")(f)
		if got := f.learned()[1]; f.changes != 1 || got.Since != since || !got.Routed {
			t.Errorf("want 1 change, at %v, got %d and %+v", since, f.changes, got)
		}
		withdraws(their4, "2001:db8:1::11/128")(f)
		if got := f.learned()[1]; f.changes != 2 || !got.Since.After(since) || !got.Gone {
			t.Errorf("want a 2nd change, after %v, got %d and %+v", since, f.changes, got)
		}
		time.Sleep(time.Hour) // what waits for time is over
	})
}

func TestGatewaysRoutesAreLearnedFromBird(t *testing.T) {
	b := startBird(t, "protocol static s4 { ipv4; route 198.51.100.11/32 blackhole; }",
		"protocol static s6 { disabled; ipv6; route 2001:db8:1::11/128 blackhole; }",
		strings.ReplaceAll(fmt.Sprintf(bird4, "passive on; ipv6 { import all; export all; };"), "export none", "export all"))
	changed := make(chan struct{}, 100)
	s := startSpeaker(t, Config{NextHops: []netip.Addr{our6}, Neighbors: []Neighbor{theirs4()}, Learned: func() { changed <- struct{}{} }})
	s.up(their4)
	s.Watch([]netip.Addr{gateway4, gateway6}) // after the route was told: bird is asked once more
	eventually(t, "the IPv4 one is routed", func() bool { l := s.Learned()[0]; return l.Routed && l.By[0] == their4 })
	if got := s.Learned()[1]; got.Routed || got.Gone {
		t.Errorf("want nothing known of IPv6, got %+v", got)
	}
	b.ask("enable", "s6")
	eventually(t, "the IPv6 one is routed", func() bool { return s.Learned()[1].Routed })
	<-changed
	b.ask("disable", "s6")
	eventually(t, "it is no longer", func() bool { return !s.Learned()[1].Routed })
	if got, err := s.announced(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("want nothing of it in the RIB, got %v, %v", got, err)
	}
	if out := b.kernel("198.51.100.11"); out != "" {
		t.Errorf("want nothing of it in any kernel, got %s", out)
	}
	s.Watch(nil)
	if got := s.Learned(); len(got) != 0 {
		t.Errorf("want nothing watched, got %v", got)
	}
}
