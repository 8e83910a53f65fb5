package control

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/anycastd/anycastd/cmd/anycastd/internal/config"
	"github.com/anycastd/anycastd/ikefront/probe"
	"github.com/anycastd/anycastd/policy"
)

// event is something that happens in a torture. It returns what that was, in
// short.
type event struct {
	weight int
	name   string
	happen func(*torture) string
}

// events are what can happen; a stop with a restart, and the calm after which
// all must be as planned, are among them.
func events() []event {
	return []event{
		{120, "time passes", func(x *torture) string { return x.pass(time.Duration(1+x.r.IntN(900)) * time.Millisecond) }},
		{160, "time passes", func(x *torture) string { return x.pass(time.Duration(1+x.r.IntN(8)) * time.Second) }},
		{6, "time passes", func(x *torture) string { return x.pass(time.Duration(20+x.r.IntN(150)) * time.Second) }},
		{180, "answer", (*torture).answer},
		{120, "turnGateway", (*torture).turnGateway}, {25, "turnOwn", (*torture).turnOwn}, {6, "loseAll", (*torture).loseAll}, {14, "reviveAll", (*torture).reviveAll}, {10, "strayProbe", (*torture).strayProbe},
		{220, "report", (*torture).report},
		{50, "drainGateway", (*torture).drainGateway}, {55, "undrainGateway", (*torture).undrainGateway}, {6, "drainNode", (*torture).drainNode}, {25, "undrainNode", (*torture).undrainNode},
		{70, "reload", (*torture).reload}, {5, "reloadInVain", (*torture).reloadInVain},
		{14, "vanish", (*torture).vanish}, {14, "closeSockets", (*torture).closeSockets},
		{45, "breakPart", (*torture).breakPart}, {50, "healPart", (*torture).healPart}, {12, "healAll", (*torture).healAll},
		{20, "turnPeer", (*torture).turnPeer}, {12, "turnFlood", (*torture).turnFlood},
		{40, "send", (*torture).send},
		{6, "calm", (*torture).calm}, {3, "compare", (*torture).compare}, {2, "restart", (*torture).restart}, {2, "kill", (*torture).kill},
	}
}

// pass lets time pass.
func (x *torture) pass(d time.Duration) string {
	time.Sleep(d)
	return d.String()
}

// tell tells the loop what a probe has shown.
func (x *torture) tell(at netip.AddrPort, status probe.Status) {
	x.set(func() {
		if !slices.ContainsFunc(x.targets, func(t probe.Target) bool { return t.Addr == at }) {
			return
		}
		if isAnycast(at.Addr()) {
			x.told.own[at] = status
			x.prove()
		} else {
			x.turned(at.Addr(), status)
		}
	})
	x.loop.Probed(probe.State{Addr: at, Status: status, Reason: "is " + string(status), Since: time.Now()})
}

// isAnycast says whether a is an anycast address.
func isAnycast(a netip.Addr) bool {
	for _, own := range tortureAnycast {
		if own.addr == a.String() {
			return true
		}
	}
	return false
}

// answer makes all targets answer, or not, as they are.
func (x *torture) answer() string {
	for _, t := range x.watched() {
		status := probe.Up
		if x.dead[t.Addr()] || isAnycast(t.Addr()) && (x.flood || !slices.Contains(x.open(), t)) {
			status = probe.Down
		}
		x.tell(t, status)
	}
	return "as they are"
}

// watched returns the targets.
func (x *torture) watched() (out []netip.AddrPort) {
	x.set(func() {
		for _, t := range x.targets {
			out = append(out, t.Addr)
		}
	})
	return out
}

// open returns the open sockets.
func (x *torture) open() (out []netip.AddrPort) {
	x.set(func() { out = x.listening })
	return out
}

// turn makes an address die, or live again, and tells the loop.
func (x *torture) turn(of func(netip.AddrPort) bool) string {
	all := slices.DeleteFunc(x.watched(), func(at netip.AddrPort) bool { return !of(at) })
	if len(all) == 0 {
		return "nothing to turn"
	}
	at := oneOf(x.r, all...)
	x.dead[at.Addr()] = !x.dead[at.Addr()]
	status := probe.Up
	if x.dead[at.Addr()] || isAnycast(at.Addr()) && !slices.Contains(x.open(), at) {
		status = probe.Down
	}
	x.tell(at, status)
	return fmt.Sprintf("%v is %s", at, status)
}

func (x *torture) turnGateway() string {
	return x.turn(func(at netip.AddrPort) bool { return !isAnycast(at.Addr()) })
}

func (x *torture) turnOwn() string {
	return x.turn(func(at netip.AddrPort) bool { return isAnycast(at.Addr()) })
}

