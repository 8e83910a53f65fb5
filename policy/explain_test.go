package policy

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestExplainNamesWhereEachClientReallyGoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCrowd(t, 6)
		p := Decide(c.cfg, c.view, start)
		for range 3 { // each makes tables of its own
			client := c.drawClient(t)
			e := Explain(c.cfg, &p, c.view, start, client, "")
			got := p.Table.Pick(client)
			if (e.Target == nil) != (got == nil) || got != nil && *e.Target != *got {
				t.Fatalf("%+v: explained %v, sent to %v", client, e.Target, got)
			}
			if e.Why == "" || len(e.Change) == 0 {
				t.Fatalf("%+v: no reason or nothing that would change it: %+v", client, e)
			}
			after := Explain(c.cfg, &p, c.view, start, client, "") // it is remembered, perhaps
			if got != nil && *after.Target != *got {
				t.Fatalf("%+v: sent to %v, then explained %v", client, got, after.Target)
			}
		}
	})
}

func TestRanksAreTheOrderInWhichGatewaysTakeOver(t *testing.T) {
	cfg, view := site()
	cfg.Gateways = gateways(5)
	for _, g := range cfg.Gateways {
		view.Health[g.Addresses[0]] = Health{State: Up}
	}
	p := decide(cfg, view, 0)
	client := clientOf(77)
	byRank := map[int]string{}
	for _, c := range Explain(cfg, &p, view, start, client, "").Candidates {
		byRank[c.Rank] = c.Gateway
	}
	for rank := 1; rank <= 5; rank++ {
		if got := decide(cfg, view, 0).Table.Peek(client).Gateway; got != byRank[rank] {
			t.Fatalf("rank %d: want %s, got %s", rank, byRank[rank], got)
		}
		view.Drained[byRank[rank]] = Drain{}
	}
}

func TestWhyInEachCase(t *testing.T) {
	pools := []Pool{
		{Name: "gold", Gateways: []string{"gw0"}, Sources: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}, Fallback: []string{"rest"}},
		{Name: "rest", Gateways: []string{"gw1", "gw2"}},
	}
	over := Share{Level: 1, Over: true}
	full := Load{Sessions: 100, Capacity: 100, CPU: -1, At: start}
	high := Load{Sessions: 95, Capacity: 100, CPU: -1, At: start}
	idle := Load{Capacity: 100, CPU: -1, At: start}
	for name, tc := range map[string]struct {
		change func(*Config, *View)
		want   string
	}{
		"by weight":       {func(*Config, *View) {}, "weighted rendezvous hash of 0.0.0.7 among 3 usable gateways of pool everyone"},
		"self":            {func(c *Config, _ *View) { c.Choose, c.Gateways[1].Self = SelfFirst, true }, "this host's own gateway is usable and goes first"},
		"the only one":    {func(c *Config, _ *View) { c.Pools = pools }, "the only one of pool gold"},
		"least loaded":    {func(c *Config, _ *View) { c.Choose = LeastLoaded }, "the emptier of two that a hash of 0.0.0.7 chose among 3 usable gateways of pool everyone"},
		"from a fallback": {func(c *Config, v *View) { c.Pools, v.Drained = pools, map[string]Drain{"gw0": {}} }, "weighted rendezvous hash of 0.0.0.7 among 2 usable gateways of pool rest, a fallback of gold"},
		"nobody":          {func(c *Config, v *View) { v.Health = nil }, "no gateway of pool everyone is usable for IPv4 clients"},
		"all are overloaded": {func(_ *Config, v *View) {
			v.Loads = map[string]Load{"gw0": high, "gw1": high, "gw2": high}
			v.Shares = map[string]Share{"gw0": over, "gw1": over, "gw2": over}
		}, "weighted rendezvous hash of 0.0.0.7 among 3 usable gateways of pool everyone, overloaded or coming back from that"},
		"all are full": {func(_ *Config, v *View) { v.Loads = map[string]Load{"gw0": full, "gw1": full, "gw2": full} }, "no room in pool everyone: spread by a hash of 0.0.0.7 as if all had room"},
		"one is overloaded": {func(_ *Config, v *View) {
			v.Loads = map[string]Load{"gw0": full, "gw1": idle, "gw2": idle}
			v.Shares = map[string]Share{"gw0": over}
		}, "weighted rendezvous hash of 0.0.0.7 among 2 usable gateways of pool everyone"},
		"its own has no room": {func(c *Config, v *View) { c.Pools, v.Loads = pools, map[string]Load{"gw0": full} }, "weighted rendezvous hash of 0.0.0.7 among 2 usable gateways of pool rest, a fallback of gold; those before it in line have no room"},
	} {
		cfg, view := site()
		cfg.Gateways, cfg.StaleAfter = gateways(3), time.Minute
		for _, g := range cfg.Gateways {
			view.Health[g.Addresses[0]] = Health{State: Up}
		}
		tc.change(cfg, view)
		p := decide(cfg, view, 0)
		if got := Explain(cfg, &p, view, start, clientOf(7), "").Why; got != tc.want {
			t.Errorf("%s:\nwant %q\ngot  %q", name, tc.want, got)
		}
	}
}

func TestAnIdentityIsToldItsPool(t *testing.T) {
	cfg, view := site()
	cfg.Pools = []Pool{{Name: "gold", Gateways: []string{"gw0"}, Identities: []string{"*@gold.example.net", "alice"}}}
	p := decide(cfg, view, 0)
	for identity, want := range map[string]string{
		"bob@GOLD.example.net": "identity bob@GOLD.example.net belongs to pool gold", "alice": "identity alice belongs to pool gold", "bob": "identity bob belongs to no pool",
	} {
		notes := Explain(cfg, &p, view, start, clientOf(7), identity).Notes
		if len(notes) != 2 || notes[0] != want || !strings.HasPrefix(notes[1], "an identity is known in IKE_AUTH only") {
			t.Errorf("%s: want %q, got %q", identity, want, notes)
		}
	}
	if notes := Explain(cfg, &p, view, start, clientOf(7), "").Notes; len(notes) > 0 {
		t.Errorf("without identity: got %q", notes)
	}
}
