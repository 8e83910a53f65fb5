package policy

import (
	"fmt"
	"math"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

// gateways returns n gateways gw0, gw1, … of both families and equal weight.
func gateways(n int) []Gateway {
	var out []Gateway
	for i := range n {
		out = append(out, Gateway{
			Name: fmt.Sprintf("gw%d", i), Weight: 100, RedirectBy: ByAddress,
			Addresses: []netip.Addr{
				netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}),
				netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 14: byte(i >> 8), 15: byte(i)}),
			},
		})
	}
	return out
}

// everyUp admits each gateway of cfg by its address.
func everyUp(cfg *Config) admission {
	return func(i int, f family) (member, bool) { return byAddress(&cfg.Gateways[i], f) }
}

// byAddress admits g if it has an address of family f.
func byAddress(g *Gateway, f family) (member, bool) {
	a, ok := g.family(f)
	other, _ := g.family(1 - f)
	return member{target: Target{Gateway: g.Name, Addr: a, Other: other}, weight: g.Weight, self: g.Self, share: Share{Level: FullShare}}, ok
}

// tableOf returns the table of cfg when every gateway is up.
func tableOf(cfg *Config) *Table { return newTable(cfg, everyUp(cfg), nil) }

// clientOf returns an IPv4 client by number.
func clientOf(n uint32) Client {
	return Client{Source: netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})}
}

func TestWeightsAreObeyed(t *testing.T) {
	gws := gateways(4)
	gws[0].Weight, gws[1].Weight, gws[2].Weight, gws[3].Weight = 100, 200, 300, 0
	table := tableOf(&Config{Gateways: gws})
	const clients = 100_000
	got := map[string]float64{}
	for n := range uint32(clients) {
		got[table.Pick(clientOf(n*2654435761)).Gateway]++
	}
	for name, want := range map[string]float64{"gw0": 1. / 6, "gw1": 2. / 6, "gw2": 3. / 6, "gw3": 0} {
		if share := got[name] / clients; math.Abs(share-want) > 0.02 {
			t.Errorf("%s: want a share of %.3f, got %.3f", name, want, share)
		}
	}
}

func TestOnlyTheClientsOfAGatewayThatLeavesMove(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 12).Draw(t, "gateways")
		gws := gateways(n)
		for i := range gws {
			gws[i].Weight = rapid.IntRange(1, 1000).Draw(t, "weight")
		}
		gone := fmt.Sprintf("gw%d", rapid.IntRange(0, n-1).Draw(t, "gone"))
		before := tableOf(&Config{Gateways: gws})
		after := newTable(&Config{Gateways: gws}, func(i int, f family) (member, bool) {
			m, ok := byAddress(&gws[i], f)
			return m, ok && gws[i].Name != gone
		}, before)
		for n := range uint32(2000) {
			was, is := before.Pick(clientOf(n*40503)).Gateway, after.Pick(clientOf(n*40503)).Gateway
			if is == gone || was != gone && was != is {
				t.Fatalf("client %d went from %s to %s when %s left", n, was, is, gone)
			}
		}
	})
}

func TestTwoNodesAgreeWhateverTheOrderOfTheirGateways(t *testing.T) {
	a, b := gateways(5), gateways(5)
	b[0], b[4] = b[4], b[0]
	ta, tb := tableOf(&Config{Gateways: a}), tableOf(&Config{Gateways: b})
	other := tableOf(&Config{Gateways: a, Seed: "other"})
	moved := 0
	for n := range uint32(1000) {
		c := clientOf(n)
		if want, got := *ta.Pick(c), *tb.Pick(c); want != got {
			t.Fatalf("client %d: %v and %v", n, want, got)
		}
		if other.Pick(c).Gateway != ta.Pick(c).Gateway {
			moved++
		}
	}
	if moved < 500 {
		t.Errorf("another seed moved only %d of 1000 clients", moved)
	}
}

