package bgp

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// updateOf is an UPDATE of these three fields.
func updateOf(withdrawn, attributes, nlri string) message {
	w, a := octetsOf(withdrawn), octetsOf(attributes)
	body := append(binary.BigEndian.AppendUint16(nil, uint16(len(w))), w...)
	body = append(binary.BigEndian.AppendUint16(body, uint16(len(a))), a...)
	return newMessage(updateKind, append(body, octetsOf(nlri)...)...)
}

// Attributes as routers send them, with AS numbers of four octets.
const (
	origin    = "400101 00 "
	path      = "400206 02 01 0000fbf4 "
	hop       = "400304 c0000201 "
	mandatory = origin + path + hop
	reach6    = "800e 1e 0002 01 10 20010db8000000000000000000000001 00 40 20010db800000001 "
	unreach6  = "800f 0c 0002 01 40 20010db800000001 "
	route4    = "18 cb0071" // 203.0.113.0/24
	route6    = "2001:db8:0:1::/64"
)

// realUpdates are UPDATEs as recorded of routers that announce two or three
// routes of each family, up to the End-of-RIB.
var realUpdates = map[string]struct {
	in   []string
	want []update
}{
	"BIRD 2.0.12, IPv4 as of any family": {
		[]string{
			"00000024900e0013000101040a630001000018c6336420cb0071354001010040020602010000fbf4",
			"00000000",
			"0000003e900e002d0002011020010db8009900000000000000000001003020010db800018020010db80000000000000000000000534001010040020602010000fbf4",
			"00000006800f03000201",
		},
		[]update{
			{Announced: prefixesOf("0.0.0.0/0", "198.51.100.0/24", "203.0.113.53/32")},
			{EndOfRIB: IPv4Unicast},
			{Announced: prefixesOf("2001:db8::53/128", "2001:db8:1::/48")},
			{EndOfRIB: IPv6Unicast},
		},
	},
	"FRR 8.4.4": {
		[]string{
			"0000001c400101005002000602010000fbf44003040a6300028004040000000018c6336420cb007135",
			"0000003f900e00260002011000000000000000000000ffff0a630002008020010db8000000000000000000000053400101005002000602010000fbf480040400000000",
			"00000000",
			"00000006800f03000201",
		},
		[]update{
			{Announced: prefixesOf("198.51.100.0/24", "203.0.113.53/32")},
			{Announced: prefixesOf("2001:db8::53/128")},
			{EndOfRIB: IPv4Unicast},
			{EndOfRIB: IPv6Unicast},
		},
	},
	"ExaBGP 4.2": {
		[]string{
			"0000003c4001010040020602010000fbf44003040a63000180040400000005c00804fbf40050c010080002fbf400000064c0200c0000fbf4000000010000000220cb007135",
			"000000364001010040020602010000fbf4800e260002011020010db8009900000000000000000001008020010db8000000000000000000000053",
			"00000000",
			"00000007900f0003000201",
		},
		[]update{
			{Announced: prefixesOf("203.0.113.53/32")},
			{Announced: prefixesOf("2001:db8::53/128")},
			{EndOfRIB: IPv4Unicast},
			{EndOfRIB: IPv6Unicast},
		},
	},
}

