package main

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"os"
	"path/filepath"
	"sync"

	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/bgp"
	"github.com/anycastd/anycastd/cmd/anycastd/internal/config"
	"github.com/anycastd/anycastd/cmd/anycastd/internal/control"
	"github.com/anycastd/anycastd/dnspub"
	"github.com/anycastd/anycastd/ikefront"
	"github.com/anycastd/anycastd/ikefront/probe"
	"github.com/anycastd/anycastd/netlink"
	"github.com/anycastd/anycastd/policy"
)

// daemon is the running program: the loop and its parts.
type daemon struct {
	options *options
	cfg     *config.Config
	log     zerolog.Logger

	loop     *control.Loop
	host     *netlink.Host
	rewriter *netlink.Rewriter // nil: sockets are bound to the service ports
	front    *ikefront.Front
	prober   *probe.Prober
	loads    *loads
	speaker  *bgp.Speaker // nil: no neighbors
	tasks    sync.WaitGroup
	reloads  sync.Mutex // held by one that is under way

	supervisor *supervisor
}

// newDaemon makes the parts and starts none.
func newDaemon(o *options, cfg *config.Config, log zerolog.Logger) *daemon {
	d := &daemon{options: o, cfg: cfg, log: log}
	d.front = ikefront.New(ikefront.Config{
		Sockets: cfg.Sockets, Cookie: ikefront.CookieMode(cfg.Cookie), CookieAbove: cfg.CookieAbove,
		CookieSecret: d.cookieSecret(), Refuse: cfg.Unsupported == "refuse", Bind: cfg.Bound,
		SourceLimit: cfg.SourceLimit, ReplyLimit: cfg.ReplyLimit, ErrorLimit: cfg.ErrorLimit,
		Notify: func() { d.loop.SocketsChanged() }, Holder: holder, UDPErrors: udpErrors,
	}, d.part("ikefront"))
	d.host = netlink.New(netlink.Config{
		Interface: cfg.Interface, ReplyTable: cfg.ReplyTable, ReplyPriority: cfg.ReplyPriority, Notify: func() { d.loop.HostChanged() },
	}, d.part("netlink"))
	d.prober = probe.New(probe.Config{Notify: func(s probe.State) { d.loop.Probed(s) }}, d.part("probe"))
	loaded := func(gateway string, l policy.Load) { d.loop.Loaded(gateway, l) }
	d.loads = newLoads(cfg, loaded, func(gateway string) bool { return d.loop.Knows(gateway) }, d.part("load"))
	parts := control.Parts{
		Host: d.host, Front: d.front, Prober: d.prober, Loads: d.loads, Publisher: d.publisher,
		Marks: markStore{filepath.Join(cfg.StateDir, "drain.json")},
	}
	if cfg.PortConflict == "nft" {
		d.rewriter = netlink.NewRewriter(netlink.RewriterConfig{Notify: func() { d.loop.RewritesChanged() }}, d.part("netlink"))
		parts.Rewriter = d.rewriter
	}
	if len(cfg.BGP.Neighbors) > 0 {
		d.speaker = bgp.New(bgp.Config{
			ASN: cfg.BGP.ASN, RouterID: cfg.BGP.RouterID, ListenPort: cfg.BGP.ListenPort, Listen: cfg.BGP.Listen,
			NextHops: cfg.BGP.NextHops, Neighbors: control.Neighbors(cfg), Notify: func(bgp.Peer) { d.loop.PeersChanged() },
		}, d.part("bgp"))
		parts.Speaker = d.speaker
	}
	d.loop = control.New(cfg, parts, d.part("control"))
	d.supervisor = &supervisor{log: d.part("systemd"), turns: d.loop.Turns}
	return d
}

// cookieSecret returns the configured secret, else the one that this node made
// at its first start. If that can't be kept, clients that hold a cookie across
// a restart are asked once more.
func (d *daemon) cookieSecret() []byte {
	if d.cfg.CookieSecret != "" {
		sum := sha256.Sum256([]byte(d.cfg.CookieSecret))
		return sum[:]
	}
	path := filepath.Join(d.cfg.StateDir, "cookie.secret")
	if secret, err := os.ReadFile(path); err == nil && len(secret) == ikefront.CookieSecretLen {
		return secret
	}
	secret := make([]byte, ikefront.CookieSecretLen)
	rand.Read(secret) // never fails
	if err := cmp.Or(os.MkdirAll(d.cfg.StateDir, 0o755), os.WriteFile(path, secret, 0o600)); err != nil {
		d.log.Warn().Err(err).Msg("the cookie secret can't be kept: after a restart there is a new one")
	}
	return secret
}

// part is the logger of a part.
func (d *daemon) part(name string) zerolog.Logger { return d.log.With().Str("part", name).Logger() }

// publisher makes the publisher of a zone.
func (d *daemon) publisher(z config.DNSZone) control.Publisher {
	cfg := dnspub.Config{Zone: z.Name, Server: z.Server, TSIG: z.TSIG}
	if z.Server == "" {
		cfg.Resolvers = resolvers
	}
	return dnspub.New(cfg, d.part("dnspub"))
}

// resolvers reads which resolvers this host uses now.
func resolvers() ([]string, error) {
	f, err := os.Open("/etc/resolv.conf")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return dnspub.Resolvers(f)
}
