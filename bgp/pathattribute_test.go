package bgp

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAMalformedAttributeMakesItsRoutesWithdrawn(t *testing.T) {
	const rest = path + hop
	for name, tc := range map[string]struct{ in, want string }{
		"no ORIGIN":                          {rest, "its UPDATE has no ORIGIN"},
		"no AS_PATH":                         {origin + hop, "its UPDATE has no AS_PATH"},
		"no NEXT_HOP":                        {origin + path, "its UPDATE has no NEXT_HOP"},
		"no attributes at all":               {"", "its UPDATE has no ORIGIN"},
		"an ORIGIN of two octets":            {"400102 0000" + rest, "its UPDATE has a malformed ORIGIN"},
		"an ORIGIN of none":                  {"400100" + rest, "its UPDATE has a malformed ORIGIN"},
		"an ORIGIN 3":                        {"400101 03" + rest, "its UPDATE has a malformed ORIGIN"},
		"an optional ORIGIN":                 {"c00101 00" + rest, "its UPDATE has ORIGIN with the flags 0xc0"},
		"an ORIGIN that is not transitive":   {"000101 00" + rest, "its UPDATE has ORIGIN with the flags 0x00"},
		"a path of one octet":                {origin + "400201 02" + hop, "its UPDATE has a malformed AS_PATH"},
		"a segment that is cut off":          {origin + "400205 0201 0000fb" + hop, "its UPDATE has a malformed AS_PATH"},
		"a segment of two octets' numbers":   {origin + "400204 0201 fbf4" + hop, "its UPDATE has a malformed AS_PATH"},
		"a segment too many":                 {origin + "400207 0201 0000fbf4 02" + hop, "its UPDATE has a malformed AS_PATH"},
		"an empty segment":                   {origin + "400202 0200" + hop, "its UPDATE has a malformed AS_PATH"},
		"a segment 0":                        {origin + "400206 0001 0000fbf4" + hop, "its UPDATE has a malformed AS_PATH"},
		"a segment 5":                        {origin + "400206 0501 0000fbf4" + hop, "its UPDATE has a malformed AS_PATH"},
		"AS 0 in the path":                   {origin + "40020a 0202 0000fbf4 00000000" + hop, "its UPDATE has a malformed AS_PATH"},
		"a next hop of none":                 {origin + path + "400300", "its UPDATE has a malformed NEXT_HOP"},
		"a next hop of two octets":           {origin + path + "400302 c000", "its UPDATE has a malformed NEXT_HOP"},
		"a next hop of IPv6":                 {origin + path + "400310 20010db8000000000000000000000001", "its UPDATE has a malformed NEXT_HOP"},
		"a MED of three octets":              {mandatory + "800403 000064", "its UPDATE has a malformed MULTI_EXIT_DISC"},
		"a transitive MED":                   {mandatory + "c00404 00000064", "its UPDATE has MULTI_EXIT_DISC with the flags 0xc0"},
		"a LOCAL_PREF of five octets":        {mandatory + "400505 0000000064", "its UPDATE has a malformed LOCAL_PREF"},
		"an optional ATOMIC_AGGREGATE":       {mandatory + "c00600", "its UPDATE has ATOMIC_AGGREGATE with the flags 0xc0"},
		"an AGGREGATOR that is no optional":  {mandatory + "400708 0000fbf4 c0000201", "its UPDATE has AGGREGATOR with the flags 0x40"},
		"three octets of communities":        {mandatory + "c00803 fbf400", "its UPDATE has a malformed COMMUNITIES"},
		"no communities":                     {mandatory + "c00800", "its UPDATE has a malformed COMMUNITIES"},
		"an ORIGINATOR_ID of three":          {mandatory + "800903 c00002", "its UPDATE has a malformed ORIGINATOR_ID"},
		"an empty CLUSTER_LIST":              {mandatory + "800a00", "its UPDATE has a malformed CLUSTER_LIST"},
		"seven octets of extended ones":      {mandatory + "c01007 0002fbf4000000", "its UPDATE has a malformed EXTENDED_COMMUNITIES"},
		"local extended ones":                {mandatory + "801008 0002fbf400000064", "its UPDATE has EXTENDED_COMMUNITIES with the flags 0x80"},
		"AS4_PATH that is well-known":        {mandatory + "401100", "its UPDATE has AS4_PATH with the flags 0x40"},
		"AS4_AGGREGATOR that is well-known":  {mandatory + "401200", "its UPDATE has AS4_AGGREGATOR with the flags 0x40"},
		"19 octets of extended ones of IPv6": {mandatory + "c01913 000220010db80000000000000000000100", "its UPDATE ends within an attribute"},
		"4 octets of extended ones of IPv6":  {mandatory + "c01904 00022001", "its UPDATE has a malformed IPV6_EXTENDED_COMMUNITIES"},
		"eight octets of a large community":  {mandatory + "c02008 0000fbf400000001", "its UPDATE has a malformed LARGE_COMMUNITY"},
		"an unknown well-known attribute":    {mandatory + "40ff00", "its UPDATE has an unknown well-known attribute 255"},
		"an attribute that is cut off":       {mandatory + "c00804 fbf4", "its UPDATE ends within an attribute"},
		"a long attribute that is cut off":   {mandatory + "d00800", "its UPDATE ends within an attribute"},
		"flags alone":                        {mandatory + "c0", "its UPDATE ends within an attribute"},
		"the first fault of two":             {"400101 03" + rest + "400505 0000000064", "its UPDATE has a malformed ORIGIN"},
		"a fault in the first of two":        {"400101 03" + mandatory, "its UPDATE has a malformed ORIGIN"},
	} {
		t.Run(name, func(t *testing.T) {
			want := update{Malformed: tc.want, Withdrawn: prefixesOf("198.51.100.0/24", "203.0.113.0/24")}
			got, refused := parseUpdate(updateOf("18 c63364", tc.in, route4), true)
			if refused != nil {
				t.Fatal(refused)
			}
			if diff := cmp.Diff(want, got, compareAddresses, emptyIsNil); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAMalformedAttributeMakesRoutesOfIPv6Withdrawn(t *testing.T) {
	for name, tc := range map[string]struct {
		in, want string
		routes   []netip.Prefix
	}{
		"no ORIGIN":                          {reach6 + path, "its UPDATE has no ORIGIN", prefixesOf(route6)},
		"no AS_PATH":                         {reach6 + origin, "its UPDATE has no AS_PATH", prefixesOf(route6)},
		"a transitive MP_REACH_NLRI":         {"c0" + reach6[2:] + origin + path, "its UPDATE has MP_REACH_NLRI with the flags 0xc0", prefixesOf(route6)},
		"a transitive MP_UNREACH_NLRI":       {"c0" + unreach6[2:], "its UPDATE has MP_UNREACH_NLRI with the flags 0xc0", prefixesOf(route6)},
		"an end-of-RIB that is transitive":   {"c00f03 000201", "its UPDATE has MP_UNREACH_NLRI with the flags 0xc0", nil},
		"an attribute that is cut off":       {reach6 + origin + path + "c0", "its UPDATE ends within an attribute", prefixesOf(route6)},
		"no ORIGIN for another family's one": {"800e05 0019460000" + path, "its UPDATE has no ORIGIN", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, refused := parseUpdate(updateOf("", tc.in, ""), true)
			if refused != nil {
				t.Fatal(refused)
			}
			if diff := cmp.Diff(update{Malformed: tc.want, Withdrawn: tc.routes}, got, compareAddresses, emptyIsNil); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnAttributeThatIsRefusedOutlivesTheBuffer(t *testing.T) {
	m := updateOf("", "800e02 0002", "")
	_, refused := parseUpdate(m, true)
	clear(m)
	if want := octetsOf("800e02 0002"); !bytes.Equal(refused.data, want) {
		t.Errorf("want %x, got %x", want, refused.data)
	}
}

func TestAPathIsReadWithNumbersAsTheSessionHasThem(t *testing.T) {
	const two = origin + "400204 0201 fbf4" + hop + "c00706 fbf4 c0000201"
	for name, tc := range map[string]struct {
		attributes string
		fourOctet  bool
		want       string
	}{
		"four octets on a session of four": {mandatory, true, ""},
		"two octets on a session of two":   {two, false, ""},
		"two octets on a session of four":  {two, true, "its UPDATE has a malformed AS_PATH"},
		"four octets on a session of two":  {mandatory, false, "its UPDATE has a malformed AS_PATH"},
		"AS 0 of two octets":               {origin + "400204 0201 0000" + hop, false, "its UPDATE has a malformed AS_PATH"},
	} {
		t.Run(name, func(t *testing.T) {
			got, refused := parseUpdate(updateOf("", tc.attributes, route4), tc.fourOctet)
			if refused != nil || got.Malformed != tc.want {
				t.Errorf("want %q, got %q, %v", tc.want, got.Malformed, refused)
			}
		})
	}
}
