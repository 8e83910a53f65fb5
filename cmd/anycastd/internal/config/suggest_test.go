package config

import (
	"testing"
)

func TestUnknown_keys_get_a_hint(t *testing.T) {
	t.Parallel()
	checkFaults(t, map[string]row{
		"that is near":                    {service + "bgp.router-id = \"192.0.2.1\"", []string{`2:5: unknown key "router-id" in [bgp] (did you mean "router_id"?)`}},
		"that names the table":            {service + "[node]\nhold_time = \"9s\"", []string{`3:1: unknown key "hold_time" in [node] (it belongs in [bgp.defaults] or [[bgp.neighbor]])`}},
		"that names all tables":           {service + "name = \"x\"", []string{`2:1: unknown key "name" in the top level (it belongs in [node], [[gateway]], [[pool]], [[dns.zone]], [dns.zone.tsig] or [[discover]])`}},
		"that lists the keys":             {service + "[ike.xdp]\n\"flux capacitor\" = 1", []string{`3:1: unknown key "flux capacitor" in [ike.xdp] ([ike.xdp] has interfaces, mode)`}},
		"also if it is a table":           {service + "[gatway]\nname = \"x\"", []string{`2:2: unknown key "gatway" in the top level (did you mean "gateway"?)`}},
		"also in an inline table":         {addressed + "probe = { evry = \"1s\" }", []string{`5:11: unknown key "evry" in [gateway.probe] (did you mean "every"?)`}},
		"also in a list of inline tables": {service + "gateway = [\n { name = \"a\", addresses = [\"198.51.100.1\"], wigt = 1 },\n]", []string{`3:46: unknown key "wigt" in [[gateway]] (did you mean "weight"?)`}},
	})
}
