package policy

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// crowd is a drawn site: gateways with weights, capacities and loads.
type crowd struct {
	cfg  *Config
	view *View
}

// drawCrowd draws a site of n gateways or fewer, all alive, some with fresh
// loads.
func drawCrowd(t *rapid.T, n int) crowd {
	cfg := &Config{
		Gateways:   gateways(rapid.IntRange(1, n).Draw(t, "gateways")),
		Addresses:  []netip.Addr{any4, any6},
		Choose:     rapid.SampledFrom([]Choose{Sticky, LeastLoaded, SelfFirst}).Draw(t, "choose"),
		Key:        rapid.SampledFrom([]Key{BySource, BySourceSPI}).Draw(t, "key"),
		Overload:   rapid.SampledFrom([]float64{0.5, 0.9, 1}).Draw(t, "overload"),
		StaleAfter: 15 * time.Second,
	}
	view := &View{Health: map[netip.Addr]Health{}, Loads: map[string]Load{}, Shares: map[string]Share{}}
	for i := range cfg.Gateways {
		g := &cfg.Gateways[i]
		g.Weight = rapid.IntRange(1, 1000).Draw(t, "weight")
		g.Capacity = rapid.IntRange(0, 60).Draw(t, "capacity")
		g.Self = i == 0
		for _, a := range g.Addresses {
			view.Health[a] = Health{State: Up}
		}
		if rapid.Bool().Draw(t, "load known") {
			view.Loads[g.Name] = Load{Sessions: rapid.IntRange(0, 60).Draw(t, "sessions"), CPU: -1, At: start}
		}
	}
	if len(cfg.Gateways) > 2 && rapid.Bool().Draw(t, "pools") {
		half := len(cfg.Gateways) / 2
		var names []string
		for _, g := range cfg.Gateways {
			names = append(names, g.Name)
		}
		cfg.Pools = []Pool{
			{Name: "gold", Gateways: names[:half], Sources: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/1")}, Fallback: []string{"rest"}},
			{Name: "rest", Gateways: names[half:]},
		}
	}
	return crowd{cfg, view}
}

// table returns a table of c, with meters of its own.
func (c *crowd) table() *Table {
	view := *c.view
	view.Table = nil
	return Decide(c.cfg, &view, start).Table
}

// drawClient draws a client, who may come back from somewhere.
func (c *crowd) drawClient(t *rapid.T) Client {
	client := clientOf(rapid.Uint32().Draw(t, "source"))
	client.SPI = rapid.Uint64().Draw(t, "SPI")
	switch rapid.IntRange(0, 5).Draw(t, "from") {
	case 0:
		client.From = any4
	case 1:
		client.From = rapid.SampledFrom(c.cfg.Gateways).Draw(t, "gateway").Addresses[0]
	}
	return client
}

func TestPeekSaysWhatPickDoesAndARetransmissionGetsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCrowd(t, 8)
		table := c.table()
		for range 100 {
			client := c.drawClient(t)
			want, got := table.Peek(client), table.Pick(client)
			if *want != *got {
				t.Fatalf("%+v: peek %v, pick %v", client, want, got)
			}
			if again := table.Pick(client); *again != *got {
				t.Fatalf("%+v: picked %v, then %v", client, got, again)
			}
		}
	})
}

func TestTwoNodesWithTheSameViewSendTheSameClientsToTheSameGateways(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCrowd(t, 8)
		a, b := c.table(), c.table()
		for range 100 {
			client := c.drawClient(t)
			if x, y := a.Pick(client), b.Pick(client); x.Gateway != y.Gateway {
				t.Fatalf("%+v: %v and %v", client, x, y)
			}
		}
	})
}

