package config

import (
	"net/netip"
	"slices"
	"time"

	"github.com/anycastd/anycastd/bgp"
)

// neighbors checks [bgp.defaults] and the [[bgp.neighbor]] tables, which have
// been given what stands there.
func (c *checker) neighbors(raw *bgpTable, cfg *Config) {
	c.session("bgp.defaults", &raw.Defaults.sessionTable, cfg)
	once := unique[netip.Addr](c, "neighbor")
	for i := range raw.Neighbor {
		n, path := &raw.Neighbor[i], item("bgp.neighbor", i)
		if c.peer(path+".address", "bgp.neighbor.address", n.Address, cfg) {
			once.add(n.Address, path+".address")
		}
		shared := c.sessionKey(path, "next_hop") == "bgp.defaults.next_hop"
		if shared && n.NextHop.IsValid() && n.Address.IsValid() && n.NextHop.Is4() != n.Address.Is4() {
			n.NextHop = netip.Addr{} // it is for those of its family
		}
		out := c.session(path, &n.sessionTable, cfg)
		out.Address, out.ASN = n.Address, uint32(n.ASN)
		c.ends(path, n, raw)
		c.timers(path, n)
		c.hop(path, n, raw, cfg)
		cfg.BGP.Neighbors = append(cfg.BGP.Neighbors, out)
	}
}

// session checks each key by itself of those that neighbors may have in common.
func (c *checker) session(path string, raw *sessionTable, cfg *Config) bgp.Neighbor {
	c.peer(path+".local_address", c.sessionKey(path, "local_address"), raw.LocalAddress, cfg)
	c.nextHop(path+".next_hop", c.sessionKey(path, "next_hop"), raw.NextHop, cfg)
	if err := checkInterface(raw.Interface); err != nil && raw.Interface != "" {
		c.fault(path+".interface", "%s: %s %v", c.sessionKey(path, "interface"), quote(raw.Interface), err)
	}
	c.wholeSeconds(path, "hold_time", raw.HoldTime)
	c.wholeSeconds(path, "keepalive_time", raw.KeepaliveTime)
	c.wholeSeconds(path, "graceful_restart", raw.GracefulRestart)
	if raw.GracefulRestart > 0 {
		c.warn(path+".graceful_restart", "with graceful_restart a dead front-end whose route is kept is a black hole, for up to %v", raw.GracefulRestart).
			suggest("leave it out: as soon as the route is gone another front-end takes over")
	}
	return bgp.Neighbor{
		Port: uint16(raw.Port), Password: c.password(path+".password_file", raw.PasswordFile), LocalAddress: raw.LocalAddress, Interface: raw.Interface,
		Passive: raw.Passive, Multihop: int(raw.Multihop), TTLSecurity: raw.TTLSecurity,
		HoldTime: raw.HoldTime, Keepalive: raw.KeepaliveTime, ConnectRetry: raw.ConnectRetry,
		Families: c.families(path+".families", raw.Families), NextHop: raw.NextHop,
		MaxPrefixes: int(raw.MaxPrefixes), GracefulRestart: raw.GracefulRestart,
	}
}

// sessionKey returns how messages name a key of the neighbor at path: by the table
// that has it.
func (c *checker) sessionKey(path, key string) string {
	e, _ := c.doc.find(path + "." + key)
	if shared, ok := c.doc.find("bgp.defaults." + key); ok && shared == e {
		return "bgp.defaults." + key
	}
	return "bgp.neighbor." + key
}

// wholeSeconds checks a time that travels in whole seconds.
func (c *checker) wholeSeconds(path, key string, d time.Duration) {
	if d%time.Second != 0 {
		c.fault(path+"."+key, "%s is %v, not whole seconds", c.sessionKey(path, key), d).suggest("write %q", max(d.Round(time.Second), time.Second))
	}
}

