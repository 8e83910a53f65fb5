package config

import (
	"cmp"
	"slices"
	"strings"

	"github.com/anycastd/anycastd/dnspub"
	"github.com/anycastd/anycastd/policy"
)

// dns checks [dns] and its zones.
func (c *checker) dns(raw *dnsTable, cfg *Config) {
	once := unique[string](c, "zone")
	for i := range raw.Zone {
		z, path := &raw.Zone[i], item("dns.zone", i)
		name := c.zoneName(path+".name", "dns.zone.name", z.Name)
		if name != "" {
			once.add(name, path+".name")
		}
		cfg.Policy.Zones = append(cfg.Policy.Zones, policy.Zone{
			Name: name, Names: c.published(z, path, name), Gateways: z.Gateways, TTL: uint32(raw.TTL),
		})
		cfg.Zones = append(cfg.Zones, c.zone(z, path, name))
		c.useless(z, path, name, cfg.Policy.Gateways)
	}
	c.circular(cfg)
	for i, s := range raw.Serve.Listen {
		if path := item("dns.serve.listen", i); !c.faulty(path) {
			if _, err := endpoint(s, "53"); err != nil {
				c.fault(path, "dns.serve.listen: %s %v", quote(s), err)
			}
		}
	}
	if c.doc.given("dns.serve") {
		c.ignored("dns.serve", "[dns.serve]", "it only updates the servers of [[dns.zone]]")
	}
}

// zone checks how a zone is updated.
func (c *checker) zone(raw *zoneTable, path, name string) DNSZone {
	z := DNSZone{Name: name}
	if raw.Server != "" {
		server, err := endpoint(raw.Server, "53")
		if err != nil {
			c.fault(path+".server", "dns.zone.server: %s %v", quote(raw.Server), err).suggest("write an address or a name, such as \"192.0.2.53:53\"")
		}
		z.Server = server
	}
	if raw.TSIG != nil {
		z.TSIG = c.tsig(raw.TSIG, path+".tsig")
	}
	return z
}

// published checks the names that get the anycast addresses.
func (c *checker) published(raw *zoneTable, path, zone string) []string {
	var out []string
	once := unique[string](c, "name")
	for j, s := range raw.Names {
		at := item(path+".names", j)
		name := c.zoneName(at, "dns.zone.names", s)
		switch {
		case name == "" || zone == "":
		case !within(name, zone):
			c.fault(at, "%s is not in the zone %s", name, zone).suggest("names are given in full: did you mean %q?", strings.TrimSuffix(name, ".")+"."+zone)
		case once.add(name, at):
			out = append(out, name)
		}
	}
	return out
}

// circular faults a gateway whose name gets the anycast addresses: its clients
// would be sent in a circle.
func (c *checker) circular(cfg *Config) {
	for _, z := range cfg.Policy.Zones {
		for _, name := range z.Names {
			for j, g := range cfg.Policy.Gateways {
				if g.FQDN+"." == name {
					c.fault(item("gateway", j)+".fqdn", "gateway.fqdn: %s gets the anycast addresses in %s: clients would be sent in a circle", quote(g.FQDN), quote(z.Name)).
						suggest("give the gateway a name of its own")
				}
			}
		}
	}
}

// useless warns of a zone in which nothing is published.
func (c *checker) useless(raw *zoneTable, path, zone string, gateways []policy.Gateway) {
	inZone := func(g policy.Gateway) bool { return g.FQDN != "" && within(g.FQDN+".", zone) }
	switch {
	case raw.Gateways && !slices.ContainsFunc(gateways, inZone):
		c.warn(path+".gateways", "no gateway has an fqdn in %s: gateways = true publishes nothing", zone)
	case !raw.Gateways && len(raw.Names) == 0:
		c.warn(path, "nothing is published in %s", zone).suggest("say which names get the anycast addresses: names = [%q]", "vpn."+zone)
	}
}

// tsig checks the key that signs updates (RFC 8945). Its name and algorithm
// stand in the configuration, in a key clause in the secret file, or in both.
func (c *checker) tsig(raw *tsigTable, path string) dnspub.TSIG {
	key := dnspub.TSIG{Name: c.zoneName(path+".name", "dns.zone.tsig.name", raw.Name), Algorithm: raw.Algorithm}
	text := strings.TrimSpace(c.secret(path+".secret_file", raw.SecretFile))
	if text == "" {
		return key
	}
	file, err := dnspub.ParseKey(text)
	if err != nil {
		c.fault(path+".secret_file", "%s: %v", raw.SecretFile, err)
		return key
	}
	key.Secret = file.Secret
	key.Name = c.agreed(path+".name", key.Name, file.Name)
	key.Algorithm = cmp.Or(c.agreed(path+".algorithm", key.Algorithm, strings.TrimSuffix(file.Algorithm, ".")), "hmac-sha256")
	if key.Name == "" && !c.doc.given(path+".name") {
		c.fault(path+".name", "[dns.zone.tsig] has no name").suggest("say what the server calls the key, such as name = \"anycastd.\"; only a key clause in the file says it itself")
	}
	return key
}

// agreed returns what is said of a key here or in the secret file, and faults
// it if both say something else.
func (c *checker) agreed(path, here, there string) string {
	if here != "" && there != "" && here != there {
		c.fault(path, "the key clause in the secret file says %s, not %s", there, here).suggest("leave it out here")
	}
	return cmp.Or(here, there)
}
