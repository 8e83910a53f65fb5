package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anycastd/anycastd/bgp"
	"github.com/anycastd/anycastd/dnspub"
	"github.com/anycastd/anycastd/policy"
)

// full has every key, none with its default where that can be told apart.
const full = `
[node]
name      = "fra1"
state_dir = "/srv/anycastd"

[anycast]
prefixes  = ["203.0.113.0/24", "2001:db8:a::/48"]
addresses = ["203.0.113.1", "2001:db8:a::1"]
interface = "lo"
anyip     = true
reply_table    = 4_294_967_295
reply_priority = 1

[ike]
ports         = [500]
sockets       = 3
cookie        = "always"
cookie_above  = 1_000
reply_limit   = 5000
reply_limit_source = 50
error_limit   = 0
unsupported   = "refuse"
port_conflict = "nft"

[ike.xdp]
interfaces = ["eth0"]
mode       = "native"

[policy]
choose   = "least-loaded"
key      = "source+spi"
seed     = "salt"
overload = 1
stale_after = "1m"
unserved = "refuse"

[policy.site]
min_gateways    = 2
when_short      = "worse"
overload        = 1.5
overload_for    = "1s"
relief          = 0
relief_for      = "0s"
when_overloaded = "withdraw"
when_dark = "ignore"
hold            = "10m"

[[gateway]]
name        = "fra-gw1"
addresses   = ["198.51.100.11", "2001:db8:1::11"]
fqdn        = "GW1.fra.vpn.example.net."
redirect_by = "fqdn"
weight      = 7
capacity    = 20000
self        = true
probe       = { every = "2s", timeout = "1s", rise = 4, fall = 5, kind = "init" }
vici        = "unix:/run/charon.vici"
vici_every  = "5s"

[[gateway]]
name      = "fra-gw2"
addresses = ["198.51.100.12"]
capacity  = 10
vici      = "tcp:[2001:db8::1]:4502"

[[pool]]
name       = "gold"
gateways   = ["fra-gw1"]
sources    = ["192.0.2.0/24"]
identities = ["*@gold.example.net"]
fallback   = ["silver"]

[[pool]]
name     = "silver"
gateways = ["fra-gw2"]

[bgp]
asn         = 4_294_967_295
router_id   = "192.0.2.10"
listen_port = 179
drain_wait  = "1m"
settle      = "0s"
listen_addresses = ["192.0.2.10", "fe80::10%eth0"]
learn       = "gateways"
next_hop    = ["192.0.2.10"]
[bgp.announce]
communities       = ["64500:100"]
large_communities = ["64500:1:0"]
extended_communities = ["rt:64500:100", "soo:192.0.2.10:65535"]
med               = 10
local_pref        = 4294967295
prepend           = 6
[bgp.worse]
communities       = ["64500:80", "0:65535"]
large_communities = ["4294967295:0:1"]
extended_communities = ["soo:4294967295:7"]
med               = 4294967295
local_pref        = 0
prepend           = 10
[bgp.defaults]
asn              = 64501
port             = 1791
password_file    = "bgp.key"
local_address    = "fe80::10%eth0"
interface        = "eth0"
passive          = true
multihop         = 2
ttl_security     = true
hold_time        = "30s"
keepalive_time   = "2s"
connect_retry    = "500s"
families         = ["ipv6"]
next_hop         = "2001:db8:f::11"
max_prefixes     = 9
graceful_restart = "4095s"
[[bgp.neighbor]]
address          = "192.0.2.1"
asn              = 64500
password_file    = "bgp-r1.key"
local_address    = "192.0.2.10"
interface        = "eth1"
port             = 1790
passive          = false
multihop         = 255
ttl_security     = false
hold_time        = "90s"
keepalive_time   = "30s"
connect_retry    = "1h"
families         = ["ipv4", "ipv6"]
next_hop         = "2001:db8:f::10"
max_prefixes     = 1000
graceful_restart = "0s"
[[bgp.neighbor]]
address = "fe80::1%eth0"

[dns]
ttl = 60
[[dns.zone]]
name     = "Example.net"
server   = "192.0.2.53"
tsig     = { name = "anycastd", algorithm = "hmac-sha512", secret_file = "tsig.key" }
names    = ["vpn.example.net"]
gateways = true

[dns.serve]
listen = ["192.0.2.10:53"]

[[discover]]
name = "_ike-gateways._udp.vpn.example.net."
pool = "gold"

[report]
listen         = "192.0.2.10:9651"
secret_file    = "report.secret"
cert_file      = "report.crt"
key_file       = "report.key"
client_ca_file = "report.crt"

[control]
socket = "/run/a.sock"
http   = ""
`

