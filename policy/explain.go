package policy

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Candidate is a gateway in an Explanation.
type Candidate struct {
	Gateway string   `json:"gateway"`
	Pool    string   `json:"pool"`
	Weight  int      `json:"weight"`
	Level   int      `json:"level"` // sixteenths of the weight that it takes part with, as its load bids
	Load    *float64 `json:"load"`  // share of its capacity in use; null: unknown
	Share   float64  `json:"share"` // of the pool's newcomers in this family by weight, 0 to 1
	Rank    int      `json:"rank"`  // among those that are tried first: 1 wins by weight, 2 would if 1 were gone; 0: beyond
	Usable  bool     `json:"usable"`
	Reason  string   `json:"reason"`
}

// Explanation says where a client goes and why.
type Explanation struct {
	Client     Client      `json:"client"`
	Identity   string      `json:"identity,omitempty"`
	Key        string      `json:"key"`        // what the client is known by
	Pool       string      `json:"pool"`       // "" if none claims it
	Target     *Target     `json:"target"`     // nil: it gets no answer
	Candidates []Candidate `json:"candidates"` // all gateways of the pool and of its fallbacks
	Why        string      `json:"why"`
	Change     []string    `json:"change"` // what would send the client elsewhere
	Notes      []string    `json:"notes"`
}

// explainer is an explanation under way.
type explainer struct {
	*decision
	table  *Table
	client Client
	family family
	pool   *poolTable
	out    Explanation
}

// Explain runs the packet path's own choice for c on p's table and says how
// the answer came about. The identity is what the client would show in
// IKE_AUTH; "" if that is not asked about.
func Explain(cfg *Config, p *Plan, view *View, now time.Time, c Client, identity string) Explanation {
	e := explainer{decision: &decision{cfg: cfg, view: view, now: now}, table: p.Table, client: c, family: familyOf(c.Source)}
	e.standing = e.standings()
	e.out = Explanation{Client: c, Identity: identity, Key: clientKey(cfg.Key, c), Target: p.Table.Peek(c), Notes: notes(cfg, identity)}
	e.pool = p.Table.pool(c.Source)
	if e.pool == nil {
		e.out.Why = "no pool claims " + c.Source.String() + ", and every gateway belongs to a pool"
		e.out.Change = []string{"a pool whose sources cover it, or one without sources and identities"}
		return e.out
	}
	e.out.Pool = e.pool.name
	e.out.Candidates = e.candidates()
	if e.out.Target == nil {
		e.out.Why = "no gateway of " + strings.Join(e.poolNames(), ", ") + " is usable for " + e.family.String() + " clients"
		e.out.Change = []string{"one of the candidates becoming usable"}
		return e.out
	}
	e.out.Why, e.out.Change = e.choice(), e.change()
	return e.out
}

// clientKey is what makes c the same client, in words.
func clientKey(k Key, c Client) string {
	key := c.Source.String()
	if !c.Source.Is4() {
		net64, _ := c.Source.Prefix(64)
		key = net64.String()
	}
	if k == BySourceSPI {
		key += fmt.Sprintf(" with SPI %016x", c.SPI)
	}
	return key
}

// notes says what identity would come to.
func notes(cfg *Config, identity string) []string {
	out := []string{}
	if identity == "" {
		return out
	}
	claims := func(p Pool) bool {
		return slices.ContainsFunc(p.Identities, func(pattern string) bool { return matches(pattern, identity) })
	}
	if i := slices.IndexFunc(cfg.Pools, claims); i >= 0 {
		out = append(out, "identity "+identity+" belongs to pool "+cfg.Pools[i].Name)
	} else {
		out = append(out, "identity "+identity+" belongs to no pool")
	}
	return append(out, "an identity is known in IKE_AUTH only: an IKE_SA_INIT is redirected by where it comes from")
}

