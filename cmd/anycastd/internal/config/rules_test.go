package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// row is an input and what is found in it, as line:column: message (hint).
type row struct {
	in   string
	want []string
}

// service is a first line that makes what follows a valid file.
const service = "anycast.prefixes = [\"203.0.113.1/32\"]\n"

// hinted puts findings into lines with their hints.
func hinted(faults []Fault) []string {
	out := brief(faults)
	for i, f := range faults {
		if f.Hint != "" {
			out[i] += " (" + f.Hint + ")"
		}
	}
	return out
}

// checkFaults checks that each row has just its faults.
func checkFaults(t *testing.T, rows map[string]row) {
	t.Helper()
	for name, r := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(r.want, hinted(faultsOf(t, r.in))); diff != "" {
				t.Errorf("(-want +got):\n%s\n%s", diff, faultsOf(t, r.in))
			}
		})
	}
}

// checkWarnings checks that each row has its warnings, among others.
func checkWarnings(t *testing.T, rows map[string]row) {
	t.Helper()
	for name, r := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := Load("a.toml", strings.NewReader(r.in))
			if err != nil {
				t.Fatal(err)
			}
			all := hinted(cfg.Warnings)
			for _, w := range r.want {
				if !strings.Contains("\n"+strings.Join(all, "\n")+"\n", "\n"+w+"\n") {
					t.Errorf("want %s, got\n%s", w, strings.Join(all, "\n"))
				}
			}
		})
	}
}

func TestNode_and_control(t *testing.T) {
	t.Parallel()
	checkFaults(t, map[string]row{
		"refuses an empty name":             {service + `node.name = ""`, []string{`2:13: node.name: "" is empty`}},
		"refuses a name with a blank":       {service + `node.name = "a b"`, []string{`2:13: node.name: "a b" has a blank or a control character`}},
		"refuses a relative state_dir":      {service + `node.state_dir = "var"`, []string{"2:18: node.state_dir is not an absolute path"}},
		"refuses a relative socket":         {service + `control.socket = "a.sock"`, []string{"2:18: control.socket is not an absolute path"}},
		"takes a socket of 107 octets":      {service + `control.socket = "/` + strings.Repeat("a", 106) + `"`, nil},
		"refuses a socket of 108 octets":    {service + `control.socket = "/` + strings.Repeat("a", 107) + `"`, []string{"2:18: control.socket is 108 octets long, more than 107"}},
		"takes no http":                     {service + `control.http = ""`, nil},
		"takes http on all addresses":       {service + `control.http = ":9650"`, nil},
		"refuses http without a port":       {service + `control.http = "localhost"`, []string{`2:16: control.http: "localhost" is not host:port (write host:port, such as "127.0.0.1:9650", or "" for none)`}},
		"refuses http on a port too high":   {service + `control.http = "[::1]:65536"`, []string{`2:16: control.http: "[::1]:65536" has the port "65536", not one of 0 to 65535 (write host:port, such as "127.0.0.1:9650", or "" for none)`}},
		"refuses http on a host that isn't": {service + `control.http = "a b:1"`, []string{`2:16: control.http: "a b:1" has a host that has the character ' ' (write host:port, such as "127.0.0.1:9650", or "" for none)`}},
	})
}

