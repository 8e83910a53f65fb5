package bgp

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pref is a local preference.
func pref(n uint32) *uint32 { return &n }

// all has every attribute.
func all() Attributes {
	return Attributes{
		Communities: []uint32{64500<<16 | 80, 7}, Large: []LargeCommunity{{4200000001, 2, 1}, {64500, 1, 2}},
		Extended: []ExtendedCommunity{{OfFourOctetAS, RouteOrigin, 250, 86, 234, 1, 0, 7}, {OfTwoOctetAS, RouteTarget, 251, 244, 0, 0, 0, 100}},
		MED:      4294967295, LocalPref: pref(0), Prepend: 3,
	}
}

func TestAttributesAreEqualInAnyOrderOfCommunities(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Attributes)
		want   bool
	}{
		"the same":                  {func(*Attributes) {}, true},
		"in another order":          {func(a *Attributes) { a.Communities = []uint32{7, 64500<<16 | 80} }, true},
		"with a repeat":             {func(a *Attributes) { a.Communities = append(a.Communities, 7) }, true},
		"large in another order":    {func(a *Attributes) { a.Large = []LargeCommunity{{64500, 1, 2}, {4200000001, 2, 1}} }, true},
		"one community less":        {func(a *Attributes) { a.Communities = a.Communities[1:] }, false},
		"another large community":   {func(a *Attributes) { a.Large[0][2] = 9 }, false},
		"without large ones":        {func(a *Attributes) { a.Large = nil }, false},
		"extended in another order": {func(a *Attributes) { a.Extended[0], a.Extended[1] = a.Extended[1], a.Extended[0] }, true},
		"another extended one":      {func(a *Attributes) { a.Extended[0][7] = 9 }, false},
		"another MED":               {func(a *Attributes) { a.MED-- }, false},
		"the same preference":       {func(a *Attributes) { a.LocalPref = pref(0) }, true},
		"another preference":        {func(a *Attributes) { a.LocalPref = pref(1) }, false},
		"no preference":             {func(a *Attributes) { a.LocalPref = nil }, false},
		"another count of prepend":  {func(a *Attributes) { a.Prepend = 0 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			other := all()
			tc.change(&other)
			if got := all().Equal(other); got != tc.want {
				t.Errorf("want %v, got %v", tc.want, got)
			}
			if all().IsZero() || !(Attributes{}).IsZero() || !(Attributes{Communities: []uint32{}}).IsZero() || !(Attributes{LocalPref: pref(100)}).IsZero() {
				t.Error("want only the empty one zero")
			}
		})
	}
}

