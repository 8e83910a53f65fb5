package config

import (
	"net/netip"
	"slices"
	"time"
)

// bgp checks [bgp] and its neighbors.
func (c *checker) bgp(raw *bgpTable, cfg *Config) {
	cfg.Policy.DrainWait, cfg.Policy.Settle = raw.DrainWait, raw.Settle
	cfg.BGP = BGP{ASN: uint32(raw.ASN), RouterID: raw.RouterID, ListenPort: int(raw.ListenPort)}
	if raw.ListenPort == 0 && c.sound("bgp.listen_port") {
		c.fault("bgp.listen_port", "bgp.listen_port is 0").suggest("-1 only dials; neighbors expect 179")
	}
	if raw.RouterID.IsValid() && (!raw.RouterID.Is4() || raw.RouterID.IsUnspecified()) {
		c.fault("bgp.router_id", "bgp.router_id is %s, not the 32-bit identifier of a speaker", raw.RouterID).
			suggest("write one of this node's IPv4 addresses, or any other number in that form that no neighbor has")
	}
	cfg.BGP.NextHops = c.nextHops(raw.NextHop, cfg)
	c.neighbors(raw, cfg)
	cfg.BGP.Worse = c.worse(raw)
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

// nextHops checks the next hops, at most one for each family.
func (c *checker) nextHops(raw []netip.Addr, cfg *Config) []netip.Addr {
	var out []netip.Addr
	families := onePerFamily{}
	for i, a := range raw {
		path := item("bgp.next_hop", i)
		if !c.unicast(path, "bgp.next_hop", a) {
			continue
		}
		if slices.Contains(cfg.Policy.Addresses, a) {
			c.fault(path, "bgp.next_hop: %s is an anycast address", a).suggest("a next hop is this node's own address in the neighbor's network")
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

// neighbors checks the [[bgp.neighbor]] tables.
func (c *checker) neighbors(raw *bgpTable, cfg *Config) {
	once := unique[netip.Addr](c, "neighbor")
	for i := range raw.Neighbor {
		n, path := &raw.Neighbor[i], item("bgp.neighbor", i)
		if c.peer(path+".address", "bgp.neighbor.address", n.Address, cfg) {
			once.add(n.Address, path+".address")
		}
		if c.peer(path+".local_address", "bgp.neighbor.local_address", n.LocalAddress, cfg) && n.Address.IsValid() && n.Address.Is4() != n.LocalAddress.Is4() {
			c.fault(path+".local_address", "%s cannot talk to %s: they are of different families", n.LocalAddress, n.Address)
		}
		cfg.BGP.Neighbors = append(cfg.BGP.Neighbors, Neighbor{
			Address: n.Address, LocalAddress: n.LocalAddress, ASN: uint32(n.ASN), Port: uint16(n.Port),
			Password: c.password(path+".password_file", n.PasswordFile),
			HoldTime: c.holdTime(path+".hold_time", n.HoldTime),
		})
	}
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

// The hold times that can be negotiated, 0 left out: without keepalives nobody
// would notice a dead node (RFC 4271 section 4.2).
const (
	minHoldTime = 3 * time.Second
	maxHoldTime = 65535 * time.Second
)

// holdTime checks a neighbor's hold time.
func (c *checker) holdTime(path string, d time.Duration) time.Duration {
	switch {
	case c.faulty(path):
	case d < minHoldTime || d > maxHoldTime:
		c.fault(path, "bgp.neighbor.hold_time is %v; it takes 3s to 65535s", d)
	case d%time.Second != 0:
		c.fault(path, "bgp.neighbor.hold_time is %v, not whole seconds", d).suggest("write %q", d.Round(time.Second))
	}
	return d
}

// carried checks that each IPv6 prefix has a session that can carry it: an
// IPv6 one, or any with an explicit next hop. IPv4 needs nothing of the kind,
// as its next hop may be an IPv6 one (RFC 8950).
func (c *checker) carried(prefixes []netip.Prefix, raw *bgpTable) {
	may6 := func(a netip.Addr) bool { return !a.IsValid() || a.Is6() } // an address at fault may have been meant so
	session6 := func(n neighborTable) bool { return may6(n.Address) }
	if len(raw.Neighbor) == 0 || slices.ContainsFunc(raw.Neighbor, session6) || slices.ContainsFunc(raw.NextHop, may6) || c.faulty("bgp.next_hop") {
		return
	}
	for i, p := range prefixes {
		if p.IsValid() && p.Addr().Is6() {
			c.fault(item("anycast.prefixes", i), "no BGP session can carry %s: all neighbors are IPv4 and there is no IPv6 next hop", p).
				suggest("add this node's IPv6 address to [bgp] next_hop, or an IPv6 neighbor")
		}
	}
}