// matches says whether identity is what pattern says; in front of a pattern, an
// asterisk stands for anything.
func matches(pattern, identity string) bool {
	if end, ok := strings.CutPrefix(pattern, "*"); ok {
		return strings.HasSuffix(strings.ToLower(identity), strings.ToLower(end))
	}
	return strings.EqualFold(pattern, identity)
}

// poolNames returns the pools that may serve the client, its own first.
func (e *explainer) poolNames() []string {
	names := []string{"pool " + e.pool.name}
	for _, name := range e.fallbacks() {
		names = append(names, "its fallback "+name)
	}
	return names
}

// fallbacks returns the names of the pool's fallbacks.
func (e *explainer) fallbacks() []string {
	for _, p := range e.cfg.Pools {
		if p.Name == e.pool.name {
			return p.Fallback
		}
	}
	return nil
}

// candidates lists the gateways that may serve the client, with what they get
// and why.
func (e *explainer) candidates() []Candidate {
	share, rank := e.places()
	var out []Candidate
	for _, name := range append([]string{e.pool.name}, e.fallbacks()...) {
		i := slices.IndexFunc(e.table.pools, func(p poolTable) bool { return p.name == name })
		for _, g := range slices.Sorted(slices.Values(e.table.pools[i].members)) { // as configured
			c := e.candidate(g)
			c.Pool, c.Share, c.Rank = name, share[c.Gateway], rank[c.Gateway]
			out = append(out, c)
		}
	}
	return out
}

// candidate says how it stands with gateway i.
func (e *explainer) candidate(i int) Candidate {
	g, s := &e.cfg.Gateways[i], &e.decision.standing[i]
	b := &s.bearing
	c := Candidate{Gateway: g.Name, Weight: g.Weight, Level: b.share.Level, Usable: s.usable[e.family], Reason: e.decision.why(g, s, e.family)}
	if b.fresh && b.load >= 0 {
		c.Load = &b.load
	}
	if words := b.String(); words != "" {
		c.Reason += "; " + words
	}
	return c
}

// places returns the shares and ranks in the ring that is tried first.
func (e *explainer) places() (share map[string]float64, rank map[string]int) {
	share, rank = map[string]float64{}, map[string]int{}
	chain := e.pool.chains[e.family]
	if len(chain) == 0 {
		return share, rank
	}
	r := chain[0].ring
	for _, i := range r.slots {
		share[r.targets[i].Gateway] += 1. / slotCount
	}
	slot := int(e.table.hash(e.client) % slotCount)
	for i, by := range order(e.table.k0, e.table.k1, r.from, slot) {
		rank[r.targets[by].Gateway] = i + 1
	}
	return share, rank
}

// choice says in words how the target was chosen.
func (e *explainer) choice() string {
	t := e.out.Target
	first := e.client
	first.From = netip.Addr{}
	if was := e.table.Peek(first); was != nil && was.Gateway != t.Gateway {
		return fmt.Sprintf("it comes back redirected from %s, and so is not sent to %s again but to another usable gateway", e.client.From, was.Gateway)
	}
	chain := e.pool.chains[e.family]
	if !e.anyRoom(chain) {
		return fmt.Sprintf("no room in %s: spread by a hash of %s as if all had room", strings.Join(e.poolNames(), ", "), e.out.Key)
	}
	i := slices.IndexFunc(chain, func(s stage) bool { return s.has(t.Gateway) })
	r := chain[i].ring
	words := fmt.Sprintf("weighted rendezvous hash of %s among %d usable gateways%s", e.out.Key, len(r.targets), e.of(r))
	best := &r.targets[r.at(e.table.hash(e.client))]
	switch {
	case i == 0 && e.selfFirst(t.Gateway):
		words = "this host's own gateway is usable and goes first"
	case len(r.targets) == 1:
		words = "the only one" + e.of(r)
	case e.remembered(t.Gateway):
		words = "it was sent there a moment ago, by the same SPI"
	case r.emptier:
		words = fmt.Sprintf("the emptier of two that a hash of %s chose among %d usable gateways%s", e.out.Key, len(r.targets), e.of(r))
	case best.Gateway != t.Gateway:
		words += ", which fell on " + best.Gateway + ": that has no room left"
	}
	if i > 0 && !e.selfFirst(chain[0].targets[0].Gateway) {
		words += "; those before it in line have no room"
	}
	return words
}