// loseAll loses all probes of gateways.
func (x *torture) loseAll() string {
	for _, at := range x.watched() {
		if !isAnycast(at.Addr()) {
			x.dead[at.Addr()] = true
		}
	}
	return "all gateways die; " + x.answer()
}

// reviveAll makes all live again.
func (x *torture) reviveAll() string {
	clear(x.dead)
	return "all live; " + x.answer()
}

// strayProbe tells of an address that nobody watches.
func (x *torture) strayProbe() string {
	at := netip.AddrPortFrom(oneOf(x.r, gatewayAddresses(x.r, oneOf(x.r, tortureGateways...))...), gatewayPort)
	if slices.Contains(x.watched(), at) {
		return "no stray probe"
	}
	x.tell(at, probe.Up)
	return fmt.Sprintf("stray probe: %v is up", at)
}

// report tells a gateway's load.
func (x *torture) report() string {
	g := &x.cfg.Policy.Gateways[x.r.IntN(len(x.cfg.Policy.Gateways))]
	limit := int(x.cfg.Policy.Overload * 1000)
	f := policy.Load{CPU: -1, At: time.Now(), Source: "report", Capacity: 1000}
	switch kind := x.r.IntN(20); {
	case kind < 10:
		f.Sessions = 100 + 50*x.r.IntN(11)
	case kind < 14:
		f.Sessions = limit + 50 // overloaded
	case kind < 15:
		f.Sessions = 1500
	case kind < 17:
		f.Sessions = limit - limit/16 - 2 // comes back with half its weight
	case kind < 18:
		f.Draining = true
	case kind < 19:
		f.Capacity, f.Sessions = 0, 500
	default:
		f.CPU = 0.99
		x.tellLoad(g.Name, f) // and goes on so: by the second figure it is overloaded
		time.Sleep(2 * settlesIn)
		f.At = time.Now()
	}
	x.tellLoad(g.Name, f)
	return fmt.Sprintf("%s reports %d of %d, cpu %v, draining %v", g.Name, f.Sessions, f.Capacity, f.CPU, f.Draining)
}

// soon calls f, for which the loop must have time within a second.
func (x *torture) soon(f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(x.t.Context(), time.Second+selfEvery)
	defer cancel()
	err := f(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		x.fail("7 (turns): the loop has no time for it")
	}
	return err
}

// tellLoad tells the loop the load of a gateway.
func (x *torture) tellLoad(name string, l policy.Load) {
	f := figure{Load: l}
	x.set(func() { f.sent = x.table.Sent(name) })
	x.loads[name] = append(x.loads[name], f)
	if n := len(x.loads[name]); n > 12 {
		x.loads[name] = x.loads[name][n-12:]
	}
	x.loop.Loaded(name, l)
}

// drainGateway drains a gateway, for a time or until it is undone.
func (x *torture) drainGateway() string { return x.drain(oneOf(x.r, tortureGateways...)) }

// drainNode drains the node.
func (x *torture) drainNode() string { return x.drain("") }

func (x *torture) drain(name string) string {
	_, marked := x.loop.view.Drained[name] // perhaps one that is over
	lasting := oneOf(x.r, 0, time.Second, 30*time.Second, 10*time.Minute)
	d := policy.Drain{Reason: "maintenance", Since: time.Now()}
	if lasting > 0 {
		d.Until = d.Since.Add(lasting)
	}
	err := x.soon(func(ctx context.Context) error { return x.loop.Drain(ctx, name, "maintenance", lasting) })
	if known := name == "" || marked || x.gateway(name) != nil; !known {
		if err == nil {
			x.fail("8 (marks): drain of %q, which is not there, is no error", name)
		}
		return "drain of an unknown gateway"
	}
	x.marked(err, func() {
		if name == "" {
			x.marks.Node = &d
		} else {
			x.marks.Gateways[name] = d
		}
	})
	x.checkDrained(name)
	return fmt.Sprintf("drain %q for %v: %v", name, lasting, err)
}

// marked takes in what became of a change of the marks.
func (x *torture) marked(err error, change func()) {
	if err != nil && !strings.Contains(err.Error(), "in effect") {
		x.fail("8 (marks): %v", err)
	}
	change()
	x.expire()
	if err == nil {
		x.kept = Marks{Node: x.marks.Node, Gateways: maps.Clone(x.marks.Gateways)}
	} else {
		x.kept = x.saved
	}
}

// undrainGateway undoes the drain of a gateway.
func (x *torture) undrainGateway() string { return x.undrain(oneOf(x.r, tortureGateways...)) }

// undrainNode undoes the drain of the node.
func (x *torture) undrainNode() string { return x.undrain("") }

