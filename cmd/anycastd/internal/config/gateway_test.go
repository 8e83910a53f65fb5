package config

import (
	"strings"
	"testing"
)

func TestPolicy(t *testing.T) {
	t.Parallel()
	checkFaults(t, map[string]row{
		"refuses an unknown choose":    {service + `policy.choose = "least_loaded"`, []string{`2:17: policy.choose is "least_loaded"; it takes sticky, least-loaded or self-first (did you mean "least-loaded"?)`}},
		"refuses an unknown key":       {service + `policy.key = "spi"`, []string{`2:14: policy.key is "spi"; it takes source or source+spi`}},
		"refuses overload 0":           {service + `policy.overload = 0`, []string{"2:19: policy.overload is 0; it takes more than 0, at most 1"}},
		"refuses overload above 1":     {service + `policy.overload = 1.5`, []string{"2:19: policy.overload is 1.5; it takes more than 0, at most 1"}},
		"refuses overload nan":         {service + `policy.overload = nan`, []string{"2:19: policy.overload is NaN; it takes more than 0, at most 1"}},
		"refuses overload as a string": {service + `policy.overload = "0.9"`, []string{"2:19: policy.overload takes a number, not a string (write it without quotes)"}},
		"refuses seed as a number":     {service + `policy.seed = 1.0`, []string{"2:15: policy.seed takes a string, not a decimal fraction (put it in quotes)"}},
	})
}

// gateway is service and a gateway's table whose fourth line is to follow.
const gateway = service + "[[gateway]]\nname = \"gw1\"\n"

// addressed is gateway with an address; a fifth line is to follow.
const addressed = gateway + "addresses = [\"198.51.100.1\"]\n"

