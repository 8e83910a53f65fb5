package bgp

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestValidateSaysWhatIsWrong(t *testing.T) {
	good := func() Config {
		return Config{ASN: 4200000001, RouterID: our4, ListenPort: -1, NextHops: []netip.Addr{our4, our6},
			Neighbors: []Neighbor{{Address: their4, ASN: 65002, HoldTime: 3 * time.Second, LocalAddress: our4}}}
	}
	for name, tc := range map[string]struct {
		spoil func(*Config)
		want  string // part of the error; "": none
	}{
		"nothing":                 {func(*Config) {}, ""},
		"no neighbor":             {func(c *Config) { c.Neighbors = nil }, ""},
		"asn 0":                   {func(c *Config) { c.ASN = 0 }, "asn 0"},
		"IPv6 router id":          {func(c *Config) { c.RouterID = our6 }, "router id 2001:db8::1"},
		"no router id":            {func(c *Config) { c.RouterID = netip.Addr{} }, "router id invalid IP"},
		"port":                    {func(c *Config) { c.ListenPort = 65536 }, "listen port 65536"},
		"two next hops":           {func(c *Config) { c.NextHops = []netip.Addr{our4, their4} }, "next hop 192.0.2.2 is the second"},
		"unspecified next hop":    {func(c *Config) { c.NextHops = []netip.Addr{netip.IPv6Unspecified()} }, "next hop ::"},
		"neighbor twice":          {func(c *Config) { c.Neighbors = append(c.Neighbors, c.Neighbors[0]) }, "192.0.2.2 is there twice"},
		"neighbor without asn":    {func(c *Config) { c.Neighbors[0].ASN = 0 }, "neighbor 192.0.2.2: asn 0"},
		"mapped neighbor":         {func(c *Config) { c.Neighbors[0].Address = netip.MustParseAddr("::ffff:192.0.2.2") }, "not a unicast address"},
		"link-local without zone": {func(c *Config) { c.Neighbors[0].Address = netip.MustParseAddr("fe80::1") }, "needs its interface"},
		"password of 80":          {func(c *Config) { c.Neighbors[0].Password = strings.Repeat("x", 80) }, ""},
		"password of 81":          {func(c *Config) { c.Neighbors[0].Password = strings.Repeat("x", 81) }, "81 octets"},
		"hold time 2 s":           {func(c *Config) { c.Neighbors[0].HoldTime = 2 * time.Second }, "hold time 2s"},
		"hold time 3.5 s":         {func(c *Config) { c.Neighbors[0].HoldTime = 3500 * time.Millisecond }, "hold time 3.5s"},
		"hold time too long":      {func(c *Config) { c.Neighbors[0].HoldTime = 65536 * time.Second }, "hold time 18h12m16s"},
		"local address":           {func(c *Config) { c.Neighbors[0].LocalAddress = our6 }, "of another family"},
		"listen address":          {func(c *Config) { c.Listen = []netip.Addr{our4, netip.MustParseAddr("ff02::1")} }, "listen address ff02::1"},
		"unknown family":          {func(c *Config) { c.Neighbors[0].Families = 4 }, "families 0x4"},
		"hops":                    {func(c *Config) { c.Neighbors[0].Multihop = 256 }, "256 hops"},
		"max prefixes":            {func(c *Config) { c.Neighbors[0].MaxPrefixes = -1 }, "-1 prefixes"},
		"neighbor's next hop":     {func(c *Config) { c.Neighbors[0].NextHop = netip.MustParseAddr("fe80::1%lo") }, "next hop fe80::1%lo"},
		"interface":               {func(c *Config) { c.Neighbors[0].Interface = "a-very-long-name" }, "more than 15 octets"},
		"interface and zone": {func(c *Config) {
			c.Neighbors[0] = Neighbor{Address: netip.MustParseAddr("fe80::1%a"), ASN: 1, Interface: "b"}
		}, "interface b is not"},
		"keepalive of a third":    {func(c *Config) { c.Neighbors[0].Keepalive = time.Second }, ""},
		"keepalive of more":       {func(c *Config) { c.Neighbors[0].Keepalive = 2 * time.Second }, "keepalive time 2s"},
		"keepalive, hold default": {func(c *Config) { c.Neighbors[0].HoldTime, c.Neighbors[0].Keepalive = 0, 3*time.Second }, ""},
		"connect retry":           {func(c *Config) { c.Neighbors[0].ConnectRetry = time.Millisecond }, "connect retry 1ms"},
		"graceful restart":        {func(c *Config) { c.Neighbors[0].GracefulRestart = 4096 * time.Second }, "graceful restart 1h8m16s"},
		"two keys of one address": {func(c *Config) {
			c.Neighbors = []Neighbor{{Address: netip.MustParseAddr("fe80::1%a"), ASN: 1, Password: "x"}, {Address: netip.MustParseAddr("fe80::1%b"), ASN: 1}}
		}, "cannot tell apart"},
	} {
		t.Run(name, func(t *testing.T) {
			c := good()
			tc.spoil(&c)
			err := c.Validate()
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("want %q, got %v", tc.want, err)
			}
		})
	}
}
