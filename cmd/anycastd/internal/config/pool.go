package config

import (
	"net/netip"
	"slices"

	"github.com/anycastd/anycastd/policy"
)

// pools checks the [[pool]] tables.
func (c *checker) pools(raw []poolTable, cfg *Config) {
	names := unique[string](c, "pool")
	sources := unique[netip.Prefix](c, "source")
	var all []string // first, since a pool may name a later one
	for _, p := range raw {
		all = append(all, p.Name)
	}
	for i := range raw {
		p, path := &raw[i], item("pool", i)
		switch {
		case p.Name == policy.Everyone:
			c.fault(path+".name", "pool.name: %s is what the gateways in no pool are called together", quote(p.Name)).suggest("give the pool another name")
		case c.word(path+".name", "pool.name", p.Name):
			names.add(p.Name, path+".name")
		}
		cfg.Policy.Pools = append(cfg.Policy.Pools, policy.Pool{
			Name:       p.Name,
			Gateways:   c.members(p, path, cfg.Policy.Gateways),
			Sources:    c.sources(p, path, sources),
			Identities: c.identities(p, path),
			Fallback:   c.fallback(p, path, all),
		})
	}
	c.leftOut(cfg)
}

// members checks the gateways of a pool.
func (c *checker) members(raw *poolTable, path string, gateways []policy.Gateway) []string {
	var known []string
	for _, g := range gateways {
		known = append(known, g.Name)
	}
	if at := path + ".gateways"; len(raw.Gateways) == 0 && c.sound(at) {
		c.fault(at, "pool %s has no gateways", quote(raw.Name))
	}
	once := unique[string](c, "gateway")
	var out []string
	for j, name := range raw.Gateways {
		at := item(path+".gateways", j)
		switch {
		case c.faulty(at) || c.faulty("gateway"):
		case !slices.Contains(known, name):
			c.fault(at, "there is no gateway %s", quote(name)).suggest("%s", choiceHint(name, known))
		case once.add(name, at):
			out = append(out, name)
		}
	}
	return out
}

// sources checks the source prefixes of a pool, each of which is in one pool alone.
func (c *checker) sources(raw *poolTable, path string, once uniquely[netip.Prefix]) []netip.Prefix {
	var out []netip.Prefix
	for j, p := range raw.Sources {
		if p.IsValid() && once.add(p, item(path+".sources", j)) {
			out = append(out, p)
		}
	}
	return out
}

// identities checks the identities of a pool.
func (c *checker) identities(raw *poolTable, path string) []string {
	for j, id := range raw.Identities {
		if at := item(path+".identities", j); id == "" && !c.faulty(at) {
			c.fault(at, "pool.identities: an identity is empty")
		}
	}
	if len(raw.Identities) > 0 {
		c.ignored(path+".identities", "pool.identities", "who a client is shows in IKE_AUTH only, which it does not redirect: pools go by sources")
	}
	return raw.Identities
}

// fallback checks the pools that serve a pool's clients while it can't.
func (c *checker) fallback(raw *poolTable, path string, pools []string) []string {
	others := slices.DeleteFunc(slices.Clone(pools), func(name string) bool { return name == raw.Name })
	once := unique[string](c, "pool")
	var out []string
	for j, name := range raw.Fallback {
		at := item(path+".fallback", j)
		switch {
		case c.faulty(at) || c.faulty("pool"):
		case name == raw.Name:
			c.fault(at, "pool %s cannot fall back to itself", quote(name))
		case !slices.Contains(others, name):
			c.fault(at, "there is no pool %s", quote(name)).suggest("%s", choiceHint(name, others))
		case once.add(name, at):
			out = append(out, name)
		}
	}
	return out
}

// leftOut warns of clients that no pool serves, and of pools that serve no
// client. The clients that no source claims go to the first pool with neither
// sources nor identities, else to the gateways that stand in no pool.
func (c *checker) leftOut(cfg *Config) {
	rest, free := -1, false
	for i, p := range cfg.Policy.Pools {
		switch {
		case len(p.Sources) > 0 || len(p.Identities) > 0:
		case rest < 0:
			rest = i
		case slices.ContainsFunc(cfg.Policy.Pools, func(other policy.Pool) bool { return slices.Contains(other.Fallback, p.Name) }):
		default:
			c.warn(item("pool", i), "pool %s serves nobody", quote(p.Name)).
				suggest("without sources it would be for the clients of no other pool, and those go to %s", quote(cfg.Policy.Pools[rest].Name))
		}
	}
	for _, g := range cfg.Policy.Gateways {
		free = free || !slices.ContainsFunc(cfg.Policy.Pools, func(p policy.Pool) bool { return slices.Contains(p.Gateways, g.Name) })
	}
	if len(cfg.Policy.Pools) > 0 && rest < 0 && !free && !everywhere(cfg) {
		c.warn("pool[0]", "clients outside the pools' sources get no answer").suggest("add a pool without sources, or leave a gateway out of all pools")
	}
}

// everywhere reports whether the pools' sources take in all clients of each
// family that has an anycast address.
func everywhere(cfg *Config) bool {
	for _, a := range cfg.Policy.Addresses {
		all := netip.PrefixFrom(a, 0).Masked()
		if !slices.ContainsFunc(cfg.Policy.Pools, func(p policy.Pool) bool { return slices.Contains(p.Sources, all) }) {
			return false
		}
	}
	return true
}

// reach warns if nobody can be served, or no client of one family.
func (c *checker) reach(raw *file, cfg *Config) {
	if len(raw.Gateway) == 0 {
		c.warn("gateway", "there is no gateway: no client gets an answer, and nothing is announced").suggest("add a [[gateway]]")
		return
	}
	for _, a := range cfg.Policy.Addresses {
		like := func(b netip.Addr) bool { return b.Is4() == a.Is4() }
		serves := func(g policy.Gateway) bool {
			return g.Weight > 0 && (g.RedirectBy == policy.ByFQDN || slices.ContainsFunc(g.Addresses, like))
		}
		if !slices.ContainsFunc(cfg.Policy.Gateways, serves) {
			c.warn("anycast", "no gateway can be named to clients of %s", a).
				suggest("a client is redirected within its family: give a gateway an address of that family and a weight, or redirect_by = \"fqdn\"")
		}
	}
}

// discover checks the [[discover]] tables.
func (c *checker) discover(raw []discoverTable, cfg *Config) {
	var pools []string
	for _, p := range cfg.Policy.Pools {
		pools = append(pools, p.Name)
	}
	for i, d := range raw {
		path := item("discover", i)
		c.zoneName(path+".name", "discover.name", d.Name)
		if at := path + ".pool"; c.sound(at) && !slices.Contains(pools, d.Pool) {
			c.fault(at, "there is no pool %s", quote(d.Pool)).suggest("%s", choiceHint(d.Pool, pools))
		}
		c.ignored(path, "[[discover]]", "the gateways are those of this file")
	}
}
