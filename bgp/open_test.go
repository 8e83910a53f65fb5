package bgp

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// compareAddresses lets go-cmp compare addresses and prefixes by ==.
var compareAddresses = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

// both are our families.
const both = IPv4Unicast | IPv6Unicast

// fixedPart is that of an OPEN of AS 64500 with a hold time of 90 s.
const fixedPart = "04 fbf4 005a c0000201"

// withParameters is an OPEN with these optional parameters.
func withParameters(parameters string) message {
	b := octetsOf(parameters)
	return newMessage(openKind, slices.Concat(octetsOf(fixedPart), []byte{byte(len(b))}, b)...)
}

// withCapabilities is an OPEN with one parameter of these capabilities.
func withCapabilities(all string) message {
	b := octetsOf(all)
	return newMessage(openKind, slices.Concat(octetsOf(fixedPart), []byte{byte(2 + len(b)), capabilities, byte(len(b))}, b)...)
}

// extended is an OPEN in the form of RFC 9072, whose short length is non.
func extended(non byte, parameters string) message {
	b := octetsOf(parameters)
	return newMessage(openKind, slices.Concat(octetsOf(fixedPart), binary.BigEndian.AppendUint16([]byte{non, 255}, uint16(len(b))), b)...)
}

// asOpened is what an OPEN of fixedPart and nothing else says, changed.
func asOpened(change func(*open)) open {
	o := open{ASN: 64500, HoldTime: 90 * time.Second, RouterID: netip.MustParseAddr("192.0.2.1"), Families: IPv4Unicast}
	change(&o)
	return o
}