// fullConfig is what full says, but for its warnings.
func fullConfig() *Config {
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	return &Config{
		Name: "fra1", StateDir: "/srv/anycastd", Interface: "lo", AnyIP: true, ReplyTable: 4294967295, ReplyPriority: 1,
		Policy: policy.Config{
			Node:      "fra1",
			Prefixes:  []netip.Prefix{prefix("203.0.113.0/24"), prefix("2001:db8:a::/48")},
			Addresses: []netip.Addr{addr("203.0.113.1"), addr("2001:db8:a::1")},
			Gateways: []policy.Gateway{{
				Name: "fra-gw1", Addresses: []netip.Addr{addr("198.51.100.11"), addr("2001:db8:1::11")}, FQDN: "gw1.fra.vpn.example.net",
				RedirectBy: policy.ByFQDN, Weight: 7, Capacity: 20000, Self: true,
			}, {
				Name: "fra-gw2", Addresses: []netip.Addr{addr("198.51.100.12")}, RedirectBy: policy.ByAddress, Weight: 100, Capacity: 10,
			}},
			Pools: []policy.Pool{{
				Name: "gold", Gateways: []string{"fra-gw1"}, Sources: []netip.Prefix{prefix("192.0.2.0/24")},
				Identities: []string{"*@gold.example.net"}, Fallback: []string{"silver"},
			}, {
				Name: "silver", Gateways: []string{"fra-gw2"},
			}},
			Choose: policy.LeastLoaded, Key: policy.BySourceSPI, Seed: "salt", DrainWait: time.Minute,
			Overload: 1, StaleAfter: time.Minute, TurnOff: true,
			Site: policy.Site{
				MinGateways: 2, WhenShort: policy.MakeWorse, Overload: 1.5, OverloadFor: time.Second,
				WhenOverloaded: policy.WithdrawSite, WhenDark: policy.Ignore, Hold: 10 * time.Minute,
			},
			Zones: []policy.Zone{{Name: "example.net.", Names: []string{"vpn.example.net."}, Gateways: true, TTL: 60}},
		},
		Ports: []uint16{500}, Sockets: 3, Cookie: "always", CookieAbove: 1000, Unsupported: "refuse", PortConflict: "nft",
		ReplyLimit: 5000, SourceLimit: 50,
		XDPInterfaces: []string{"eth0"}, XDPMode: "native",
		Probes: map[string]Probe{
			"fra-gw1": {Every: 2 * time.Second, Timeout: time.Second, Rise: 4, Fall: 5, Kind: "init"},
			"fra-gw2": {Every: time.Second, Timeout: 500 * time.Millisecond, Rise: 2, Fall: 3, Kind: "version"},
		},
		VICI: map[string]VICI{
			"fra-gw1": {Network: "unix", Address: "/run/charon.vici", Every: 5 * time.Second},
			"fra-gw2": {Network: "tcp", Address: "[2001:db8::1]:4502", Every: time.Second},
		},
		Report: Report{Listen: "192.0.2.10:9651", Secret: []byte("sixteen octets!!")},
		BGP: BGP{
			ASN: 4294967295, RouterID: addr("192.0.2.10"), ListenPort: 179, NextHops: []netip.Addr{addr("192.0.2.10")},
			Listen: []netip.Addr{addr("192.0.2.10"), addr("fe80::10%eth0")}, Learn: true,
			Neighbors: []bgp.Neighbor{{
				Address: addr("192.0.2.1"), ASN: 64500, Port: 1790, Password: "another", LocalAddress: addr("192.0.2.10"), Interface: "eth1",
				HoldTime: 90 * time.Second, Keepalive: 30 * time.Second, ConnectRetry: time.Hour, Multihop: 255,
				Families: bgp.IPv4Unicast | bgp.IPv6Unicast, NextHop: addr("2001:db8:f::10"), MaxPrefixes: 1000,
			}, {
				Address: addr("fe80::1%eth0"), ASN: 64501, Port: 1791, Password: "s3cret word", LocalAddress: addr("fe80::10%eth0"), Interface: "eth0",
				Passive: true, HoldTime: 30 * time.Second, Keepalive: 2 * time.Second, ConnectRetry: 500 * time.Second, Multihop: 2, TTLSecurity: true,
				Families: bgp.IPv6Unicast, NextHop: addr("2001:db8:f::11"), MaxPrefixes: 9, GracefulRestart: 4095 * time.Second,
			}},
			Announce: bgp.Attributes{
				Communities: []uint32{64500<<16 | 100}, Large: []bgp.LargeCommunity{{64500, 1, 0}}, MED: 10, LocalPref: preference(4294967295), Prepend: 6,
				Extended: []bgp.ExtendedCommunity{{bgp.OfTwoOctetAS, bgp.RouteTarget, 251, 244, 0, 0, 0, 100}, {bgp.OfIPv4, bgp.RouteOrigin, 192, 0, 2, 10, 255, 255}},
			},
			Worse: bgp.Attributes{
				Communities: []uint32{64500<<16 | 80, 65535}, Large: []bgp.LargeCommunity{{4294967295, 0, 1}}, MED: 4294967295, LocalPref: preference(0), Prepend: 10,
				Extended: []bgp.ExtendedCommunity{{bgp.OfFourOctetAS, bgp.RouteOrigin, 255, 255, 255, 255, 0, 7}},
			},
		},
		Zones:  []DNSZone{{Name: "example.net.", Server: "192.0.2.53:53", TSIG: dnspub.TSIG{Name: "anycastd.", Algorithm: "hmac-sha512", Secret: "c2VjcmV0"}}},
		Socket: "/run/a.sock",
	}
}

