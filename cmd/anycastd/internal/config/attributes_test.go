package config

import (
	"strings"
	"testing"
)

func TestWorse(t *testing.T) {
	t.Parallel()
	const worse = service + "[bgp.worse]\n"
	internal := strings.ReplaceAll(neighbor, "64500", "64512")
	checkFaults(t, map[string]row{
		"takes well-known communities by number":  {worse + `communities = ["65535:65281"]`, nil},
		"refuses graceful shutdown":               {worse + `communities = ["1:2", "65535:0"]`, []string{`3:23: bgp.worse.communities: "65535:0" is graceful shutdown, which only says that a route is about to go away (RFC 8326)`}},
		"refuses a community of three":            {worse + `communities = ["1:2:3"]`, []string{`3:16: bgp.worse.communities: "1:2:3" is not 2 numbers with colons between them`}},
		"refuses a community of one":              {worse + `communities = ["no-export"]`, []string{`3:16: bgp.worse.communities: "no-export" is not 2 numbers with colons between them`}},
		"refuses a community's half too high":     {worse + `communities = ["65536:0"]`, []string{`3:16: bgp.worse.communities: "65536:0" has "65536", not a number from 0 to 65535`}},
		"refuses a community that has no number":  {worse + `communities = ["1:"]`, []string{`3:16: bgp.worse.communities: "1:" has "", not a number from 0 to 65535`}},
		"refuses a negative half":                 {worse + `communities = ["-1:0"]`, []string{`3:16: bgp.worse.communities: "-1:0" has "-1", not a number from 0 to 65535`}},
		"refuses a community as a number":         {worse + `communities = [64500]`, []string{`3:16: bgp.worse.communities takes a string, not an integer (put it in quotes)`}},
		"refuses communities without brackets":    {worse + `communities = "1:2"`, []string{`3:15: bgp.worse.communities takes a list, not a string (put it in brackets: communities = [ … ])`}},
		"refuses a community twice":               {worse + `communities = ["1:2", "1:2"]`, []string{"3:23: community 1:2 occurs twice (it is on line 3 already)"}},
		"refuses a large community of two":        {worse + `large_communities = ["1:2"]`, []string{`3:22: bgp.worse.large_communities: "1:2" is not 3 numbers with colons between them`}},
		"refuses a large community too high":      {worse + `large_communities = ["1:2:4294967296"]`, []string{`3:22: bgp.worse.large_communities: "1:2:4294967296" has "4294967296", not a number from 0 to 4294967295`}},
		"refuses a MED too high":                  {worse + `med = 4294967296`, []string{"3:7: bgp.worse.med is 4294967296; it takes 0 to 4294967295"}},
		"refuses 17 prepends":                     {worse + `prepend = 17`, []string{"3:11: bgp.worse.prepend is 17; it takes 0 to 16"}},
		"refuses prepends with internal neighbor": {internal + "[bgp.worse]\nprepend = 1", []string{"9:11: neighbor 192.0.2.1 is in this AS: it takes any prepend for a loop and drops the route (leave prepend out: among internal neighbors communities, med and local_pref do it)"}},
		"takes prepends with external neighbors":  {neighbor + "[bgp.worse]\nprepend = 16", nil},
		"takes a MED with internal neighbors":     {internal + "[bgp.worse]\nmed = 1", nil},
	})
}