// realOpens are OPENs as routers send them.
var realOpens = map[string]struct {
	in   message
	want open
}{
	"of 1995, without parameters": {withParameters(""), asOpened(func(*open) {})},
	"BIRD 2.0.12, recorded: one parameter with all": {
		newMessage(openKind, octetsOf("04fbf400f0c00002012e022c0104000100010104000200010200050600010001000206004002007841040000fbf446004700490402766d00")...),
		asOpened(func(o *open) {
			o.Multiprotocol, o.FourOctet, o.Refresh, o.ExtendedNextHop = true, true, true, true
			o.HoldTime, o.Families, o.Restart = 240*time.Second, both, &restart{Time: 120 * time.Second}
		}),
	},
	"FRR 8.4.4, recorded: one parameter for each": {
		newMessage(openKind, octetsOf("04fbf400b4c00002015d02060104000100010206010400020001020280000202020002024600020641040000fbf402020600020a4508000101010002010102"+
			"0749050366726100020c400ac07800010100000201000210470e0001018000000000020180000000")...),
		asOpened(func(o *open) {
			o.Multiprotocol, o.FourOctet, o.Refresh, o.HoldTime, o.Families = true, true, true, 180*time.Second, both
			o.Restart = &restart{Restarting: true, Notification: true, Time: 120 * time.Second, Families: both}
		}),
	},
	"ExaBGP 4.2, recorded: families that are not ours among them": {
		newMessage(openKind, octetsOf("04fbf4001ec00002015a0206010400010001020601040001008502060104000200010206010400190041020641040000fbf402020500020a450800010101"+
			"0002010102144012807800010180000185800002018000194180020202000202460002020600")...),
		asOpened(func(o *open) {
			o.Multiprotocol, o.FourOctet, o.Refresh, o.HoldTime, o.Families = true, true, true, 30*time.Second, both
			o.Restart = &restart{Restarting: true, Time: 120 * time.Second, Families: both, Kept: both}
		}),
	},
	"Cisco, with its own capabilities": {
		withParameters("0206 010400010001 0202 8000 0202 0200 0202 4600 0203 830100 0206 41040000fbf4"),
		asOpened(func(o *open) { o.Multiprotocol, o.FourOctet, o.Refresh = true, true, true }),
	},
	"Juniper, with long-lived graceful restart": {
		withParameters("0206 010400010001 0202 8000 0202 0200 0204 40020078 0206 41040000fbf4 0209 4707 00010180000000"),
		asOpened(func(o *open) {
			o.Multiprotocol, o.FourOctet, o.Refresh = true, true, true
			o.Restart = &restart{Time: 120 * time.Second}
		}),
	},
	"Arista, with additional paths and several next hops": {
		withCapabilities("010400010001 0200 4600 41040000fbf4 450400010101 050c 000100800002 000100010002 4002012c"),
		asOpened(func(o *open) {
			o.Multiprotocol, o.FourOctet, o.Refresh, o.ExtendedNextHop = true, true, true, true
			o.Restart = &restart{Time: 300 * time.Second}
		}),
	},
	"OpenBGPD, with a role": {
		withCapabilities("010400020001 0200 090103 41040000fbf4"),
		asOpened(func(o *open) {
			o.Multiprotocol, o.FourOctet, o.Refresh, o.Families = true, true, true, IPv6Unicast
		}),
	},
	"a route server's, with RFC 9072": {
		extended(255, "02 000c 010400010001 010400020001 02 0002 0200 02 0006 41040000fbf4"),
		asOpened(func(o *open) {
			o.Multiprotocol, o.FourOctet, o.Refresh, o.Families = true, true, true, both
		}),
	},
	"RFC 9072 with another short length": {
		extended(1, "02 0002 0200"), asOpened(func(o *open) { o.Refresh = true }),
	},
	"RFC 9072 without parameters": {extended(255, ""), asOpened(func(*open) {})},
	"an AS of four octets": {
		newMessage(openKind, octetsOf("04 5ba0 0000 c0000201 08 0206 4104fa56ea01")...),
		asOpened(func(o *open) { o.ASN, o.FourOctet, o.HoldTime = 4200000001, true, 0 }),
	},
	"AS_TRANS for an AS of two octets": {
		newMessage(openKind, octetsOf("04 5ba0 005a c0000201 08 0206 41040000fbf4")...),
		asOpened(func(o *open) { o.FourOctet = true }),
	},
	"other families alone": {
		withCapabilities("010400190046 010400010080"), asOpened(func(o *open) { o.Multiprotocol, o.Families = true, 0 }),
	},
	"a family twice, and one parameter empty": {
		withParameters("0206 010400010001 0200 0206 0104000100ff 0206 010400010001"), asOpened(func(o *open) { o.Multiprotocol = true }),
	},
	"graceful restart of a family that is not ours": {
		withCapabilities("4006 8001 00190180"), asOpened(func(o *open) { o.Restart = &restart{Restarting: true, Time: time.Second} }),
	},
	"a hold time of 3 s": {
		newMessage(openKind, octetsOf("04 fbf4 0003 c0000201 00")...), asOpened(func(o *open) { o.HoldTime = 3 * time.Second }),
	},
	"the longest hold time": {
		newMessage(openKind, octetsOf("04 fbf4 ffff c0000201 00")...), asOpened(func(o *open) { o.HoldTime = 65535 * time.Second }),
	},
	"an identifier that is no unicast address": { // RFC 6286 section 2.1
		newMessage(openKind, octetsOf("04 fbf4 005a ffffffff 00")...), asOpened(func(o *open) { o.RouterID = netip.MustParseAddr("255.255.255.255") }),
	},
}