func (x *torture) undrain(name string) string {
	x.expire()
	_, drained := x.marks.Gateways[name]
	drained = drained || name == "" && x.marks.Node != nil
	if !drained {
		return "nothing to undrain"
	}
	err := x.soon(func(ctx context.Context) error { return x.loop.Undrain(ctx, name) })
	x.marked(err, func() {
		if name == "" {
			x.marks.Node = nil
		} else {
			delete(x.marks.Gateways, name)
		}
	})
	return fmt.Sprintf("undrain %q: %v", name, err)
}

// reload changes a few things about the configuration.
func (x *torture) reload() string {
	cfg := x.cfg
	for range 1 + x.r.IntN(2) {
		cfg = mutated(x.r, cfg, mutations()...)
	}
	x.set(func() { x.cfg = cfg })
	x.configured()
	if err := x.soon(func(ctx context.Context) error { return x.loop.Reload(ctx, cfg) }); err != nil {
		x.fail("9 (converges): reload: %v", err)
	}
	x.reloaded = true
	return inShort(cfg)
}

// inShort is cfg in short.
func inShort(cfg *config.Config) string {
	p := &cfg.Policy
	var b strings.Builder
	for _, g := range p.Gateways {
		fmt.Fprintf(&b, "%s %v weight %d capacity %d by %s probed %v; ", g.Name, g.Addresses, g.Weight, g.Capacity, g.RedirectBy, cfg.Probes[g.Name].Every)
	}
	for _, pool := range p.Pools {
		fmt.Fprintf(&b, "%s %v else %v; ", pool.Name, pool.Gateways, pool.Fallback)
	}
	fmt.Fprintf(&b, "%v ports %v; %s by %s, overload %v, stale %v, drain_wait %v; site %+v", p.Addresses, cfg.Ports, p.Choose, p.Key, p.Overload, p.StaleAfter, p.DrainWait, p.Site)
	return b.String()
}

// reloadInVain asks for what only a restart can change.
func (x *torture) reloadInVain() string {
	cfg := mutated(x.r, x.cfg, mutations()...)
	cfg.Interface = "eth9"
	if err := x.soon(func(ctx context.Context) error { return x.loop.Reload(ctx, cfg) }); err == nil {
		x.fail("9 (converges): a reload changes the interface")
	}
	return "reload refused"
}

// vanish takes an address off the host.
func (x *torture) vanish() string {
	x.set(func() {
		if n := len(x.addresses); n > 0 {
			i := x.r.IntN(n)
			x.addresses = slices.Delete(slices.Clone(x.addresses), i, i+1)
		}
	})
	x.loop.HostChanged()
	return "an address vanishes"
}

// closeSockets closes a socket.
func (x *torture) closeSockets() string {
	x.set(func() {
		if n := len(x.listening); n > 0 {
			i := x.r.IntN(n)
			x.listening = slices.Delete(slices.Clone(x.listening), i, i+1)
		}
	})
	x.loop.SocketsChanged()
	return "a socket closes"
}

// The parts, and how they misbehave. A front's Listen and a store's Save take
// no context: they can be late, not hang.
var (
	tortureParts = []string{"host", "rewriter", "front", "speaker", "publisher", "marks"}
	tortureModes = []string{"fails", "fails", "pretends to fail", "hangs", "late"}
)

// breakPart makes a part fail, hang or answer late.
func (x *torture) breakPart() string {
	part, how := oneOf(x.r, tortureParts...), oneOf(x.r, tortureModes...)
	by := time.Duration(1+x.r.IntN(40)) * time.Second / 10
	if part == "front" || part == "marks" {
		by = min(by, time.Second)
		if how == "hangs" {
			how = "late"
		}
	}
	if (part == "rewriter" || part == "front") && how == "pretends to fail" {
		how = "fails"
	}
	x.misbehave(part, how, by)
	x.ill[part] = time.Now()
	return fmt.Sprintf("%s %s (%v)", part, how, by)
}

// healPart makes a part well again.
func (x *torture) healPart() string {
	part := oneOf(x.r, tortureParts...)
	x.well(part)
	return part + " is well"
}

// well makes a part well, and keeps since when it is.
func (x *torture) well(part string) {
	if x.modes[part] != nil {
		x.ill[part] = time.Now()
	}
	x.heal(part)
}

// healAll makes all parts well.
func (x *torture) healAll() string {
	for _, part := range tortureParts {
		x.well(part)
	}
	return "all parts are well"
}

// compare starts anew with gateways that are all alike, one of which does not
// tell its load.
func (x *torture) compare() string {
	x.end()
	cfg := mutated(x.r, x.cfg, func(r *rand.Rand, c *config.Config) {
		for range tortureGateways {
			addGateway(r, c)
		}
	})
	cfg.Policy.Choose, cfg.Policy.Pools = policy.LeastLoaded, nil
	for i := range cfg.Policy.Gateways {
		cfg.Policy.Gateways[i].Weight, cfg.Policy.Gateways[i].Capacity = 100, 1000
	}
	x.set(func() { x.cfg = cfg })
	x.start()
	x.reviveAll()
	for i := range cfg.Policy.Gateways[1:] {
		x.tellLoad(cfg.Policy.Gateways[i].Name, policy.Load{CPU: -1, At: time.Now(), Source: "report", Sessions: 100 + 200*i})
	}
	time.Sleep(settlesIn + selfEvery)
	return inShort(cfg)
}

