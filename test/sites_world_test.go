package test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anycastd/anycastd/test/lab"
)

// pop is a site, where front-ends stand: a router and, behind a switch, the
// front-ends. That one of them is dead is seen by no link of the router's.
type pop struct {
	*lab.Lab
	name   string // a letter: its hosts' names end with it
	asn    uint32
	net4   string // up to the last number: the router has 1, front-ends from 2 on
	net6   string
	router *lab.Host
	bird   *bird     // what runs there; nil: nothing yet
	lan    *lab.Host // the switch
	fronts []*lab.Host
}

// newPlace builds a site with so many front-ends. Nothing runs there.
func newPlace(l *lab.Lab, name string, asn uint32, net4, net6 string, fronts int) *pop {
	s := &pop{Lab: l, name: name, asn: asn, net4: net4, net6: net6, router: l.Host("router-" + name), lan: l.Host("lan-" + name)}
	s.router.Router()
	s.lan.Run("ip", "link", "add", "name", "bridge", "type", "bridge", "mcast_snooping", "0")
	s.lan.Run("ip", "link", "set", "dev", "bridge", "up")
	s.plug(s.router, 1)
	for i := range fronts {
		front := l.Host(fmt.Sprintf("front-%s%d", name, i+1))
		s.fronts = append(s.fronts, front)
		s.plug(front, i+2)
		front.Route("default via " + s.at4(1))
		front.Route("default via " + s.at6(1))
	}
	return s
}

// plug joins a host to the switch.
func (s *pop) plug(h *lab.Host, number int) {
	s.Link(h, s.at4(number)+"/25 "+s.at6(number)+"/64", s.lan, "")
	s.lan.Run("ip", "link", "set", "dev", h.Name, "master", "bridge")
}

// at4 returns the IPv4 address of a number in the site.
func (s *pop) at4(number int) string { return fmt.Sprintf("%s%d", s.net4, number) }

// at6 returns the IPv6 address of a number in the site.
func (s *pop) at6(number int) string { return fmt.Sprintf("%s%d", s.net6, number) }

// neighbors returns the sessions with the site's front-ends, named a4, a6, b4
// and so on.
func (s *pop) neighbors(options string) (all []birdNeighbor) {
	for i := range s.fronts {
		name := string(rune('a' + i))
		all = append(all,
			birdNeighbor{Name: name + "4", Local: s.at4(1), Remote: s.at4(i + 2), ASN: 64512, Options: options},
			birdNeighbor{Name: name + "6", Local: s.at6(1), Remote: s.at6(i + 2), ASN: 64512, Options: options})
	}
	return all
}

// config is the i-th front-end's configuration. All send clients to one gateway,
// another for each, so that an answer tells who gave it. Edits are pairs of old
// and new text.
func (s *pop) config(i int, gateway string, edits ...string) string {
	addresses := map[string][2]string{"gw1": {gw14, gw16}, "gw2": {gw24, gw26}}[gateway]
	h := s.fronts[i]
	return strings.NewReplacer(edits...).Replace(fmt.Sprintf(`[node]
name      = %q
state_dir = %q
[anycast]
prefixes  = [%q, %q]
addresses = [%q, %q]
interface = "lo"
[[gateway]]
name      = %q
addresses = [%q, %q]
probe     = { every = "500ms", timeout = "500ms", rise = 2, fall = 10 }
[bgp]
asn        = 64512
router_id  = %q
drain_wait = "1s"
settle     = "1s"
[[bgp.neighbor]]
address   = %q
asn       = %d
hold_time = "90s"
[[bgp.neighbor]]
address   = %q
asn       = %d
hold_time = "90s"
`, h.Name, filepath.Join(s.Dir(), h.Name, "state"), prefix4, prefix6, anycast4, anycast6, gateway, addresses[0], addresses[1],
		s.at4(i+2), s.at4(1), s.asn, s.at6(1), s.asn))
}

