package demo

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	gobgpapi "github.com/osrg/gobgp/v3/api"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/anycastd/anycastd/test/lab"
)

// packed is a message as GoBGP hands it over.
func packed(t *testing.T, m proto.Message) *anypb.Any {
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// announced is a path to prefix with these attributes.
func announced(t *testing.T, prefix string, attributes ...proto.Message) *gobgpapi.Path {
	p := netip.MustParsePrefix(prefix)
	out := &gobgpapi.Path{Nlri: packed(t, &gobgpapi.IPAddressPrefix{Prefix: p.Addr().String(), PrefixLen: uint32(p.Bits())})}
	for _, a := range attributes {
		out.Pattrs = append(out.Pattrs, packed(t, a))
	}
	return out
}

// byAS is the AS path of a front-end's own route.
var byAS = &gobgpapi.AsPathAttribute{Segments: []*gobgpapi.AsSegment{{Numbers: []uint32{4200000001, 64512}}}}

func TestPath_is_read_and_told(t *testing.T) {
	leaving := &gobgpapi.CommunitiesAttribute{Communities: []uint32{1, gracefulShutdown}}
	for name, c := range map[string]struct {
		path *gobgpapi.Path
		want string
	}{
		"IPv4": {announced(t, prefix4, &gobgpapi.NextHopAttribute{NextHop: front4}, byAS),
			"203.0.113.0/24 is reached via 192.0.2.10, AS path 4200000001 64512"},
		"IPv6, going away": {announced(t, prefix6, byAS, leaving, &gobgpapi.MpReachNLRIAttribute{NextHops: []string{front6, "fe80::1"}}),
			"2001:db8:a::/48 is reached via 2001:db8:f::10, AS path 4200000001 64512, about to go away (community 65535:0)"},
		"no next hop": {announced(t, prefix4, byAS), "203.0.113.0/24 has no next hop"},
		"no prefix":   {&gobgpapi.Path{Nlri: packed(t, byAS)}, "*apipb.AsPathAttribute is not an IP prefix"},
	} {
		got, err := parsePath(c.path)
		told := got.String()
		if err != nil {
			told = err.Error()
		}
		if told != c.want {
			t.Errorf("%s: got %q, want %q", name, told, c.want)
		}
	}
}

func TestRouter_keeps_its_kernel_as_its_neighbors_say(t *testing.T) {
	if reason := lab.Available(); reason != "" {
		t.Skip(reason)
	}
	l := lab.New(t)
	host, peer := l.Host("router"), l.Host("front")
	l.Link(host, router4+"/28 "+router6+"/64", peer, front4+"/28 "+front6+"/64")
	w, err := newWitness(host)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	var told bytes.Buffer
	r := NewRouter(RouterConfig{}, &told)
	via4 := announced(t, prefix4, &gobgpapi.NextHopAttribute{NextHop: front4}, byAS)
	via6 := announced(t, prefix6, &gobgpapi.MpReachNLRIAttribute{NextHops: []string{front6}}, byAS)
	gone := announced(t, prefix4)
	gone.IsWithdraw = true
	var got []bool
	for _, p := range []*gobgpapi.Path{via4, via4, via6, gone, gone} {
		_ = host.Do(func() error { r.route(p); return nil })
		got = append(got, w.routed(prefix4), w.routed(prefix6))
	}
	if want := []bool{true, false, true, false, true, true, false, true, false, true}; !cmp.Equal(got, want) {
		t.Errorf("IPv4 and IPv6 routes in turn: got %v, want %v", got, want)
	}
	if got, want := strings.Count(told.String(), "is reached"), 2; got != want {
		t.Errorf("told %d times of a route, want %d:\n%s", got, want, &told)
	}
}

func TestRouter_tells_of_sessions_that_come_and_go(t *testing.T) {
	var told bytes.Buffer
	r := NewRouter(RouterConfig{}, &told)
	for _, state := range []gobgpapi.PeerState_SessionState{
		gobgpapi.PeerState_ACTIVE, gobgpapi.PeerState_ESTABLISHED, gobgpapi.PeerState_ESTABLISHED, gobgpapi.PeerState_IDLE, gobgpapi.PeerState_IDLE,
	} {
		r.session(&gobgpapi.Peer{State: &gobgpapi.PeerState{NeighborAddress: front4, PeerAsn: frontASN, SessionState: state}})
	}
	if got, want := told.String(), "session with 192.0.2.10 (AS 64512) is up\nsession with 192.0.2.10 is down\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
