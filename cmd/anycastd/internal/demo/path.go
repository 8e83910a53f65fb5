package demo

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	gobgpapi "github.com/osrg/gobgp/v3/api"
	"google.golang.org/protobuf/proto"
)

// gracefulShutdown is the community 65535:0 (RFC 8326 section 5).
const gracefulShutdown uint32 = 0xFFFF0000

// path is a route as a neighbor announced it.
type path struct {
	prefix      netip.Prefix
	via         netip.Addr
	asPath      []string
	communities []uint32
}

// String says what the router learned.
func (p path) String() string {
	s := fmt.Sprintf("%v is reached via %v, AS path %s", p.prefix, p.via, strings.Join(p.asPath, " "))
	if slices.Contains(p.communities, gracefulShutdown) {
		s += ", about to go away (community 65535:0)"
	}
	return s
}

// parsePath reads GoBGP's form of a path of IPv4 or IPv6 unicast. A withdrawn
// one has no next hop.
func parsePath(p *gobgpapi.Path) (path, error) {
	var out path
	nlri, err := p.GetNlri().UnmarshalNew()
	if err != nil {
		return out, err
	}
	prefix, ok := nlri.(*gobgpapi.IPAddressPrefix)
	if !ok {
		return out, fmt.Errorf("%T is not an IP prefix", nlri)
	}
	addr, err := netip.ParseAddr(prefix.GetPrefix())
	if err != nil {
		return out, err
	}
	out.prefix = netip.PrefixFrom(addr, int(prefix.GetPrefixLen()))
	for _, a := range p.GetPattrs() {
		attribute, err := a.UnmarshalNew()
		if err != nil {
			return out, err
		}
		out.read(attribute)
	}
	if !p.GetIsWithdraw() && !out.via.IsValid() {
		return out, fmt.Errorf("%v has no next hop", out.prefix)
	}
	return out, nil
}

// read takes from one path attribute what the router uses or tells (RFC 4271
// section 5.1, RFC 4760 section 3, RFC 1997).
func (p *path) read(attribute proto.Message) {
	switch a := attribute.(type) {
	case *gobgpapi.NextHopAttribute:
		p.via, _ = netip.ParseAddr(a.GetNextHop())
	case *gobgpapi.MpReachNLRIAttribute:
		if hops := a.GetNextHops(); len(hops) > 0 {
			p.via, _ = netip.ParseAddr(hops[0])
		}
	case *gobgpapi.AsPathAttribute:
		for _, segment := range a.GetSegments() {
			for _, n := range segment.GetNumbers() {
				p.asPath = append(p.asPath, strconv.FormatUint(uint64(n), 10))
			}
		}
	case *gobgpapi.CommunitiesAttribute:
		p.communities = a.GetCommunities()
	}
}
