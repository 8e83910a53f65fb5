package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/anycastd/anycastd/bgp"
	"github.com/anycastd/anycastd/cmd/anycastd/internal/config"
	"github.com/anycastd/anycastd/cmd/anycastd/internal/load"
	"github.com/anycastd/anycastd/dnspub"
	"github.com/anycastd/anycastd/ikefront"
	"github.com/anycastd/anycastd/ikefront/probe"
	"github.com/anycastd/anycastd/netlink"
	"github.com/anycastd/anycastd/policy"
)

// outside is the world of a torture: what the parts have brought about, what
// they have told the loop, and how they misbehave at present. Parts that are
// called too early, too late or in the wrong order put that into broken.
type outside struct {
	mu     sync.Mutex
	modes  map[string]*mode
	broken []string // invariants that calls and log lines have violated

	addresses []netip.Addr // on the host
	wanted    []netip.Addr // by the last Set
	listening []netip.AddrPort
	routes    []bgp.Route
	records   map[string][]dnspub.Record
	peers     []bgp.Peer
	targets   []probe.Target
	saved     Marks
	table     *policy.Table

	flood      bool
	floodEnded time.Time
	counts     map[netip.AddrPort]ikefront.Counts // of what is or was open

	told  told
	cfg   *config.Config // the one that runs, or is about to
	since lives
}

// mode is how a part misbehaves.
type mode struct {
	how  string // fails, pretends to fail, hangs, late
	by   time.Duration
	gate chan struct{} // closed when the part is well again
}

// told is what a loop has been told in its life.
type told struct {
	installed map[netip.Addr]bool
	listening map[netip.AddrPort]bool
	rewritten error
	own       map[netip.AddrPort]probe.Status
	proven    map[netip.Addr]bool // has been installed, open and answering at some time
}

// lives is what has happened in the life of a loop.
type lives struct {
	wish        map[netip.Prefix]string // by the log
	at          map[netip.Prefix]time.Time
	graceful    map[netip.Prefix]time.Time // since when by the log; zero: it is not
	announced   map[netip.Prefix]bool      // at some time
	spoken      map[netip.Prefix]bool      // the speaker has been asked for it at some time
	site        string                     // by the log
	siteFell    time.Time
	siteBack    time.Time // the last time it came back
	siteRelapse int
}

// reborn forgets what a loop has been told, and what was open ends with it.
func (o *outside) reborn() {
	o.set(func() {
		o.told = told{
			installed: map[netip.Addr]bool{}, listening: map[netip.AddrPort]bool{}, own: map[netip.AddrPort]probe.Status{}, proven: map[netip.Addr]bool{},
		}
		o.since = lives{wish: map[netip.Prefix]string{}, at: map[netip.Prefix]time.Time{}, graceful: map[netip.Prefix]time.Time{}, announced: map[netip.Prefix]bool{}, spoken: map[netip.Prefix]bool{}}
		o.targets, o.listening, o.routes, o.table, o.counts = nil, nil, nil, nil, map[netip.AddrPort]ikefront.Counts{}
	})
}

// set runs f with the world locked.
func (o *outside) set(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f()
}

// violate notes that an invariant does not hold. The world is locked.
func (o *outside) violate(format string, a ...any) {
	o.broken = append(o.broken, fmt.Sprintf(format, a...))
}

// errBroken is what a failing part returns.
var errBroken = errors.New("this part is broken")

// call does what a part is called for, in the part's present mode.
func (o *outside) call(ctx context.Context, part string, do func()) error {
	o.mu.Lock()
	m := o.modes[part]
	o.mu.Unlock()
	if m != nil {
		switch m.how {
		case "fails":
			return errBroken
		case "pretends to fail":
			o.set(do)
			return errBroken
		case "hangs":
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-m.gate:
			}
		case "late":
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(m.by):
			}
		}
	}
	o.set(do)
	return nil
}

// misbehave puts a part into a mode.
func (o *outside) misbehave(part, how string, by time.Duration) {
	o.heal(part)
	o.set(func() { o.modes[part] = &mode{how, by, make(chan struct{})} })
}

