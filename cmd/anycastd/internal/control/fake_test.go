package control

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/bgp"
	"github.com/anycastd/anycastd/cmd/anycastd/internal/config"
	"github.com/anycastd/anycastd/cmd/anycastd/internal/load"
	"github.com/anycastd/anycastd/dnspub"
	"github.com/anycastd/anycastd/ikefront"
	"github.com/anycastd/anycastd/ikefront/probe"
	"github.com/anycastd/anycastd/netlink"
	"github.com/anycastd/anycastd/policy"
)

// world is the outside as fakes: they record what is asked of them, in order,
// and do it or fail as told.
type world struct {
	mu      sync.Mutex
	journal []string
	fail    map[string]error // by part: host, rewriter, front, speaker, publisher
	hang    map[string]bool
	dead    map[netip.Addr]bool // gateways that don't answer probes

	addresses []netip.Prefix
	listening []netip.AddrPort
	routes    []bgp.Route
	records   []dnspub.Record
	peers     []bgp.Peer
	neighbors [][]bgp.Neighbor // each time that they were set
	watched   []netip.Addr     // by the speaker
	notLocal  string           // why whole prefixes are not local
	learned   []bgp.Learned
	uplinks   []netlink.Uplink
	targets   []probe.Target
	proven    map[netip.AddrPort]time.Time
	sources   []load.Source
	marks     Marks
	table     *policy.Table
	loop      *Loop

	redirected, lost uint64 // datagrams
}

// note records a call and fails or hangs it as told.
func (w *world) note(ctx context.Context, part, format string, a ...any) error {
	w.mu.Lock()
	w.journal = append(w.journal, part+" "+fmt.Sprintf(format, a...))
	err, hang := w.fail[part], w.hang[part]
	w.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

// said returns what has been recorded since the last call.
func (w *world) said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := strings.Join(w.journal, "\n")
	w.journal = nil
	return s
}

// set runs f with the world locked.
func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

type fakeHost struct{ *world }

func (h fakeHost) Set(ctx context.Context, want []netip.Prefix) error {
	if err := h.note(ctx, "host", "%v", want); err != nil {
		return err
	}
	h.set(func() { h.addresses = want })
	return nil
}

func (h fakeHost) Addresses() []netlink.Address {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []netlink.Address
	for _, p := range h.addresses {
		a := netlink.Address{Prefix: p, Installed: true, Reason: "installed"}
		if h.notLocal != "" && !p.IsSingleIP() {
			a.Installed, a.Reason = false, h.notLocal
		}
		out = append(out, a)
	}
	if err := h.fail["host"]; err != nil {
		out = []netlink.Address{{Prefix: netip.MustParsePrefix("203.0.113.1/32"), Reason: err.Error()}}
	}
	return out
}

type fakeRewriter struct{ *world }

func (r fakeRewriter) Set(ctx context.Context, want []netlink.Rewrite) error {
	return r.note(ctx, "rewriter", "%v", want)
}

type fakeFront struct{ *world }

func (f fakeFront) Set(t *policy.Table) { f.set(func() { f.table = t }) }

func (f fakeFront) Listen(want []netip.AddrPort) map[netip.AddrPort]error {
	err := f.note(context.Background(), "front", "%v", want)
	failed := map[netip.AddrPort]error{}
	f.set(func() {
		f.listening = want
		if err != nil {
			f.listening = nil
			for _, at := range want {
				failed[at] = err
			}
		}
	})
	return failed
}

func (f fakeFront) Endpoints() (out map[netip.AddrPort]ikefront.Endpoint) {
	f.set(func() {
		out = map[netip.AddrPort]ikefront.Endpoint{netip.MustParseAddrPort("203.0.113.1:500"): {
			Sockets: []ikefront.Counts{{ikefront.Redirected: f.redirected}, {ikefront.NoSupport: 2, ikefront.QueueFull: f.lost}}, Filtering: 1,
		}}
	})
	return out
}

func (f fakeFront) CookiesDemanded() bool { return true }

type fakeSpeaker struct{ *world }

func (s fakeSpeaker) Set(ctx context.Context, routes []bgp.Route) error {
	var words []string
	for _, r := range routes {
		words = append(words, fmt.Sprintf("%v%v", r.Prefix, r.Communities))
	}
	if err := s.note(ctx, "speaker", "%s", strings.Join(words, " ")); err != nil {
		return err
	}
	s.set(func() { s.routes = routes })
	return nil
}

func (s fakeSpeaker) SetNeighbors(_ context.Context, all []bgp.Neighbor) error {
	s.set(func() { s.neighbors = append(s.neighbors, all) })
	return nil
}

func (s fakeSpeaker) Watch(all []netip.Addr) { s.set(func() { s.watched = all }) }

func (s fakeSpeaker) Learned() []bgp.Learned {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.learned)
}

type fakeUplinks struct{ *world }

func (u fakeUplinks) Set(to []netip.Addr) {
	u.set(func() {
		u.uplinks = nil
		for _, a := range to {
			u.uplinks = append(u.uplinks, netlink.Uplink{To: a, Link: "eth0", Up: true})
		}
	})
}

func (u fakeUplinks) Uplinks() []netlink.Uplink {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.uplinks)
}

func (s fakeSpeaker) Peers() []bgp.Peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.peers)
}

type fakePublisher struct{ *world }

func (p fakePublisher) Set(ctx context.Context, records []dnspub.Record) error {
	var words []string
	for _, r := range records {
		words = append(words, r.Name+"="+r.Address.String())
	}
	if err := p.note(ctx, "publisher", "%s", strings.Join(words, " ")); err != nil {
		return err
	}
	p.set(func() { p.records = records })
	return nil
}

