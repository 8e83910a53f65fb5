package config

import "testing"

func TestSite(t *testing.T) {
	t.Parallel()
	const site = addressed + "[policy.site]\n"
	const nothing = `"worse", and [bgp.worse] has nothing that makes a route so (say what the fabric prefers less, such as communities = ["64500:80"], med = 100 or prepend = 2)`
	const apart = " (the wider apart the two are, the fewer route changes there are)"
	checkFaults(t, map[string]row{
		"refuses a negative min_gateways":              {site + "min_gateways = -1", []string{"6:16: policy.site.min_gateways is -1; it takes 0 to 65535"}},
		"refuses an unknown when_short":                {site + `when_short = "wors"`, []string{`6:14: policy.site.when_short is "wors"; it takes ignore, worse or withdraw (did you mean "worse"?)`}},
		"refuses an unknown when_overloaded":           {site + `when_overloaded = ""`, []string{`6:19: policy.site.when_overloaded is ""; it takes ignore, worse or withdraw`}},
		"refuses worse with nothing in bgp.worse":      {site + "when_short = \"worse\"\nwhen_overloaded = \"worse\"", []string{"6:14: policy.site.when_short = " + nothing, "7:19: policy.site.when_overloaded = " + nothing}},
		"refuses worse with only MED 0":                {site + "when_short = \"worse\"\n[bgp.worse]\nmed = 0\ncommunities = []", []string{"6:14: policy.site.when_short = " + nothing}},
		"refuses worse that is no other":               {site + "when_short = \"worse\"\n[bgp.announce]\nmed = 7\ncommunities = [\"1:2\"]\n[bgp.worse]\nmed = 7\ncommunities = [\"1:2\"]", []string{"6:14: policy.site.when_short = " + nothing}},
		"takes worse with preference 0":                {site + "when_short = \"worse\"\n[bgp.worse]\nlocal_pref = 0", nil},
		"takes worse with an extended community":       {site + "when_short = \"worse\"\n[bgp.worse]\nextended_communities = [\"rt:1:2\"]", nil},
		"reports only the fault in a community":        {site + "when_short = \"worse\"\n[bgp.worse]\ncommunities = [\"1\"]", []string{`8:16: bgp.worse.communities: "1" is not 2 numbers with colons between them`}},
		"takes worse with a MED":                       {site + "when_short = \"worse\"\n[bgp.worse]\nmed = 1", nil},
		"reports only the fault in bgp.worse":          {site + "when_short = \"worse\"\n[bgp.worse]\nmed = -1", []string{"8:7: bgp.worse.med is -1; it takes 0 to 4294967295"}},
		"takes withdraw without bgp.worse":             {site + `when_overloaded = "withdraw"`, nil},
		"refuses overload 0":                           {site + "overload = 0", []string{"6:12: policy.site.overload is 0; it takes more than 0, at most 10"}},
		"refuses overload above 10":                    {site + "overload = 10.5", []string{"6:12: policy.site.overload is 10.5; it takes more than 0, at most 10"}},
		"refuses overload nan":                         {site + "overload = nan", []string{"6:12: policy.site.overload is NaN; it takes more than 0, at most 10"}},
		"refuses relief as high as overload":           {site + "relief = 0.85", []string{"6:10: policy.site.relief is 0.85; it takes 0 or more, and less than policy.site.overload, 0.85" + apart}},
		"refuses overload below the default":           {site + "overload = 0.5", []string{"5:9: policy.site.relief is 0.6; it takes 0 or more, and less than policy.site.overload, 0.5" + apart}},
		"refuses a negative relief":                    {site + "relief = -0.1", []string{"6:10: policy.site.relief is -0.1; it takes 0 or more, and less than policy.site.overload, 0.85" + apart}},
		"refuses another word for when_dark":           {site + `when_dark = "hold"`, []string{`6:13: policy.site.when_dark is "hold"; it takes ignore, worse or withdraw`}},
		"refuses to make a dark site worse by nothing": {site + `when_dark = "worse"`, []string{"6:13: policy.site.when_dark = " + nothing}},
		"refuses relief nan":                           {site + "relief = nan", []string{"6:10: policy.site.relief is NaN; it takes 0 or more, and less than policy.site.overload, 0.85" + apart}},
		"refuses relief as a string":                   {site + `relief = "0.5"`, []string{"6:10: policy.site.relief takes a number, not a string (write it without quotes)"}},
		"refuses a negative overload_for":              {site + `overload_for = "-1s"`, []string{`6:16: policy.site.overload_for: "-1s" is negative`}},
		"refuses relief_for without a unit":            {site + `relief_for = 5`, []string{`6:14: policy.site.relief_for takes a duration in quotes, not an integer (give it a unit: "5s" is in seconds)`}},
		"refuses a hold too long":                      {site + `hold = "11m"`, []string{"6:8: policy.site.hold is 11m0s; it takes 0s to 10m"}},
		"takes no hold":                                {site + `hold = "0s"`, nil},
		"refuses an unknown key beside the others":     {site + `min_gateway = 1`, []string{`6:1: unknown key "min_gateway" in [policy.site] (did you mean "min_gateways"?)`}},
	})
	const hint = " (let gateways be asked, by vici, or report: [report] listen)"
	checkWarnings(t, map[string]row{
		"warns of a shortage that is never met": {site + `when_short = "withdraw"`, []string{"6:14: policy.site.min_gateways is 0: the site is never short of gateways (say how many usable ones it needs: min_gateways = 2)"}},
		"warns of a shortage that always is":    {site + "min_gateways = 2", []string{"6:16: policy.site.min_gateways is 2, of 1 in all: the site is always short of gateways"}},
		"warns of overload without loads":       {site + `when_overloaded = "withdraw"`, []string{`6:19: policy.site.when_overloaded = "withdraw", and no gateway's load is known` + hint}},
		"warns of choose least-loaded without":  {addressed + `[policy]` + "\n" + `choose = "least-loaded"`, []string{`6:10: policy.choose = "least-loaded", and no gateway's load is known` + hint}},
		"warns of load that needs a capacity":   {addressed + `vici = "unix:/run/charon.vici"`, []string{`5:8: the load of gateway "gw1" can't be told without its capacity (add capacity = 20000, the sessions that it can hold)`}},
	})
}