func TestIKE(t *testing.T) {
	t.Parallel()
	checkFaults(t, map[string]row{
		"refuses no ports":                    {service + `ike.ports = []`, []string{"2:13: ike.ports is empty (IKE needs [500, 4500] (RFC 7296 section 2))"}},
		"refuses port 0":                      {service + `ike.ports = [0]`, []string{"2:14: ike.ports is 0; it takes 1 to 65535"}},
		"refuses a port twice":                {service + "ike.ports = [500,\n500]", []string{"3:1: port 500 occurs twice (it is on line 2 already)"}},
		"refuses too many sockets":            {service + `ike.sockets = 1025`, []string{"2:15: ike.sockets is 1025; it takes 0 to 1024"}},
		"refuses an unknown cookie":           {service + `ike.cookie = "allways"`, []string{`2:14: ike.cookie is "allways"; it takes never, auto or always (did you mean "always"?)`}},
		"refuses a negative cookie_above":     {service + `ike.cookie_above = -1`, []string{"2:20: ike.cookie_above is -1; it takes 0 to 2147483647"}},
		"refuses an unknown unsupported":      {service + `ike.unsupported = "reject"`, []string{`2:19: ike.unsupported is "reject"; it takes drop or refuse`}},
		"refuses an unknown port_conflict":    {service + `ike.port_conflict = ""`, []string{`2:21: ike.port_conflict is ""; it takes fail or nft`}},
		"refuses an unknown xdp.mode":         {service + `ike.xdp.mode = "Auto"`, []string{`2:16: ike.xdp.mode is "Auto"; it takes auto, native or generic (did you mean "auto"?)`}},
		"refuses an interface twice":          {service + `ike.xdp.interfaces = ["eth0", "eth0"]`, []string{"2:31: interface eth0 occurs twice (it is on line 2 already)"}},
		"refuses an interface without a name": {service + `ike.xdp.interfaces = [""]`, []string{`2:23: ike.xdp.interfaces: "" is empty`}},
		"refuses an interface with a slash":   {service + `ike.xdp.interfaces = ["a/b"]`, []string{`2:23: ike.xdp.interfaces: "a/b" is no name of an interface`}},
	})
	checkWarnings(t, map[string]row{
		"warns of cookie always":         {service + `ike.cookie = "always"`, []string{`2:14: this version ignores ike.cookie = "always" (it asks for no cookies: requests are answered as they come)`}},
		"warns of cookie_above":          {service + `ike.cookie_above = 20000`, []string{`2:20: this version ignores ike.cookie_above (it asks for no cookies: requests are answered as they come)`}},
		"warns of unsupported refuse":    {service + `ike.unsupported = "refuse"`, []string{`2:19: this version ignores ike.unsupported = "refuse" (clients without REDIRECT_SUPPORTED get no answer)`}},
		"warns of port_conflict nft":     {service + `ike.port_conflict = "nft"`, []string{`2:21: this version ignores ike.port_conflict = "nft" (it stops if another IKE daemon holds the port; bind that one to its own addresses)`}},
		"warns of the fast path":         {service + `ike.xdp.interfaces = ["eth0"]`, []string{`2:22: this version ignores ike.xdp.interfaces (sockets answer alone, without the fast path)`}},
		"warns of choose least-loaded":   {service + `policy.choose = "least-loaded"`, []string{`2:17: this version ignores policy.choose = "least-loaded" (it knows no loads: clients are spread by weight, as with "sticky")`}},
		"warns of overload":              {service + `policy.overload = 0.5`, []string{`2:19: this version ignores policy.overload (it knows no loads: every usable gateway gets newcomers)`}},
		"warns of self-first without it": {service + `policy.choose = "self-first"`, []string{`2:17: policy.choose = "self-first", and no gateway has self = true (clients are spread by weight, as with "sticky")`}},
	})
}

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
		"refuses a loopback address":          {service + `anycast.addresses = ["127.0.0.1"]`, []string{"2:22: anycast.addresses: 127.0.0.1 is a loopback address (a unicast address is needed that others can reach)"}},
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
		"says nothing more of bad prefixes":   {"[anycast]\nprefixes = \"203.0.113.0/24\"\naddresses = [\"203.0.113.1\"]", []string{"2:12: anycast.prefixes takes a list, not a string (put it in brackets: prefixes = [ … ])"}},
		"says nothing more of no table":       {"anycast = 1", []string{"1:11: anycast takes a table, not an integer (there is only one: write [anycast])"}},
		"says nothing more of bad addresses":  {service + `anycast.addresses = "203.0.113.1"`, []string{"2:21: anycast.addresses takes a list, not a string (put it in brackets: addresses = [ … ])"}},
		"says nothing more of a bad element":  {service + `anycast.addresses = [5]`, []string{"2:22: anycast.addresses takes an IP address in quotes, not an integer (put it in quotes)"}},
		"says nothing more of a nested list":  {service + `anycast.addresses = [["203.0.113.1"]]`, []string{"2:21: anycast.addresses takes an IP address in quotes, not a list (it takes one value: leave the brackets out)"}},
		"says nothing more of an inline date": {service + `anycast.addresses = [1979-05-27]`, []string{"2:22: anycast.addresses takes an IP address in quotes, not a date or time (put it in quotes)"}},
	})
	checkWarnings(t, map[string]row{
		"warns of a deserted prefix": {`anycast.prefixes = ["203.0.113.1/32", "2001:db8::/48"]`, []string{"1:39: no anycast address lies in 2001:db8::/48: what is sent there gets lost"}},
	})
}

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
		"refuses none":                        {service + `[[gateway]]`, []string{`2:3: [[gateway]] has no name (give it one, such as name = "fra-gw1")`, `2:3: gateway "" has no address (add addresses = ["198.51.100.11"], or redirect_by = "fqdn" and an fqdn)`}},
		"refuses an empty name":               {service + "[[gateway]]\naddresses = [\"198.51.100.1\"]\nname = \"\"", []string{`4:8: gateway.name: "" is empty`}},
		"refuses a name like an option":       {service + "[[gateway]]\naddresses = [\"198.51.100.1\"]\nname = \"-o\"", []string{`4:8: gateway.name: "-o" begins with a hyphen, as options do`}},
		"refuses a name too long":             {service + "[[gateway]]\naddresses = [\"198.51.100.1\"]\nname = \"" + long + "bb\"", []string{`4:8: gateway.name: "` + long[:60] + `…" is 65 octets long, more than 64`}},
		"refuses a name twice":                {addressed + strings.ReplaceAll(second, "gw2", "gw1"), []string{"7:8: gateway gw1 occurs twice (it is on line 3 already)"}},
		"refuses no address":                  {gateway, []string{`2:3: gateway "gw1" has no address (add addresses = ["198.51.100.11"], or redirect_by = "fqdn" and an fqdn)`}},
		"refuses an empty list of addresses":  {gateway + "addresses = []", []string{`4:13: gateway "gw1" has no address (add addresses = ["198.51.100.11"], or redirect_by = "fqdn" and an fqdn)`}},
		"refuses two addresses of a family":   {gateway + `addresses = ["198.51.100.1", "2001:db8::1", "198.51.100.2"]`, []string{"4:45: a gateway has one address of each family, and 198.51.100.1 is its first (make a gateway of its own for 198.51.100.2)"}},
		"refuses an anycast address":          {gateway + `addresses = ["203.0.113.1"]`, []string{"4:14: 203.0.113.1 is an anycast address: the gateway would redirect to itself (give the gateway's own unicast address)"}},
		"refuses a multicast address":         {gateway + `addresses = ["224.0.0.1"]`, []string{"4:14: gateway.addresses: 224.0.0.1 is a multicast address (a unicast address is needed that others can reach)"}},
		"refuses a mapped address":            {gateway + `addresses = ["::ffff:198.51.100.1"]`, []string{`4:14: gateway.addresses: "::ffff:198.51.100.1" is an IPv4 address mapped into IPv6 (write "198.51.100.1")`}},
		"takes an fqdn instead":               {gateway + "redirect_by = \"fqdn\"\nfqdn = \"gw1.example.net\"", nil},
		"refuses redirect_by fqdn without":    {addressed + `redirect_by = "fqdn"`, []string{`5:15: redirect_by = "fqdn" needs an fqdn (add fqdn = "gw1.vpn.example.net")`}},
		"refuses an unknown redirect_by":      {addressed + `redirect_by = "name"`, []string{`5:15: gateway.redirect_by is "name"; it takes address or fqdn`}},
		"refuses an empty fqdn":               {addressed + `fqdn = ""`, []string{`5:8: gateway.fqdn: "" is empty`}},
		"refuses an empty label":              {addressed + `fqdn = "a..b"`, []string{`5:8: gateway.fqdn: "a..b" has an empty label`}},
		"refuses a label of 64 octets":        {addressed + `fqdn = "` + long + `b.net"`, []string{`5:8: gateway.fqdn: "` + long[:60] + `…" has a label of 64 octets, more than 63`}},
		"takes an fqdn of 255 octets":         {addressed + `fqdn = "` + strings.Repeat(long+".", 3) + long[:61] + `"`, nil},
		"refuses an fqdn of 256 octets":       {addressed + `fqdn = "` + strings.Repeat(long+".", 3) + long[:62] + `"`, []string{`5:8: gateway.fqdn: "` + long[:60] + `…" is 256 octets long on the wire, more than 255`}},
		"refuses an underscore in an fqdn":    {addressed + `fqdn = "a_b.net"`, []string{`5:8: gateway.fqdn: "a_b.net" has the character '_'`}},
		"refuses an fqdn that is not ASCII":   {addressed + `fqdn = "mün.net"`, []string{`5:8: gateway.fqdn: "mün.net" has the character 'ü'; such a name is written in its xn-- form (RFC 5890)`}},
		"refuses a hyphen at a label's end":   {addressed + `fqdn = "a-.net"`, []string{`5:8: gateway.fqdn: "a-.net" has a label that begins or ends with a hyphen`}},
		"refuses an address as fqdn":          {addressed + `fqdn = "192.0.2.1"`, []string{`5:8: gateway.fqdn: "192.0.2.1" is an address, not a name`}},
		"refuses a weight too high":           {addressed + `weight = 65536`, []string{"5:10: gateway.weight is 65536; it takes 0 to 65535"}},
		"refuses a negative capacity":         {addressed + `capacity = -1`, []string{"5:12: gateway.capacity is -1; it takes 0 to 2147483647"}},
		"refuses self in quotes":              {addressed + `self = "true"`, []string{"5:8: gateway.self takes true or false, not a string (write it without quotes)"}},
		"refuses two that are self":           {addressed + "self = true" + second + "self = true", []string{`9:8: only one gateway can run on this host ("gw1" says so already)`}},
		"refuses a probe that isn't a table":  {addressed + `probe = "1s"`, []string{"5:9: gateway.probe takes a table, not a string (there is only one: write [gateway.probe])"}},
		"refuses every without a unit":        {addressed + `probe = { every = "5" }`, []string{`5:19: gateway.probe.every: "5" has no unit (write a number with a unit, such as "500ms", "5s" or "2m")`}},
		"refuses every as a number":           {addressed + `probe = { every = 5 }`, []string{`5:19: gateway.probe.every takes a duration in quotes, not an integer (give it a unit: "5s" is in seconds)`}},
		"refuses every that is no duration":   {addressed + `probe = { every = "soon" }`, []string{`5:19: gateway.probe.every: "soon" is not a duration (write a number with a unit, such as "500ms", "5s" or "2m")`}},
		"refuses a negative every":            {addressed + `probe = { every = "-1s" }`, []string{`5:19: gateway.probe.every: "-1s" is negative`}},
		"takes every 0":                       {addressed + `probe = { every = "0s" }`, nil},
		"refuses timeout 0":                   {addressed + `probe = { timeout = "0s" }`, []string{`5:21: gateway.probe.timeout is 0: nothing can answer in time (to send no probes write every = "0s")`}},
		"refuses a timeout longer than every": {addressed + `probe.timeout = "2s"`, []string{"5:17: gateway.probe.timeout 2s is longer than gateway.probe.every 1s (a probe has to end before the next one is sent)"}},
		"refuses every below the timeout":     {addressed + `probe.every = "100ms"`, []string{"5:15: gateway.probe.timeout 500ms is longer than gateway.probe.every 100ms (a probe has to end before the next one is sent)"}},
		"refuses rise 0":                      {addressed + `probe.rise = 0`, []string{"5:14: gateway.probe.rise is 0; it takes 1 to 1000"}},
		"refuses fall 0":                      {addressed + `probe.fall = 0`, []string{"5:14: gateway.probe.fall is 0; it takes 1 to 1000"}},
		"refuses one table for several":       {service + "[gateway]\nname = \"gw1\"\n[[pool]]\nname = \"p\"\ngateways = [\"gw1\"]", []string{"2:2: gateway takes a list of tables, not a table (write [[gateway]], once for each)"}},
		"refuses a list of something else":    {service + "gateway = [1]", []string{"2:12: gateway takes tables, not an integer"}},
	})
	checkWarnings(t, map[string]row{
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

func TestPool_that_takes_all_clients_leaves_none_out(t *testing.T) {
	t.Parallel()
	for name, tail := range map[string]string{
		"by its source":            "sources = [\"0.0.0.0/0\"]",
		"by having none":           "",
		"with a gateway to spare":  "sources = [\"192.0.2.0/24\"]\n[[gateway]]\nname = \"gw2\"\naddresses = [\"198.51.100.2\"]",
		"with another pool beside": "sources = [\"192.0.2.0/24\"]\n[[pool]]\nname = \"q\"\ngateways = [\"gw1\"]",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := Load("a.toml", strings.NewReader(addressed+"[[pool]]\nname = \"p\"\ngateways = [\"gw1\"]\n"+tail))
			if err != nil {
				t.Fatal(err)
			}
			want := []string{"1:1: there is no BGP neighbor: nothing is announced"}
			if diff := cmp.Diff(want, brief(cfg.Warnings)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestPool(t *testing.T) {
	t.Parallel()
	const pool = addressed + "[[pool]]\nname = \"p\"\ngateways = [\"gw1\"]\n"
	checkFaults(t, map[string]row{
		"refuses none":                            {addressed + "[[pool]]", []string{`5:3: [[pool]] has no name (give it one, such as name = "gold")`, "5:3: [[pool]] has no gateways (say which gateways serve it, by their names)"}},
		"refuses no gateways":                     {addressed + "[[pool]]\nname = \"p\"\ngateways = []", []string{`7:12: pool "p" has no gateways`}},
		"refuses an unknown gateway":              {addressed + "[[pool]]\nname = \"p\"\ngateways = [\"gw2\"]", []string{`7:13: there is no gateway "gw2" (did you mean "gw1"?)`}},
		"refuses a gateway twice":                 {addressed + "[[pool]]\nname = \"p\"\ngateways = [\"gw1\", \"gw1\"]", []string{"7:20: gateway gw1 occurs twice (it is on line 7 already)"}},
		"refuses a name twice":                    {pool + "[[pool]]\nname = \"p\"\ngateways = [\"gw1\"]", []string{"9:8: pool p occurs twice (it is on line 6 already)"}},
		"refuses a source in two pools":           {pool + "sources = [\"192.0.2.0/24\"]\n[[pool]]\nname = \"q\"\ngateways = [\"gw1\"]\nsources = [\"192.0.2.0/24\"]", []string{"12:12: source 192.0.2.0/24 occurs twice (it is on line 8 already)"}},
		"refuses a source with host bits":         {pool + "sources = [\"192.0.2.1/24\"]", []string{`8:12: pool.sources: "192.0.2.1/24" has bits set behind its prefix length (write "192.0.2.0/24")`}},
		"refuses an empty identity":               {pool + "identities = [\"\"]", []string{"8:15: pool.identities: an identity is empty"}},
		"refuses an unknown pool in [[discover]]": {pool + "[[discover]]\nname = \"example.net\"\npool = \"P\"", []string{`10:8: there is no pool "P" (did you mean "p"?)`}},
		"refuses a bad name in [[discover]]":      {pool + "[[discover]]\nname = \"a b\"", []string{`9:8: discover.name: "a b" has the character ' '`}},
	})
}

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
		"refuses a neighbor without all":       {speaker + "[[bgp.neighbor]]", []string{`5:7: [[bgp.neighbor]] has no address (say whom to peer with, such as address = "192.0.2.1")`, "5:7: [[bgp.neighbor]] has no asn (say the neighbor's AS number, such as asn = 64500)"}},
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
		"refuses an anycast local_address":     {neighbor + `local_address = "203.0.113.1"`, []string{"8:17: bgp.neighbor.local_address: 203.0.113.1 is an anycast address"}},
		"refuses IPv6 that nobody carries":     {both, []string{"1:39: no BGP session can carry 2001:db8:a::1/128: all neighbors are IPv4 and there is no IPv6 next hop (add this node's IPv6 address to [bgp] next_hop, or an IPv6 neighbor)"}},
		"takes IPv6 with a next hop":           {strings.ReplaceAll(both, "asn = 64512", "asn = 64512\nnext_hop = [\"2001:db8:f::10\"]"), nil},
		"takes IPv6 with an IPv6 neighbor":     {both + only6, nil},
		"takes IPv4 over IPv6 sessions":        {speaker + only6, nil},
		"refuses one table for several":        {speaker + "[bgp.neighbor]\naddress = \"192.0.2.1\"", []string{"5:6: bgp.neighbor takes a list of tables, not a table (write [[bgp.neighbor]], once for each)"}},
	})
	checkWarnings(t, map[string]row{
		"warns if nobody is told": {speaker, []string{"2:2: there is no BGP neighbor: nothing is announced (add a [[bgp.neighbor]])"}},
	})
}

// zone is addressed and a zone's table; an eighth line is to follow.
const zone = addressed + "[[dns.zone]]\nname = \"example.net\"\nnames = [\"vpn.example.net\"]\n"

func TestDNS(t *testing.T) {
	t.Parallel()
	checkFaults(t, map[string]row{
		"refuses a negative ttl":              {service + "dns.ttl = -1", []string{"2:11: dns.ttl is -1; it takes 0 to 2147483647"}},
		"refuses a zone without a name":       {service + "[[dns.zone]]", []string{`2:7: [[dns.zone]] has no name (say which zone to update, such as name = "example.net.")`}},
		"refuses the root zone":               {service + "[[dns.zone]]\nname = \".\"", []string{`3:8: dns.zone.name: "." is empty`}},
		"refuses a zone twice":                {zone + "[[dns.zone]]\nname = \"Example.NET.\"\n", []string{"9:8: zone example.net. occurs twice (it is on line 6 already)"}},
		"refuses a name outside the zone":     {strings.ReplaceAll(zone, "vpn.example.net", "vpn"), []string{`7:10: vpn. is not in the zone example.net. (names are given in full: did you mean "vpn.example.net."?)`}},
		"refuses a name in a zone like it":    {strings.ReplaceAll(zone, "vpn.example.net", "vpnexample.net"), []string{`7:10: vpnexample.net. is not in the zone example.net. (names are given in full: did you mean "vpnexample.net.example.net."?)`}},
		"takes the zone's own name":           {strings.ReplaceAll(zone, "vpn.example.net", "example.net"), nil},
		"refuses a name twice":                {strings.ReplaceAll(zone, "\"vpn.example.net\"", `"vpn.example.net", "VPN.example.net."`), []string{"7:29: name vpn.example.net. occurs twice (it is on line 7 already)"}},
		"refuses a wildcard":                  {strings.ReplaceAll(zone, "vpn.", "*."), []string{`7:10: dns.zone.names: "*.example.net" has the character '*'`}},
		"takes a server without a port":       {zone + `server = "2001:db8::53"`, nil},
		"takes a server's name":               {zone + `server = "ns1.example.net"`, nil},
		"refuses a server without a host":     {zone + `server = ":53"`, []string{`8:10: dns.zone.server: ":53" has no host (write an address or a name, such as "192.0.2.53:53")`}},
		"refuses a server with a bad port":    {zone + `server = "ns1:dns"`, []string{`8:10: dns.zone.server: "ns1:dns" has the port "dns", not one of 0 to 65535 (write an address or a name, such as "192.0.2.53:53")`}},
		"refuses a tsig without a file":       {zone + `tsig = { name = "k" }`, []string{"8:8: [dns.zone.tsig] has no secret_file (say which file holds the secret, in base64 or as a key clause)"}},
		"refuses a weak tsig algorithm":       {zone + `tsig = { name = "k", secret_file = "/nonexistent", algorithm = "hmac-md5" }`, []string{"8:36: /nonexistent: no such file or directory (write the secret into that file, with mode 0600)", `8:64: dns.zone.tsig.algorithm is "hmac-md5"; it takes hmac-sha1, hmac-sha224, hmac-sha256, hmac-sha384 or hmac-sha512`}},
		"refuses to serve on no host":         {service + `dns.serve.listen = [""]`, []string{`2:21: dns.serve.listen: "" has no host`}},
		"refuses gateways that isn't boolean": {zone + `gateways = 1`, []string{"8:12: dns.zone.gateways takes true or false, not an integer"}},
	})
	checkWarnings(t, map[string]row{
		"warns of gateways without an fqdn": {zone + "gateways = true", []string{"8:12: no gateway has an fqdn in example.net.: gateways = true publishes nothing"}},
		"warns of a zone without records":   {service + "[[dns.zone]]\nname = \"example.net\"", []string{`2:7: nothing is published in example.net. (say which names get the anycast addresses: names = ["vpn.example.net."])`}},
		"warns of [dns.serve] as not built": {service + "dns.serve.listen = [\"192.0.2.10:53\"]", []string{"2:5: this version ignores [dns.serve] (it only updates the servers of [[dns.zone]])"}},
	})
}

func TestUnknown_keys_get_a_hint(t *testing.T) {
	t.Parallel()
	checkFaults(t, map[string]row{
		"that is near":                    {service + "bgp.router-id = \"192.0.2.1\"", []string{`2:5: unknown key "router-id" in [bgp] (did you mean "router_id"?)`}},
		"that names the table":            {service + "[node]\nhold_time = \"9s\"", []string{`3:1: unknown key "hold_time" in [node] (it belongs in [[bgp.neighbor]])`}},
		"that names all tables":           {service + "name = \"x\"", []string{`2:1: unknown key "name" in the top level (it belongs in [node], [[gateway]], [[pool]], [[dns.zone]], [dns.zone.tsig] or [[discover]])`}},
		"that lists the keys":             {service + "[ike.xdp]\n\"flux capacitor\" = 1", []string{`3:1: unknown key "flux capacitor" in [ike.xdp] ([ike.xdp] has interfaces, mode)`}},
		"also if it is a table":           {service + "[gatway]\nname = \"x\"", []string{`2:2: unknown key "gatway" in the top level (did you mean "gateway"?)`}},
		"also in an inline table":         {addressed + "probe = { evry = \"1s\" }", []string{`5:11: unknown key "evry" in [gateway.probe] (did you mean "every"?)`}},
		"also in a list of inline tables": {service + "gateway = [\n { name = \"a\", addresses = [\"198.51.100.1\"], wigt = 1 },\n]", []string{`3:46: unknown key "wigt" in [[gateway]] (did you mean "weight"?)`}},
	})
}

func TestSecret_files(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "empty", " \n", 0o600)
	write(t, dir, "lines", "a\nb\n", 0o600)
	write(t, dir, "long", strings.Repeat("x", 81)+"\n", 0o600)
	write(t, dir, "longer", strings.Repeat("x", 5000), 0o600)
	write(t, dir, "good", strings.Repeat("x", 80)+"\r\n", 0o600)
	write(t, dir, "open", "word", 0o644)
	if err := os.Chmod(filepath.Join(dir, "open"), 0o644); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string][]string{
		"empty": {"8:17: DIR/empty: empty"}, "lines": {"8:17: a password is one line of text"},
		"long": {"8:17: the password is 81 octets long, more than 80"}, "longer": {"8:17: DIR/longer: too long for a secret"},
		".": {"8:17: DIR: not a regular file"}, "none": {"8:17: DIR/none: no such file or directory"}, "": {"8:17: the name of the file is empty"},
		"good": nil, "open": nil,
	} {
		t.Run("as "+file, func(t *testing.T) {
			cfg, err := Load(filepath.Join(dir, "a.toml"), strings.NewReader(neighbor+"password_file = \""+file+"\""))
			var faults Faults
			errors.As(err, &faults)
			var got []string
			for _, line := range brief(faults) {
				line = strings.TrimPrefix(line, dir+"/a.toml:")
				got = append(got, strings.ReplaceAll(line, dir, "DIR"))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if file == "open" && (cfg == nil || !strings.Contains(Faults(cfg.Warnings).Error(), "can be read or written by others than its owner (mode 0644)")) {
				t.Error("want a warning of a file open to others, got none")
			}
		})
	}
}

func TestSecret_files_of_TSIG_hold_base64_or_a_key_clause(t *testing.T) {
	dir := t.TempDir()
	const clause = "key \"k\" { algorithm hmac-sha512; secret \"c2VjcmV0\"; };"
	write(t, dir, "bare", "c2VjcmV0\n", 0o600)
	write(t, dir, "clause", clause+"\n", 0o600)
	write(t, dir, "junk", "key { }", 0o600)
	load := func(tsig string) (*Config, error) {
		return Load(filepath.Join(dir, "a.toml"), strings.NewReader(zone+tsig))
	}
	for tsig, want := range map[string]DNSZone{
		`tsig = { name = "K", secret_file = "bare" }`:                                {"example.net.", "", TSIG{"k.", "hmac-sha256", "c2VjcmV0"}, "c2VjcmV0"},
		`tsig = { secret_file = "clause" }`:                                          {"example.net.", "", TSIG{"k.", "hmac-sha512", "c2VjcmV0"}, clause},
		`tsig = { secret_file = "clause", name = "K." , algorithm = "hmac-sha512" }`: {"example.net.", "", TSIG{"k.", "hmac-sha512", "c2VjcmV0"}, clause},
	} {
		cfg, err := load(tsig)
		if err != nil {
			t.Errorf("%s: %v", tsig, err)
		} else if diff := cmp.Diff(want, cfg.Zones[0]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tsig, diff)
		}
	}
	for tsig, want := range map[string]string{
		`tsig = { secret_file = "bare" }`:                              ":8:8: [dns.zone.tsig] has no name",
		`tsig = { secret_file = "junk" }`:                              ":8:24: junk: neither a base64 secret nor a key clause",
		`tsig = { secret_file = "clause", name = "j" }`:                ":8:41: the key clause in the secret file says k., not j.",
		`tsig = { secret_file = "clause", algorithm = "hmac-sha256" }`: ":8:46: the key clause in the secret file says hmac-sha512, not hmac-sha256",
	} {
		if _, err := load(tsig); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want %s, got %v", tsig, want, err)
		}
	}
}