func (p fakePublisher) Status() []dnspub.Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.fail["publisher"]; err != nil {
		return []dnspub.Status{{Name: "vpn.example.net.", Type: "A", Reason: err.Error()}}
	}
	return []dnspub.Status{{Name: "vpn.example.net.", Type: "A", Published: len(p.records) > 0, Reason: "as wanted"}}
}

type fakeProber struct{ *world }

func (p fakeProber) Set(targets []probe.Target) {
	p.set(func() {
		for _, t := range targets { // those of gateways are part of no order
			if t.Addr.Addr() == site().Policy.Addresses[0] && !slices.Contains(p.targets, t) {
				p.journal = append(p.journal, "prober "+t.Addr.String())
			}
		}
		p.targets = targets
	})
}

func (p fakeProber) Prove(at netip.AddrPort, when time.Time) {
	p.set(func() { p.proven[at] = when })
}

func (p fakeProber) Counts() probe.Counts { return probe.Counts{Sent: 1} }

type fakeLoads struct{ *world }

func (l fakeLoads) Set(sources []load.Source) { l.set(func() { l.sources = sources }) }

func (l fakeLoads) Counts() map[string]uint64 { return map[string]uint64{"report_accepted": 3} }

type fakeMarks struct{ *world }

func (m fakeMarks) Load() (Marks, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.marks, m.fail["marks"]
}

func (m fakeMarks) Save(marks Marks) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.fail["marks"]; err != nil {
		return err
	}
	m.marks = marks
	return nil
}

// answerProbes tells the loop what the present targets answer.
func (w *world) answerProbes() {
	w.mu.Lock()
	targets := slices.Clone(w.targets)
	w.mu.Unlock()
	for _, t := range targets {
		s := probe.State{Addr: t.Addr, Status: probe.Up, Reason: "answers", Since: time.Now()}
		if w.dead[t.Addr.Addr()] {
			s.Status, s.Reason = probe.Down, "no answer to 3 probes in a row"
		}
		w.loop.Probed(s)
	}
	synctest.Wait()
}

// pick returns where the front would send c by its present table.
func (w *world) pick(c policy.Client) *policy.Target {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.table.Pick(c)
}

// site is the configuration of these tests: one IPv4 address, two gateways.
func site() *config.Config {
	gateway := func(name, addr string) policy.Gateway {
		return policy.Gateway{Name: name, Weight: 100, RedirectBy: policy.ByAddress, Addresses: []netip.Addr{netip.MustParseAddr(addr)}}
	}
	every := config.Probe{Every: time.Second, Timeout: time.Second, Rise: 2, Fall: 3}
	return &config.Config{
		Name: "n1", Interface: "lo", Ports: []uint16{500},
		Probes: map[string]config.Probe{"gw1": every, "gw2": every},
		Policy: policy.Config{
			Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.1")},
			Prefixes:  []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")},
			Gateways:  []policy.Gateway{gateway("gw1", "198.51.100.1"), gateway("gw2", "198.51.100.2")},
			DrainWait: 5 * time.Second, Settle: 2 * time.Second,
			Zones: []policy.Zone{{Name: "example.net.", Names: []string{"vpn.example.net."}, TTL: 60}},
		},
		BGP:   config.BGP{ASN: 64512, Neighbors: []bgp.Neighbor{{Address: netip.MustParseAddr("192.0.2.1"), ASN: 64500}}},
		Zones: []config.DNSZone{{Name: "example.net.", Server: "192.0.2.53:53"}},
	}
}

// newWorld returns a world in which all is well.
func newWorld() *world {
	return &world{
		fail: map[string]error{}, hang: map[string]bool{}, dead: map[netip.Addr]bool{}, proven: map[netip.AddrPort]time.Time{},
		peers: []bgp.Peer{{Address: netip.MustParseAddr("192.0.2.1"), ASN: 64500, State: "Established", Families: bgp.IPv4Unicast | bgp.IPv6Unicast}},
	}
}

// parts are w's, without a rewriter.
func (w *world) parts() Parts {
	return Parts{
		Host: fakeHost{w}, Front: fakeFront{w}, Speaker: fakeSpeaker{w}, Uplinks: fakeUplinks{w}, Prober: fakeProber{w}, Loads: fakeLoads{w}, Marks: fakeMarks{w},
		Publisher: func(config.DNSZone) Publisher { return fakePublisher{w} },
	}
}

// story runs tell in a bubble of fake time with a loop on fakes.
func story(t *testing.T, tell func(t *testing.T, w *world)) { storyOf(t, site(), tell) }

// storyOf is story with this configuration.
func storyOf(t *testing.T, cfg *config.Config, tell func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		parts := w.parts()
		if cfg.PortConflict == "nft" {
			parts.Rewriter = fakeRewriter{w}
		}
		w.loop = New(cfg, parts, discard())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.loop.Run(ctx) }()
		synctest.Wait()
		tell(t, w)
		cancel()
		if err := <-done; err != nil && !errors.Is(err, errPart) {
			t.Errorf("Run: %v", err)
		}
	})
}

// clientOf is a client by its address.
func clientOf(addr string) policy.Client { return policy.Client{Source: netip.MustParseAddr(addr)} }

// discard logs nothing.
func discard() zerolog.Logger { return zerolog.Nop() }

// errPart is the failure of a part.
var errPart = errors.New("a part broke")

// status returns the loop's status.
func (w *world) status(t *testing.T) Status {
	t.Helper()
	s, err := w.loop.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}
