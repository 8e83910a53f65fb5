package config

import (
	"net/netip"
	"slices"
)

// anycast checks [anycast].
func (c *checker) anycast(raw *anycastTable, cfg *Config) {
	cfg.Interface = raw.Interface
	if err := checkInterface(raw.Interface); err != nil {
		c.fault("anycast.interface", "anycast.interface: %s %v", quote(raw.Interface), err)
	}
	c.replies(raw, cfg)
	cfg.Policy.Prefixes = c.prefixes(raw.Prefixes)
	whole := len(cfg.Policy.Prefixes) == len(raw.Prefixes) && !c.faulty("anycast.prefixes")
	if !c.doc.given("anycast.addresses") {
		cfg.Policy.Addresses = single(cfg.Policy.Prefixes)
	} else {
		cfg.Policy.Addresses = c.addresses(raw.Addresses, cfg.Policy.Prefixes, whole)
	}
	if len(cfg.Policy.Addresses) == 0 && len(raw.Addresses) == 0 && whole && !c.faulty("anycast.addresses") {
		c.fault("anycast.addresses", "there is no anycast address").suggest("%s", addressHint(cfg.Policy.Prefixes))
		return
	}
	c.deserted(raw.Prefixes, cfg)
}

// replies checks by which way answers leave, and of what addresses.
func (c *checker) replies(raw *anycastTable, cfg *Config) {
	cfg.AnyIP, cfg.ReplyTable, cfg.ReplyPriority = raw.AnyIP, int(raw.ReplyTable), int(raw.ReplyPriority)
	if raw.ReplyTable >= 253 && raw.ReplyTable <= 255 {
		c.fault("anycast.reply_table", "anycast.reply_table: %d is one of the kernel's own tables, default, main and local", raw.ReplyTable).
			suggest("take another one, with the routes that answers shall follow; 0 is the host's usual way")
	}
	if raw.ReplyTable == 0 && c.sound("anycast.reply_priority") && !c.faulty("anycast.reply_table") {
		c.warn("anycast.reply_priority", "anycast.reply_priority does nothing: there is no reply_table")
	}
}

// prefixes checks the announced prefixes.
func (c *checker) prefixes(raw []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	once := unique[netip.Prefix](c, "prefix")
	for i, p := range raw {
		path := item("anycast.prefixes", i)
		if !p.IsValid() {
			continue
		}
		if what := special(p.Addr()); what != "" && !p.Addr().IsLoopback() {
			c.fault(path, "anycast.prefixes: %s begins with %s", p, what)
		} else if once.add(p, path) {
			out = append(out, p)
		}
	}
	return out
}

// addresses checks the anycast addresses; whole tells that all prefixes are
// known, so that one around each address can be expected.
func (c *checker) addresses(raw []netip.Addr, prefixes []netip.Prefix, whole bool) []netip.Addr {
	var out []netip.Addr
	once := unique[netip.Addr](c, "anycast address")
	for i, a := range raw {
		path := item("anycast.addresses", i)
		if !c.unicast(path, "anycast.addresses", a) || !once.add(a, path) {
			continue
		}
		if whole && covering(prefixes, a) < 0 {
			c.fault(path, "%s lies in none of anycast.prefixes", a).suggest("announce it: add %q to prefixes, or the wider prefix it is part of", netip.PrefixFrom(a, a.BitLen()))
		}
		out = append(out, a)
	}
	return out
}

// deserted warns of prefixes that are announced though nothing answers there.
func (c *checker) deserted(raw []netip.Prefix, cfg *Config) {
	for i, p := range raw {
		if slices.Contains(cfg.Policy.Prefixes, p) && !slices.ContainsFunc(cfg.Policy.Addresses, p.Contains) {
			c.warn(item("anycast.prefixes", i), "no anycast address lies in %s: what is sent there gets lost", p)
		}
	}
}

// addressHint is the hint for a configuration without anycast addresses.
func addressHint(prefixes []netip.Prefix) string {
	if len(prefixes) == 0 {
		return "say what to announce: [anycast] prefixes = [\"203.0.113.1/32\"]"
	}
	return "say which addresses of the prefixes to answer from: addresses = [\"" + prefixes[0].Addr().Next().String() + "\"]"
}

// single returns the addresses of the prefixes that are one address each.
func single(prefixes []netip.Prefix) []netip.Addr {
	var out []netip.Addr
	for _, p := range prefixes {
		if p.IsSingleIP() {
			out = append(out, p.Addr())
		}
	}
	return out
}

// covering returns the index of a prefix that contains a, or -1.
func covering(prefixes []netip.Prefix, a netip.Addr) int {
	return slices.IndexFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// special names the special use that makes a unfit to be reached from
// elsewhere (RFC 6890); "" if there is none.
func special(a netip.Addr) string {
	switch {
	case a.IsUnspecified():
		return "the unspecified address"
	case a.IsMulticast():
		return "a multicast address"
	case a.IsLoopback():
		return "a loopback address"
	case a.IsLinkLocalUnicast():
		return "a link-local address"
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "the broadcast address"
	}
	return ""
}

// unicast reports whether a can be reached from elsewhere, and faults it if it
// is known and cannot.
func (c *checker) unicast(path, name string, a netip.Addr) bool {
	if !a.IsValid() {
		return false
	}
	if a.IsLoopback() {
		c.warn(path, "%s: only this very host reaches %s", name, a)
		return true
	}
	if what := special(a); what != "" {
		c.fault(path, "%s: %s is %s", name, a, what).suggest("a unicast address is needed that others can reach")
		return false
	}
	if a.Zone() != "" {
		c.fault(path, "%s: %s has a zone", name, a).suggest("write %q", a.WithZone(""))
		return false
	}
	return true
}

// onePerFamily checks that a list has at most one address of each family.
type onePerFamily map[bool]netip.Addr

// add reports whether a is the first of its family; if not, it returns the first.
func (o onePerFamily) add(a netip.Addr) (first netip.Addr, ok bool) {
	if first, twice := o[a.Is4()]; twice {
		return first, false
	}
	o[a.Is4()] = a
	return a, true
}