// start runs the daemon on the i-th front-end.
func (s *pop) start(t *testing.T, i int, gateway string, edits ...string) *anycastd {
	d := startAnycastd(s.fronts[i], s.config(i, gateway, edits...))
	t.Cleanup(d.Kill)
	return d
}

// longHold makes BIRD's hold time so long that no test waits for its end: what
// it loses sooner, it was told of.
const longHold = "hold time 90;"

// pops is the network of the scenarios with several sites: clients and gateways
// hang off a transit router, to which site a is nearer than site b.
type pops struct {
	*lab.Lab
	client, transit *lab.Host
	a, b            *pop
}

// newPlaces builds the network with so many front-ends at site a and one at site
// b, and runs all of it but them: BIRD on each router, and stand-ins for two
// gateways. Edit changes what the sites' routers are told.
func newPlaces(t *testing.T, fronts int, edit func(*birdConfig)) *pops {
	l := newLab(t, "bird", "birdc")
	w := &pops{Lab: l, client: l.Host("client"), transit: l.Host("transit")}
	w.transit.Router()
	l.Uplink(w.client, client4+"/30 "+client6+"/64", w.transit, "192.0.2.1/30 2001:db8:2::1/64")
	gw1, gw2 := l.Host("gw1"), l.Host("gw2")
	l.Uplink(gw1, gw14+"/30 "+gw16+"/64", w.transit, "198.51.100.1/30 2001:db8:61::1/64")
	l.Uplink(gw2, gw24+"/30 "+gw26+"/64", w.transit, "198.51.100.5/30 2001:db8:62::1/64")
	standIn(t, gw1)
	standIn(t, gw2)
	w.a = newPlace(l, "a", 64501, "198.18.1.", "2001:db8:a1::", fronts)
	w.b = newPlace(l, "b", 64502, "198.18.2.", "2001:db8:b1::", 1)
	transit := birdConfig{RouterID: "192.0.2.1", ASN: 64500, Static: []string{"198.51.100.0/29", "2001:db8:60::/44", crowd4, crowd6}}
	for _, s := range []*pop{w.a, w.b} {
		l.Link(w.transit, s.up4(1)+"/24 "+s.up6(1)+"/64", s.router, s.up4(2)+"/24 "+s.up6(2)+"/64")
		transit.Neighbors = append(transit.Neighbors,
			birdNeighbor{Name: s.name + "4", Local: s.up4(1), Remote: s.up4(2), ASN: s.asn, Export: true},
			birdNeighbor{Name: s.name + "6", Local: s.up6(1), Remote: s.up6(2), ASN: s.asn, Export: true})
	}
	startBIRD(w.transit, transit)
	w.a.connect(0, edit)
	w.b.connect(2, edit)
	return w
}

// up4 returns the IPv4 address of the transit router, 1, or of the site's, 2,
// on the link between them.
func (s *pop) up4(number int) string {
	return strings.Replace(s.at4(number), "198.18.", "198.19.", 1)
}

// up6 is up4 for IPv6.
func (s *pop) up6(number int) string { return strings.Replace(s.at6(number), "1::", "2::", 1) }

// connect runs BIRD on the site's router, which tells the transit router of the
// site's routes with our AS so many times more.
func (s *pop) connect(prepend int, edit func(*birdConfig)) {
	c := birdConfig{RouterID: s.up4(2), ASN: s.asn, Static: []string{s.net4 + "0/24", s.net6 + "/48"}, Neighbors: s.neighbors(longHold)}
	for _, up := range [][2]string{{s.up4(1), s.up4(2)}, {s.up6(1), s.up6(2)}} {
		c.Neighbors = append(c.Neighbors, birdNeighbor{Name: "transit" + family(up[0]), Local: up[1], Remote: up[0], ASN: 64500, Export: true, Prepend: prepend})
	}
	edit(&c)
	s.bird = startBIRD(s.router, c)
	s.bird.awaitSession("transitipv4")
	s.bird.awaitSession("transitipv6")
}