func TestAnOpenOfARealRouterIsRead(t *testing.T) {
	for name, tc := range realOpens {
		t.Run(name, func(t *testing.T) {
			got, refused := parseOpen(tc.in)
			if refused != nil {
				t.Fatal(refused)
			}
			if diff := cmp.Diff(tc.want, got, compareAddresses); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnOpenIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		in   message
		want *refusal
	}{
		"version 3":                        {newMessage(openKind, octetsOf("03 fbf4 005a c0000201 00")...), &refusal{2, 1, []byte{0, 4}, "it speaks BGP version 3, not 4"}},
		"version 5":                        {newMessage(openKind, octetsOf("05 fbf4 005a c0000201 00")...), &refusal{2, 1, []byte{0, 4}, "it speaks BGP version 5, not 4"}},
		"AS 0":                             {newMessage(openKind, octetsOf("04 0000 005a c0000201 00")...), &refusal{2, 2, nil, "its OPEN names AS 0, which is reserved (RFC 7607)"}},
		"AS 0 of four octets":              {withCapabilities("410400000000"), &refusal{2, 2, nil, "its OPEN names AS 0, which is reserved (RFC 7607)"}},
		"two AS numbers":                   {withCapabilities("41040000fbf5"), &refusal{2, 2, nil, "its OPEN names AS 64500, and in four octets AS 64501"}},
		"a hold time of 1 s":               {newMessage(openKind, octetsOf("04 fbf4 0001 c0000201 00")...), &refusal{2, 6, nil, "its OPEN wants a hold time of 1s, which may not be under 3s"}},
		"a hold time of 2 s":               {newMessage(openKind, octetsOf("04 fbf4 0002 c0000201 00")...), &refusal{2, 6, nil, "its OPEN wants a hold time of 2s, which may not be under 3s"}},
		"no identifier":                    {newMessage(openKind, octetsOf("04 fbf4 005a 00000000 00")...), &refusal{2, 3, nil, "its OPEN has the BGP Identifier 0.0.0.0"}},
		"authentication of 1995":           {withParameters("0100"), &refusal{2, 4, nil, "its OPEN has an optional parameter of type 1, where only capabilities (2) are known"}},
		"a parameter 255 not in front":     {withParameters("0200 ff00"), &refusal{2, 4, nil, "its OPEN has an optional parameter of type 255, where only capabilities (2) are known"}},
		"parameters that are cut off":      {newMessage(openKind, octetsOf(fixedPart+"04 0202 02")...), &refusal{2, 0, nil, "its OPEN says another length of its optional parameters than it has"}},
		"more than its parameters":         {newMessage(openKind, octetsOf(fixedPart+"04 0202 0200 00")...), &refusal{2, 0, nil, "its OPEN says another length of its optional parameters than it has"}},
		"an octet beside no parameters":    {newMessage(openKind, octetsOf(fixedPart+"00 ff")...), &refusal{2, 0, nil, "its OPEN says another length of its optional parameters than it has"}},
		"RFC 9072 cut off in its length":   {newMessage(openKind, octetsOf(fixedPart+"ff ff 00")...), &refusal{2, 0, nil, "its OPEN says another length of its optional parameters than it has"}},
		"RFC 9072 that is longer":          {newMessage(openKind, octetsOf(fixedPart+"ff ff 0004 02 0000")...), &refusal{2, 0, nil, "its OPEN says another length of its optional parameters than it has"}},
		"a parameter without a length":     {withParameters("02"), &refusal{2, 0, nil, "its OPEN has an optional parameter that is longer than all of them"}},
		"a parameter that is too long":     {withParameters("0203 0200"), &refusal{2, 0, nil, "its OPEN has an optional parameter that is longer than all of them"}},
		"half a length by RFC 9072":        {extended(255, "02 00"), &refusal{2, 0, nil, "its OPEN has an optional parameter that is longer than all of them"}},
		"a capability without a length":    {withCapabilities("02"), &refusal{2, 0, nil, "its OPEN has a capability that is longer than all of them"}},
		"a capability that is too long":    {withCapabilities("4201"), &refusal{2, 0, nil, "its OPEN has a capability that is longer than all of them"}},
		"a capability in two parameters":   {withParameters("0203 010400 0203 010001"), &refusal{2, 0, nil, "its OPEN has a capability that is longer than all of them"}},
		"a short family":                   {withCapabilities("0103 000100"), &refusal{2, 0, nil, "its OPEN has a capability 1 of 3 octets, which is malformed"}},
		"a refresh with a value":           {withCapabilities("0201 00"), &refusal{2, 0, nil, "its OPEN has a capability 2 of 1 octets, which is malformed"}},
		"a short next hop":                 {withCapabilities("0505 0001000100"), &refusal{2, 0, nil, "its OPEN has a capability 5 of 5 octets, which is malformed"}},
		"a graceful restart without flags": {withCapabilities("4000"), &refusal{2, 0, nil, "its OPEN has a capability 64 of 0 octets, which is malformed"}},
		"a graceful restart of half":       {withCapabilities("4003 007800"), &refusal{2, 0, nil, "its OPEN has a capability 64 of 3 octets, which is malformed"}},
		"a short AS number":                {withCapabilities("4102 fbf4"), &refusal{2, 0, nil, "its OPEN has a capability 65 of 2 octets, which is malformed"}},
		"too short, readMessage lets none": {newMessage(openKind, 4, 0), &refusal{2, 0, nil, "its OPEN ends in its fixed part"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, refused := parseOpen(tc.in)
			if diff := cmp.Diff(tc.want, refused, compareRefusals); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got != (open{}) {
				t.Errorf("want nothing read, got %+v", got)
			}
		})
	}
}

func TestAnOpenMustBeOfTheNeighborThatIsConfigured(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*open)
		want   *refusal
	}{
		"as configured":            {func(*open) {}, nil},
		"with one of two families": {func(o *open) { o.Families = IPv6Unicast }, nil},
		"internal":                 {func(o *open) { o.ASN = 64500 }, nil},
		"of another AS":            {func(o *open) { o.ASN = 64501 }, &refusal{2, 2, nil, "its OPEN names AS 64501, not 64500"}},
		"with our identifier":      {func(o *open) { o.RouterID = netip.MustParseAddr("192.0.2.9") }, &refusal{2, 3, nil, "its BGP Identifier 192.0.2.9 is ours too"}},
		"with no family of ours":   {func(o *open) { o.Families = 0 }, &refusal{2, 7, octetsOf("010400010001 010400020001"), "it does not speak IPv4 or IPv6"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := asOpened(tc.change).check(expected{ASN: 64500, LocalASN: 64500, RouterID: netip.MustParseAddr("192.0.2.9"), Families: both})
			if diff := cmp.Diff(tc.want, got, compareRefusals); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnExternalNeighborMayHaveOurIdentifier(t *testing.T) {
	o := asOpened(func(*open) {})
	if got := o.check(expected{ASN: 64500, LocalASN: 64512, RouterID: o.RouterID, Families: IPv4Unicast}); got != nil {
		t.Error(got)
	}
	if got := o.check(expected{ASN: 64500, LocalASN: 64512, RouterID: o.RouterID, Families: IPv6Unicast}); got == nil || got.reason != "it does not speak IPv6" {
		t.Errorf("want it refused for its families, got %v", got)
	}
}

func TestAnOpenIsRebuiltOfWhatIsKnown(t *testing.T) {
	for name, tc := range map[string]struct {
		in   open
		want string
	}{
		"nothing":                  {asOpened(func(*open) {}), "001d01" + fixedPart + "00"},
		"four octets":              {asOpened(func(o *open) { o.ASN, o.FourOctet = 4200000001, true }), "002501 04 5ba0 005a c0000201 08 0206 4104fa56ea01"},
		"refresh and no keepalive": {asOpened(func(o *open) { o.Refresh, o.HoldTime = true, 0 }), "002101 04 fbf4 0000 c0000201 04 0202 0200"},
		"all": {
			asOpened(func(o *open) {
				o.Multiprotocol, o.FourOctet, o.Refresh, o.ExtendedNextHop = true, true, true, true
				o.Families = both
				o.Restart = &restart{true, true, 4095 * time.Second, both, IPv6Unicast}
			}),
			"004701" + fixedPart + "2a 0228 010400010001 010400020001 0200 0506000100010002 400acfff 00010100 00020180 41040000fbf4",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(message(octetsOf(ones+tc.want)), tc.in.message()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// checkRebuilt fails if m is taken, and what is rebuilt of it says anything
// else. Only one OPEN cannot be said again: that of other families alone.
func checkRebuilt(t *testing.T, m message) {
	t.Helper()
	o, refused := parseOpen(m)
	if refused != nil {
		if refused.code != openError || !strings.HasPrefix(refused.reason, "it") {
			t.Fatalf("refused in a way that nobody understands: %+v", refused)
		}
		return
	}
	if o.ASN == 0 || o.RouterID.IsUnspecified() || o.HoldTime != 0 && o.HoldTime < minHoldTime {
		t.Fatalf("took %+v", o)
	}
	again, refused := parseOpen(o.message())
	if refused != nil {
		t.Fatal(refused)
	}
	if o.Families == 0 {
		o.Multiprotocol, o.Families = false, IPv4Unicast
	}
	if diff := cmp.Diff(o, again, compareAddresses); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

func TestARebuiltOpenSaysTheSame(t *testing.T) {
	for name, tc := range realOpens {
		t.Run(name, func(t *testing.T) { checkRebuilt(t, tc.in) })
	}
}

// FuzzOpen: parse → append → parse.
func FuzzOpen(f *testing.F) {
	for _, tc := range realOpens {
		f.Add([]byte(tc.in.body()))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		checkRebuilt(t, newMessage(openKind, body[:min(len(body), maxLength-headerLength)]...))
	})
}