func TestBoundedLoadIsNeverExceededWhileCapacityRemains(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCrowd(t, 8)
		c.cfg.Pools, c.cfg.Choose = nil, rapid.SampledFrom([]Choose{Sticky, LeastLoaded}).Draw(t, "choose")
		for i := range c.cfg.Gateways {
			g := &c.cfg.Gateways[i]
			g.Capacity = max(1, g.Capacity)
			c.view.Loads[g.Name] = Load{Sessions: c.view.Loads[g.Name].Sessions, CPU: -1, At: start}
			if rapid.Bool().Draw(t, "seen high") { // the second figure in a row may make it overloaded
				c.view.Shares[g.Name] = Share{Level: FullShare, High: start.Add(-time.Second)}
			}
		}
		p := Decide(c.cfg, c.view, start)
		has := func(i int) int {
			name := c.cfg.Gateways[i].Name
			return c.view.Loads[name].Sessions + int(p.Table.Sent(name))
		}
		bound := func(i int) int { return int(c.cfg.Overload * float64(c.cfg.Gateways[i].Capacity)) }
		for n := range uint32(400) {
			calmly, atAll := false, false
			for i, g := range p.Gateways {
				calmly = calmly || !g.Share.Over && has(i) < bound(i)
				atAll = atAll || has(i) < c.cfg.Gateways[i].Capacity
			}
			name := p.Table.Pick(clientOf(n * 2654435761)).Gateway
			i := slices.IndexFunc(c.cfg.Gateways, func(g Gateway) bool { return g.Name == name })
			if calmly && has(i) > bound(i) {
				t.Fatalf("client %d made it %d sessions at %s, beyond %d, while others had room", n, has(i), name, bound(i))
			}
			if atAll && has(i) > c.cfg.Gateways[i].Capacity {
				t.Fatalf("client %d made it %d sessions at %s, of %d, while others had some left", n, has(i), name, c.cfg.Gateways[i].Capacity)
			}
		}
	})
}

func TestOnlyTheClientsOfADrainedGatewayMoveWhateverTheLoads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCrowd(t, 8)
		c.cfg.Choose, c.cfg.Overload = Sticky, 0.9
		for i := range c.cfg.Gateways { // below overload, with room for all
			c.cfg.Gateways[i].Capacity = 1_000_000
		}
		before := Decide(c.cfg, c.view, start)
		gone := rapid.SampledFrom(c.cfg.Gateways).Draw(t, "gone").Name
		c.view.Drained, c.view.Table = map[string]Drain{gone: {}}, before.Table
		after := Decide(c.cfg, c.view, start)
		for n := range uint32(500) {
			client := clientOf(n * 40503)
			was, is := before.Table.Peek(client), after.Table.Peek(client)
			if is == nil && was.Gateway == gone {
				continue
			}
			if is == nil || is.Gateway == gone || was.Gateway != gone && was.Gateway != is.Gateway {
				t.Fatalf("client %d went from %v to %v when %s left", n, was, is, gone)
			}
		}
	})
}

func TestWeightsAreObeyedWithinTwoPerCentOfAllClients(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gws := gateways(rapid.IntRange(2, 30).Draw(t, "gateways"))
		total := 0
		for i := range gws {
			gws[i].Weight = rapid.IntRange(0, 65535).Draw(t, "weight")
			total += gws[i].Weight
		}
		if total == 0 {
			return
		}
		table := tableOf(&Config{Gateways: gws})
		const clients = 100_000
		got := map[string]float64{}
		for n := range uint32(clients) {
			got[table.Pick(clientOf(n*2654435761)).Gateway]++
		}
		for _, g := range gws {
			if want, share := float64(g.Weight)/float64(total), got[g.Name]/clients; math.Abs(share-want) > 0.02 {
				t.Fatalf("%s: want a share of %.3f, got %.3f", g.Name, want, share)
			}
		}
	})
}

func TestLeastLoadedSendsToTheEmptierOfTwoByWhatItHasSentSince(t *testing.T) {
	cfg, view := site()
	cfg.Choose, cfg.Overload = LeastLoaded, 1
	cfg.Gateways[0].Capacity, cfg.Gateways[1].Capacity = 1000, 1000
	view.Loads = map[string]Load{"gw0": {Sessions: 600, CPU: -1, At: start}, "gw1": {Sessions: 200, CPU: -1, At: start}}
	table := decide(cfg, view, 0).Table
	for n := range uint32(400) {
		if got := table.Pick(clientOf(n * 2654435761)).Gateway; got != "gw1" {
			t.Fatalf("client %d: want the emptier one, got %s", n, got)
		}
	}
	for n := range uint32(200) {
		table.Pick(clientOf(n*2654435761 + 7))
	}
	if a, b := table.Sent("gw0"), table.Sent("gw1"); a != 100 || b != 500 {
		t.Errorf("once even, want them in turn: got %d and %d", a, b)
	}
	view.Loads["gw0"] = Load{Sessions: 700, CPU: -1, At: start, Sent: 100}
	view.Loads["gw1"] = Load{Sessions: 690, CPU: -1, At: start, Sent: 500}
	table = decide(cfg, view, time.Second).Table
	for n := range uint32(10) {
		if got := table.Pick(clientOf(n*2654435761 + 77)).Gateway; got != "gw1" {
			t.Errorf("after new figures: want gw1, got %s", got)
		}
	}
}