// heal makes a part well again.
func (o *outside) heal(part string) {
	o.set(func() {
		if m := o.modes[part]; m != nil {
			close(m.gate)
			delete(o.modes, part)
		}
	})
}

// ready says whether the loop has been told that all of address a is up; if
// leniently, a probe that may have got lost in a flood counts as answered.
func (o *outside) ready(a netip.Addr, leniently bool) bool {
	if !o.told.installed[a] || o.told.rewritten != nil {
		return false
	}
	for _, port := range o.cfg.Ports {
		at := netip.AddrPortFrom(a, port)
		excused := leniently && o.told.proven[a] && (o.flood || time.Since(o.floodEnded) <= pulseFor+2*selfEvery)
		if !o.told.listening[at] || o.told.own[at] != probe.Up && !(o.told.own[at] == probe.Down && excused) {
			return false
		}
	}
	return true
}

// prove notes which addresses are up by now.
func (o *outside) prove() {
	for _, a := range o.cfg.Policy.Addresses {
		o.told.proven[a] = o.told.proven[a] || o.ready(a, false)
	}
}

// mayServe says whether clients that arrive by p find all of the node up; with
// addresses that have joined an announced prefix, the others.
func (o *outside) mayServe(p netip.Prefix, leniently bool) bool {
	all, proven := true, 0
	for _, a := range o.cfg.Policy.Addresses {
		if !p.Contains(a) {
			continue
		}
		if !o.ready(a, leniently) {
			if o.told.proven[a] {
				return false
			}
			all = false
			continue
		}
		proven++
	}
	return all || proven > 0
}

type outerHost struct{ *outside }

func (h outerHost) Set(ctx context.Context, want []netip.Prefix) error {
	var addrs []netip.Addr
	for _, p := range want {
		addrs = append(addrs, p.Addr())
	}
	h.set(func() {
		h.wanted = addrs
		h.mayRemove(addrs)
	})
	return h.call(ctx, "host", func() { h.addresses = addrs })
}

// mayRemove checks that no address is removed that is answered from. The world
// is locked.
func (h outerHost) mayRemove(want []netip.Addr) {
	for _, a := range h.addresses {
		if slices.Contains(want, a) || h.told.rewritten != nil {
			continue
		}
		open := !slices.ContainsFunc(h.cfg.Ports, func(port uint16) bool { return !h.told.listening[netip.AddrPortFrom(a, port)] })
		if open && slices.ContainsFunc(h.listening, func(at netip.AddrPort) bool { return at.Addr() == a }) {
			h.violate("3 (order): address %v is removed before its sockets are closed", a)
		}
	}
}

func (h outerHost) Addresses() (out []netlink.Address) {
	h.set(func() {
		clear(h.told.installed)
		add := func(a netip.Addr) {
			ok := slices.Contains(h.addresses, a)
			h.told.installed[a] = ok
			reason := "installed"
			if !ok {
				reason = "the host lacks it"
			}
			out = append(out, netlink.Address{Prefix: netip.PrefixFrom(a, a.BitLen()), Installed: ok, Reason: reason})
		}
		for _, a := range h.wanted {
			add(a)
		}
		for _, a := range h.addresses {
			if !slices.Contains(h.wanted, a) {
				add(a)
			}
		}
		h.prove()
	})
	return out
}

type outerRewriter struct{ *outside }

func (r outerRewriter) Set(ctx context.Context, _ []netlink.Rewrite) error {
	err := r.call(ctx, "rewriter", func() {})
	if ctx.Err() == nil {
		r.set(func() { r.told.rewritten = err; r.prove() })
	}
	return err
}

type outerFront struct{ *outside }

func (f outerFront) Set(t *policy.Table) {
	shelve(t)
	f.set(func() { f.table = t })
}