func TestWithAddsCommunitiesAndPrependsAndReplacesTheRest(t *testing.T) {
	usual := Attributes{Communities: []uint32{1}, MED: 10, LocalPref: pref(200), Prepend: 1}
	for name, tc := range map[string]struct{ with, want Attributes }{
		"nothing":     {Attributes{}, usual},
		"communities": {Attributes{Communities: []uint32{2, 1}}, Attributes{Communities: []uint32{1, 2}, MED: 10, LocalPref: pref(200), Prepend: 1}},
		"a MED":       {Attributes{MED: 20}, Attributes{Communities: []uint32{1}, MED: 20, LocalPref: pref(200), Prepend: 1}},
		"preference 0": {Attributes{LocalPref: pref(0), Large: []LargeCommunity{{1, 2, 3}}, Extended: []ExtendedCommunity{{7}}}, Attributes{
			Communities: []uint32{1}, Large: []LargeCommunity{{1, 2, 3}}, Extended: []ExtendedCommunity{{7}}, MED: 10, LocalPref: pref(0), Prepend: 1,
		}},
		"prepends": {Attributes{Prepend: 2}, Attributes{Communities: []uint32{1}, MED: 10, LocalPref: pref(200), Prepend: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, usual.With(tc.with).sorted()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.with, (Attributes{}).With(tc.with)); diff != "" {
				t.Errorf("beside nothing (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExtendedCommunitiesAreWrittenByTheirKind(t *testing.T) {
	for want, c := range map[string]ExtendedCommunity{
		"rt:64500:4294967295": {OfTwoOctetAS, RouteTarget, 251, 244, 255, 255, 255, 255},
		"soo:192.0.2.1:65535": {OfIPv4, RouteOrigin, 192, 0, 2, 1, 255, 255},
		"rt:4200000001:0":     {OfFourOctetAS, RouteTarget, 250, 86, 234, 1, 0, 0},
		"0x4004fbf44a7fffff":  {0x40, 4, 251, 244, 0x4a, 0x7f, 0xff, 0xff}, // link bandwidth
		"0x0304000000000000":  {3, 4},
		"0x0004000000000000":  {OfTwoOctetAS, 4},
	} {
		if got := c.String(); got != want {
			t.Errorf("want %s, got %s", want, got)
		}
	}
}

func TestSetChangesEachAttributeAloneAndOnce(t *testing.T) {
	s := startSpeaker(t, Config{})
	one := func(a Attributes) Route { return Route{route(prefix6).Prefix, a} }
	for _, a := range []Attributes{
		{}, {MED: 1}, {MED: 2}, {Prepend: 1}, {Prepend: MaxPrepend}, {Communities: []uint32{1}}, {Large: []LargeCommunity{{1, 2, 3}}}, {Large: []LargeCommunity{{1, 2, 4}}},
		{Extended: []ExtendedCommunity{{OfIPv4, RouteTarget, 192, 0, 2, 1, 0, 1}}}, {Extended: []ExtendedCommunity{{OfIPv4, RouteTarget, 192, 0, 2, 1, 0, 2}}},
		{Extended: []ExtendedCommunity{{0x43, 12, 1, 2, 3, 4, 5, 6}}}, {LocalPref: pref(0)}, {LocalPref: pref(4294967295)}, all(), {},
	} {
		before := strings.Count(s.log.String(), `"message":"announced"`)
		s.set(one(a))
		s.set(one(a))
		if got := strings.Count(s.log.String(), `"message":"announced"`) - before; got != 1 {
			t.Errorf("%+v: want it announced once, got %d times", a, got)
		}
		have, err := s.announced(t.Context())
		if diff := cmp.Diff(rib{one(a).Prefix: a.sorted()}, have, cmp.Comparer(Attributes.Equal)); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	const want = `"communities":["0:7","64500:80"],"large_communities":["64500:1:2","4200000001:2:1"],"extended_communities":["rt:64500:100","soo:4200000001:7"],"med":4294967295,"local_pref":0,"prepend":3,"message":"announced"`
	if !strings.Contains(s.log.String(), want) {
		t.Errorf("want a line with %s", want)
	}
}

func TestSetRefusesPrependsThatAreTooMany(t *testing.T) {
	s := startSpeaker(t, Config{})
	for _, n := range []int{-1, MaxPrepend + 1} {
		err := s.Set(context.Background(), []Route{{route(prefix4).Prefix, Attributes{Prepend: n}}})
		if want := fmt.Sprintf("prefix %s: %d prepends, not 0 to 16", prefix4, n); err == nil || err.Error() != want {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// told waits until bird shows all of want, and nothing of not, of the route to prefix.
func (b *bird) told(prefix string, want, not []string) {
	b.t.Helper()
	out := ""
	eventually(b.t, fmt.Sprintf("%s is shown with %q and without %q", prefix, want, not), func() bool {
		out = b.ask("show", "route", "all", prefix)
		for _, w := range want {
			if !strings.Contains(out, w) {
				return false
			}
		}
		for _, n := range not {
			if strings.Contains(out, n) {
				return false
			}
		}
		return true
	})
}

func TestARouteGoesWorseAndBackWithoutAWithdrawal(t *testing.T) {
	b := startBird(t, fmt.Sprintf(bird4, "passive on; debug { routes };"), fmt.Sprintf(bird6, "debug { routes };"))
	s := startSpeaker(t, Config{Neighbors: []Neighbor{{Address: their4, ASN: 65002}, {Address: their6, ASN: 65002}}})
	worse := []string{
		"BGP.as_path: 65001 65001 65001 65001\n", "BGP.med: 4294967295\n",
		"BGP.community: (0,7) (64500,80)\n", "BGP.large_community: (64500, 1, 2) (4200000001, 2, 1)\n",
		"BGP.ext_community: (rt, 64500, 100) (ro, 4200000001, 7)\n",
	}
	normal, absent := []string{"BGP.as_path: 65001\n"}, []string{"BGP.med", "BGP.community", "BGP.large_community", "BGP.ext_community"}
	s.set(route(prefix4), route(prefix6))
	for _, prefix := range []string{prefix4, prefix6} {
		b.told(prefix, normal, absent)
	}
	for range 3 {
		s.set(Route{route(prefix4).Prefix, all()}, Route{route(prefix6).Prefix, all()})
		for _, prefix := range []string{prefix4, prefix6} {
			b.told(prefix, worse, nil)
		}
		s.set(route(prefix4), route(prefix6))
		for _, prefix := range []string{prefix4, prefix6} {
			b.told(prefix, normal, absent)
		}
	}
	log, err := os.ReadFile(b.file("log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{prefix4, prefix6} {
		if got := strings.Count(string(log), "> added [best] "+prefix); got != 7 {
			t.Errorf("want 1 announcement and 6 updates of %s in bird's log, got %d", prefix, got)
		}
	}
	if strings.Contains(string(log), "> removed") {
		t.Errorf("want no withdrawal, got\n%s", log)
	}
}

func TestAnInternalNeighborIsToldAllButTakesPrependsForALoop(t *testing.T) {
	b := startBird(t, strings.ReplaceAll(fmt.Sprintf(bird4, "passive on;"), "as 65002", "as 65001"))
	s := startSpeaker(t, Config{Neighbors: []Neighbor{{Address: their4, ASN: 65001}}})
	worse := all()
	worse.Prepend = 0
	s.set(Route{route(prefix4).Prefix, worse})
	b.told(prefix4, []string{"BGP.as_path: \n", "BGP.med: 4294967295\n", "BGP.community: (0,7) (64500,80)\n", "BGP.large_community: (64500, 1, 2) (4200000001, 2, 1)\n",
		"BGP.ext_community: (rt, 64500, 100) (ro, 4200000001, 7)\n", "BGP.local_pref: 0\n"}, nil)
	s.set(Route{route(prefix4).Prefix, all()})
	eventually(t, "the route is dropped", func() bool { return strings.Contains(b.ask("show", "route", prefix4), "not found") })
}
