package config

import (
	"net/netip"
	"slices"
	"time"

	"github.com/anycastd/anycastd/policy"
)

// policy checks [policy].
func (c *checker) policy(raw *policyTable, cfg *Config) {
	cfg.Policy.Choose, cfg.Policy.Key, cfg.Policy.Seed = policy.Choose(raw.Choose), policy.Key(raw.Key), raw.Seed
	c.staleAfter = raw.StaleAfter
	cfg.Policy.Overload, cfg.Policy.StaleAfter, cfg.Policy.TurnOff = raw.Overload, raw.StaleAfter, raw.Unserved == "refuse"
	if !(raw.Overload > 0 && raw.Overload <= 1) { // NaN included
		c.fault("policy.overload", "policy.overload is %v; it takes more than 0, at most 1", raw.Overload)
	}
}

// maxGateways is how many gateways the tables of package policy can tell apart.
const maxGateways = 65535

// gateways checks the [[gateway]] tables.
func (c *checker) gateways(raw []gatewayTable, cfg *Config) {
	cfg.Probes, cfg.VICI = map[string]Probe{}, map[string]VICI{}
	if len(raw) > maxGateways {
		c.fault(item("gateway", maxGateways), "there are %d gateways, more than %d", len(raw), maxGateways)
	}
	names := unique[string](c, "gateway")
	owners := map[netip.Addr]string{}
	self := ""
	for i := range raw {
		g, path := &raw[i], item("gateway", i)
		cfg.Policy.Gateways = append(cfg.Policy.Gateways, c.gateway(g, path, &cfg.Policy))
		cfg.Probes[g.Name] = c.probe(&g.Probe, path+".probe")
		if v := c.vici(g, path); v != (VICI{}) {
			cfg.VICI[g.Name] = v
		}
		if c.word(path+".name", "gateway.name", g.Name) {
			names.add(g.Name, path+".name")
		}
		c.shared(g, path, owners)
		if g.Self && self != "" {
			c.fault(path+".self", "only one gateway can run on this host").suggest("%s says so already", quote(self))
		} else if g.Self {
			self = g.Name
		}
	}
	if cfg.Policy.Choose == policy.SelfFirst && self == "" {
		c.warn("policy.choose", "policy.choose = \"self-first\", and no gateway has self = true").suggest("clients are spread by weight, as with \"sticky\"")
	}
}

// gateway checks one gateway.
func (c *checker) gateway(raw *gatewayTable, path string, known *policy.Config) policy.Gateway {
	g := policy.Gateway{
		Name: raw.Name, RedirectBy: policy.RedirectBy(raw.RedirectBy),
		Weight: int(raw.Weight), Capacity: int(raw.Capacity), Self: raw.Self,
	}
	families := onePerFamily{}
	for j, a := range raw.Addresses {
		at := item(path+".addresses", j)
		if !c.unicast(at, "gateway.addresses", a) || !c.apart(at, a, known) {
			continue
		}
		if first, ok := families.add(a); !ok {
			c.fault(at, "a gateway has one address of each family, and %s is its first", first).suggest("make a gateway of its own for %s", a)
			continue
		}
		g.Addresses = append(g.Addresses, a)
	}
	g.FQDN = c.fqdn(raw, path)
	c.named(raw, path)
	return g
}

// apart checks that a gateway's address is none of the anycast service's.
// Redirecting to an anycast address could come back here (RFC 5685 section 4).
func (c *checker) apart(path string, a netip.Addr, known *policy.Config) bool {
	if slices.Contains(known.Addresses, a) {
		c.fault(path, "%s is an anycast address: the gateway would redirect to itself", a).suggest("give the gateway's own unicast address")
		return false
	}
	if i := covering(known.Prefixes, a); i >= 0 {
		c.warn(path, "%s lies in %s, which is announced from everywhere", a, known.Prefixes[i]).
			suggest("clients reach the gateway only from near this node; a gateway needs a unicast address of its own")
	}
	return true
}

// fqdn checks a gateway's name in the DNS and returns its plain form.
func (c *checker) fqdn(raw *gatewayTable, path string) string {
	if !c.sound(path + ".fqdn") {
		return ""
	}
	name, err := domain(raw.FQDN, false)
	if err != nil {
		c.fault(path+".fqdn", "gateway.fqdn: %s %v", quote(raw.FQDN), err)
	}
	return name
}

// named checks that a gateway has what a REDIRECT shall name (RFC 5685 section 9.2).
func (c *checker) named(raw *gatewayTable, path string) {
	switch {
	case raw.RedirectBy == string(policy.ByFQDN) && !c.doc.given(path+".fqdn"):
		c.fault(path+".redirect_by", "redirect_by = \"fqdn\" needs an fqdn").suggest("add fqdn = \"gw1.vpn.example.net\"")
	case raw.RedirectBy == string(policy.ByAddress) && len(raw.Addresses) == 0 && !c.faulty(path+".addresses"):
		c.fault(path+".addresses", "gateway %s has no address", quote(raw.Name)).suggest("add addresses = [\"198.51.100.11\"], or redirect_by = \"fqdn\" and an fqdn")
	}
}

// shared warns of an address that another gateway has too.
func (c *checker) shared(raw *gatewayTable, path string, owners map[netip.Addr]string) {
	for j, a := range raw.Addresses {
		if owner, ok := owners[a]; ok && a.IsValid() && owner != raw.Name {
			c.warn(item(path+".addresses", j), "%s is the address of gateway %s too", a, quote(owner))
			continue
		}
		owners[a] = raw.Name
	}
}

// minProbeEvery keeps a slip such as "1us" from becoming a flood.
const minProbeEvery = 100 * time.Millisecond

// probe checks how a gateway is probed.
func (c *checker) probe(raw *probeTable, path string) Probe {
	p := Probe{Every: raw.Every, Timeout: raw.Timeout, Rise: int(raw.Rise), Fall: int(raw.Fall), Kind: raw.Kind}
	switch {
	case c.faulty(path+".timeout") || c.faulty(path+".every"):
	case p.Every > 0 && p.Every < minProbeEvery:
		c.fault(path+".every", "gateway.probe.every %v is shorter than %v", p.Every, minProbeEvery).suggest("each probe is some lines in the gateway's log; to send none write \"0s\"")
	case p.Timeout == 0:
		c.fault(path+".timeout", "gateway.probe.timeout is 0: nothing can answer in time").suggest("to send no probes write every = \"0s\"")
	case p.Every > 0 && p.Timeout > p.Every && !c.doc.given(path+".timeout"):
		p.Timeout = p.Every
	case p.Every > 0 && p.Timeout > p.Every:
		c.warn(path+".timeout", "gateway.probe.timeout %v is longer than gateway.probe.every %v", p.Timeout, p.Every).suggest("a probe ends before the next one is sent: a silent gateway is asked every %v", p.Timeout)
	}
	return p
}
