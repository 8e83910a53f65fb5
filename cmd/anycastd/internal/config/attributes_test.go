package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestWorse(t *testing.T) {
	t.Parallel()
	const worse = service + "[bgp.worse]\n"
	internal := strings.ReplaceAll(neighbor, "64500", "64512")
	var many []string
	for i := range 876 {
		many = append(many, fmt.Sprintf(`"1:%d"`, i))
	}
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
		"refuses prepends that are announced":     {internal + "[bgp.announce]\nprepend = 1", []string{"9:11: neighbor 192.0.2.1 is in this AS: it takes any prepend for a loop and drops the route (leave prepend out: among internal neighbors communities, med and local_pref do it)"}},
		"refuses 17 prepends of both":             {worse + "prepend = 9\n[bgp.announce]\nprepend = 8", []string{"3:11: with those of bgp.announce that is 17 prepends, more than 16"}},
		"refuses a preference too high":           {worse + "local_pref = 4294967296", []string{"3:14: bgp.worse.local_pref is 4294967296; it takes 0 to 4294967295"}},
		"takes preference 0":                      {internal + "[bgp.worse]\nlocal_pref = 0", nil},
		"takes extended communities":              {worse + `extended_communities = ["rt:65535:4294967295", "rt:65536:65535", "soo:192.0.2.1:65535"]`, nil},
		"refuses another kind of them":            {worse + `extended_communities = ["bandwidth:1:2"]`, []string{`3:25: bgp.worse.extended_communities: "bandwidth:1:2" has the kind "bandwidth", not rt or soo`}},
		"refuses one without a kind":              {worse + `extended_communities = ["64500:100"]`, []string{`3:25: bgp.worse.extended_communities: "64500:100" is not a kind, an AS or IPv4 address, and a number, with colons between them`}},
		"refuses one of an IPv6 address":          {worse + `extended_communities = ["rt:2001:db8::1:1"]`, []string{`3:25: bgp.worse.extended_communities: "rt:2001:db8::1:1" is not a kind, an AS or IPv4 address, and a number, with colons between them`}},
		"refuses one of no AS":                    {worse + `extended_communities = ["rt:4294967296:1"]`, []string{`3:25: bgp.worse.extended_communities: "rt:4294967296:1" has "4294967296", neither an AS nor an IPv4 address`}},
		"refuses a number too high behind 4":      {worse + `extended_communities = ["rt:65536:65536"]`, []string{`3:25: bgp.worse.extended_communities: "rt:65536:65536" has "65536", not a number from 0 to 65535`}},
		"refuses one too high behind an address":  {worse + `extended_communities = ["soo:192.0.2.1:65536"]`, []string{`3:25: bgp.worse.extended_communities: "soo:192.0.2.1:65536" has "65536", not a number from 0 to 65535`}},
		"refuses one too high behind 2":           {worse + `extended_communities = ["rt:1:4294967296"]`, []string{`3:25: bgp.worse.extended_communities: "rt:1:4294967296" has "4294967296", not a number from 0 to 4294967295`}},
		"refuses no number":                       {worse + `extended_communities = ["rt:1:"]`, []string{`3:25: bgp.worse.extended_communities: "rt:1:" has "", not a number from 0 to 4294967295`}},
		"refuses an extended one twice":           {worse + `extended_communities = ["rt:1:2", "rt:1:2"]`, []string{"3:35: community rt:1:2 occurs twice (it is on line 3 already)"}},
		"refuses more than a message takes":       {worse + `communities = [` + strings.Join(many, ", ") + `]`, []string{"2:6: the communities of a route take 3504 octets, more than 3500"}},
		"refuses that once if all is announced":   {service + "[bgp.worse]\nmed = 1\n[bgp.announce]\ncommunities = [" + strings.Join(many, ", ") + `]`, []string{"4:6: the communities of a route take 3504 octets, more than 3500"}},
		"refuses graceful shutdown announced":     {service + "[bgp.announce]\n" + `communities = ["65535:0"]`, []string{`3:16: bgp.announce.communities: "65535:0" is graceful shutdown, which only says that a route is about to go away (RFC 8326)`}},
	})
	const external = " (among external neighbors communities, med and prepend do it)"
	checkWarnings(t, map[string]row{
		"warns of a preference that nobody is told": {neighbor + "[bgp.announce]\nlocal_pref = 1", []string{"9:14: no neighbor is told local_pref: all are external (RFC 4271 section 5.1.5)" + external}},
		"warns of a higher preference":              {internal + "[bgp.worse]\nlocal_pref = 101", []string{"9:14: bgp.worse.local_pref is higher than the usual 100: neighbors prefer the higher one"}},
		"warns of one higher than configured":       {internal + "[bgp.announce]\nlocal_pref = 0\n[bgp.worse]\nlocal_pref = 1", []string{"11:14: bgp.worse.local_pref is higher than the usual 0: neighbors prefer the higher one"}},
		"warns of a lower MED":                      {neighbor + "[bgp.announce]\nmed = 2\n[bgp.worse]\nmed = 1", []string{"11:7: bgp.worse.med is lower than bgp.announce.med: neighbors prefer the lower one"}},
	})
}

func TestExtended_communities_are_written_as_they_are_read(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"rt:0:0", "rt:65535:4294967295", "soo:65536:65535", "rt:4294967295:0", "soo:192.0.2.1:7", "rt:255.255.255.255:65535"} {
		c, err := extendedCommunity(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.String(); got != text {
			t.Errorf("want %s, got %s (% x)", text, got, c[:])
		}
	}
}