func (f outerFront) Listen(want []netip.AddrPort) map[netip.AddrPort]error {
	f.set(func() { f.mayClose(want) })
	failed := map[netip.AddrPort]error{}
	err := f.call(context.Background(), "front", func() { f.listening = slices.Clone(want) })
	f.set(func() {
		f.listening = slices.DeleteFunc(slices.Clone(f.listening), func(at netip.AddrPort) bool { return !slices.Contains(want, at) })
		clear(f.told.listening)
		for _, at := range want {
			f.told.listening[at] = slices.Contains(f.listening, at) // those that were open stay so though others can't be opened
			if !f.told.listening[at] {
				failed[at] = err
			}
		}
		f.prove()
	})
	return failed
}

// mayClose checks that no socket is closed that still has to answer. The world
// is locked.
func (f outerFront) mayClose(want []netip.AddrPort) {
	for _, at := range f.listening {
		if slices.Contains(want, at) || !slices.Contains(f.cfg.Ports, at.Port()) || !slices.Contains(f.addresses, at.Addr()) {
			continue
		}
		kept := slices.Contains(f.cfg.Policy.Addresses, at.Addr())
		for p, wish := range f.since.wish {
			if !f.since.announced[p] || !p.Contains(at.Addr()) || !kept && slices.Contains(f.cfg.Policy.Prefixes, p) {
				continue // an address that leaves while its prefix stays goes at once
			}
			if wish != string(policy.Withdrawn) {
				f.violate("3 (order): socket %v is closed while the route of %v is %s", at, p, wish)
			} else if quiet := time.Since(f.since.at[p]); quiet < f.cfg.Policy.Settle {
				f.violate("3 (order): socket %v is closed %v after the withdrawal of %v, settle is %v", at, quiet, p, f.cfg.Policy.Settle)
			}
		}
	}
}

func (f outerFront) Endpoints() (out map[netip.AddrPort]ikefront.Endpoint) {
	f.set(func() {
		for _, at := range f.listening {
			c := f.counts[at]
			if f.flood {
				c[ikefront.Redirected], c[ikefront.QueueFull] = c[ikefront.Redirected]+1000, c[ikefront.QueueFull]+1
			}
			f.counts[at] = c
		}
		out = map[netip.AddrPort]ikefront.Endpoint{}
		for at, c := range f.counts {
			out[at] = ikefront.Endpoint{Sockets: []ikefront.Counts{c}}
		}
	})
	return out
}

func (f outerFront) CookiesDemanded() bool { return false }

type outerSpeaker struct{ *outside }

func (s outerSpeaker) Set(ctx context.Context, routes []bgp.Route) error {
	s.set(func() { s.mayAnnounce(routes) })
	return s.call(ctx, "speaker", func() { s.routes = slices.Clone(routes) })
}

// mayAnnounce checks that nothing new is announced whose addresses have never
// been up. The world is locked.
func (s outerSpeaker) mayAnnounce(routes []bgp.Route) {
	for _, r := range routes {
		s.since.spoken[r.Prefix] = true
		if slices.ContainsFunc(s.routes, func(old bgp.Route) bool { return old.Prefix == r.Prefix }) {
			continue
		}
		inside, proven := 0, 0
		for _, a := range s.cfg.Policy.Addresses {
			if r.Prefix.Contains(a) {
				inside++
				if s.told.proven[a] || s.ready(a, true) {
					proven++
				}
			}
		}
		if inside > 0 && proven == 0 {
			s.violate("3 (order): %v is announced before any address in it was installed, open and answering", r.Prefix)
		}
	}
}

func (s outerSpeaker) SetNeighbors(context.Context, []bgp.Neighbor) error { return nil }

func (s outerSpeaker) Watch([]netip.Addr)     {}
func (s outerSpeaker) Learned() []bgp.Learned { return nil }

type outerUplinks struct{}

func (outerUplinks) Set([]netip.Addr)          {}
func (outerUplinks) Uplinks() []netlink.Uplink { return nil }

func (s outerSpeaker) Peers() []bgp.Peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.peers)
}

type outerPublisher struct {
	*outside
	zone string
}