// anyRoom says whether some stage of chain takes one more client.
func (e *explainer) anyRoom(chain []stage) bool {
	return slices.ContainsFunc(chain, func(s stage) bool {
		return s.gauges == nil || slices.ContainsFunc(s.gauges, func(g gauge) bool { return g.room(s.up) })
	})
}

// has says whether gateway is one of r's targets.
func (r *ring) has(gateway string) bool {
	return slices.ContainsFunc(r.targets, func(t Target) bool { return t.Gateway == gateway })
}

// selfFirst says whether gateway is this host's own and goes first.
func (e *explainer) selfFirst(gateway string) bool {
	return e.cfg.Choose == SelfFirst && slices.ContainsFunc(e.cfg.Gateways, func(g Gateway) bool { return g.Self && g.Name == gateway })
}

// of says whose gateways are r's.
func (e *explainer) of(r *ring) string {
	words := " of pool " + e.pool.name
	for _, name := range e.fallbacks() {
		i := slices.IndexFunc(e.table.pools, func(p poolTable) bool { return p.name == name })
		own := func(i int) bool { return e.cfg.Gateways[i].Name == r.targets[0].Gateway }
		if slices.ContainsFunc(e.pool.members, own) {
			break
		}
		if slices.ContainsFunc(e.table.pools[i].members, own) {
			words = " of pool " + name + ", a fallback of " + e.pool.name
			break
		}
	}
	if r.late {
		words += ", overloaded or coming back from that"
	}
	return words
}

// remembered says whether the client was sent to gateway a moment ago.
func (e *explainer) remembered(gateway string) bool {
	id, ok := e.table.memo.find(knownBy(e.table.hash(e.client), e.client.SPI))
	return ok && e.table.meters[gateway] != nil && e.table.meters[gateway].id == id
}

// change lists what would send the client elsewhere, with the gateway it would
// go to: found by building its chain again without its present one.
func (e *explainer) change() []string {
	t := e.out.Target
	to := "nobody would serve it"
	if next := e.without(t.Gateway); next != nil {
		to = "it would go to " + next.Gateway
	}
	out := []string{
		t.Gateway + " down, drained or overloaded: " + to,
		"coming back redirected from " + t.Gateway + " or from our own anycast address: another usable gateway, if there is one",
	}
	if e.cfg.Key == BySourceSPI {
		return append(out, "a new attempt: it has another SPI, and so may go anywhere")
	}
	return append(out, "another source address; whoever shares this one, behind a NAT, goes with it")
}

// without returns where the client would go if gateway were drained.
func (e *explainer) without(gateway string) *Target {
	view := *e.view
	view.Drained = maps.Clone(view.Drained)
	if view.Drained == nil {
		view.Drained = map[string]Drain{}
	}
	view.Drained[gateway] = Drain{Reason: "supposed"}
	d := decision{cfg: e.cfg, view: &view, now: e.now}
	d.standing = d.standings()
	scratch := *e.table
	scratch.made = map[string]slots{}
	b := builder{cfg: e.cfg, admit: d.admit, t: &scratch, prev: e.table}
	pools, _ := layout(e.cfg)
	pools = slices.DeleteFunc(pools, func(p Pool) bool { return p.Name != e.pool.name && !slices.Contains(e.fallbacks(), p.Name) })
	scratch.pools, scratch.bySrc = nil, nil
	scratch.rest = slices.IndexFunc(pools, func(p Pool) bool { return p.Name == e.pool.name })
	b.pools(pools)
	return scratch.Peek(e.client)
}
