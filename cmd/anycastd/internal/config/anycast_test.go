package config

import (
	"testing"
)

func TestAnycast(t *testing.T) {
	t.Parallel()
	const none = "there is no anycast address"
	checkFaults(t, map[string]row{
		"refuses an empty file":               {"", []string{"1:1: " + none + ` (say what to announce: [anycast] prefixes = ["203.0.113.1/32"])`}},
		"refuses an empty table":              {"[anycast]", []string{"1:2: " + none + ` (say what to announce: [anycast] prefixes = ["203.0.113.1/32"])`}},
		"refuses wide prefixes alone":         {`anycast.prefixes = ["203.0.113.0/24"]`, []string{"1:1: " + none + ` (say which addresses of the prefixes to answer from: addresses = ["203.0.113.1"])`}},
		"refuses no addresses":                {service + `anycast.addresses = []`, []string{"2:21: " + none + ` (say which addresses of the prefixes to answer from: addresses = ["203.0.113.2"])`}},
		"refuses an address outside":          {service + `anycast.addresses = ["203.0.113.2"]`, []string{`2:22: 203.0.113.2 lies in none of anycast.prefixes (announce it: add "203.0.113.2/32" to prefixes, or the wider prefix it is part of)`}},
		"refuses an address twice":            {service + `anycast.addresses = ["203.0.113.1", "203.0.113.1"]`, []string{"2:37: anycast address 203.0.113.1 occurs twice (it is on line 2 already)"}},
		"refuses a mapped address":            {service + `anycast.addresses = ["::ffff:203.0.113.1"]`, []string{`2:22: anycast.addresses: "::ffff:203.0.113.1" is an IPv4 address mapped into IPv6 (write "203.0.113.1")`}},
		"refuses a multicast address":         {service + `anycast.addresses = ["ff02::1"]`, []string{"2:22: anycast.addresses: ff02::1 is a multicast address (a unicast address is needed that others can reach)"}},
		"refuses the unspecified address":     {service + `anycast.addresses = ["::"]`, []string{"2:22: anycast.addresses: :: is the unspecified address (a unicast address is needed that others can reach)"}},
		"refuses a link-local address":        {service + `anycast.addresses = ["169.254.1.1"]`, []string{"2:22: anycast.addresses: 169.254.1.1 is a link-local address (a unicast address is needed that others can reach)"}},
		"refuses the broadcast address":       {service + `anycast.addresses = ["255.255.255.255"]`, []string{"2:22: anycast.addresses: 255.255.255.255 is the broadcast address (a unicast address is needed that others can reach)"}},
		"refuses a zone":                      {service + `anycast.addresses = ["2001:db8::1%eth0"]`, []string{`2:22: anycast.addresses: 2001:db8::1%eth0 has a zone (write "2001:db8::1")`}},
		"refuses a prefix as address":         {service + `anycast.addresses = ["203.0.113.1/32"]`, []string{`2:22: anycast.addresses: "203.0.113.1/32" is not an IP address (write it without the prefix length)`}},
		"refuses an address as prefix":        {`anycast.prefixes = ["203.0.113.1"]`, []string{`1:21: anycast.prefixes: "203.0.113.1" has no prefix length (for this address alone write "203.0.113.1/32")`}},
		"refuses no prefix":                   {`anycast.prefixes = ["x/8"]`, []string{`1:21: anycast.prefixes: "x/8" is not a prefix`}},
		"refuses host bits":                   {`anycast.prefixes = ["203.0.113.1/24"]`, []string{`1:21: anycast.prefixes: "203.0.113.1/24" has bits set behind its prefix length (write "203.0.113.0/24")`}},
		"refuses a mapped prefix":             {`anycast.prefixes = ["::ffff:203.0.113.1/120"]`, []string{`1:21: anycast.prefixes: "::ffff:203.0.113.1/120" is an IPv4 prefix mapped into IPv6 (write "203.0.113.0/24")`}},
		"refuses a prefix twice":              {`anycast.prefixes = ["203.0.113.1/32", "203.0.113.1/32"]`, []string{"1:39: prefix 203.0.113.1/32 occurs twice (it is on line 1 already)"}},
		"refuses the default route":           {`anycast.prefixes = ["0.0.0.0/0", "203.0.113.1/32"]`, []string{"1:21: anycast.prefixes: 0.0.0.0/0 begins with the unspecified address"}},
		"refuses a multicast prefix":          {`anycast.prefixes = ["224.0.0.0/4", "203.0.113.1/32"]`, []string{"1:21: anycast.prefixes: 224.0.0.0/4 begins with a multicast address"}},
		"refuses an interface name too long":  {service + `anycast.interface = "anycast-frankfurt"`, []string{`2:21: anycast.interface: "anycast-frankfurt" is 17 octets long, more than 15`}},
		"refuses the kernel's own tables":     {service + `anycast.reply_table = 254`, []string{"2:23: anycast.reply_table: 254 is one of the kernel's own tables, default, main and local (take another one, with the routes that answers shall follow; 0 is the host's usual way)"}},
		"takes the table before them":         {service + `anycast.reply_table = 252`, nil},
		"takes the highest table":             {service + `anycast.reply_table = 4294967295`, nil},
		"refuses a table too high":            {service + `anycast.reply_table = 4294967296`, []string{"2:23: anycast.reply_table is 4294967296; it takes 0 to 4294967295"}},
		"refuses priority 0":                  {service + "anycast.reply_table = 7\nanycast.reply_priority = 0", []string{"3:26: anycast.reply_priority is 0; it takes 1 to 32765"}},
		"refuses the priority of main":        {service + "anycast.reply_table = 7\nanycast.reply_priority = 32766", []string{"3:26: anycast.reply_priority is 32766; it takes 1 to 32765"}},
		"refuses anyip in quotes":             {service + `anycast.anyip = "true"`, []string{"2:17: anycast.anyip takes true or false, not a string (write it without quotes)"}},
		"says nothing more of bad prefixes":   {"[anycast]\nprefixes = \"203.0.113.0/24\"\naddresses = [\"203.0.113.1\"]", []string{"2:12: anycast.prefixes takes a list, not a string (put it in brackets: prefixes = [ … ])"}},
		"says nothing more of no table":       {"anycast = 1", []string{"1:11: anycast takes a table, not an integer (there is only one: write [anycast])"}},
		"says nothing more of bad addresses":  {service + `anycast.addresses = "203.0.113.1"`, []string{"2:21: anycast.addresses takes a list, not a string (put it in brackets: addresses = [ … ])"}},
		"says nothing more of a bad element":  {service + `anycast.addresses = [5]`, []string{"2:22: anycast.addresses takes an IP address in quotes, not an integer (put it in quotes)"}},
		"says nothing more of a nested list":  {service + `anycast.addresses = [["203.0.113.1"]]`, []string{"2:21: anycast.addresses takes an IP address in quotes, not a list (it takes one value: leave the brackets out)"}},
		"says nothing more of an inline date": {service + `anycast.addresses = [1979-05-27]`, []string{"2:22: anycast.addresses takes an IP address in quotes, not a date or time (put it in quotes)"}},
	})
	checkWarnings(t, map[string]row{
		"warns of a loopback address":    {`anycast.prefixes = ["127.0.0.53/32"]` + "\n" + `anycast.addresses = ["127.0.0.53"]`, []string{"2:22: anycast.addresses: only this very host reaches 127.0.0.53"}},
		"warns of a priority of nothing": {service + "anycast.reply_priority = 7", []string{"2:26: anycast.reply_priority does nothing: there is no reply_table"}},
		"warns of a deserted prefix":     {`anycast.prefixes = ["203.0.113.1/32", "2001:db8::/48"]`, []string{"1:39: no anycast address lies in 2001:db8::/48: what is sent there gets lost"}},
	})
}
