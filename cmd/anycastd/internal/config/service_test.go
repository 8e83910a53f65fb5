package config

import (
	"strings"
	"testing"
)

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
		"refuses a missing cookie secret":     {service + `ike.cookie_secret_file = "none"`, []string{"2:26: none: no such file or directory (write the secret into that file, with mode 0600)"}},
		"refuses a negative cookie_above":     {service + `ike.cookie_above = -1`, []string{"2:20: ike.cookie_above is -1; it takes 0 to 2147483647"}},
		"refuses an unknown unsupported":      {service + `ike.unsupported = "reject"`, []string{`2:19: ike.unsupported is "reject"; it takes drop or refuse`}},
		"refuses an unknown port_conflict":    {service + `ike.port_conflict = ""`, []string{`2:21: ike.port_conflict is ""; it takes fail or nft`}},
		"takes port_conflict nft":             {service + `ike.port_conflict = "nft"`, nil},
		"takes a high port without nft":       {service + `ike.ports = [50536, 35536]`, nil},
		"takes the highest port with nft":     {service + "ike.ports = [500, 50535]\nike.port_conflict = \"nft\"", nil},
		"refuses a higher port with nft":      {service + "ike.ports = [500, 50536]\nike.port_conflict = \"nft\"", []string{`2:19: port 50536 is above 50535, too high for ike.port_conflict = "nft" (its sockets would be bound to 65536)`}},
		"refuses a stand-in's port with nft":  {service + "ike.ports = [15500, 500]\nike.port_conflict = \"nft\"", []string{`2:14: port 15500 stands in for port 500 with ike.port_conflict = "nft" (leave out one of the two)`}},
		"refuses an unknown xdp.mode":         {service + `ike.xdp.mode = "Auto"`, []string{`2:16: ike.xdp.mode is "Auto"; it takes auto, native or generic (did you mean "auto"?)`}},
		"refuses an interface twice":          {service + `ike.xdp.interfaces = ["eth0", "eth0"]`, []string{"2:31: interface eth0 occurs twice (it is on line 2 already)"}},
		"refuses an interface without a name": {service + `ike.xdp.interfaces = [""]`, []string{`2:23: ike.xdp.interfaces: "" is empty`}},
		"refuses an interface with a slash":   {service + `ike.xdp.interfaces = ["a/b"]`, []string{`2:23: ike.xdp.interfaces: "a/b" is no name of an interface`}},
	})
	checkWarnings(t, map[string]row{
		"warns of the fast path":         {service + `ike.xdp.interfaces = ["eth0"]`, []string{`2:22: this version ignores ike.xdp.interfaces (sockets answer alone, without the fast path)`}},
		"warns of self-first without it": {service + `policy.choose = "self-first"`, []string{`2:17: policy.choose = "self-first", and no gateway has self = true (clients are spread by weight, as with "sticky")`}},
	})
}
