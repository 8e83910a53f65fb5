package netlink

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"github.com/rs/zerolog"
	vnl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// UplinksConfig is what Uplinks needs to know.
type UplinksConfig struct {
	// Notify is called by Run when an Uplink has changed. Calls come from one
	// goroutine; it must not block. Nil: nobody asks.
	Notify func()
}

// Uplink is how an address is reached.
type Uplink struct {
	To     netip.Addr
	Link   string // by which; "": not known
	Up     bool   // there is a route, and its link is up and has a carrier
	Reason string // why not Up
}

// Uplinks tells by which link each of some addresses is reached, and whether
// that link works, as the kernel sees it: what is beyond the next cable is not
// asked. Its methods may be called from several goroutines.
type Uplinks struct {
	cfg UplinksConfig
	log zerolog.Logger

	mu   sync.Mutex
	seen []path
}

// path is an uplink, and what is remembered of it when its route is gone.
type path struct {
	Uplink
	index  int  // of the link; 0: none was ever known
	direct bool // there is no gateway between
}

// NewUplinks returns Uplinks of nothing.
func NewUplinks(cfg UplinksConfig, log zerolog.Logger) *Uplinks {
	return &Uplinks{cfg: cfg, log: log}
}

// Set says of which addresses the uplinks are to be known; a link-local one has
// the zone of its link. They are known when it returns.
func (u *Uplinks) Set(to []netip.Addr) {
	u.mu.Lock()
	seen := make([]path, 0, len(to))
	for _, addr := range to {
		if i := slices.IndexFunc(u.seen, func(p path) bool { return p.To == addr }); i >= 0 {
			seen = append(seen, u.seen[i])
			continue
		}
		seen = append(seen, path{Uplink: Uplink{To: addr, Up: true}})
	}
	u.seen = seen
	u.mu.Unlock()
	u.look()
}

// Uplinks returns the uplink of each address, in the order of Set.
func (u *Uplinks) Uplinks() []Uplink {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := make([]Uplink, 0, len(u.seen))
	for _, p := range u.seen {
		all = append(all, p.Uplink)
	}
	return all
}

// Run watches the links and what leads to them, and calls Notify when an Uplink
// is another than before. It returns nil when ctx ends.
func (u *Uplinks) Run(ctx context.Context) error {
	w := watch{
		what: "the host's uplinks", protocol: unix.NETLINK_ROUTE, buffer: receiveBuffer,
		groups: []uint{
			unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_NEXTHOP,
			unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE,
		},
		concerned: u.concerned, log: u.log,
		notify: func() {
			if u.look() && u.cfg.Notify != nil {
				u.cfg.Notify()
			}
		},
	}
	return w.run(ctx)
}

// concerned says whether one of the messages may be about an uplink. Of routes,
// which an edge router has changing all the time, that is one that an address
// is in.
func (u *Uplinks) concerned(msgs []syscall.NetlinkMessage) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.seen) > 0 && slices.ContainsFunc(msgs, func(m syscall.NetlinkMessage) bool {
		a, err := parse(m.Header.Type, m.Data)
		if err != nil || a.kind != route {
			return true
		}
		return slices.ContainsFunc(u.seen, func(p path) bool { return a.prefix.Contains(p.To.WithZone("")) })
	})
}

// look finds out how all addresses are reached now, and says whether that is
// otherwise than before.
func (u *Uplinks) look() (changed bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i, before := range u.seen {
		now := before.look()
		u.seen[i] = now
		if now.Uplink == before.Uplink {
			continue
		}
		changed = true
		if now.Up {
			u.log.Info().Stringer("to", now.To).Str("link", now.Link).Msg("the uplink is up")
		} else {
			u.log.Warn().Stringer("to", now.To).Str("link", now.Link).Msg("the uplink is lost: " + now.Reason)
		}
	}
	return changed
}

// look returns how p's address is reached now.
func (p path) look() path {
	now, err := p.lookUp()
	if p.index != 0 && (err != nil || p.direct && !now.direct) {
		// What was reached on the link itself is not reached by the way around
		// that is left when the link goes.
		if trouble := p.lost(); trouble != "" {
			p.Up, p.Reason = false, trouble
			return p
		}
	}
	if err != nil {
		p.Up, p.Reason = false, err.Error()
		return p
	}
	return now
}

// lost says what is the matter with the link that is remembered.
func (p path) lost() string {
	link, err := vnl.LinkByIndex(p.index)
	if err != nil {
		return p.Link + " is gone"
	}
	return trouble(link)
}

// lookUp asks the kernel for the link by which p's address is reached.
func (p path) lookUp() (path, error) {
	if zone := p.To.Zone(); zone != "" {
		link, err := byZone(zone)
		if err != nil {
			p.Link = zone
			return p, fmt.Errorf("there is no link %s", zone)
		}
		return p.by(link, true), nil
	}
	noRoute := fmt.Errorf("no route to %v", p.To)
	routes, err := vnl.RouteGet(p.To.Unmap().AsSlice())
	if err != nil || len(routes) == 0 {
		return p, noRoute
	}
	r := routes[0]
	switch r.Type {
	case unix.RTN_LOCAL:
		r.LinkIndex = loopback // though the address may be elsewhere
	case unix.RTN_UNICAST:
	default:
		return p, noRoute
	}
	link, err := vnl.LinkByIndex(r.LinkIndex)
	if err != nil {
		return p, noRoute // it has just gone with its link
	}
	return p.by(link, r.Gw == nil && r.Via == nil), nil
}

// by is p over a link.
func (p path) by(link vnl.Link, direct bool) path {
	reason := trouble(link)
	return path{Uplink{p.To, link.Attrs().Name, reason == "", reason}, link.Attrs().Index, direct}
}

// byZone returns the link of a zone, which is a name or an index (RFC 4007
// section 11.2).
func byZone(zone string) (vnl.Link, error) {
	if index, err := strconv.Atoi(zone); err == nil {
		return vnl.LinkByIndex(index)
	}
	return vnl.LinkByName(zone)
}

// trouble says what is the matter with a link; "" if nothing is.
func trouble(link vnl.Link) string {
	a := link.Attrs()
	switch {
	case a.RawFlags&unix.IFF_UP == 0:
		return a.Name + " is down"
	case a.RawFlags&unix.IFF_LOWER_UP == 0:
		return a.Name + " has no carrier"
	case a.RawFlags&unix.IFF_RUNNING == 0: // RFC 2863 section 3.1.14: dormant, testing
		return fmt.Sprintf("%s is not ready (%v)", a.Name, a.OperState)
	}
	return ""
}