// TestPickIsTheSameInEveryRelease holds the hash: nodes of two releases side
// by side must agree while an upgrade goes on.
func TestPickIsTheSameInEveryRelease(t *testing.T) {
	table := tableOf(&Config{Gateways: gateways(16)})
	for src, want := range map[string]string{
		"192.0.2.1": "gw8", "192.0.2.2": "gw10", "192.0.2.3": "gw4", "2001:db8::1": "gw10", "2001:db8:0:7::1": "gw9",
	} {
		if got := table.Pick(Client{Source: netip.MustParseAddr(src)}).Gateway; got != want {
			t.Errorf("%s: want %s, got %s", src, want, got)
		}
	}
}

func TestWhatMakesAClientTheSame(t *testing.T) {
	cfg := &Config{Gateways: gateways(200), Key: BySource}
	bySource := tableOf(cfg)
	cfg.Key = BySourceSPI
	bySPI := tableOf(cfg)
	pick := func(t *Table, src string, spi uint64) string {
		return t.Pick(Client{Source: netip.MustParseAddr(src), SPI: spi}).Gateway
	}
	if pick(bySource, "192.0.2.1", 1) != pick(bySource, "192.0.2.1", 2) {
		t.Error("by source: another SPI moved the client")
	}
	if pick(bySource, "2001:db8::1", 1) != pick(bySource, "2001:db8::2", 1) {
		t.Error("by source: another address of the /64 moved the client")
	}
	if pick(bySPI, "192.0.2.1", 1) == pick(bySPI, "192.0.2.1", 2) {
		t.Error("by source and SPI: another SPI did not move the client")
	}
}

func TestAClientThatComesBackGetsAnotherGateway(t *testing.T) {
	anycast := netip.MustParseAddr("203.0.113.1")
	cfg := &Config{Gateways: gateways(3), Addresses: []netip.Addr{anycast}}
	table := tableOf(cfg)
	for n := range uint32(1000) {
		c := clientOf(n)
		first := *table.Pick(c)
		for _, from := range []netip.Addr{anycast, first.Addr, first.Other} {
			c.From = from
			if again := table.Pick(c); again.Gateway == first.Gateway {
				t.Fatalf("client %d back from %v was sent to %s again", n, from, first.Gateway)
			}
		}
		c.From = netip.MustParseAddr("198.51.100.99")
		if again := table.Pick(c); *again != first {
			t.Fatalf("client %d redirected by a stranger: want %v, got %v", n, first, *again)
		}
	}
	c := clientOf(7)
	c.From = anycast
	reached := map[string]bool{}
	for c.SPI = range 100 {
		reached[table.Pick(c).Gateway] = true
	}
	if len(reached) != 2 {
		t.Errorf("coming back again and again: want both others, got %v", reached)
	}
	uneven := gateways(2)
	uneven[0].Weight, uneven[1].Weight = 990, 10
	cfg.Gateways = uneven
	table = tableOf(cfg)
	for n := range uint32(5000) {
		c := clientOf(n)
		first := *table.Pick(c)
		c.From = anycast
		if again := table.Pick(c); again.Gateway == first.Gateway {
			t.Fatalf("weights 99 to 1: client %d was sent to %s again", n, first.Gateway)
		}
	}
	alone := tableOf(&Config{Gateways: gateways(1), Addresses: cfg.Addresses})
	if got := alone.Pick(Client{Source: netip.MustParseAddr("192.0.2.1"), From: anycast}); got == nil || got.Gateway != "gw0" {
		t.Errorf("only one gateway: want it again, got %v", got)
	}
}