func TestGateway(t *testing.T) {
	t.Parallel()
	const second = "\n[[gateway]]\nname = \"gw2\"\naddresses = [\"198.51.100.2\"]\n"
	long := strings.Repeat("a", 63)
	checkFaults(t, map[string]row{
		"refuses none":                          {service + `[[gateway]]`, []string{`2:3: [[gateway]] has no name (give it one, such as name = "fra-gw1")`, `2:3: gateway "" has no address (add addresses = ["198.51.100.11"], or redirect_by = "fqdn" and an fqdn)`}},
		"refuses an empty name":                 {service + "[[gateway]]\naddresses = [\"198.51.100.1\"]\nname = \"\"", []string{`4:8: gateway.name: "" is empty`}},
		"refuses a name like an option":         {service + "[[gateway]]\naddresses = [\"198.51.100.1\"]\nname = \"-o\"", []string{`4:8: gateway.name: "-o" begins with a hyphen, as options do`}},
		"refuses a name too long":               {service + "[[gateway]]\naddresses = [\"198.51.100.1\"]\nname = \"" + long + "bb\"", []string{`4:8: gateway.name: "` + long[:60] + `…" is 65 octets long, more than 64`}},
		"refuses a name twice":                  {addressed + strings.ReplaceAll(second, "gw2", "gw1"), []string{"7:8: gateway gw1 occurs twice (it is on line 3 already)"}},
		"refuses no address":                    {gateway, []string{`2:3: gateway "gw1" has no address (add addresses = ["198.51.100.11"], or redirect_by = "fqdn" and an fqdn)`}},
		"refuses an empty list of addresses":    {gateway + "addresses = []", []string{`4:13: gateway "gw1" has no address (add addresses = ["198.51.100.11"], or redirect_by = "fqdn" and an fqdn)`}},
		"refuses two addresses of a family":     {gateway + `addresses = ["198.51.100.1", "2001:db8::1", "198.51.100.2"]`, []string{"4:45: a gateway has one address of each family, and 198.51.100.1 is its first (make a gateway of its own for 198.51.100.2)"}},
		"refuses an anycast address":            {gateway + `addresses = ["203.0.113.1"]`, []string{"4:14: 203.0.113.1 is an anycast address: the gateway would redirect to itself (give the gateway's own unicast address)"}},
		"refuses a multicast address":           {gateway + `addresses = ["224.0.0.1"]`, []string{"4:14: gateway.addresses: 224.0.0.1 is a multicast address (a unicast address is needed that others can reach)"}},
		"refuses a mapped address":              {gateway + `addresses = ["::ffff:198.51.100.1"]`, []string{`4:14: gateway.addresses: "::ffff:198.51.100.1" is an IPv4 address mapped into IPv6 (write "198.51.100.1")`}},
		"takes an fqdn instead":                 {gateway + "redirect_by = \"fqdn\"\nfqdn = \"gw1.example.net\"", nil},
		"refuses redirect_by fqdn without":      {addressed + `redirect_by = "fqdn"`, []string{`5:15: redirect_by = "fqdn" needs an fqdn (add fqdn = "gw1.vpn.example.net")`}},
		"refuses an unknown redirect_by":        {addressed + `redirect_by = "name"`, []string{`5:15: gateway.redirect_by is "name"; it takes address or fqdn`}},
		"refuses an empty fqdn":                 {addressed + `fqdn = ""`, []string{`5:8: gateway.fqdn: "" is empty`}},
		"refuses an empty label":                {addressed + `fqdn = "a..b"`, []string{`5:8: gateway.fqdn: "a..b" has an empty label`}},
		"refuses a label of 64 octets":          {addressed + `fqdn = "` + long + `b.net"`, []string{`5:8: gateway.fqdn: "` + long[:60] + `…" has a label of 64 octets, more than 63`}},
		"takes an fqdn of 255 octets":           {addressed + `fqdn = "` + strings.Repeat(long+".", 3) + long[:61] + `"`, nil},
		"refuses an fqdn of 256 octets":         {addressed + `fqdn = "` + strings.Repeat(long+".", 3) + long[:62] + `"`, []string{`5:8: gateway.fqdn: "` + long[:60] + `…" is 256 octets long on the wire, more than 255`}},
		"refuses an underscore in an fqdn":      {addressed + `fqdn = "a_b.net"`, []string{`5:8: gateway.fqdn: "a_b.net" has the character '_'`}},
		"refuses an fqdn that is not ASCII":     {addressed + `fqdn = "mün.net"`, []string{`5:8: gateway.fqdn: "mün.net" has the character 'ü'; such a name is written in its xn-- form (RFC 5890)`}},
		"refuses a hyphen at a label's end":     {addressed + `fqdn = "a-.net"`, []string{`5:8: gateway.fqdn: "a-.net" has a label that begins or ends with a hyphen`}},
		"refuses an address as fqdn":            {addressed + `fqdn = "192.0.2.1"`, []string{`5:8: gateway.fqdn: "192.0.2.1" is an address, not a name`}},
		"refuses a weight too high":             {addressed + `weight = 65536`, []string{"5:10: gateway.weight is 65536; it takes 0 to 65535"}},
		"refuses a negative capacity":           {addressed + `capacity = -1`, []string{"5:12: gateway.capacity is -1; it takes 0 to 2147483647"}},
		"refuses self in quotes":                {addressed + `self = "true"`, []string{"5:8: gateway.self takes true or false, not a string (write it without quotes)"}},
		"refuses two that are self":             {addressed + "self = true" + second + "self = true", []string{`9:8: only one gateway can run on this host ("gw1" says so already)`}},
		"refuses a probe that isn't a table":    {addressed + `probe = "1s"`, []string{"5:9: gateway.probe takes a table, not a string (there is only one: write [gateway.probe])"}},
		"refuses every without a unit":          {addressed + `probe = { every = "5" }`, []string{`5:19: gateway.probe.every: "5" has no unit (write a number with a unit, such as "500ms", "5s" or "2m")`}},
		"refuses every as a number":             {addressed + `probe = { every = 5 }`, []string{`5:19: gateway.probe.every takes a duration in quotes, not an integer (give it a unit: "5s" is in seconds)`}},
		"refuses every that is no duration":     {addressed + `probe = { every = "soon" }`, []string{`5:19: gateway.probe.every: "soon" is not a duration (write a number with a unit, such as "500ms", "5s" or "2m")`}},
		"refuses a negative every":              {addressed + `probe = { every = "-1s" }`, []string{`5:19: gateway.probe.every: "-1s" is negative`}},
		"takes every 0":                         {addressed + `probe = { every = "0s" }`, nil},
		"refuses timeout 0":                     {addressed + `probe = { timeout = "0s" }`, []string{`5:21: gateway.probe.timeout is 0: nothing can answer in time (to send no probes write every = "0s")`}},
		"takes every below the default timeout": {addressed + `probe.every = "100ms"`, nil},
		"refuses every below 100ms":             {addressed + `probe.every = "1us"`, []string{`5:15: gateway.probe.every 1µs is shorter than 100ms (each probe is some lines in the gateway's log; to send none write "0s")`}},
		"refuses rise 0":                        {addressed + `probe.rise = 0`, []string{"5:14: gateway.probe.rise is 0; it takes 1 to 1000"}},
		"refuses fall 0":                        {addressed + `probe.fall = 0`, []string{"5:14: gateway.probe.fall is 0; it takes 1 to 1000"}},
		"refuses one table for several":         {service + "[gateway]\nname = \"gw1\"\n[[pool]]\nname = \"p\"\ngateways = [\"gw1\"]", []string{"2:2: gateway takes a list of tables, not a table (write [[gateway]], once for each)"}},
		"refuses a list of something else":      {service + "gateway = [1]", []string{"2:12: gateway takes tables, not an integer"}},
	})
	checkWarnings(t, map[string]row{
		"warns of a timeout longer than every":  {addressed + `probe.timeout = "2s"`, []string{"5:17: gateway.probe.timeout 2s is longer than gateway.probe.every 1s (a probe ends before the next one is sent: a silent gateway is asked every 2s)"}},
		"warns of none":                         {service, []string{"1:1: there is no gateway: no client gets an answer, and nothing is announced (add a [[gateway]])"}},
		"warns of an address that is shared":    {addressed + "[[gateway]]\nname = \"gw2\"\naddresses = [\"198.51.100.1\"]", []string{`7:14: 198.51.100.1 is the address of gateway "gw1" too`}},
		"warns of one in an announced prefix":   {"[anycast]\nprefixes = [\"203.0.113.0/24\"]\naddresses = [\"203.0.113.1\"]\n[[gateway]]\nname = \"gw1\"\naddresses = [\"203.0.113.7\"]", []string{"6:14: 203.0.113.7 lies in 203.0.113.0/24, which is announced from everywhere (clients reach the gateway only from near this node; a gateway needs a unicast address of its own)"}},
		"warns of a family without gateways":    {"anycast.prefixes = [\"203.0.113.1/32\", \"2001:db8::1/128\"]\ngateway = [{name = \"gw1\", addresses = [\"198.51.100.1\"]}]", []string{`1:1: no gateway can be named to clients of 2001:db8::1 (a client is redirected within its family: give a gateway an address of that family and a weight, or redirect_by = "fqdn")`}},
		"warns if no gateway takes newcomers":   {addressed + "weight = 0", []string{`1:1: no gateway can be named to clients of 203.0.113.1 (a client is redirected within its family: give a gateway an address of that family and a weight, or redirect_by = "fqdn")`}},
		"warns of [[discover]] as not built":    {service + "[[discover]]\nname = \"_ike._udp.example.net\"", []string{"2:3: this version ignores [[discover]] (the gateways are those of this file)"}},
		"warns of pools that leave clients out": {addressed + "[[pool]]\nname = \"p\"\ngateways = [\"gw1\"]\nsources = [\"192.0.2.0/24\"]", []string{"5:3: clients outside the pools' sources get no answer (add a pool without sources, or leave a gateway out of all pools)"}},
		"warns of a pool that serves nobody":    {addressed + "[[pool]]\nname = \"p\"\ngateways = [\"gw1\"]\n[[pool]]\nname = \"q\"\ngateways = [\"gw1\"]", []string{`8:3: pool "q" serves nobody (without sources it would be for the clients of no other pool, and those go to "p")`}},
		"warns of identities as not built":      {addressed + "[[pool]]\nname = \"p\"\ngateways = [\"gw1\"]\nidentities = [\"*@a\"]", []string{"8:14: this version ignores pool.identities (who a client is shows in IKE_AUTH only, which it does not redirect: pools go by sources)"}},
	})
}