func TestUpdatesOfRealRoutersAreRead(t *testing.T) {
	for name, tc := range realUpdates {
		t.Run(name, func(t *testing.T) {
			var got []update
			for _, body := range tc.in {
				u, refused := parseUpdate(newMessage(updateKind, octetsOf(body)...), true)
				if refused != nil {
					t.Fatal(refused)
				}
				got = append(got, u)
			}
			if diff := cmp.Diff(tc.want, got, compareAddresses, emptyIsNil); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// prefixesOf is texts as prefixes.
func prefixesOf(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// emptyIsNil lets go-cmp take an empty list for none.
var emptyIsNil = cmp.FilterValues(func(a, b []netip.Prefix) bool { return len(a)+len(b) == 0 }, cmp.Ignore())

func TestAnUpdateIsRead(t *testing.T) {
	for name, tc := range map[string]struct {
		in   message
		want update
	}{
		"End-of-RIB of IPv4":                       {updateOf("", "", ""), update{EndOfRIB: IPv4Unicast}},
		"End-of-RIB of IPv6":                       {updateOf("", "800f03 000201", ""), update{EndOfRIB: IPv6Unicast}},
		"End-of-RIB of IPv4 as of any family":      {updateOf("", "800f03 000101", ""), update{EndOfRIB: IPv4Unicast}},
		"End-of-RIB with a long length":            {updateOf("", "900f0003 000201", ""), update{EndOfRIB: IPv6Unicast}},
		"End-of-RIB of a family that is not ours":  {updateOf("", "800f03 001946", ""), update{}},
		"none beside another attribute":            {updateOf("", origin+"800f03 000201", ""), update{}},
		"none beside a route":                      {updateOf("", mandatory+"800f03 000201", route4), update{Announced: prefixesOf("203.0.113.0/24")}},
		"none beside a withdrawal":                 {updateOf(route4, "800f03 000201", ""), update{Withdrawn: prefixesOf("203.0.113.0/24")}},
		"attributes alone":                         {updateOf("", mandatory, ""), update{}},
		"a withdrawal of IPv4":                     {updateOf(route4, "", ""), update{Withdrawn: prefixesOf("203.0.113.0/24")}},
		"a withdrawal of IPv6":                     {updateOf("", unreach6, ""), update{Withdrawn: prefixesOf(route6)}},
		"a withdrawal of IPv4 as of any family":    {updateOf("", "800f07 000101 "+route4, ""), update{Withdrawn: prefixesOf("203.0.113.0/24")}},
		"a route of IPv4":                          {updateOf("", mandatory, route4), update{Announced: prefixesOf("203.0.113.0/24")}},
		"a route of IPv6":                          {updateOf("", reach6+origin+path, ""), update{Announced: prefixesOf(route6)}},
		"a route of IPv4 with a next hop of IPv6":  {updateOf("", origin+path+"800e19 000101 10 20010db8000000000000000000000001 00 "+route4, ""), update{Announced: prefixesOf("203.0.113.0/24")}},
		"a route of IPv4 as of any family":         {updateOf("", origin+path+"800e0d 000101 04 c0000201 00 "+route4, ""), update{Announced: prefixesOf("203.0.113.0/24")}},
		"a route with a link-local next hop":       {updateOf("", origin+path+"800e26 000201 20 20010db8000000000000000000000001 fe800000000000000000000000000001 00 00", ""), update{Announced: prefixesOf("::/0")}},
		"routes and withdrawals of both families":  {updateOf("18 c63364", mandatory+reach6+"800f07 000201 18 fd0000", route4), update{Announced: prefixesOf("203.0.113.0/24", route6), Withdrawn: prefixesOf("198.51.100.0/24", "fd00::/24")}},
		"withdrawn and announced is announced":     {updateOf(route4+"18 c63364", mandatory, route4), update{Announced: prefixesOf("203.0.113.0/24"), Withdrawn: prefixesOf("198.51.100.0/24")}},
		"the same in IPv6":                         {updateOf("", unreach6+reach6+origin+path, ""), update{Announced: prefixesOf(route6)}},
		"two masks of one prefix are two prefixes": {updateOf("19 cb007100", mandatory, route4), update{Announced: prefixesOf("203.0.113.0/24"), Withdrawn: prefixesOf("203.0.113.0/25")}},
		"the shortest and the longest":             {updateOf("", mandatory, "00 20 cb007101 01 80"), update{Announced: prefixesOf("0.0.0.0/0", "128.0.0.0/1", "203.0.113.1/32")}},
		"bits beyond the length":                   {updateOf("", mandatory, "17 cb0071 09 ffff"), update{Announced: prefixesOf("203.0.112.0/23", "255.128.0.0/9")}},
		"the same twice":                           {updateOf(route4+route4, "", ""), update{Withdrawn: prefixesOf("203.0.113.0/24")}},
		"a host route of IPv6":                     {updateOf("", origin+path+"800e26 000201 10 20010db8000000000000000000000001 00 80 20010db8000000000000000000000053", ""), update{Announced: prefixesOf("2001:db8::53/128")}},
		"an IPv4 address within IPv6":              {updateOf("", "800f14 000201 80 00000000000000000000ffffcb007101", ""), update{Withdrawn: prefixesOf("::ffff:203.0.113.1/128")}},
		"routes of another family":                 {updateOf("", origin+path+"800e08 0019460499887766", ""), update{}},
		"another family's, beside one of ours":     {updateOf("", mandatory+"800e03 000180", route4), update{Announced: prefixesOf("203.0.113.0/24")}},
		"a family of a foreign number":             {updateOf("", "800f05 010201 4001", ""), update{}},
		"an empty path, as within an AS":           {updateOf("", origin+"400200"+hop+"400504 00000064", route4), update{Announced: prefixesOf("203.0.113.0/24")}},
		"sets and confederations in the path":      {updateOf("", origin+"400218 0301 0000fbf5 0401 0000fbf6 0201 0000fbf4 0101 0000fbf7"+hop, route4), update{Announced: prefixesOf("203.0.113.0/24")}},
		"every attribute of a real table": {updateOf("", mandatory+"800404 00000064 400504 00000064 400600 c00708 0000fbf4 c0000201 c00804 fbf40050"+
			"800904 c0000201 800a04 c0000202 c01008 0002fbf400000064 c01106 02010000fbf4 c01208 0000fbf4c0000201"+
			"c01914 0002 20010db8000000000000000000000001 0064 c0200c 0000fbf40000000100000002 c02304 0000fbf4 c02805 0100021234", route4), update{Announced: prefixesOf("203.0.113.0/24")}},
		"attributes that are only discarded":     {updateOf("", mandatory+"400601ff c00703 010203 c01101ff c01200", route4), update{Announced: prefixesOf("203.0.113.0/24")}},
		"the first of two attributes":            {updateOf("", origin+"400101 09"+path+hop, route4), update{Announced: prefixesOf("203.0.113.0/24")}},
		"an unknown optional attribute, partial": {updateOf("", mandatory+"e0ff03 010203", route4), update{Announced: prefixesOf("203.0.113.0/24")}},
		"a Prefix-SID that panics GoBGP":         {updateOf("", mandatory+"c02807 05 0004 00 010000", route4), update{Announced: prefixesOf("203.0.113.0/24")}},
		"junk of EVPN that panics GoBGP":         {updateOf("", origin+path+"800e0c 001946 04c0000201 00 02ff00", ""), update{}},
		"flags that say nothing":                 {updateOf("", "6f0101 00"+path+hop, route4), update{Announced: prefixesOf("203.0.113.0/24")}},
	} {
		t.Run(name, func(t *testing.T) {
			got, refused := parseUpdate(tc.in, true)
			if refused != nil {
				t.Fatal(refused)
			}
			if diff := cmp.Diff(tc.want, got, compareAddresses, emptyIsNil); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestASessionEndsWhereItIsNotKnownWhichRoutesAreMeant(t *testing.T) {
	const tooLong = "its UPDATE has withdrawn routes and attributes that are longer than itself"
	for name, tc := range map[string]struct {
		in   message
		want *refusal
	}{
		"withdrawn routes that are longer":      {newMessage(updateKind, octetsOf("0001 0000")...), &refusal{3, 1, nil, tooLong}},
		"withdrawn routes of 65535":             {newMessage(updateKind, octetsOf("ffff 0000")...), &refusal{3, 1, nil, tooLong}},
		"attributes that are longer":            {newMessage(updateKind, octetsOf("0000 0001")...), &refusal{3, 1, nil, tooLong}},
		"no attributes, readMessage lets none":  {newMessage(updateKind, octetsOf("0000 00")...), &refusal{3, 1, nil, tooLong}},
		"nothing, readMessage lets none":        {newMessage(updateKind), &refusal{3, 1, nil, tooLong}},
		"a fault without routes":                {updateOf("", "400101 03", ""), &refusal{3, 1, nil, "its UPDATE has a malformed ORIGIN, and no routes to take for withdrawn"}},
		"a fault with withdrawn routes alone":   {updateOf(route4, "400101 03", ""), &refusal{3, 1, nil, "its UPDATE has a malformed ORIGIN, and no routes to take for withdrawn"}},
		"a fault with an empty MP_REACH_NLRI":   {updateOf("", "400101 03 800e15 000201 10 20010db8000000000000000000000001 00", ""), &refusal{3, 1, nil, "its UPDATE has a malformed ORIGIN, and no routes to take for withdrawn"}},
		"an octet after an MP_UNREACH_NLRI":     {updateOf("", unreach6+"c0", ""), &refusal{3, 1, nil, "its UPDATE ends within an attribute, and no routes to take for withdrawn"}},
		"two MP_REACH_NLRI":                     {updateOf("", mandatory+reach6+reach6, route4), &refusal{3, 1, nil, "its UPDATE has two MP_REACH_NLRI"}},
		"two MP_UNREACH_NLRI":                   {updateOf("", unreach6+unreach6, ""), &refusal{3, 1, nil, "its UPDATE has two MP_UNREACH_NLRI"}},
		"an MP_REACH_NLRI that is cut off":      {updateOf("", mandatory+"800e10 0002", route4), &refusal{3, 1, nil, "its UPDATE ends within its MP_REACH_NLRI"}},
		"an MP_UNREACH_NLRI that is cut off":    {updateOf("", "900f00", ""), &refusal{3, 1, nil, "its UPDATE ends within its MP_UNREACH_NLRI"}},
		"an MP_REACH_NLRI of no family":         {updateOf("", "800e02 0002", ""), &refusal{3, 9, octetsOf("800e02 0002"), "its UPDATE has a malformed MP_REACH_NLRI"}},
		"an MP_UNREACH_NLRI of no family":       {updateOf("", origin+"900f0000"+path, ""), &refusal{3, 9, octetsOf("900f0000"), "its UPDATE has a malformed MP_UNREACH_NLRI"}},
		"an MP_REACH_NLRI without a next hop":   {updateOf("", "800e03 000201", ""), &refusal{3, 9, octetsOf("800e03 000201"), "its UPDATE has a malformed MP_REACH_NLRI"}},
		"an IPv6 route by a hop of IPv4":        {updateOf("", "800e09 000201 04 c0000201 00", ""), &refusal{3, 9, octetsOf("800e09 000201 04 c0000201 00"), "its UPDATE has a malformed MP_REACH_NLRI"}},
		"a next hop of no octet":                {updateOf("", "800e05 000101 00 00", ""), &refusal{3, 9, octetsOf("800e05 000101 00 00"), "its UPDATE has a malformed MP_REACH_NLRI"}},
		"a next hop that is longer":             {updateOf("", "800e07 000101 04 c00002", ""), &refusal{3, 9, octetsOf("800e07 000101 04 c00002"), "its UPDATE has a malformed MP_REACH_NLRI"}},
		"a next hop without what follows":       {updateOf("", "800e08 000101 04 c0000201", ""), &refusal{3, 9, octetsOf("800e08 000101 04 c0000201"), "its UPDATE has a malformed MP_REACH_NLRI"}},
		"33 bits":                               {updateOf("", mandatory, "21 cb00710000"), &refusal{3, 10, nil, "its UPDATE has an IPv4 prefix of 33 bits"}},
		"33 bits, withdrawn":                    {updateOf("21 cb00710000", "", ""), &refusal{3, 10, nil, "its UPDATE has an IPv4 prefix of 33 bits"}},
		"129 bits":                              {updateOf("", "800f04 000201 81", ""), &refusal{3, 10, nil, "its UPDATE has an IPv6 prefix of 129 bits"}},
		"255 bits of IPv4 by MP_UNREACH_NLRI":   {updateOf("", "800f04 000101 ff", ""), &refusal{3, 10, nil, "its UPDATE has an IPv4 prefix of 255 bits"}},
		"a prefix that is cut off":              {updateOf("", mandatory, "18 cb00"), &refusal{3, 10, nil, "its UPDATE ends within an IPv4 prefix"}},
		"a prefix that is cut off, withdrawn":   {updateOf("18 cb00", "", ""), &refusal{3, 10, nil, "its UPDATE ends within an IPv4 prefix"}},
		"one of IPv6 that is cut off":           {updateOf("", origin+path+"800e1d 000201 10 20010db8000000000000000000000001 00 40 20010db8000000", ""), &refusal{3, 10, nil, "its UPDATE ends within an IPv6 prefix"}},
		"one that would be taken for withdrawn": {updateOf("", "400101 03"+path+hop, "18 cb00"), &refusal{3, 10, nil, "its UPDATE ends within an IPv4 prefix"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, refused := parseUpdate(tc.in, true)
			if diff := cmp.Diff(tc.want, refused, compareRefusals); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(update{}, got, compareAddresses); diff != "" {
				t.Errorf("want nothing read, got (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnUpdateAllocatesLittleMoreThanItsPrefixes(t *testing.T) {
	for name, nlri := range map[string]string{
		"default routes, an octet each": strings.Repeat("00", 4000),
		"host routes":                   strings.Repeat("20 cb007101", 800),
	} {
		t.Run(name, func(t *testing.T) {
			m := updateOf("", mandatory, nlri)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range 100 {
				if _, refused := parseUpdate(m, true); refused != nil {
					t.Fatal(refused)
				}
			}
			runtime.ReadMemStats(&after)
			if got, most := int(after.TotalAlloc-before.TotalAlloc)/100, 36*len(m); got > most {
				t.Errorf("want at most %d octets for %d, got %d", most, len(m), got)
			}
		})
	}
}

// wire is u as octets: IPv4 in the fields of the UPDATE, IPv6 in attributes.
func (u update) wire() message {
	list := func(all []netip.Prefix, v4 bool) (b []byte) {
		for _, p := range all {
			if p.Addr().Is4() == v4 {
				b = append(append(b, byte(p.Bits())), p.Addr().AsSlice()[:(p.Bits()+7)/8]...)
			}
		}
		return b
	}
	attribute := func(kind byte, value []byte) []byte {
		return append(binary.BigEndian.AppendUint16([]byte{optional | longAttribute, kind}, uint16(len(value))), value...)
	}
	var all []byte
	if v6 := list(u.Withdrawn, false); len(v6) > 0 || u.EndOfRIB == IPv6Unicast {
		all = append(all, attribute(mpUnreachAttribute, append([]byte{0, afiIPv6, safiUnicast}, v6...))...)
	}
	if v6 := list(u.Announced, false); len(v6) > 0 {
		all = append(all, attribute(mpReachAttribute, slices.Concat([]byte{0, afiIPv6, safiUnicast, 16}, make([]byte, 17), v6))...)
	}
	if len(u.Announced) > 0 {
		all = append(all, octetsOf(mandatory)...)
	}
	w, n := list(u.Withdrawn, true), list(u.Announced, true)
	body := append(binary.BigEndian.AppendUint16(nil, uint16(len(w))), w...)
	body = append(binary.BigEndian.AppendUint16(body, uint16(len(all))), all...)
	return newMessage(updateKind, append(body, n...)...)
}

// checkUpdate fails if m is read as what no UPDATE says, or as something else
// than the same in our words.
func checkUpdate(t *testing.T, m message, fourOctet bool) {
	t.Helper()
	u, refused := parseUpdate(m, fourOctet)
	if refused != nil {
		if refused.code != updateError || !strings.HasPrefix(refused.reason, "its UPDATE ") || len(refused.message()) > maxLength {
			t.Fatalf("refused in a way that nobody understands: %+v", refused)
		}
		return
	}
	for _, p := range slices.Concat(u.Announced, u.Withdrawn) {
		if !p.IsValid() || p != p.Masked() {
			t.Fatalf("took %v for a prefix", p)
		}
	}
	if len(u.Announced) > 0 && u.Malformed != "" || len(u.Announced)+len(u.Withdrawn) > len(m) {
		t.Fatalf("took %+v", u)
	}
	u.Malformed = ""
	if len(u.Announced)+len(u.Withdrawn) == 0 && u.EndOfRIB == 0 {
		return // in our words that were an End-of-RIB
	}
	again, refused := parseUpdate(u.wire(), true)
	if refused != nil {
		t.Fatal(refused)
	}
	if diff := cmp.Diff(u, again, compareAddresses, emptyIsNil); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

// FuzzUpdate: parse → append → parse.
func FuzzUpdate(f *testing.F) {
	for _, m := range []message{
		updateOf("", "", ""), updateOf("", "800f03 000201", ""), updateOf("18 c63364", mandatory+reach6+unreach6, route4),
		updateOf("", mandatory+"c00804 fbf40050 c0200c 0000fbf40000000100000002", "20 cb007101 00"), updateOf(route4, "400101 03", route4),
		updateOf("", origin+path+"800e19 000101 10 20010db8000000000000000000000001 00 "+route4, ""),
	} {
		f.Add([]byte(m.body()), true)
		f.Add([]byte(m.body()), false)
	}
	for _, router := range realUpdates {
		for _, body := range router.in {
			f.Add(octetsOf(body), true)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, fourOctet bool) {
		checkUpdate(t, newMessage(updateKind, body[:min(len(body), maxLength-headerLength)]...), fourOctet)
	})
}
