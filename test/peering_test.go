package test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anycastd/anycastd/test/lab"
)

// The AS numbers of the scenarios with one router.
const frontASN, routerASN, coreASN = 64512, 64500, 64501

// site is a front-end and a router's daemon, on a host of its own or on the
// front-end's. The core is the host whose kernel has the routes in the end.
type site struct {
	*lab.Lab
	front, core *lab.Host
	beside      bool
	peerings    []peering
	router      router
}

// sites calls test for each kind of router at each of its places.
func sites(t *testing.T, test func(t *testing.T, kind string, beside bool)) {
	for _, kind := range []string{"BIRD", "FRR"} {
		for _, beside := range []bool{false, true} {
			name := kind + " on a host of its own"
			if beside {
				name = kind + " beside anycastd"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, kind, beside)
			})
		}
	}
}

// newSite builds a site whose router has these peerings, their addresses left
// out: Name is "v4" or "v6", and says of which family they are.
func newSite(t *testing.T, kind string, beside bool, peerings ...peering) *site {
	t.Helper()
	l := newLab(t, "bird", "birdc", bgpdProgram, zebraProgram, staticdProgram, "vtysh")
	s := &site{Lab: l, front: l.Host("front"), core: l.Host("core"), beside: beside}
	s.core.Router()
	l.Uplink(s.front, front4+"/30 "+front6+"/64", s.core, router4+"/30 "+router6+"/64")
	for _, p := range peerings {
		s.peerings = append(s.peerings, p.at(beside))
	}
	if !beside {
		s.router = startRouter[kind](s.core, routerConfig{RouterID: router4, Peerings: s.peerings})
		return s
	}
	s.front.Router()
	extended := len(peerings) == 1 && len(peerings[0].Families) == 2
	startBIRD(s.core, birdConfig{RouterID: router4, ASN: coreASN, Neighbors: upstreamBIRD(extended)})
	s.router = startRouter[kind](s.front, routerConfig{RouterID: "192.0.2.11", Peerings: s.peerings, Beside: true, Upstream: upstream(extended)})
	return s
}

// at returns p with the addresses of its place.
func (p peering) at(beside bool) peering {
	switch {
	case p.Name == "v4" && beside:
		p.Local, p.Remote = "127.0.0.1", "127.0.0.1"
	case p.Name == "v4":
		p.Local, p.Remote = router4, front4
	case beside:
		p.Local, p.Remote = "::1", "::1"
	default:
		p.Local, p.Remote = router6, front6
	}
	return p
}

// upstream is how a router on the front-end's host tells the core: by one
// session per family, or by one of IPv6 for both.
func upstream(extended bool) []peering {
	if extended {
		return []peering{{Name: "up6", Local: front6, Remote: router6, Families: []string{"ipv4", "ipv6"}}}
	}
	return []peering{{Name: "up4", Local: front4, Remote: router4}, {Name: "up6", Local: front6, Remote: router6}}
}

// upstreamBIRD is upstream in the core's eyes.
func upstreamBIRD(extended bool) []birdNeighbor {
	var all []birdNeighbor
	for _, p := range upstream(extended) {
		all = append(all, birdNeighbor{Name: p.Name, Local: p.Remote, Remote: p.Local, ASN: routerASN, Families: p.Families})
	}
	return all
}

// config is the daemon's configuration at this site, with a neighbor for each
// peering, of which more says more. Edits are pairs of old and new text.
func (s *site) config(more string, edits ...string) string {
	nextHop := "# next_hop"
	if s.beside {
		nextHop = fmt.Sprintf("next_hop = [%q, %q]", front4, front6)
	}
	text := fmt.Sprintf(`[node]
name      = "front1"
state_dir = %q
[anycast]
prefixes  = [%q, %q]
addresses = [%q, %q]
interface = "lo"
[[gateway]]
name      = "gw1"
addresses = [%q, %q]
probe     = { every = "0s" }
[policy.site]
hold         = "0s"
min_gateways = 0
when_short   = "worse"
[bgp]
asn        = %d
router_id  = %q
drain_wait = "5s"
settle     = "0s"
%s
[bgp.announce]
communities = ["64500:1"]
[bgp.worse]
communities = ["64500:80"]
med         = 50
prepend     = 2
`, filepath.Join(s.Dir(), "front", "state"), prefix4, prefix6, anycast4, anycast6, gw14, gw16, frontASN, front4, nextHop)
	for _, p := range s.peerings {
		text += fmt.Sprintf("[[bgp.neighbor]]\naddress = %q\nasn = %d\n%s", p.Local, routerASN, more)
	}
	return strings.NewReplacer(edits...).Replace(text)
}

// awaitRoutes waits until the core's kernel has a route to each prefix that the
// front-end can be reached by.
func (s *site) awaitRoutes() {
	awaitRoute(s.core, prefix4, "via "+front4)
	awaitRoute(s.core, prefix6, "via "+front6)
}

// mustServe wants an answer from both anycast addresses, asked from the core.
func (s *site) mustServe(t *testing.T) {
	t.Helper()
	for _, address := range []string{anycast4, anycast6} {
		if out, err := s.core.Try(program(), "probe", address); err != nil {
			t.Errorf("the core gets no answer from %s: %v\n%s", address, err, out)
		}
	}
}

// awaitTold waits until the router knows exactly that of both prefixes.
func (s *site) awaitTold(what string, want told) {
	s.Eventually("the router knows the routes "+what, patience, func() error {
		for _, prefix := range []string{prefix4, prefix6} {
			if diff := cmp.Diff(want, s.router.told(prefix)); diff != "" {
				return fmt.Errorf("%s (-want +got):\n%s", prefix, diff)
			}
		}
		return nil
	})
}
