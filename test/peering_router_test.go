package test

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/anycastd/anycastd/test/lab"
)

// peering is a session between anycastd and a router, in the router's eyes.
type peering struct {
	Name          string // letters and digits
	Local, Remote string // the router's end, anycastd's end
	Password      string // that the router has
	GTSM          bool
	Families      []string // whose routes it carries; none: that of the addresses
	HoldTime      int      // seconds; 0: 9
	Internal      bool     // anycastd is in the router's AS
}

// asn is anycastd's AS.
func (p peering) asn() uint32 {
	if p.Internal {
		return routerASN
	}
	return frontASN
}

// router is BIRD or FRR, and what a scenario asks of either.
type router interface {
	awaitPeering(peering)
	history(peering) string // when or how often its session came up, in the router's own words
	told(prefix string) told
	lastWords(peering) string // what it knows of the end of its session
}

// told is what a router has been told of a prefix, as in "64512 64512", "50"
// and "64500:1 64500:80"; all empty, if nothing.
type told struct{ Path, MED, Communities string }

// startRouter is how the routers of the scenarios are started, by their names.
var startRouter = map[string]func(*lab.Host, routerConfig) router{"BIRD": startBIRDRouter, "FRR": startFRRRouter}

// routerConfig describes a router with AS routerASN.
type routerConfig struct {
	RouterID string
	Peerings []peering
	Beside   bool      // anycastd is on this very host
	Upstream []peering // with core, that is told what anycastd tells
}

// birdRouter is a BIRD.
type birdRouter struct{ *bird }

func startBIRDRouter(h *lab.Host, c routerConfig) router {
	b := birdConfig{RouterID: c.RouterID, ASN: routerASN}
	for _, p := range c.Peerings {
		n := birdNeighbor{Name: p.Name, Local: p.Local, Remote: p.Remote, ASN: p.asn(), Password: p.Password, Families: p.Families}
		n.Options = p.birdOptions(c.Beside)
		b.Neighbors = append(b.Neighbors, n)
	}
	for _, p := range c.Upstream {
		b.Neighbors = append(b.Neighbors, birdNeighbor{Name: p.Name, Local: p.Local, Remote: p.Remote, ASN: coreASN, Families: p.Families, Export: true})
	}
	return birdRouter{startBIRD(h, b)}
}

// birdOptions is what makes p what it is, in BIRD's words.
func (p peering) birdOptions(beside bool) string {
	options := ""
	if p.HoldTime > 0 {
		options += fmt.Sprintf("hold time %d; ", p.HoldTime)
	}
	if p.GTSM {
		options += "ttl security on; "
	}
	if beside {
		options += "passive; "
	}
	if beside {
		options += "multihop 1; " // else a neighbor that is an address of its own is refused
	}
	return options
}

func (b birdRouter) awaitPeering(p peering) { b.awaitSession(p.Name) }

func (b birdRouter) history(p peering) string {
	for line := range strings.Lines(b.ask("show protocols " + p.Name)) {
		if strings.HasPrefix(line, p.Name+" ") {
			return line
		}
	}
	return ""
}

// birdPair is a community as BIRD prints it.
var birdPair = regexp.MustCompile(`\((\d+),(\d+)\)`)

func (b birdRouter) told(prefix string) told {
	said := map[string]string{}
	for line := range strings.Lines(b.ask("show route all " + prefix)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && said[key] == "" {
			said[key] = value
		}
	}
	return told{said["BGP.as_path"], said["BGP.med"], birdPair.ReplaceAllString(said["BGP.community"], "$1:$2")}
}

func (b birdRouter) lastWords(p peering) string { return b.ask("show protocols all " + p.Name) }

// frrRouter is an FRR.
type frrRouter struct{ *frr }

// Beside anycastd, FRR refuses each next hop that is an address of its own. The
// map puts in one that leads nowhere: what is for the anycast address is for
// this host, and the core is told FRR's own address all the same.
const (
	frrMaps = `route-map anycastd permit 10
 set ip next-hop 192.0.2.254
 set ipv6 next-hop global 100::1
exit
`
	frrStatic = "ip route 192.0.2.254/32 Null0\nipv6 route 100::1/128 Null0\n"
)

func startFRRRouter(h *lab.Host, c routerConfig) router {
	f := frrConfig{RouterID: c.RouterID, ASN: routerASN}
	if c.Beside {
		f.Maps, f.Static = frrMaps, frrStatic
	}
	for _, p := range c.Peerings {
		n := frrNeighbor{Remote: p.Remote, ASN: p.asn(), Password: p.Password, Families: p.Families, Options: p.frrOptions(c.Beside)}
		if c.Beside {
			n.Import = "anycastd"
		}
		f.Neighbors = append(f.Neighbors, n)
	}
	for _, p := range c.Upstream {
		n := frrNeighbor{Remote: p.Remote, ASN: coreASN, Families: p.Families}
		if len(p.Families) > 0 {
			n.Options = []string{"capability extended-nexthop"}
		}
		f.Neighbors = append(f.Neighbors, n)
	}
	return frrRouter{startFRR(h, f)}
}

// frrOptions is what makes p what it is, in FRR's words.
func (p peering) frrOptions(beside bool) []string {
	var options []string
	if p.HoldTime > 0 {
		options = append(options, fmt.Sprintf("timers %d %d", p.HoldTime/3, p.HoldTime))
	}
	if p.GTSM {
		options = append(options, "ttl-security hops 1")
	}
	if beside {
		options = append(options, "passive")
	}
	if len(p.Families) > 1 && family(p.Remote) == "ipv6" {
		options = append(options, "capability extended-nexthop")
	}
	if beside {
		options = append(options, "update-source lo")
	}
	if beside && !p.Internal {
		options = append(options, "disable-connected-check")
	}
	return options
}

func (f frrRouter) awaitPeering(p peering) { f.awaitSession(p.Remote) }

func (f frrRouter) history(p peering) string {
	_, history := f.session(p.Remote)
	return history
}

func (f frrRouter) told(prefix string) told {
	var answer struct {
		Paths []struct {
			Path      struct{ String string } `json:"aspath"`
			MED       *uint32                 `json:"metric"`
			Community struct{ String string }
		}
	}
	if err := f.ask(&answer, "show bgp "+family(prefix)+" unicast "+prefix); err != nil || len(answer.Paths) == 0 {
		return told{}
	}
	said := answer.Paths[0]
	t := told{Path: strings.TrimPrefix(said.Path.String, "Local"), Communities: strings.ReplaceAll(said.Community.String, "graceful-shutdown", "65535:0")}
	if said.MED != nil {
		t.MED = fmt.Sprint(*said.MED)
	}
	return t
}

func (f frrRouter) lastWords(p peering) string {
	return strings.Join(f.Lines("received from neighbor "+p.Remote), "\n")
}
