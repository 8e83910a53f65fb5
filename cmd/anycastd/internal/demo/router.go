package demo

import (
	"context"
	"fmt"
	"io"
	"net/netip"

	gobgpapi "github.com/osrg/gobgp/v3/api"
	gobgplog "github.com/osrg/gobgp/v3/pkg/log"
	gobgp "github.com/osrg/gobgp/v3/pkg/server"
)

// bgpPort is the TCP port of BGP (RFC 4271 section 8.2.1).
const bgpPort = 179

// RouterConfig is what a Router is made of.
type RouterConfig struct {
	ASN         uint32         // 1 to 4294967295
	RouterID    netip.Addr     // IPv4
	Neighbors   []netip.Prefix // who may connect
	NeighborASN uint32         // 1 to 4294967295
}

// Router is the fabric's router: it takes the routes that its neighbors announce
// into its kernel, and tells on out what happens, a line for each event.
type Router struct {
	cfg   RouterConfig
	out   io.Writer
	bgp   *gobgp.BgpServer
	up    map[string]bool         // sessions by neighbor
	about map[netip.Prefix]string // what was told last of each route
}

// NewRouter returns a Router that Run starts.
func NewRouter(cfg RouterConfig, out io.Writer) *Router {
	log := gobgplog.NewDefaultLogger()
	log.SetLevel(gobgplog.WarnLevel)
	return &Router{
		cfg: cfg, out: out, bgp: gobgp.NewBgpServer(gobgp.LoggerOption(log)),
		up: map[string]bool{}, about: map[netip.Prefix]string{},
	}
}

// Run waits for neighbors on TCP port 179 and serves them until ctx ends. An
// error is one of the start: the port is taken or GoBGP refuses the Config.
func (r *Router) Run(ctx context.Context) error {
	go r.bgp.Serve() // never returns
	for _, step := range []func(context.Context) error{r.start, r.welcome, r.watch} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("router: %w", err)
		}
	}
	r.say("ready, AS %d", r.cfg.ASN)
	<-ctx.Done()
	return r.bgp.StopBgp(context.WithoutCancel(ctx), &gobgpapi.StopBgpRequest{})
}

func (r *Router) start(ctx context.Context) error {
	return r.bgp.StartBgp(ctx, &gobgpapi.StartBgpRequest{Global: &gobgpapi.Global{
		Asn: r.cfg.ASN, RouterId: r.cfg.RouterID.String(), ListenPort: bgpPort,
	}})
}

// welcome lets the neighbors connect. GoBGP forgets such a dynamic neighbor
// at the end of its session, so that it may come back at once.
func (r *Router) welcome(ctx context.Context) error {
	const group = "front-ends"
	var families []*gobgpapi.AfiSafi
	for _, afi := range []gobgpapi.Family_Afi{gobgpapi.Family_AFI_IP, gobgpapi.Family_AFI_IP6} {
		family := &gobgpapi.Family{Afi: afi, Safi: gobgpapi.Family_SAFI_UNICAST}
		families = append(families, &gobgpapi.AfiSafi{Config: &gobgpapi.AfiSafiConfig{Family: family, Enabled: true}})
	}
	err := r.bgp.AddPeerGroup(ctx, &gobgpapi.AddPeerGroupRequest{PeerGroup: &gobgpapi.PeerGroup{
		Conf: &gobgpapi.PeerGroupConf{PeerGroupName: group, PeerAsn: r.cfg.NeighborASN}, AfiSafis: families,
	}})
	if err != nil {
		return err
	}
	for _, p := range r.cfg.Neighbors {
		err := r.bgp.AddDynamicNeighbor(ctx, &gobgpapi.AddDynamicNeighborRequest{
			DynamicNeighbor: &gobgpapi.DynamicNeighbor{Prefix: p.String(), PeerGroup: group},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// watch makes GoBGP tell of sessions and best routes, from one goroutine of its
// own. A session that ends withdraws what came by it.
func (r *Router) watch(ctx context.Context) error {
	best := &gobgpapi.WatchEventRequest_Table_Filter{Type: gobgpapi.WatchEventRequest_Table_Filter_BEST}
	return r.bgp.WatchEvent(ctx, &gobgpapi.WatchEventRequest{
		Peer:  &gobgpapi.WatchEventRequest_Peer{},
		Table: &gobgpapi.WatchEventRequest_Table{Filters: []*gobgpapi.WatchEventRequest_Table_Filter{best}},
	}, func(e *gobgpapi.WatchEventResponse) {
		if p := e.GetPeer().GetPeer(); p != nil {
			r.session(p)
		}
		for _, p := range e.GetTable().GetPaths() {
			r.route(p)
		}
	})
}

// session tells that a session came up or went down.
func (r *Router) session(p *gobgpapi.Peer) {
	name := p.GetState().GetNeighborAddress()
	up := p.GetState().GetSessionState() == gobgpapi.PeerState_ESTABLISHED
	if up == r.up[name] {
		return
	}
	r.up[name] = up
	if up {
		r.say("session with %s (AS %d) is up", name, p.GetState().GetPeerAsn())
	} else {
		r.say("session with %s is down", name)
	}
}

// route puts a best path into the kernel, or takes it out, and tells of it.
func (r *Router) route(p *gobgpapi.Path) {
	route, err := parsePath(p)
	if err != nil {
		r.say("a route is ignored: %v", err)
		return
	}
	if p.GetIsWithdraw() {
		r.remove(route.prefix)
		return
	}
	if err := installRoute(route.prefix, route.via); err != nil {
		r.say("%v is not in the kernel: %v", route.prefix, err)
		return
	}
	if about := route.String(); about != r.about[route.prefix] {
		r.about[route.prefix] = about
		r.say("%s", about)
	}
}

func (r *Router) remove(prefix netip.Prefix) {
	if err := removeRoute(prefix); err != nil {
		r.say("%v stays in the kernel: %v", prefix, err)
		return
	}
	delete(r.about, prefix)
	r.say("%v is withdrawn", prefix)
}

func (r *Router) say(format string, args ...any) { fmt.Fprintf(r.out, format+"\n", args...) }
