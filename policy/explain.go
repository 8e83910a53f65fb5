package policy

import (
	"fmt"
	"net/netip"
	"slices"
)

// Candidate is a gateway in an Explanation.
type Candidate struct {
	Gateway string  `json:"gateway"`
	Weight  int     `json:"weight"`
	Share   float64 `json:"share"` // of the pool's newcomers in this family, 0 to 1
	Usable  bool    `json:"usable"`
	Reason  string  `json:"reason"`
}

// Explanation says where a client goes and why.
type Explanation struct {
	Client     Client      `json:"client"`
	Key        string      `json:"key"`        // what the client is known by
	Pool       string      `json:"pool"`       // "" if none claims it
	Target     *Target     `json:"target"`     // nil: it gets no answer
	Candidates []Candidate `json:"candidates"` // all gateways of the pool
	Why        string      `json:"why"`
	Change     []string    `json:"change"` // what would send the client elsewhere
}

// Explain runs the packet path's own Pick for c on p's table and says how the
// answer came about.
func Explain(cfg *Config, p *Plan, view *View, c Client) Explanation {
	e := Explanation{Client: c, Key: clientKey(cfg.Key, c), Target: p.Table.Pick(c)}
	pool := p.Table.pool(c.Source)
	if pool == nil {
		e.Why = "no pool claims " + c.Source.String() + ", and every gateway belongs to a pool"
		e.Change = []string{"a pool whose sources cover it, or one without sources and identities"}
		return e
	}
	f := familyOf(c.Source)
	e.Pool = pool.name
	e.Candidates = candidates(cfg, view, pool, f)
	if e.Target == nil {
		e.Why = "no gateway of pool " + pool.name + " is usable for " + f.String() + " clients"
		e.Change = []string{"one of the candidates becoming usable"}
		return e
	}
	e.Why = why(cfg, pool, f, &e)
	direct := c
	direct.From = netip.Addr{}
	if first := p.Table.Pick(direct); first.Gateway != e.Target.Gateway {
		e.Why = fmt.Sprintf("it comes back redirected from %s, and so is not sent to %s again but to another usable gateway of pool %s", c.From, first.Gateway, pool.name)
	}
	e.Change = change(cfg, p, view, c, e.Target)
	return e
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

// candidates lists the gateways of pool with what they get and why.
func candidates(cfg *Config, view *View, pool *poolTable, f family) []Candidate {
	d := decision{cfg: cfg, view: view}
	ring := &pool.rings[f]
	won := map[string]int{}
	for _, i := range ring.slots {
		won[ring.targets[i].Gateway]++
	}
	var out []Candidate
	for _, g := range members(cfg.Gateways, pool.members) {
		_, fact := d.usable(g, f)
		out = append(out, Candidate{g.Name, g.Weight, float64(won[g.Name]) / slotCount, fact.OK, fact.Reason})
	}
	return out
}

// why says in words how e's target was chosen.
func why(cfg *Config, pool *poolTable, f family, e *Explanation) string {
	n := len(pool.rings[f].targets)
	if cfg.Choose == SelfFirst && n == 1 && slices.ContainsFunc(cfg.Gateways, func(g Gateway) bool { return g.Self && g.Name == e.Target.Gateway }) {
		return "this host's own gateway is usable and goes first"
	}
	if n == 1 {
		return "the only usable gateway of pool " + pool.name
	}
	return fmt.Sprintf("weighted rendezvous hash of %s among %d usable gateways of pool %s", e.Key, n, pool.name)
}

// change lists what would send c elsewhere, with the gateway it would go to:
// found by deciding again without its present one.
func change(cfg *Config, p *Plan, view *View, c Client, target *Target) []string {
	without := *view
	without.Drained = map[string]string{target.Gateway: "supposed"}
	for name, why := range view.Drained {
		without.Drained[name] = why
	}
	d := decision{cfg: cfg, view: &without}
	to := "nobody would serve it"
	if next := d.without(p.Table, c); next != nil {
		to = "it would go to " + next.Gateway
	}
	return []string{
		target.Gateway + " down or drained: " + to,
		"coming back redirected from " + target.Gateway + " or from our own anycast address: another usable gateway, if there is one",
	}
}

// without returns where c would go if its pool's ring were made by d.
func (d *decision) without(t *Table, c Client) *Target {
	scratch := *t
	scratch.made = map[string]slots{}
	r := scratch.newRing(d.cfg, t.pool(c.Source).members, familyOf(c.Source), d.admit, t)
	if len(r.targets) == 0 {
		return nil
	}
	return r.at(scratch.hash(c))
}