func (p outerPublisher) Set(ctx context.Context, records []dnspub.Record) error {
	p.set(func() { p.mayPublish(records) })
	return p.call(ctx, "publisher", func() { p.records[p.zone] = slices.Clone(records) })
}

// mayPublish checks that no anycast address is published before its prefix has
// been announced. The world is locked.
func (p outerPublisher) mayPublish(records []dnspub.Record) {
	for _, r := range records {
		spoken := slices.ContainsFunc(slices.Collect(maps.Keys(p.since.spoken)), func(prefix netip.Prefix) bool { return prefix.Contains(r.Address) })
		if isAnycast(r.Address) && !spoken {
			p.violate("3 (order): %s %v is published before any prefix of it has been announced", r.Name, r.Address)
		}
	}
}

func (p outerPublisher) Status() (out []dnspub.Status) {
	p.set(func() {
		for _, r := range p.records[p.zone] {
			kind := "A"
			if r.Address.Is6() {
				kind = "AAAA"
			}
			out = append(out, dnspub.Status{Name: r.Name, Type: kind, Published: true, Reason: "as wanted"})
		}
	})
	return out
}

type outerProber struct{ *outside }

func (p outerProber) Set(targets []probe.Target) {
	p.set(func() {
		p.targets = targets
		watched := map[netip.AddrPort]bool{}
		for _, t := range targets {
			watched[t.Addr] = true
		}
		maps.DeleteFunc(p.told.own, func(at netip.AddrPort, _ probe.Status) bool { return !watched[at] })
	})
}

func (p outerProber) Prove(netip.AddrPort, time.Time) {}

func (p outerProber) Counts() probe.Counts { return probe.Counts{} }

type outerLoads struct{ *outside }

func (l outerLoads) Set([]load.Source) {}

func (l outerLoads) Counts() map[string]uint64 { return map[string]uint64{} }

type outerMarks struct{ *outside }

func (m outerMarks) Load() (marks Marks, err error) {
	m.set(func() {
		marks = Marks{Node: m.saved.Node, Gateways: maps.Clone(m.saved.Gateways)}
		if m.modes["marks"] != nil && m.modes["marks"].how != "late" {
			marks, err = Marks{}, errBroken
		}
	})
	return marks, err
}

func (m outerMarks) Save(marks Marks) error {
	return m.call(context.Background(), "marks", func() { m.saved = marks })
}

// parts are what a loop works with.
func (o *outside) parts(rewrites bool) Parts {
	p := Parts{
		Host: outerHost{o}, Front: outerFront{o}, Speaker: outerSpeaker{o}, Uplinks: outerUplinks{}, Prober: outerProber{o}, Loads: outerLoads{o}, Marks: outerMarks{o},
		Publisher: func(z config.DNSZone) Publisher { return outerPublisher{o, z.Name} },
	}
	if rewrites {
		p.Rewriter = outerRewriter{o}
	}
	return p
}

// Write takes a line of the log, and learns from it what was decided when.
func (o *outside) Write(line []byte) (int, error) {
	switch {
	case bytes.Contains(line, []byte(`"message":"route decided"`)):
		o.set(func() {
			o.decided(netip.MustParsePrefix(field(line, "prefix")), field(line, "route"), field(line, "reason"))
		})
	case bytes.Contains(line, []byte(`"message":"route gone"`)):
		o.set(func() { o.decided(netip.MustParsePrefix(field(line, "prefix")), "gone", "gone") })
	case bytes.Contains(line, []byte(`"message":"site decided"`)):
		o.set(func() { o.siteDecided(field(line, "site")) })
	}
	return len(line), nil
}

// field returns the string value of a key in a line of the log.
func field(line []byte, key string) string {
	_, rest, _ := bytes.Cut(line, []byte(`"`+key+`":"`))
	value, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(value)
}

