package config

import (
	"strings"
	"testing"
)

// speaker is service and a [bgp] that can have neighbors; a fifth line is to follow.
const speaker = service + "[bgp]\nasn = 64512\nrouter_id = \"192.0.2.10\"\n"

// neighbor is speaker and a neighbor's table; an eighth line is to follow.
const neighbor = speaker + "[[bgp.neighbor]]\nasn = 64500\naddress = \"192.0.2.1\"\n"

func TestBGP(t *testing.T) {
	t.Parallel()
	const only6 = "[[bgp.neighbor]]\nasn = 64500\naddress = \"2001:db8:f::1\"\n"
	both := strings.ReplaceAll(neighbor, "113.1/32\"", "113.1/32\", \"2001:db8:a::1/128\"")
	checkFaults(t, map[string]row{
		"refuses no asn and router_id":         {service + "[[bgp.neighbor]]\nasn = 1\naddress = \"192.0.2.1\"", []string{"2:3: [bgp] has no asn (say which AS this node is in, such as asn = 64512)", `2:3: [bgp] has no router_id (write one of this node's IPv4 addresses, such as router_id = "192.0.2.10")`}},
		"refuses asn 0":                        {strings.ReplaceAll(neighbor, "64512", "0"), []string{"3:7: bgp.asn is 0; it takes 1 to 4294967295"}},
		"refuses an asn too high":              {strings.ReplaceAll(neighbor, "64512", "4294967296"), []string{"3:7: bgp.asn is 4294967296; it takes 1 to 4294967295"}},
		"refuses an IPv6 router_id":            {strings.ReplaceAll(neighbor, "192.0.2.10", "2001:db8::1"), []string{"4:13: bgp.router_id is 2001:db8::1, not the 32-bit identifier of a speaker (write one of this node's IPv4 addresses, or any other number in that form that no neighbor has)"}},
		"refuses router_id 0":                  {strings.ReplaceAll(neighbor, "192.0.2.10", "0.0.0.0"), []string{"4:13: bgp.router_id is 0.0.0.0, not the 32-bit identifier of a speaker (write one of this node's IPv4 addresses, or any other number in that form that no neighbor has)"}},
		"refuses listen_port 0":                {speaker + "listen_port = 0", []string{"5:15: bgp.listen_port is 0 (-1 only dials; neighbors expect 179)"}},
		"refuses listen_port -2":               {speaker + "listen_port = -2", []string{"5:15: bgp.listen_port is -2; it takes -1 to 65535"}},
		"refuses a negative drain_wait":        {speaker + "drain_wait = \"-5s\"", []string{`5:14: bgp.drain_wait: "-5s" is negative`}},
		"refuses a negative settle":            {speaker + "settle = \"-5s\"", []string{`5:10: bgp.settle: "-5s" is negative`}},
		"refuses two next hops of a family":    {speaker + `next_hop = ["192.0.2.10", "192.0.2.11"]`, []string{"5:27: there is one next hop for each family, and 192.0.2.10 is the first"}},
		"refuses a loopback next hop":          {speaker + `next_hop = ["::1"]`, []string{"5:13: bgp.next_hop: ::1 is a loopback address (a unicast address is needed that others can reach)"}},
		"refuses an anycast next hop":          {speaker + `next_hop = ["203.0.113.1"]`, []string{"5:13: bgp.next_hop: 203.0.113.1 is an anycast address (a next hop is this node's own address in the neighbor's network)"}},
		"refuses a neighbor without all":       {speaker + "[[bgp.neighbor]]", []string{`5:7: [[bgp.neighbor]] has no address (say whom to peer with, such as address = "192.0.2.1")`, "5:7: [[bgp.neighbor]] has no asn (say the neighbor's AS number, such as asn = 64500, here or in [bgp.defaults])"}},
		"refuses a neighbor's asn 0":           {strings.ReplaceAll(neighbor, "64500", "0"), []string{"6:7: bgp.neighbor.asn is 0; it takes 1 to 4294967295"}},
		"refuses a neighbor twice":             {neighbor + "[[bgp.neighbor]]\nasn = 1\naddress = \"192.0.2.1\"", []string{"10:11: neighbor 192.0.2.1 occurs twice (it is on line 7 already)"}},
		"refuses a multicast neighbor":         {strings.ReplaceAll(neighbor, "192.0.2.1\"", "224.0.0.5\""), []string{"7:11: bgp.neighbor.address: 224.0.0.5 is a multicast address"}},
		"refuses an anycast neighbor":          {strings.ReplaceAll(neighbor, "192.0.2.1\"", "203.0.113.1\""), []string{"7:11: bgp.neighbor.address: 203.0.113.1 is an anycast address"}},
		"refuses a mapped neighbor":            {strings.ReplaceAll(neighbor, "192.0.2.1\"", "::ffff:192.0.2.1\""), []string{`7:11: bgp.neighbor.address: "::ffff:192.0.2.1" is an IPv4 address mapped into IPv6 (write "192.0.2.1")`}},
		"takes a neighbor on this host":        {strings.ReplaceAll(neighbor, "192.0.2.1\"", "127.0.0.1\""), nil},
		"takes a link-local neighbor":          {strings.ReplaceAll(neighbor, "192.0.2.1\"", "fe80::1%eth0\""), nil},
		"refuses a link-local one anywhere":    {strings.ReplaceAll(neighbor, "192.0.2.1\"", "fe80::1\""), []string{`7:11: bgp.neighbor.address: fe80::1 is link-local and has no zone (say on which interface it is: "fe80::1%eth0")`}},
		"refuses a zone on any other":          {strings.ReplaceAll(neighbor, "192.0.2.1\"", "2001:db8::1%eth0\""), []string{`7:11: bgp.neighbor.address: 2001:db8::1%eth0 has a zone, and is not link-local (write "2001:db8::1")`}},
		"refuses port 0":                       {neighbor + "port = 0", []string{"8:8: bgp.neighbor.port is 0; it takes 1 to 65535"}},
		"refuses hold_time 0":                  {neighbor + `hold_time = "0s"`, []string{"8:13: bgp.neighbor.hold_time is 0s; it takes 3s to 65535s"}},
		"refuses hold_time 2s":                 {neighbor + `hold_time = "2s"`, []string{"8:13: bgp.neighbor.hold_time is 2s; it takes 3s to 65535s"}},
		"refuses a hold_time too long":         {neighbor + `hold_time = "65536s"`, []string{"8:13: bgp.neighbor.hold_time is 18h12m16s; it takes 3s to 65535s"}},
		"refuses a hold_time of half a second": {neighbor + `hold_time = "3500ms"`, []string{`8:13: bgp.neighbor.hold_time is 3.5s, not whole seconds (write "4s")`}},
		"refuses a local_address elsewhere":    {neighbor + `local_address = "2001:db8::1"`, []string{"8:17: 2001:db8::1 cannot talk to 192.0.2.1: they are of different families"}},
		"refuses a loopback local_address":     {neighbor + `local_address = "127.0.0.1"`, []string{"8:17: 127.0.0.1 is a loopback address, which 192.0.2.1 could not use as next hop (leave it out, or take this node's own address)"}},
		"refuses an anycast local_address":     {neighbor + `local_address = "203.0.113.1"`, []string{"8:17: bgp.neighbor.local_address: 203.0.113.1 is an anycast address"}},
		"refuses IPv6 that nobody carries":     {both, []string{"1:39: no BGP session can carry 2001:db8:a::1/128: all neighbors are IPv4 and there is no IPv6 next hop (add this node's IPv6 address to [bgp] next_hop, or an IPv6 neighbor)"}},
		"takes IPv6 with a next hop":           {strings.ReplaceAll(both, "asn = 64512", "asn = 64512\nnext_hop = [\"2001:db8:f::10\"]"), nil},
		"takes IPv6 with an IPv6 neighbor":     {both + only6, nil},
		"takes IPv4 over IPv6 sessions":        {speaker + only6, nil},
		"refuses IPv6 that all leave out":      {both + "families = [\"ipv4\"]", []string{`1:39: no BGP session can carry 2001:db8:a::1/128: no neighbor has "ipv6" among its families (add it to those of a neighbor, or leave families out)`}},
		"refuses IPv4 that all leave out":      {speaker + only6 + "families = [\"ipv6\"]", []string{`1:21: no BGP session can carry 203.0.113.1/32: no neighbor has "ipv4" among its families (add it to those of a neighbor, or leave families out)`}},
		"takes IPv4 that one leaves out":       {neighbor + only6 + "families = [\"ipv6\"]", nil},
		"says nothing more of bad families":    {strings.ReplaceAll(both, "asn = 64512", "asn = 64512\nnext_hop = [\"2001:db8:f::10\"]") + "families = [5]", []string{"9:13: bgp.neighbor.families takes a string, not an integer (put it in quotes)"}},
		"takes listen addresses":               {speaker + "listen_port = 179\nlisten_addresses = [\"127.0.0.1\", \"fe80::10%eth0\"]", nil},
		"refuses an anycast listen address":    {speaker + "listen_addresses = [\"203.0.113.1\"]", []string{"5:21: bgp.listen_addresses: 203.0.113.1 is an anycast address"}},
		"refuses every address to listen on":   {speaker + "listen_addresses = [\"0.0.0.0\"]", []string{"5:21: bgp.listen_addresses: 0.0.0.0 is the unspecified address"}},
		"refuses a listen address twice":       {speaker + "listen_addresses = [\"192.0.2.1\", \"192.0.2.1\"]", []string{"5:34: listen address 192.0.2.1 occurs twice (it is on line 5 already)"}},
		"refuses to learn anything else":       {speaker + "learn = \"gateway\"", []string{`5:9: bgp.learn is "gateway"; it takes none or gateways (did you mean "gateways"?)`}},
		"refuses one table for several":        {speaker + "[bgp.neighbor]\naddress = \"192.0.2.1\"", []string{"5:6: bgp.neighbor takes a list of tables, not a table (write [[bgp.neighbor]], once for each)"}},
	})
	checkWarnings(t, map[string]row{
		"warns of addresses without a port": {speaker + "listen_addresses = [\"192.0.2.10\"]", []string{"5:20: nothing listens there: bgp.listen_port is -1 (neighbors expect listen_port = 179)"}},
		"warns if nobody is told":           {speaker, []string{"2:2: there is no BGP neighbor: nothing is announced (add a [[bgp.neighbor]])"}},
	})
}