func TestPoolsClaimClientsByLongestSourcePrefix(t *testing.T) {
	prefixes := func(s ...string) (out []netip.Prefix) {
		for _, p := range s {
			out = append(out, netip.MustParsePrefix(p))
		}
		return out
	}
	gold := Pool{Name: "gold", Gateways: []string{"gw0"}, Sources: prefixes("192.0.2.0/24", "2001:db8:1::/48")}
	inner := Pool{Name: "inner", Gateways: []string{"gw1"}, Sources: prefixes("192.0.2.128/25")}
	byName := Pool{Name: "named", Gateways: []string{"gw2"}, Identities: []string{"*@example.net"}}
	rest := Pool{Name: "rest", Gateways: []string{"gw2", "gw3"}}
	for name, tc := range map[string]struct {
		pools []Pool
		n     int
		want  map[string]string // source → pool, "" for nobody
	}{
		"no pools: all gateways serve everyone": {nil, 3, map[string]string{"192.0.2.1": Everyone, "2001:db8::1": Everyone}},
		"gateways in no pool serve the rest": {[]Pool{gold, inner}, 3, map[string]string{
			"192.0.2.1": "gold", "192.0.2.129": "inner", "2001:db8:1::1": "gold", "198.51.100.1": Everyone,
		}},
		"a pool without sources serves the rest": {[]Pool{gold, rest}, 5, map[string]string{"192.0.2.1": "gold", "198.51.100.1": "rest"}},
		"a pool by identity claims no address":   {[]Pool{gold, byName}, 3, map[string]string{"192.0.2.1": "gold", "198.51.100.1": Everyone}},
		"nobody is left for the rest":            {[]Pool{gold, inner}, 2, map[string]string{"192.0.2.1": "gold", "198.51.100.1": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			table := tableOf(&Config{Gateways: gateways(tc.n), Pools: tc.pools})
			for src, want := range tc.want {
				got := ""
				if p := table.pool(netip.MustParseAddr(src)); p != nil {
					got = p.name
				}
				if got != want {
					t.Errorf("%s: want pool %q, got %q", src, want, got)
				}
			}
		})
	}
}

func TestSelfFirstSendsEveryoneToThisHostsGateway(t *testing.T) {
	gws := gateways(3)
	gws[1].Self = true
	cfg := &Config{Gateways: gws, Choose: SelfFirst}
	up := tableOf(cfg)
	down := newTable(cfg, func(i int, f family) (member, bool) {
		m, ok := byAddress(&gws[i], f)
		return m, ok && !gws[i].Self
	}, nil)
	for n := range uint32(100) {
		if got := up.Pick(clientOf(n)).Gateway; got != "gw1" {
			t.Fatalf("usable: want gw1, got %s", got)
		}
		back := clientOf(n)
		for _, back.From = range gws[1].Addresses {
			if got := up.Pick(back).Gateway; got == "gw1" {
				t.Fatalf("back from %v: got gw1 again", back.From)
			}
		}
		if got := down.Pick(clientOf(n)).Gateway; got == "gw1" {
			t.Fatal("unusable: got it all the same")
		}
	}
}

func TestAnEmptyTableServesNobody(t *testing.T) {
	for name, table := range map[string]*Table{"zero": {}, "no gateways": tableOf(&Config{})} {
		if got := table.Pick(clientOf(1)); got != nil {
			t.Errorf("%s: want nobody, got %v", name, got)
		}
		if table.Serves(netip.MustParseAddr("192.0.2.1")) {
			t.Errorf("%s: says that it serves IPv4", name)
		}
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	cfg := &Config{
		Gateways: gateways(10), Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.1")},
		Pools: []Pool{{Name: "p", Gateways: []string{"gw0", "gw1"}, Sources: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}},
	}
	table := tableOf(cfg)
	in, out := Client{Source: netip.MustParseAddr("192.0.2.1")}, Client{Source: netip.MustParseAddr("2001:db8::1"), From: cfg.Addresses[0]}
	if got := testing.AllocsPerRun(1000, func() { table.Pick(in); table.Pick(out) }); got != 0 {
		t.Errorf("want 0 allocations, got %v", got)
	}
}

func BenchmarkPick(b *testing.B) {
	for _, n := range []int{2, 100, 10_000} {
		table := tableOf(&Config{Gateways: gateways(n)})
		b.Run(fmt.Sprintf("%d gateways", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := uint32(0); b.Loop(); i += 2654435761 {
				table.Pick(clientOf(i))
			}
		})
	}
}

func BenchmarkTable(b *testing.B) {
	for _, n := range []int{2, 100, 10_000} {
		cfg := &Config{Gateways: gateways(n)}
		b.Run(fmt.Sprintf("%d gateways", n), func(b *testing.B) {
			for b.Loop() {
				tableOf(cfg)
			}
		})
	}
}