func TestVICI(t *testing.T) {
	t.Parallel()
	const hint = ` (write "unix:/run/charon.vici" for a gateway on this host, "tcp:198.51.100.11:4502" for any other)`
	checkFaults(t, map[string]row{
		"takes a socket":                             {addressed + `vici = "unix:/run/charon.vici"`, nil},
		"takes an address":                           {addressed + `vici = "tcp:[2001:db8::1]:4502"`, nil},
		"takes a name":                               {addressed + `vici = "tcp:gw1.example.net:4502"`, nil},
		"takes none":                                 {addressed + `vici = ""`, nil},
		"refuses a bare path":                        {addressed + `vici = "/run/charon.vici"`, []string{`5:8: gateway.vici: "/run/charon.vici" is neither unix:/path nor tcp:host:port` + hint}},
		"takes strongSwan's form":                    {addressed + `vici = "unix:///run/charon.vici"`, nil},
		"refuses its form for TCP":                   {addressed + `vici = "tcp://gw1:4502"`, []string{`5:8: gateway.vici: "tcp://gw1:4502" has a host that has the character '/'` + hint}},
		"refuses a relative path":                    {addressed + `vici = "unix:charon.vici"`, []string{`5:8: gateway.vici: "unix:charon.vici" has no absolute path` + hint}},
		"refuses no path":                            {addressed + `vici = "unix:"`, []string{`5:8: gateway.vici: "unix:" has no absolute path` + hint}},
		"refuses an address alone":                   {addressed + `vici = "tcp:198.51.100.1"`, []string{`5:8: gateway.vici: "tcp:198.51.100.1" is not host:port` + hint}},
		"refuses no host":                            {addressed + `vici = "tcp::4502"`, []string{`5:8: gateway.vici: "tcp::4502" has no host` + hint}},
		"refuses port 0":                             {addressed + `vici = "tcp:gw1:0"`, []string{`5:8: gateway.vici: "tcp:gw1:0" has the port 0, not one of 1 to 65535` + hint}},
		"refuses a port too high":                    {addressed + `vici = "tcp:gw1:65536"`, []string{`5:8: gateway.vici: "tcp:gw1:65536" has the port "65536", not one of 0 to 65535` + hint}},
		"refuses UDP":                                {addressed + `vici = "udp:gw1:4502"`, []string{`5:8: gateway.vici: "udp:gw1:4502" is neither unix:/path nor tcp:host:port` + hint}},
		"refuses a table":                            {addressed + `vici = { }`, []string{"5:8: gateway.vici takes a string, not a table"}},
		"refuses asking too often":                   {addressed + `vici_every = "99ms"`, []string{"5:14: gateway.vici_every is 99ms; it takes 100ms to 1h"}},
		"refuses asking more seldom than loads last": {addressed + "capacity = 1\nvici = \"unix:/v\"\nvici_every = \"15s\"", []string{"7:14: gateway.vici_every is 15s, and a load is too old after 15s: it would always be unknown (ask at least every 5s, or raise policy.stale_after)"}},
		"refuses asking too seldom":                  {addressed + `vici_every = "61m"`, []string{"5:14: gateway.vici_every is 1h1m0s; it takes 100ms to 1h"}},
		"refuses an unknown kind":                    {addressed + `probe.kind = "sa-init"`, []string{`5:14: gateway.probe.kind is "sa-init"; it takes version, proposal or init`}},
		"takes each kind":                            {addressed + `probe = { kind = "proposal" }`, nil},
		"refuses stale_after 0":                      {service + `policy.stale_after = "0s"`, []string{"2:22: policy.stale_after is 0s; it takes 1s to 1h"}},
		"refuses stale_after 2h":                     {service + `policy.stale_after = "2h"`, []string{"2:22: policy.stale_after is 2h0m0s; it takes 1s to 1h"}},
		"refuses unserved unknown":                   {service + `policy.unserved = "refused"`, []string{`2:19: policy.unserved is "refused"; it takes drop or refuse (did you mean "refuse"?)`}},
		"takes an hour of staleness":                 {service + `policy.stale_after = "1h"`, nil},
	})
}