// turnPeer loses the BGP session, or brings it back.
func (x *torture) turnPeer() string {
	state := ""
	x.set(func() {
		state = map[bool]string{true: "Idle", false: "Established"}[x.peers[0].Up()]
		peers := slices.Clone(x.peers)
		peers[0].State = state
		x.peers = peers
	})
	x.loop.PeersChanged()
	return "peer is " + state
}

// turnFlood begins a flood in which the own probe gets lost, or ends it.
func (x *torture) turnFlood() string {
	x.set(func() {
		x.flood = !x.flood
		if !x.flood {
			x.floodEnded = time.Now()
		}
	})
	if x.flood {
		time.Sleep(2 * selfEvery)
	}
	return fmt.Sprintf("flood %v; ", x.flood) + x.answer()
}

// send sends a few clients, who may ask again later.
func (x *torture) send() string {
	for range 3 {
		c := x.client()
		x.set(func() { x.table.Pick(c) })
		x.returning = append(x.returning, c)
	}
	if n := len(x.returning); n > 12 {
		x.returning = x.returning[n-12:]
	}
	return "clients"
}

// calm ends all trouble. When some time has passed, everything must be as the
// plan says.
func (x *torture) calm() string {
	x.healAll()
	x.set(func() {
		x.floodEnded, x.flood = time.Now(), false
		x.peers[0].State = "Established"
	})
	idle := x.r.IntN(2) == 0
	for range 4 {
		x.reviveAll()
		for i := range x.cfg.Policy.Gateways {
			if idle {
				x.tellLoad(x.cfg.Policy.Gateways[i].Name, policy.Load{CPU: -1, At: time.Now(), Source: "report", Sessions: 100, Capacity: 1000})
			}
		}
		time.Sleep(20 * time.Second)
		x.reviveAll()
		x.wait()
	}
	x.checkOutside()
	if idle {
		x.checkIdle()
	}
	return fmt.Sprintf("calm, idle %v", idle)
}

// restart stops the daemon in order and starts it again.
func (x *torture) restart() string {
	x.stop()
	x.start()
	return "restart"
}

// kill ends the daemon at once and starts it again.
func (x *torture) kill() string {
	x.end()
	x.start()
	return "killed and started"
}

// start starts a loop with the world as it is.
func (x *torture) start() {
	x.reborn()
	x.health, x.loads = map[netip.Addr]probe.Status{}, map[string][]figure{}
	marks, err := outerMarks{x.outside}.Load()
	x.marks, x.kept = marks, x.saved
	if err != nil || x.marks.Gateways == nil {
		x.marks.Gateways = map[string]policy.Drain{}
	}
	x.configured()
	x.badSince, x.before = map[netip.Prefix]time.Time{}, nil
	x.loop = New(x.cfg, x.parts(x.cfg.PortConflict == "nft"), x.logger())
	ctx, cancel := context.WithCancel(context.Background())
	x.cancel, x.done = cancel, make(chan error, 1)
	go func(loop *Loop, done chan<- error) { done <- loop.Run(ctx) }(x.loop, x.done)
	x.wait()
}

// end ends the loop by force.
func (x *torture) end() {
	begin := time.Now()
	x.cancel()
	select {
	case err := <-x.done:
		if err != nil {
			x.fail("7 (turns): Run: %v", err)
		}
	case <-time.After(5 * time.Second):
		x.fail("7 (turns): a forced end takes more than %v", time.Since(begin))
	}
	x.loop = nil
}

// errStop is why the daemon is stopped.
var errStop = errors.New("enough")

// stop stops the loop in order while this and that still happens.
func (x *torture) stop() {
	begin, wait := time.Now(), x.cfg.Policy.DrainWait
	x.checkStopBegins(func() { x.loop.Stop(errStop) })
	limit := time.After(wait + x.cfg.Policy.Settle + 5*time.Second)
	for {
		select {
		case err := <-x.done:
			if !errors.Is(err, errStop) {
				x.fail("7 (turns): Run returns %v", err)
			}
			x.checkStopped()
			x.cancel()
			x.loop = nil
			return
		case <-limit:
			x.fail("7 (turns): the stop takes more than %v", time.Since(begin))
		case <-time.After(time.Duration(1+x.r.IntN(700)) * time.Millisecond):
			x.note(oneOf(x.r, (*torture).answer, (*torture).turnGateway, (*torture).report, (*torture).breakPart, (*torture).healPart)(x))
		}
	}
}
