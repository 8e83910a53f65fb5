package config

import (
	"net/netip"
	"slices"
)

// bgp checks [bgp] and its neighbors.
func (c *checker) bgp(raw *bgpTable, cfg *Config) {
	cfg.Policy.DrainWait, cfg.Policy.Settle = raw.DrainWait, raw.Settle
	cfg.BGP = BGP{ASN: uint32(raw.ASN), RouterID: raw.RouterID, ListenPort: int(raw.ListenPort), Learn: raw.Learn == "gateways"}
	if raw.ListenPort == 0 && c.sound("bgp.listen_port") {
		c.fault("bgp.listen_port", "bgp.listen_port is 0").suggest("-1 only dials; neighbors expect 179")
	}
	if raw.RouterID.IsValid() && (!raw.RouterID.Is4() || raw.RouterID.IsUnspecified()) {
		c.fault("bgp.router_id", "bgp.router_id is %s, not the 32-bit identifier of a speaker", raw.RouterID).
			suggest("write one of this node's IPv4 addresses, or any other number in that form that no neighbor has")
	}
	cfg.BGP.Listen = c.listenAddresses(raw, cfg)
	cfg.BGP.NextHops = c.nextHops(raw.NextHop, cfg)
	c.neighbors(raw, cfg)
	c.announcements(raw, cfg)
	if len(raw.Neighbor) == 0 {
		c.warn("bgp", "there is no BGP neighbor: nothing is announced").suggest("add a [[bgp.neighbor]]")
		return
	}
	c.required(raw)
}

// required checks what BGP needs only if it has neighbors (RFC 4271 section 4.2).
func (c *checker) required(raw *bgpTable) {
	if raw.ASN == 0 && !c.faulty("bgp.asn") {
		c.fault("bgp.asn", "[bgp] has no asn").suggest("say which AS this node is in, such as asn = 64512")
	}
	if !raw.RouterID.IsValid() && !c.faulty("bgp.router_id") {
		c.fault("bgp.router_id", "[bgp] has no router_id").suggest("write one of this node's IPv4 addresses, such as router_id = \"192.0.2.10\"")
	}
}

// listenAddresses checks where neighbors may dial.
func (c *checker) listenAddresses(raw *bgpTable, cfg *Config) []netip.Addr {
	const key = "bgp.listen_addresses"
	var out []netip.Addr
	once := unique[netip.Addr](c, "listen address")
	for i, a := range raw.Listen {
		if path := item(key, i); c.peer(path, key, a, cfg) && once.add(a, path) {
			out = append(out, a)
		}
	}
	if len(raw.Listen) > 0 && raw.ListenPort == onlyDial {
		c.warn(key, "nothing listens there: bgp.listen_port is -1").suggest("neighbors expect listen_port = 179")
	}
	return out
}

// onlyDial is the listen_port without a listener.
const onlyDial = -1

// nextHops checks the next hops, at most one for each family.
func (c *checker) nextHops(raw []netip.Addr, cfg *Config) []netip.Addr {
	var out []netip.Addr
	families := onePerFamily{}
	for i, a := range raw {
		path := item("bgp.next_hop", i)
		if !c.nextHop(path, "bgp.next_hop", a, cfg) {
			continue
		}
		if first, ok := families.add(a); !ok {
			c.fault(path, "there is one next hop for each family, and %s is the first", first)
			continue
		}
		out = append(out, a)
	}
	return out
}

// nextHop reports whether a is known and can be a next hop.
func (c *checker) nextHop(path, key string, a netip.Addr, cfg *Config) bool {
	if a.IsLoopback() {
		c.fault(path, "%s: %s is %s", key, a, special(a)).suggest("a unicast address is needed that others can reach")
		return false
	}
	if !c.unicast(path, key, a) {
		return false
	}
	if slices.Contains(cfg.Policy.Addresses, a) {
		c.fault(path, "%s: %s is an anycast address", key, a).suggest("a next hop is this node's own address in the neighbor's network")
		return false
	}
	return true
}

// peer reports whether a is known and can be an end of a session. Loopback
// addresses can: a route server may run on this very host.
func (c *checker) peer(path, key string, a netip.Addr, cfg *Config) bool {
	switch {
	case !a.IsValid():
		return false
	case special(a) != "" && !a.IsLoopback() && !a.IsLinkLocalUnicast():
		c.fault(path, "%s: %s is %s", key, a, special(a))
	case slices.Contains(cfg.Policy.Addresses, a):
		c.fault(path, "%s: %s is an anycast address", key, a)
	case a.Is6() && a.IsLinkLocalUnicast() && a.Zone() == "":
		c.fault(path, "%s: %s is link-local and has no zone", key, a).suggest("say on which interface it is: %q", a.WithZone("eth0"))
	case !a.IsLinkLocalUnicast() && a.Zone() != "":
		c.fault(path, "%s: %s has a zone, and is not link-local", key, a).suggest("write %q", a.WithZone(""))
	default:
		return true
	}
	return false
}

// carried checks that each prefix has a session that can carry it: one that is
// to carry its family, and for IPv6 an IPv6 one or any with an explicit next
// hop. IPv4 needs nothing of the kind, as its next hop may be an IPv6 one (RFC 8950).
func (c *checker) carried(prefixes []netip.Prefix, raw *bgpTable) {
	for i, p := range prefixes {
		if !p.IsValid() || len(raw.Neighbor) == 0 {
			continue
		}
		for4 := p.Addr().Is4()
		takers := slices.DeleteFunc(slices.Clone(raw.Neighbor), func(n neighborTable) bool { return !n.takes(for4) })
		if len(takers) == 0 {
			c.fault(item("anycast.prefixes", i), "no BGP session can carry %s: no neighbor has %q among its families", p, familyName(for4)).
				suggest("add it to those of a neighbor, or leave families out")
		} else if !for4 && !c.reachable6(takers, raw) {
			c.fault(item("anycast.prefixes", i), "no BGP session can carry %s: all neighbors are IPv4 and there is no IPv6 next hop", p).
				suggest("add this node's IPv6 address to [bgp] next_hop, or an IPv6 neighbor")
		}
	}
}

// reachable6 reports whether some neighbor has an IPv6 next hop to be told, or
// may have been meant to.
func (c *checker) reachable6(neighbors []neighborTable, raw *bgpTable) bool {
	may6 := func(a netip.Addr) bool { return !a.IsValid() || a.Is6() } // an address at fault may have been meant so
	return slices.ContainsFunc(raw.NextHop, may6) || c.faulty("bgp.next_hop") ||
		slices.ContainsFunc(neighbors, func(n neighborTable) bool { return may6(n.Address) || n.NextHop.Is6() })
}
