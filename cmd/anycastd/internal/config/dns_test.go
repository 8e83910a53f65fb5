package config

import (
	"strings"
	"testing"
)

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
		"refuses a gateway in a circle":       {zone + "[[gateway]]\nname = \"gw9\"\nfqdn = \"VPN.example.net\"\nredirect_by = \"fqdn\"", []string{`10:8: gateway.fqdn: "vpn.example.net" gets the anycast addresses in "example.net.": clients would be sent in a circle (give the gateway a name of its own)`}},
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
