package policy

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var (
	start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	any4  = netip.MustParseAddr("203.0.113.1")
	any6  = netip.MustParseAddr("2001:db8:a::1")
	net4  = netip.MustParsePrefix("203.0.113.0/24")
	net6  = netip.MustParsePrefix("2001:db8:a::/48")
)

// site returns a configuration of two gateways and both families, and a view
// in which everything is well.
func site() (*Config, *View) {
	cfg := &Config{
		Addresses: []netip.Addr{any4, any6}, Prefixes: []netip.Prefix{net4, net6}, Gateways: gateways(2),
		Key: BySource, Choose: Sticky, DrainWait: 5 * time.Second, Settle: 2 * time.Second,
		Zones: []Zone{{Name: "example.net.", Names: []string{"vpn.example.net."}, Gateways: true, TTL: 300}},
	}
	cfg.Gateways[0].FQDN = "gw0.example.net"
	cfg.Gateways[1].FQDN = "gw1.example.org"
	ok := Fact{OK: true}
	view := &View{
		Health: map[netip.Addr]Health{}, Drained: map[string]Drain{}, Routes: map[netip.Prefix]RouteState{}, Spoken: map[netip.Prefix]bool{},
		Own: map[netip.Addr]Own{any4: {ok, ok, ok, true}, any6: {ok, ok, ok, true}},
	}
	for _, g := range cfg.Gateways {
		for _, a := range g.Addresses {
			view.Health[a] = Health{State: Up, Reason: "answers"}
		}
	}
	return cfg, view
}

// decide decides at start+at and lets the view remember the plan, as the loop does.
func decide(cfg *Config, view *View, at time.Duration) Plan {
	p := Decide(cfg, view, start.Add(at))
	view.Table, view.Site, view.Shares = p.Table, p.Site.SiteState, map[string]Share{}
	for _, g := range p.Gateways {
		view.Shares[g.Name] = g.Share
	}
	for _, r := range p.Routes {
		view.Routes[r.Prefix] = r.RouteState
		view.Spoken[r.Prefix] = view.Spoken[r.Prefix] || r.Wish == Announced
	}
	return p
}

// wishes returns what p says of the IPv4 and the IPv6 prefix, with the reasons.
func wishes(p Plan) string {
	var out []string
	for _, r := range p.Routes {
		out = append(out, string(r.Wish)+": "+r.Reason)
	}
	return strings.Join(out, " | ")
}