func TestAGatewayOfUnknownLoadIsTakenAsTheOthersAreOnAverage(t *testing.T) {
	cfg, view := site()
	cfg.Gateways, cfg.Choose = gateways(3), LeastLoaded
	view.Loads = map[string]Load{"gw0": {Sessions: 900, CPU: -1, At: start}, "gw1": {Sessions: 100, CPU: -1, At: start}}
	for i := range cfg.Gateways {
		cfg.Gateways[i].Capacity = 1000
		view.Health[cfg.Gateways[i].Addresses[0]] = Health{State: Up}
	}
	table := decide(cfg, view, 0).Table
	for n := range uint32(300) {
		table.Pick(clientOf(n * 2654435761))
	}
	if a, b, c := table.Sent("gw0"), table.Sent("gw1"), table.Sent("gw2"); a > 0 || b < c || c == 0 {
		t.Errorf("want most for the idle one, some for the unknown one, none for the full one; got %d, %d, %d", b, c, a)
	}
}

func TestAGatewayWhoseFiguresStoppedIsNotFloodedThoughTheOthersAreFull(t *testing.T) {
	for name, last := range map[string]int{"never known": -1, "full when last heard of": 99, "nearly idle when last heard of": 5} {
		for _, choose := range []Choose{Sticky, LeastLoaded} {
			cfg, view := site()
			cfg.Gateways, cfg.Choose, cfg.Overload, cfg.StaleAfter = gateways(10), choose, 0.9, 15*time.Second
			view.Loads = map[string]Load{}
			for at := range 4 {
				for i := range cfg.Gateways {
					g := &cfg.Gateways[i]
					g.Capacity = 1000
					view.Health[g.Addresses[0]] = Health{State: Up}
					view.Loads[g.Name] = Load{Sessions: 950, CPU: -1, At: start.Add(time.Duration(at) * 10 * time.Second)}
				}
				view.Loads["gw0"] = Load{Sessions: 10 * last, CPU: -1, At: start}
				if last < 0 {
					delete(view.Loads, "gw0")
				}
				decide(cfg, view, time.Duration(at)*10*time.Second)
			}
			got := 0
			for n := range uint32(1000) {
				if view.Table.Pick(clientOf(n*2654435761)).Gateway == "gw0" {
					got++
				}
			}
			if got > 200 {
				t.Errorf("%s, %s: %d of 1000 went there", name, choose, got)
			}
		}
	}
}

func TestOneSourceFillsNoGatewayInOurBooks(t *testing.T) {
	for _, key := range []Key{BySource, BySourceSPI} {
		cfg, view := site()
		cfg.Choose, cfg.Key = LeastLoaded, key
		table := decide(cfg, view, 0).Table
		for spi := range uint64(1000) {
			c := clientOf(7)
			c.SPI = spi
			table.Pick(c)
		}
		if n := table.Sent("gw0") + table.Sent("gw1"); n != 1 {
			t.Errorf("%s: want it counted once, got %d", key, n)
		}
	}
}

func TestAPoolMayHaveAnyName(t *testing.T) {
	cfg, view := site()
	cfg.Pools = []Pool{{Name: Everyone, Gateways: []string{"gw0"}, Sources: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}}
	table := decide(cfg, view, 0).Table
	if in, out := table.Pick(Client{Source: netip.MustParseAddr("192.0.2.1")}), table.Pick(clientOf(1)); in.Gateway != "gw0" || out.Gateway != "gw1" {
		t.Errorf("want gw0 and gw1, got %s and %s", in.Gateway, out.Gateway)
	}
}

func TestACountNeverGoesBack(t *testing.T) {
	g := gauge{meter: &meter{}, bound: [2]uint64{10, 20}}
	for range 10 {
		if !g.take(calm) {
			t.Fatal("there is room for ten")
		}
	}
	if g.take(calm) || g.room(calm) || !g.room(full) || g.meter.sent.Load() != 10 {
		t.Errorf("want ten and no more, got %d", g.meter.sent.Load())
	}
	old := gauge{meter: &meter{}, base: 5, had: 3}
	if got := old.sessions(); got != 3 {
		t.Errorf("a figure newer than the meter: want 3, got %d", got)
	}
}