// families returns the address families of a list.
func (c *checker) families(path string, names []string) bgp.Families {
	var out bgp.Families
	once := unique[string](c, "family")
	for i, name := range names {
		switch at := item(path, i); {
		case c.faulty(at) || !once.add(name, at):
		case name == "ipv4":
			out |= bgp.IPv4Unicast
		case name == "ipv6":
			out |= bgp.IPv6Unicast
		}
	}
	return out
}

// familyName is how a list of families names one.
func familyName(is4 bool) string {
	if is4 {
		return "ipv4"
	}
	return "ipv6"
}

// takes reports whether routes of the family may be for the neighbor: one at
// fault may have been meant so.
func (n *neighborTable) takes(is4 bool) bool {
	return len(n.Families) == 0 || slices.ContainsFunc(n.Families, func(name string) bool { return name != familyName(!is4) })
}

// ends checks that both ends of a session can come together.
func (c *checker) ends(path string, n *neighborTable, raw *bgpTable) {
	if n.LocalAddress.IsValid() && n.Address.IsValid() && n.Address.Is4() != n.LocalAddress.Is4() {
		c.fault(path+".local_address", "%s cannot talk to %s: they are of different families", n.LocalAddress, n.Address)
	} else if n.LocalAddress.IsLoopback() && n.Address.IsValid() && !n.Address.IsLoopback() {
		c.fault(path+".local_address", "%s is a loopback address, which %s could not use as next hop", n.LocalAddress, n.Address).
			suggest("leave it out, or take this node's own address")
	}
	if zone := n.Address.Zone(); zone != "" && n.Interface != "" && n.Interface != zone {
		c.fault(path+".interface", "neighbor %s is on %s, not on %s", n.Address, zone, quote(n.Interface)).suggest("leave interface out: the address says it")
	}
	if n.Passive && raw.ListenPort == onlyDial {
		c.fault(path+".passive", "a passive neighbor could not dial this node: bgp.listen_port is -1").suggest("neighbors expect [bgp] listen_port = 179")
	}
}

// timers checks that keepalives come often enough (RFC 4271 section 4.4).
func (c *checker) timers(path string, n *neighborTable) {
	hold, alive := path+".hold_time", path+".keepalive_time"
	if n.KeepaliveTime > n.HoldTime/3 && !c.faulty(hold) && !c.faulty(alive) {
		c.fault(alive, "keepalive_time is %v, more than a third of hold_time, %v", n.KeepaliveTime, n.HoldTime).
			suggest("leave it out, or write %q at most", (n.HoldTime / 3).Truncate(time.Second))
	}
}

// hop checks the next hop of what the neighbor is told, with those of [bgp]
// known. A session over loopback may get one when it is up.
func (c *checker) hop(path string, n *neighborTable, raw *bgpTable, cfg *Config) {
	if n.NextHop.IsGlobalUnicast() && n.Address.IsValid() && n.NextHop.Is4() != n.Address.Is4() {
		c.fault(path+".next_hop", "neighbor %s has a next_hop of the other family, %s: it is in place of this node's own address in that session", n.Address, n.NextHop).
			suggest("a next hop for the other family is for all neighbors: say it in [bgp] next_hop")
	}
	same := func(hop netip.Addr) bool { return hop.Is4() == n.NextHop.Is4() }
	if i := slices.IndexFunc(cfg.BGP.NextHops, same); i >= 0 && n.NextHop.IsValid() {
		c.fault(path+".next_hop", "bgp.next_hop has one of that family already, %s", cfg.BGP.NextHops[i]).
			suggest("leave it out there, or here: the one there goes to every neighbor")
	}
	lacking := !c.faulty(path+".next_hop") && !c.reachable6([]neighborTable{*n}, raw)
	if lacking && slices.Contains(n.Families, "ipv6") && !n.Address.IsLoopback() {
		c.fault(path+".families", "neighbor %s can't be told IPv6 routes: it is an IPv4 one and there is no IPv6 next hop", n.Address).
			suggest("add this node's IPv6 address to [bgp] next_hop, or leave \"ipv6\" out")
	}
}