// decided takes in what the log says of a route. The world is locked.
func (o *outside) decided(p netip.Prefix, wish, reason string) {
	s := &o.since
	if reason == "" {
		o.violate("5 (reasons): the log gives no reason for %v becoming %s", p, wish)
	}
	last := s.wish[p]
	if last == wish {
		return
	}
	wasUp := last == string(policy.Announced) || last == string(policy.Worse)
	switch {
	case wish == string(policy.Withdrawn) && last == string(policy.GracefulShutdown):
		if waited := time.Since(s.graceful[p]); waited < o.cfg.Policy.DrainWait && o.mayServe(p, false) {
			o.violate("3 (order): %v is withdrawn %v after graceful shutdown, drain_wait is %v, though it still answers: %s", p, waited, o.cfg.Policy.DrainWait, reason)
		}
	case wish == string(policy.Withdrawn) && wasUp:
		if o.cfg.Policy.DrainWait > 0 && o.mayServe(p, false) {
			o.violate("3 (order): %v is withdrawn without graceful shutdown, though it still answers: %s", p, reason)
		}
	case wish == string(policy.GracefulShutdown):
		s.graceful[p] = time.Now()
	case wish == string(policy.Announced), wish == string(policy.Worse):
		s.announced[p] = true
	case wish == "gone":
		if quiet := time.Since(s.at[p]); s.announced[p] && (last != string(policy.Withdrawn) || quiet < o.cfg.Policy.Settle) {
			o.violate("3 (order): %v is forgotten %v after it became %s, settle is %v", p, quiet, last, o.cfg.Policy.Settle)
		}
		delete(s.announced, p)
	}
	s.wish[p], s.at[p] = wish, time.Now()
}

// siteDecided takes in what the log says of the site, and checks its hold-down.
// The world is locked.
func (o *outside) siteDecided(fitness string) {
	s, now := &o.since, time.Now()
	fit := string(policy.Fit)
	switch {
	case s.site == fit && fitness != fit:
		s.siteRelapse++
		if s.siteBack.IsZero() || now.Sub(s.siteBack) > policy.RelapseWithin {
			s.siteRelapse = 0
		}
		s.siteFell = now
	case s.site != "" && s.site != fit && fitness == fit:
		hold := o.cfg.Policy.Site.Hold
		if s.siteRelapse > 0 && hold > 0 {
			least := min(hold<<min(s.siteRelapse-1, 20), policy.MaxHold) * 4 / 5
			if down := now.Sub(s.siteFell); down < least {
				o.violate("10 (hold-down): the site is back %v after it became unfit, after %d relapses at least %v are due", down, s.siteRelapse, least)
			}
		}
		s.siteBack = now
	}
	s.site = fitness
}

// shelf holds all slots that a torture has had made, by their candidates: to
// make them takes 15 ms, and the torture meets the same candidates again and
// again. All seeds share policy.Config.Seed, so the same candidates mean the same slots.
var shelf struct {
	sync.Mutex
	slots atomic.Pointer[map[string][]uint16] // never changed once it is here
}

// shelve makes the next table take its slots from the shelf, as if the last
// tables had had those candidates, and puts new ones there.
func shelve(t *policy.Table) {
	v := reflect.ValueOf(t).Elem()
	made := *(*map[string][]uint16)(unsafe.Pointer(v.FieldByName("made").UnsafeAddr()))
	before := (*map[string][]uint16)(unsafe.Pointer(v.FieldByName("before").UnsafeAddr()))
	have := shelf.slots.Load()
	for id := range made {
		if have == nil || (*have)[id] == nil {
			have = addToShelf(made)
			break
		}
	}
	if have != nil && !sameMap(*before, *have) {
		*before = *have
	}
}

// addToShelf returns the shelf with what is made.
func addToShelf(made map[string][]uint16) *map[string][]uint16 {
	shelf.Lock()
	defer shelf.Unlock()
	more := map[string][]uint16{}
	if have := shelf.slots.Load(); have != nil {
		more = maps.Clone(*have)
	}
	maps.Copy(more, made)
	shelf.slots.Store(&more)
	return &more
}

// sameMap says whether a and b are one map.
func sameMap(a, b map[string][]uint16) bool {
	return reflect.ValueOf(a).UnsafePointer() == reflect.ValueOf(b).UnsafePointer()
}