func TestAPrefixIsAnnouncedOnlyWhenEachStepBeforeHolds(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Config, *View)
		want   string
	}{
		"all well": {func(*Config, *View) {}, "announced: in service | announced: in service"},
		"nothing known yet": {
			func(_ *Config, v *View) { v.Own = nil },
			"withdrawn: 203.0.113.1: not on the host yet | withdrawn: 2001:db8:a::1: not on the host yet",
		},
		"IPv6 address can't be installed": {
			func(_ *Config, v *View) { v.Own[any6] = Own{Installed: Fact{false, "no such interface"}} },
			"announced: in service | withdrawn: 2001:db8:a::1: no such interface",
		},
		"a socket can't be opened": {
			func(_ *Config, v *View) {
				v.Own[any4] = Own{Installed: Fact{OK: true}, Listening: Fact{false, "port 500 is taken"}}
			},
			"withdrawn: 203.0.113.1: port 500 is taken | announced: in service",
		},
		"no gateway": {
			func(c *Config, _ *View) { c.Gateways = nil },
			"withdrawn: no usable gateway for IPv4 clients | withdrawn: no usable gateway for IPv6 clients",
		},
		"no gateway for IPv6": {
			func(c *Config, v *View) {
				for _, g := range c.Gateways {
					v.Health[g.Addresses[1]] = Health{State: Down}
				}
			},
			"announced: in service | withdrawn: no usable gateway for IPv6 clients",
		},
		"gateways not proved alive yet": {
			func(_ *Config, v *View) { v.Health = nil },
			"withdrawn: no usable gateway for IPv4 clients | withdrawn: no usable gateway for IPv6 clients",
		},
		"own probe unanswered": {
			func(_ *Config, v *View) {
				v.Own[any4] = Own{Fact{OK: true}, Fact{OK: true}, Fact{false, "silence since 3 s"}, true}
			},
			"withdrawn: 203.0.113.1: silence since 3 s | announced: in service",
		},
		"node drained": {
			func(_ *Config, v *View) { v.Node = &Drain{Reason: "by hand"} },
			"withdrawn: node drained: by hand | withdrawn: node drained: by hand",
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, view := site()
			tc.change(cfg, view)
			if diff := cmp.Diff(tc.want, wishes(decide(cfg, view, 0))); diff != "" {
				t.Errorf("routes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAStopTakesTheRoutesDownBeforeSocketsBeforeAddresses(t *testing.T) {
	cfg, view := site()
	decide(cfg, view, 0)
	view.Stopping = true
	step := func(at time.Duration, wish RouteWish, listen, install, stopped bool, next time.Duration) {
		t.Helper()
		p := decide(cfg, view, at)
		for _, r := range p.Routes {
			if r.Wish != wish {
				t.Errorf("at %v: want %v %s, got %s", at, r.Prefix, wish, r.Wish)
			}
		}
		for _, a := range p.Addresses {
			if a.Listen != listen || a.Install != install {
				t.Errorf("at %v: want listen %v install %v, got %+v", at, listen, install, a)
			}
		}
		if p.Stopped != stopped {
			t.Errorf("at %v: want stopped %v, got %v", at, stopped, p.Stopped)
		}
		want := time.Time{}
		if next != 0 {
			want = start.Add(next)
		}
		if !p.Next.Equal(want) {
			t.Errorf("at %v: want the next decision at %v, got %v", at, want, p.Next)
		}
	}
	second := time.Second
	step(10*second, GracefulShutdown, true, true, false, 15*second)
	step(14*second, GracefulShutdown, true, true, false, 15*second)
	step(15*second, Withdrawn, true, true, false, 17*second)
	step(16*second, Withdrawn, true, true, false, 17*second)
	step(17*second, Withdrawn, false, true, false, 0)
	view.Own[any4], view.Own[any6] = Own{Installed: Fact{OK: true}}, Own{Installed: Fact{OK: true}}
	step(18*second, Withdrawn, false, false, false, 0)
	view.Own = nil
	step(19*second, Withdrawn, false, false, true, 0)
}

func TestAStopBeforeAnythingWasAnnouncedWaitsForNothing(t *testing.T) {
	cfg, view := site()
	view.Own, view.Stopping = nil, true
	if p := decide(cfg, view, 0); !p.Stopped {
		t.Errorf("want stopped at once, got %s, next %v", wishes(p), p.Next)
	}
}

func TestADrainedNodeKeepsAnsweringAndComesBack(t *testing.T) {
	cfg, view := site()
	decide(cfg, view, 0)
	view.Node = &Drain{Reason: "maintenance"}
	p := decide(cfg, view, time.Second)
	if want := "graceful-shutdown: node drained: maintenance"; !strings.HasPrefix(wishes(p), want) {
		t.Errorf("want %q, got %q", want, wishes(p))
	}
	p = decide(cfg, view, time.Minute)
	if want := "withdrawn: node drained: maintenance"; !strings.HasPrefix(wishes(p), want) {
		t.Errorf("want %q, got %q", want, wishes(p))
	}
	p = decide(cfg, view, time.Hour)
	if !p.Addresses[0].Listen || !p.Addresses[0].Install || p.Table.Pick(clientOf(1)) == nil {
		t.Error("a drained node must keep answering")
	}
	view.Node = nil
	if p = decide(cfg, view, 2*time.Hour); !strings.HasPrefix(wishes(p), "announced") {
		t.Errorf("want announced again, got %q", wishes(p))
	}
}

func TestAnAddressAddedToAnAnnouncedPrefixDoesNotTakeItDown(t *testing.T) {
	cfg, view := site()
	decide(cfg, view, 0)
	cfg.Addresses = append(cfg.Addresses, netip.MustParseAddr("203.0.113.50"))
	if got := decide(cfg, view, time.Second).Routes[0].Wish; got != Announced {
		t.Errorf("while it comes up: want %s, got %s", Announced, got)
	}
	added := Own{Installed: Fact{OK: true}, Listening: Fact{OK: true}, Proven: true}
	view.Own[cfg.Addresses[2]] = added
	if got := decide(cfg, view, time.Second).Routes[0].Wish; got != Withdrawn {
		t.Errorf("once it was up it counts: want %s, got %s", Withdrawn, got)
	}
}

func TestWhatLeavesTheConfigurationGoesInTheOrderOfAStop(t *testing.T) {
	cfg, view := site()
	decide(cfg, view, 0)
	cfg.Addresses, cfg.Prefixes = cfg.Addresses[:1], cfg.Prefixes[:1]
	step := func(at time.Duration, route string, address *AddressPlan) {
		t.Helper()
		p := decide(cfg, view, at)
		if p.Routes[0].Wish != Announced {
			t.Errorf("at %v: the other prefix is %s", at, p.Routes[0].Wish)
		}
		got := ""
		if len(p.Routes) > 1 {
			got = string(p.Routes[1].Wish)
		}
		if got != route {
			t.Errorf("at %v: want route %q, got %q", at, route, got)
		}
		var a *AddressPlan
		if len(p.Addresses) > 1 {
			a = &p.Addresses[1]
		}
		if diff := cmp.Diff(address, a, cmp.Comparer(func(x, y netip.Addr) bool { return x == y })); diff != "" {
			t.Errorf("at %v: address (-want +got):\n%s", at, diff)
		}
	}
	second, serving := time.Second, &AddressPlan{any6, true, true, noLonger}
	step(10*second, "graceful-shutdown", serving)
	step(15*second, "withdrawn", serving)
	step(16*second, "withdrawn", serving)
	step(17*second, "", &AddressPlan{any6, true, false, noLonger})
	view.Own[any6] = Own{Installed: Fact{OK: true}}
	step(18*second, "", &AddressPlan{any6, false, false, noLonger})
	view.Own[any6] = Own{}
	step(19*second, "", nil)
}

func TestLossOfTheLastGatewayIsGracefulLossOfTheSocketIsNot(t *testing.T) {
	cfg, view := site()
	decide(cfg, view, 0)
	view.Drained = map[string]Drain{"gw0": {}, "gw1": {}}
	if got := decide(cfg, view, time.Second).Routes[0].Wish; got != GracefulShutdown {
		t.Errorf("gateway: want %s, got %s", GracefulShutdown, got)
	}
	view.Own[any4] = Own{Installed: Fact{OK: true}}
	if got := decide(cfg, view, time.Second).Routes[0].Wish; got != Withdrawn {
		t.Errorf("socket: want %s, got %s", Withdrawn, got)
	}
}

func TestServiceNamesAreRecordedOnceTheirPrefixHasBeenAnnounced(t *testing.T) {
	cfg, view := site()
	published := func(p Plan) (out []string) {
		for _, r := range p.Records {
			if r.Publish {
				out = append(out, r.Name+" "+r.Addr.String())
			}
		}
		return out
	}
	own := view.Own[any6]
	view.Own[any6] = Own{}
	decide(cfg, view, 0)
	gateway := []string{"gw0.example.net. 198.18.0.0", "gw0.example.net. 2001:db8::"}
	want := append([]string{"vpn.example.net. 203.0.113.1"}, gateway...)
	if diff := cmp.Diff(want, published(decide(cfg, view, 0))); diff != "" {
		t.Errorf("IPv6 not announced yet (-want +got):\n%s", diff)
	}
	view.Own[any6] = own
	decide(cfg, view, time.Second)
	view.Node = &Drain{Reason: "drained"}
	want = append([]string{"vpn.example.net. 203.0.113.1", "vpn.example.net. 2001:db8:a::1"}, gateway...)
	if diff := cmp.Diff(want, published(decide(cfg, view, time.Minute))); diff != "" {
		t.Errorf("withdrawn, but announced before (-want +got):\n%s", diff)
	}
}

func TestEachGatewayHasItsReason(t *testing.T) {
	cfg, view := site()
	cfg.Gateways = gateways(5)
	cfg.Gateways[1].Weight = 0
	cfg.Gateways[3] = Gateway{Name: "gw3", Weight: 1, RedirectBy: ByFQDN, FQDN: "gw3.example"}
	cfg.Gateways[4].RedirectBy, cfg.Gateways[4].FQDN = ByFQDN, "gw4.example"
	view.Drained["gw2"] = Drain{Reason: "by hand"}
	a := cfg.Gateways[0].Addresses
	view.Health[a[1]] = Health{State: Down, Reason: "silent for 3 s"}
	want := []GatewayPlan{
		{Name: "gw0", Usable: true, Pools: []string{Everyone}, Share: Share{Level: FullShare}, Load: noLoad, Reason: "198.18.0.0 answers; 2001:db8:: silent for 3 s"},
		{Name: "gw1", Usable: false, Pools: []string{Everyone}, Share: Share{Level: FullShare}, Load: noLoad, Reason: "weight 0"},
		{Name: "gw2", Usable: false, Pools: []string{Everyone}, Share: Share{Level: FullShare}, Load: noLoad, Reason: "drained: by hand"},
		{Name: "gw3", Usable: true, Pools: []string{Everyone}, Share: Share{Level: FullShare}, Load: noLoad, Reason: "no address to probe: gw3.example is taken as alive"},
		{Name: "gw4", Usable: false, Pools: []string{Everyone}, Share: Share{Level: FullShare}, Load: noLoad, Reason: "198.18.0.4 not proved alive yet; 2001:db8::4 not proved alive yet"},
	}
	if diff := cmp.Diff(want, decide(cfg, view, 0).Gateways, cmpopts.IgnoreUnexported(GatewayPlan{})); diff != "" {
		t.Errorf("gateways (-want +got):\n%s", diff)
	}
}

func TestDecideGoesByTheViewAlone(t *testing.T) {
	cfg, view := site()
	a, b := Decide(cfg, view, start), Decide(cfg, view, start)
	a.Table, b.Table = nil, nil
	if diff := cmp.Diff(a, b, cmp.AllowUnexported(GatewayPlan{}, bearing{}), cmp.Comparer(func(x, y netip.Addr) bool { return x == y }), cmp.Comparer(func(x, y netip.Prefix) bool { return x == y })); diff != "" {
		t.Errorf("two decisions on one view differ:\n%s", diff)
	}
}

func TestExplainSaysWhatThePacketPathDoes(t *testing.T) {
	cfg, view := site()
	cfg.Gateways = gateways(3)
	a := cfg.Gateways[2].Addresses
	view.Health[a[0]] = Health{State: Down, Reason: "silent"}
	p := decide(cfg, view, 0)
	for n := range uint32(50) {
		c := clientOf(n)
		e := Explain(cfg, &p, view, start, c, "")
		if want := p.Table.Pick(c); *e.Target != *want {
			t.Fatalf("client %d: packet path %v, explain %v", n, want, e.Target)
		}
		other := map[string]string{"gw0": "gw1", "gw1": "gw0"}[e.Target.Gateway]
		if want := e.Target.Gateway + " down, drained or overloaded: it would go to " + other; e.Change[0] != want {
			t.Fatalf("client %d: want %q, got %q", n, want, e.Change[0])
		}
	}
	back := clientOf(1)
	back.From = Explain(cfg, &p, view, start, back, "").Target.Addr
	if e := Explain(cfg, &p, view, start, back, ""); e.Target.Addr == back.From || !strings.HasPrefix(e.Why, "it comes back redirected from "+back.From.String()) {
		t.Errorf("back from %v: got %v because %q", back.From, e.Target, e.Why)
	}
	e := Explain(cfg, &p, view, start, clientOf(1), "")
	if len(e.Candidates) != 3 || e.Candidates[2].Usable || e.Candidates[2].Share != 0 || e.Candidates[0].Share < 0.4 {
		t.Errorf("want two usable candidates of about half each, got %+v", e.Candidates)
	}
	cfg.Pools = []Pool{{Name: "gold", Gateways: []string{"gw0", "gw1", "gw2"}, Sources: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}}
	p = decide(cfg, view, 0)
	if e := Explain(cfg, &p, view, start, clientOf(1), ""); e.Target != nil || !strings.HasPrefix(e.Why, "no pool claims 0.0.0.1") {
		t.Errorf("want nobody, got %v because %q", e.Target, e.Why)
	}
}