// preference is a local preference.
func preference(n uint32) *uint32 { return &n }

// compare lets cmp look into addresses.
var compare = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b *tls.Certificate) bool {
		return a == b || a != nil && b != nil && reflect.DeepEqual(a.Certificate, b.Certificate) && reflect.DeepEqual(a.PrivateKey, b.PrivateKey)
	}),
}

// write makes a file in dir.
func write(t *testing.T, dir, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// faultsOf loads a text and returns its faults.
func faultsOf(t *testing.T, text string) Faults {
	t.Helper()
	_, err := Load("a.toml", strings.NewReader(text))
	var faults Faults
	if err != nil && !errors.As(err, &faults) {
		t.Fatalf("want Faults, got %v", err)
	}
	return faults
}

// brief puts findings into lines, without what is the same in all of them.
func brief(faults []Fault) []string {
	var out []string
	for _, f := range faults {
		out = append(out, strings.TrimPrefix(f.Error(), "a.toml:"))
	}
	return out
}

func TestLoad_takes_every_key(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "bgp.key", "s3cret word\n", 0o600)
	write(t, dir, "bgp-r1.key", "another", 0o600)
	write(t, dir, "tsig.key", " c2VjcmV0 \n", 0o600)
	write(t, dir, "report.secret", " sixteen octets!!\n", 0o600)
	cert, key := newCertificate(t)
	write(t, dir, "report.crt", cert, 0o644)
	write(t, dir, "report.key", key, 0o600)
	got, err := Load(filepath.Join(dir, "a.toml"), strings.NewReader(full))
	if err != nil {
		t.Fatal(err)
	}
	var ignored []string
	for _, w := range got.Warnings {
		ignored = append(ignored, strings.TrimPrefix(w.Message, "this version ignores "))
	}
	wantIgnored := []string{
		"ike.xdp.interfaces", "pool.identities",
		"no neighbor is told local_pref: all are external (RFC 4271 section 5.1.5)", "no neighbor is told local_pref: all are external (RFC 4271 section 5.1.5)",
		"with graceful_restart a dead front-end whose route is kept is a black hole, for up to 1h8m15s", "[dns.serve]", "[[discover]]",
	}
	if diff := cmp.Diff(wantIgnored, ignored); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	got.Warnings = nil
	want := fullConfig()
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	want.Report.Certificate, want.Report.ClientCAs = &pair, x509.NewCertPool()
	want.Report.ClientCAs.AddCert(pair.Leaf)
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoad_defaults_what_is_left_out(t *testing.T) {
	got, err := Load("-", strings.NewReader(`anycast.prefixes = ["203.0.113.1/32", "2001:db8::1/128", "198.51.100.0/24"]`))
	if err != nil {
		t.Fatal(err)
	}
	host, _ := os.Hostname()
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	want := &Config{
		Name: host, StateDir: "/var/lib/anycastd", Interface: "anycast0", ReplyPriority: 1000,
		Policy: policy.Config{
			Node:      host,
			Prefixes:  []netip.Prefix{prefix("203.0.113.1/32"), prefix("2001:db8::1/128"), prefix("198.51.100.0/24")},
			Addresses: []netip.Addr{addr("203.0.113.1"), addr("2001:db8::1")},
			Choose:    policy.Sticky, Key: policy.BySource, DrainWait: 5 * time.Second, Settle: 2 * time.Second,
			Overload: 0.9, StaleAfter: 15 * time.Second,
			Site: policy.Site{
				WhenShort: policy.Ignore, Overload: 0.85, OverloadFor: 30 * time.Second, Relief: 0.6, ReliefFor: 5 * time.Minute,
				WhenOverloaded: policy.Ignore, WhenDark: policy.WithdrawSite, Hold: 10 * time.Second,
			},
		},
		Ports: []uint16{500, 4500}, Cookie: "auto", CookieAbove: 20000, Unsupported: "drop", PortConflict: "fail",
		ReplyLimit: 1000000, SourceLimit: 1000, ErrorLimit: 100, XDPMode: "auto",
		Probes: map[string]Probe{}, VICI: map[string]VICI{}, BGP: BGP{ListenPort: -1},
		Socket: "/run/anycastd/control.sock", HTTP: "127.0.0.1:9650",
	}
	warnings := got.Warnings
	got.Warnings = nil
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantWarnings := []string{
		"<stdin>:1:1: there is no BGP neighbor: nothing is announced",
		"<stdin>:1:1: there is no gateway: no client gets an answer, and nothing is announced",
		"<stdin>:1:58: no anycast address lies in 198.51.100.0/24: what is sent there gets lost",
	}
	if diff := cmp.Diff(wantWarnings, brief(warnings)); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestLoad_reports_all_faults_as_one_text(t *testing.T) {
	const in = `[anycast]
prefixes = ["203.0.113.0/24"]
addresses = ["203.0.113.1", "198.51.100.1"]

[[gateway]]
name	= "gw1"
adresses = ["192.0.2.7"]	# mistyped

[ike]
sockets	= "4"
`
	const want = `etc/a.toml:3:29: 198.51.100.1 lies in none of anycast.prefixes
    addresses = ["203.0.113.1", "198.51.100.1"]
                                ^
hint: announce it: add "198.51.100.1/32" to prefixes, or the wider prefix it is part of
etc/a.toml:5:3: gateway "gw1" has no address
    [[gateway]]
      ^
hint: add addresses = ["198.51.100.11"], or redirect_by = "fqdn" and an fqdn
etc/a.toml:7:1: unknown key "adresses" in [[gateway]]
    adresses = ["192.0.2.7"]	# mistyped
    ^
hint: did you mean "addresses"?
etc/a.toml:10:11: ike.sockets takes an integer, not a string
    sockets	= "4"
           	  ^
hint: write it without quotes`
	_, err := Load("etc/a.toml", strings.NewReader(in))
	if err == nil {
		t.Fatal("want faults, got none")
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoad_passes_on_what_the_reader_says(t *testing.T) {
	_, err := Load("a.toml", io.MultiReader(strings.NewReader("[ike]\n"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("want %v, got %v", io.ErrUnexpectedEOF, err)
	}
}

func TestLoad_ignores_a_byte_order_mark(t *testing.T) {
	want := []string{`1:1: unknown key "x" in the top level`, "1:1: there is no anycast address"}
	if diff := cmp.Diff(want, brief(faultsOf(t, "\ufeffx = 1\n"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