func TestFallbackPoolsServeInTheirOrder(t *testing.T) {
	cfg, view := site()
	cfg.Gateways, cfg.Overload, cfg.StaleAfter = gateways(3), 0.9, time.Minute
	everybody := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
	cfg.Pools = []Pool{
		{Name: "gold", Gateways: []string{"gw0"}, Sources: everybody, Fallback: []string{"silver", "bronze"}},
		{Name: "silver", Gateways: []string{"gw1"}, Identities: []string{"x"}},
		{Name: "bronze", Gateways: []string{"gw2"}, Identities: []string{"y"}},
	}
	for _, g := range cfg.Gateways {
		view.Health[g.Addresses[0]] = Health{State: Up}
	}
	full := Load{Sessions: 100, Capacity: 100, CPU: -1, At: start}
	for _, tc := range []struct {
		name    string
		drained []string
		full    []string
		want    string
	}{
		{"all well", nil, nil, "gw0"},
		{"its own is drained", []string{"gw0"}, nil, "gw1"},
		{"its own is full", nil, []string{"gw0"}, "gw1"},
		{"the first two are full", nil, []string{"gw0", "gw1"}, "gw2"},
		{"all are full: its own again", nil, []string{"gw0", "gw1", "gw2"}, "gw0"},
		{"its own drained, all others full", []string{"gw0"}, []string{"gw1", "gw2"}, "gw1"},
		{"all drained", []string{"gw0", "gw1", "gw2"}, nil, ""},
	} {
		view.Drained, view.Loads = map[string]Drain{}, map[string]Load{}
		view.Shares = nil
		for _, name := range tc.drained {
			view.Drained[name] = Drain{}
		}
		for _, name := range tc.full {
			view.Loads[name] = full
		}
		got := ""
		if target := Decide(cfg, view, start).Table.Pick(clientOf(1)); target != nil {
			got = target.Gateway
		}
		if got != tc.want {
			t.Errorf("%s: want %q, got %q", tc.name, tc.want, got)
		}
	}
	view.Drained = nil
	view.Loads = map[string]Load{"gw0": {Sessions: 95, Capacity: 100, CPU: -1, At: start}}
	view.Shares = map[string]Share{"gw0": {Level: 5, Over: true}}
	if got := Decide(cfg, view, start).Table.Pick(clientOf(1)); got.Gateway != "gw0" {
		t.Errorf("its own is overloaded but not full: want gw0, got %v", got)
	}
	view.Loads = nil
	back := clientOf(1)
	back.From = cfg.Gateways[0].Addresses[0]
	if got := Decide(cfg, view, start).Table.Pick(back); got.Gateway != "gw1" {
		t.Errorf("back from the only gateway of its pool: want gw1, got %v", got)
	}
}

func TestSelfFirstGoesElsewhereWhileThisHostsGatewayIsOverloaded(t *testing.T) {
	cfg, view := site()
	cfg.Choose, cfg.Overload = SelfFirst, 0.9
	cfg.Gateways[0].Self = true
	view.Loads = map[string]Load{"gw0": {Sessions: 88, Capacity: 100, CPU: -1, At: start}}
	table := decide(cfg, view, 0).Table
	var got []string
	for n := range uint32(4) {
		got = append(got, table.Pick(clientOf(n)).Gateway)
	}
	if want := []string{"gw0", "gw0", "gw1", "gw1"}; !slices.Equal(got, want) {
		t.Errorf("two more until it is full: want %v, got %v", want, got)
	}
	view.Loads["gw0"] = Load{Sessions: 90, Capacity: 100, CPU: -1, At: start, Sent: 2}
	if got := decide(cfg, view, 0).Table.Pick(clientOf(9)).Gateway; got != "gw1" {
		t.Errorf("at overload: got %s", got)
	}
	view.Loads["gw0"] = Load{Sessions: 91, Capacity: 100, CPU: -1, At: start.Add(time.Second), Sent: 2}
	if got := decide(cfg, view, time.Second).Table.Pick(clientOf(9)).Gateway; got != "gw1" {
		t.Errorf("overloaded: got %s", got)
	}
}

func TestRoomsAreASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{1, 63, 64, 65, 4096, 4097, 10_000}).Draw(t, "n")
		r, model := newRooms(n), make([]bool, n)
		for i := range model {
			model[i] = true
		}
		for range 200 {
			i := rapid.IntRange(0, n-1).Draw(t, "i")
			if rapid.IntRange(0, 9).Draw(t, "sweep") == 0 {
				for j := i; j < min(n, i+200); j++ {
					r.remove(j)
					model[j] = false
				}
			}
			r.remove(i)
			model[i] = false
			from := rapid.IntRange(0, n-1).Draw(t, "from")
			want := slices.Index(model[from:], true)
			if want >= 0 {
				want += from
			}
			if got := r.next(from); got != want {
				t.Fatalf("next from %d of %d: want %d, got %d", from, n, want, got)
			}
		}
	})
}

