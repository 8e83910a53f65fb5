package config

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNeighbor(t *testing.T) {
	t.Parallel()
	listening := strings.ReplaceAll(neighbor, "192.0.2.10\"\n", "192.0.2.10\"\nlisten_port = 179\n")
	linkLocal := strings.ReplaceAll(neighbor, "192.0.2.1\"", "fe80::1%eth0\"")
	internal := strings.ReplaceAll(neighbor, "64500", "64512")
	own := strings.ReplaceAll(neighbor, "asn = 64512", "asn = 64512\nnext_hop = [\"192.0.2.10\"]")
	const reachable = " (a unicast address is needed that others can reach)"
	checkFaults(t, map[string]row{
		"takes an interface":                      {neighbor + `interface = "eth0"`, nil},
		"takes no interface":                      {neighbor + `interface = ""`, nil},
		"refuses an interface with a slash":       {neighbor + `interface = "eth/0"`, []string{`8:13: bgp.neighbor.interface: "eth/0" is no name of an interface`}},
		"takes the interface of a link-local one": {linkLocal + `interface = "eth0"`, nil},
		"refuses any other":                       {linkLocal + `interface = "eth1"`, []string{`8:13: neighbor fe80::1%eth0 is on eth0, not on "eth1" (leave interface out: the address says it)`}},
		"refuses passive without a listener":      {neighbor + `passive = true`, []string{"8:11: a passive neighbor could not dial this node: bgp.listen_port is -1 (neighbors expect [bgp] listen_port = 179)"}},
		"takes passive with a listener":           {listening + `passive = true`, nil},
		"refuses passive in quotes":               {neighbor + `passive = "yes"`, []string{"8:11: bgp.neighbor.passive takes true or false, not a string"}},
		"takes 255 hops":                          {neighbor + `multihop = 255`, nil},
		"refuses 256 hops":                        {neighbor + `multihop = 256`, []string{"8:12: bgp.neighbor.multihop is 256; it takes 0 to 255"}},
		"takes TTL security with hops":            {neighbor + "ttl_security = true\nmultihop = 3", nil},
		"refuses TTL security as a number":        {neighbor + "ttl_security = 1", []string{"8:16: bgp.neighbor.ttl_security takes true or false, not an integer"}},
		"takes keepalives of a third":             {neighbor + "hold_time = \"3s\"\nkeepalive_time = \"1s\"", nil},
		"refuses them too far apart":              {neighbor + `keepalive_time = "4s"`, []string{`8:18: keepalive_time is 4s, more than a third of hold_time, 9s (leave it out, or write "3s" at most)`}},
		"refuses keepalives of half a second":     {neighbor + `keepalive_time = "500ms"`, []string{`8:18: bgp.neighbor.keepalive_time is 500ms, not whole seconds (write "1s")`}},
		"says nothing more of a bad hold_time":    {neighbor + "hold_time = \"2s\"\nkeepalive_time = \"4s\"", []string{"8:13: bgp.neighbor.hold_time is 2s; it takes 3s to 65535s"}},
		"refuses dialing too often":               {neighbor + `connect_retry = "999ms"`, []string{"8:17: bgp.neighbor.connect_retry is 999ms; it takes 1s to 1h"}},
		"refuses dialing too seldom":              {neighbor + `connect_retry = "61m"`, []string{"8:17: bgp.neighbor.connect_retry is 1h1m0s; it takes 1s to 1h"}},
		"takes no families":                       {neighbor + `families = []`, nil},
		"refuses another family":                  {neighbor + `families = ["ipv5"]`, []string{`8:13: bgp.neighbor.families is "ipv5"; it takes ipv4 or ipv6 (did you mean "ipv4"?)`}},
		"refuses a family twice":                  {neighbor + `families = ["ipv4", "ipv4"]`, []string{"8:21: family ipv4 occurs twice (it is on line 8 already)"}},
		"refuses IPv6 without a next hop":         {neighbor + `families = ["ipv4", "ipv6"]`, []string{`8:12: neighbor 192.0.2.1 can't be told IPv6 routes: it is an IPv4 one and there is no IPv6 next hop (add this node's IPv6 address to [bgp] next_hop, or leave "ipv6" out)`}},
		"says nothing more of a bad next hop":     {neighbor + "families = [\"ipv4\", \"ipv6\"]\nnext_hop = \"x\"", []string{`9:12: bgp.neighbor.next_hop: "x" is not an IP address`}},
		"takes IPv6 with a next hop":              {neighbor + "families = [\"ipv4\", \"ipv6\"]\nnext_hop = \"2001:db8::10\"", nil},
		"takes IPv6 on this host":                 {strings.ReplaceAll(neighbor, "192.0.2.1\"", "127.0.0.1\"") + `families = ["ipv4", "ipv6"]`, nil},
		"takes a next hop":                        {neighbor + `next_hop = "192.0.2.10"`, nil},
		"refuses a loopback next hop":             {neighbor + `next_hop = "127.0.0.1"`, []string{"8:12: bgp.neighbor.next_hop: 127.0.0.1 is a loopback address" + reachable}},
		"refuses an anycast next hop":             {neighbor + `next_hop = "203.0.113.1"`, []string{"8:12: bgp.neighbor.next_hop: 203.0.113.1 is an anycast address (a next hop is this node's own address in the neighbor's network)"}},
		"refuses a link-local next hop":           {neighbor + `next_hop = "fe80::1%eth0"`, []string{"8:12: bgp.neighbor.next_hop: fe80::1%eth0 is a link-local address" + reachable}},
		"refuses a list of next hops":             {neighbor + `next_hop = ["192.0.2.10"]`, []string{"8:12: bgp.neighbor.next_hop takes an IP address in quotes, not a list (it takes one value: leave the brackets out)"}},
		"refuses a next hop beside bgp's":         {own + `next_hop = "192.0.2.11"`, []string{"9:12: bgp.next_hop has one of that family already, 192.0.2.10 (leave it out there, or here: the one there goes to every neighbor)"}},
		"takes one of the other family":           {own + `next_hop = "2001:db8::10"`, nil},
		"refuses max_prefixes -1":                 {neighbor + `max_prefixes = -1`, []string{"8:16: bgp.neighbor.max_prefixes is -1; it takes 0 to 2147483647"}},
		"refuses graceful_restart too long":       {neighbor + `graceful_restart = "4096s"`, []string{"8:20: bgp.neighbor.graceful_restart is 1h8m16s; it takes 0s to 4095s"}},
		"refuses half a second of it":             {neighbor + `graceful_restart = "500ms"`, []string{`8:20: bgp.neighbor.graceful_restart is 500ms, not whole seconds (write "1s")`}},
		"refuses a zone in local_address":         {neighbor + `local_address = "192.0.2.10%eth0"`, []string{`8:17: bgp.neighbor.local_address: "192.0.2.10%eth0" is not an IP address`}},
		"takes an internal neighbor":              {internal, nil},
	})
	checkWarnings(t, map[string]row{
		"warns of graceful restart": {neighbor + `graceful_restart = "2m"`, []string{"8:20: with graceful_restart a dead front-end whose route is kept is a black hole, for up to 2m0s (leave it out: as soon as the route is gone another front-end takes over)"}},
	})
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	const defaults = speaker + "[bgp.defaults]\n"
	const two = "\n[[bgp.neighbor]]\naddress = \"192.0.2.1\"\n[[bgp.neighbor]]\naddress = \"192.0.2.2\"\n"
	const asn = "\nasn = 64500" + two
	checkFaults(t, map[string]row{
		"give an asn":                             {defaults + asn, nil},
		"need not give any":                       {defaults + `port = 1790`, nil},
		"can be written inline":                   {speaker + "defaults = { asn = 64500 }" + two, nil},
		"can stand behind the neighbors":          {speaker + two + "[bgp.defaults]\nasn = 64500", nil},
		"refuse an address":                       {defaults + `address = "192.0.2.1"` + asn, []string{`6:1: unknown key "address" in [bgp.defaults] (it belongs in [[bgp.neighbor]])`}},
		"refuse an unknown key once":              {defaults + `hold_tim = "9s"` + asn, []string{`6:1: unknown key "hold_tim" in [bgp.defaults] (did you mean "hold_time"?)`}},
		"refuse a value once":                     {defaults + `hold_time = "2s"` + asn, []string{"6:13: bgp.defaults.hold_time is 2s; it takes 3s to 65535s"}},
		"refuse a value without neighbors":        {defaults + `hold_time = "3500ms"`, []string{`6:13: bgp.defaults.hold_time is 3.5s, not whole seconds (write "4s")`}},
		"refuse half a second once":               {defaults + `hold_time = "3500ms"` + asn, []string{`6:13: bgp.defaults.hold_time is 3.5s, not whole seconds (write "4s")`}},
		"refuse a list's element once":            {defaults + `families = ["ipv4", "ipv5"]` + asn, []string{`6:21: bgp.defaults.families is "ipv5"; it takes ipv4 or ipv6 (did you mean "ipv4"?)`}},
		"refuse a bad asn, which then stands":     {defaults + "asn = 0" + two, []string{"6:7: bgp.defaults.asn is 0; it takes 1 to 4294967295"}},
		"refuse an interface once":                {defaults + `interface = "a/b"` + asn, []string{`6:13: bgp.defaults.interface: "a/b" is no name of an interface`}},
		"refuse a password file once":             {defaults + `password_file = "none.key"` + asn, []string{"6:17: none.key: no such file or directory (write the secret into that file, with mode 0600)"}},
		"refuse what goes with no neighbor, once": {defaults + `keepalive_time = "4s"` + asn, []string{`6:18: keepalive_time is 4s, more than a third of hold_time, 9s (leave it out, or write "3s" at most)`}},
		"take what goes with each neighbor":       {defaults + "keepalive_time = \"4s\"\nasn = 64500\n[[bgp.neighbor]]\naddress = \"192.0.2.1\"\nhold_time = \"12s\"", nil},
		"refuse what does not go with one":        {defaults + "local_address = \"192.0.2.10\"" + asn + "[[bgp.neighbor]]\naddress = \"2001:db8::1\"", []string{"6:17: 192.0.2.10 cannot talk to 2001:db8::1: they are of different families"}},
		"refuse a number in place of a table":     {speaker + "defaults = 1" + two, []string{"5:12: bgp.defaults takes a table, not an integer (there is only one: write [bgp.defaults])", "6:7: " + noASN, "8:7: " + noASN}},
		"refuse several tables":                   {speaker + "[[bgp.defaults]]\nasn = 1", []string{"5:7: bgp.defaults takes a table, not a list (there is only one: write [bgp.defaults])"}},
		"leave a neighbor's own faults its own":   {defaults + "hold_time = \"9s\"" + asn + `hold_time = "1s"`, []string{"12:13: bgp.neighbor.hold_time is 1s; it takes 3s to 65535s"}},
	})
	checkWarnings(t, map[string]row{
		"warn once": {defaults + `graceful_restart = "1s"` + asn, []string{"6:20: with graceful_restart a dead front-end whose route is kept is a black hole, for up to 1s (leave it out: as soon as the route is gone another front-end takes over)"}},
	})
}

// noASN is the fault of a neighbor that nothing gives an AS.
const noASN = "[[bgp.neighbor]] has no asn (say the neighbor's AS number, such as asn = 64500, here or in [bgp.defaults])"

func TestDefaults_warn_once_of_a_password_that_everybody_reads(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "bgp.key", "s3cret\n", 0o644)
	const in = speaker + "[bgp.defaults]\nasn = 64500\npassword_file = \"bgp.key\"\n[[bgp.neighbor]]\naddress = \"192.0.2.1\"\n[[bgp.neighbor]]\naddress = \"192.0.2.2\"\n"
	cfg, err := Load(filepath.Join(dir, "a.toml"), strings.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range cfg.BGP.Neighbors {
		got = append(got, n.Password)
	}
	for _, w := range cfg.Warnings {
		if strings.Contains(w.Message, "bgp.key") {
			got = append(got, strings.ReplaceAll(w.Message, dir, ""))
		}
	}
	want := []string{"s3cret", "s3cret", "/bgp.key can be read by everybody or written by its group (mode 0644)"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