func TestPickByLoadAllocatesNothing(t *testing.T) {
	cfg, view := crowded(100)
	table := Decide(cfg, view, start).Table
	n := uint32(0)
	if got := testing.AllocsPerRun(1000, func() { n += 2654435761; table.Pick(clientOf(n)) }); got != 0 {
		t.Errorf("want 0 allocations, got %v", got)
	}
}

// crowded returns a site of n gateways whose loads are known.
func crowded(n int) (*Config, *View) {
	cfg := &Config{Gateways: gateways(n), Choose: LeastLoaded}
	view := &View{Health: map[netip.Addr]Health{}, Loads: map[string]Load{}}
	for i, g := range cfg.Gateways {
		view.Loads[g.Name] = Load{Sessions: i % 100, Capacity: 1 << 40, CPU: -1}
		for _, a := range g.Addresses {
			view.Health[a] = Health{State: Up}
		}
	}
	return cfg, view
}

func BenchmarkPickByLoad(b *testing.B) {
	for _, n := range []int{2, 100, 10_000} {
		for _, choose := range []Choose{Sticky, LeastLoaded} {
			cfg, view := crowded(n)
			cfg.Choose = choose
			table := Decide(cfg, view, start).Table
			b.Run(fmt.Sprintf("%s of %d gateways", choose, n), func(b *testing.B) {
				b.ReportAllocs()
				for i := uint32(0); b.Loop(); i += 2654435761 {
					table.Pick(clientOf(i))
				}
			})
		}
	}
}

// BenchmarkDecide is a whole decision: with new loads, and when a gateway has left.
func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{2, 100, 10_000} {
		cfg, view := crowded(n)
		view.Table = Decide(cfg, view, start).Table
		b.Run(fmt.Sprintf("new loads of %d gateways", n), func(b *testing.B) {
			for b.Loop() {
				Decide(cfg, view, start)
			}
		})
		view.Drained = map[string]Drain{"gw1": {}}
		b.Run(fmt.Sprintf("one of %d gateways leaves", n), func(b *testing.B) {
			for b.Loop() {
				Decide(cfg, view, start)
			}
		})
	}
}

func TestAClientThatComesBackGetsAnotherGatewayWhereLoadsCount(t *testing.T) {
	for _, choose := range []Choose{Sticky, LeastLoaded} {
		cfg, view := site()
		cfg.Choose = choose
		view.Loads = map[string]Load{"gw0": {Sessions: 100, Capacity: 100, CPU: -1, At: start}, "gw1": {Sessions: 10, Capacity: 1000, CPU: -1, At: start}}
		table := decide(cfg, view, 0).Table
		for n := range uint32(100) {
			c := clientOf(n * 2654435761)
			c.SPI = 1
			first := table.Pick(c).Gateway
			c.SPI, c.From = 2, any4
			again := table.Pick(c).Gateway
			if again == first {
				t.Fatalf("%s: client %d came back and was sent to %s again", choose, n, first)
			}
			if third := table.Pick(c).Gateway; third != again {
				t.Fatalf("%s: a retransmission went to %s, not to %s", choose, third, again)
			}
		}
	}
}

func TestAGatewayThatComesBackIsNotLeftAloneWithEverybody(t *testing.T) {
	cfg, view := site()
	cfg.Overload = 0.9
	view.Loads = map[string]Load{"gw0": {CPU: 0.95, At: start}, "gw1": {CPU: 0.88, At: start}}
	view.Shares = map[string]Share{"gw0": {Level: 8, Over: true}, "gw1": {Level: 2, Since: start}}
	table, sent := decide(cfg, view, 0).Table, map[string]int{}
	for n := range uint32(1000) {
		sent[table.Pick(clientOf(n*2654435761)).Gateway]++
	}
	if sent["gw1"] > 400 {
		t.Errorf("want most for the one with 8/16, got %v", sent)
	}
}

func TestAnUnknownGatewayIsNotOverloadedByAnothersSingleFigure(t *testing.T) {
	cfg, view := site()
	cfg.Overload = 0.9
	view.Loads = map[string]Load{"gw0": {CPU: 0.95, At: start}}
	p := decide(cfg, view, 0)
	if p.Gateways[0].Share.Over || p.Gateways[1].Share.Over {
		t.Errorf("got %+v and %+v", p.Gateways[0].Share, p.Gateways[1].Share)
	}
}
