package policy

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Decide says what must be true, given what is wanted and what is known. It
// is pure: view's own record of the past is all that it goes on.
func Decide(cfg *Config, view *View, now time.Time) Plan {
	d := decision{cfg: cfg, view: view, now: now}
	d.standing = d.standings()
	d.plan.Table = newTable(cfg, d.admit, view.Table)
	d.plan.Gateways = d.gateways()
	d.plan.Site = d.site()
	d.plan.Routes = d.routes()
	d.plan.Table.turnsOff = cfg.TurnOff && d.inCharge()
	d.plan.Addresses = d.addresses()
	d.plan.Records = d.records()
	return d.plan
}

// decision is a Decide under way.
type decision struct {
	cfg      *Config
	view     *View
	now      time.Time
	standing []standing // of the gateways, in their order
	plan     Plan
}

// inCharge says whether some prefix is announced, so that clients come here
// because nobody serves them better.
func (d *decision) inCharge() bool {
	return slices.ContainsFunc(d.plan.Routes, func(r RoutePlan) bool { return r.Wish.up() })
}

// String returns "IPv4" or "IPv6".
func (f family) String() string {
	if f == ipv4 {
		return "IPv4"
	}
	return "IPv6"
}

// addresses says which anycast addresses are to be on the host and answered
// from: first on the host, then answered from, until a stop has withdrawn every
// route and settled; then sockets go before addresses.
func (d *decision) addresses() []AddressPlan {
	closing := d.view.Stopping && d.settled()
	listening, installed := false, false
	for _, own := range d.view.Own {
		listening = listening || own.Listening.OK
		installed = installed || own.Installed.OK
	}
	var out []AddressPlan
	for _, a := range d.cfg.Addresses {
		own := d.view.Own[a]
		ap := AddressPlan{Addr: a, Install: true, Listen: own.Installed.OK || own.Listening.OK, Reason: "anycast address of this node"}
		if closing {
			ap.Listen, ap.Install, ap.Reason = false, listening, "the daemon stops"
		}
		out = append(out, ap)
	}
	out = append(out, d.leavingAddresses()...)
	d.plan.Stopped = closing && !listening && !installed
	return out
}

// leavingAddresses returns the addresses that are no longer configured, each
// until its socket is closed and it is off the host. Both stay as long as a
// prefix that leaves, too, may still bring packets there, even if not all of
// its sockets are open.
func (d *decision) leavingAddresses() []AddressPlan {
	var out []AddressPlan
	for _, a := range slices.SortedFunc(maps.Keys(d.view.Own), netip.Addr.Compare) {
		own := d.view.Own[a]
		if slices.Contains(d.cfg.Addresses, a) || !own.Listening.OK && !own.Installed.OK {
			continue
		}
		serve := slices.ContainsFunc(d.plan.Routes, func(r RoutePlan) bool {
			return r.Prefix.Contains(a) && !slices.Contains(d.cfg.Prefixes, r.Prefix)
		})
		out = append(out, AddressPlan{Addr: a, Install: serve || own.Listening.OK, Listen: serve, Reason: noLonger})
	}
	return out
}

// settled says whether all routes are withdrawn for long enough that nothing
// arrives any more.
func (d *decision) settled() bool {
	settled := true
	for _, r := range d.plan.Routes {
		settled = d.quiet(r.RouteState) && settled
	}
	return settled
}

// quiet says whether a route is withdrawn for long enough that nothing arrives
// any more by it, and asks for another decision when it will be.
func (d *decision) quiet(r RouteState) bool {
	if r.Wish != Withdrawn {
		return false
	}
	until := r.Since.Add(d.cfg.Settle)
	if r.Ever && d.now.Before(until) {
		d.again(until)
		return false
	}
	return true
}

// again asks for another decision at t, if none is asked for earlier.
func (d *decision) again(t time.Time) {
	if d.plan.Next.IsZero() || t.Before(d.plan.Next) {
		d.plan.Next = t
	}
}

// records returns what is to be published: the service names as soon as the
// prefix of their address has been announced, and from then on, for other
// front-ends share the name; the gateways' own names at once, so that a client
// redirected by FQDN always finds them.
func (d *decision) records() []RecordPlan {
	var out []RecordPlan
	type record struct {
		name string
		addr netip.Addr
	}
	seen := map[record]bool{} // of gateways that share a name and address
	for _, z := range d.cfg.Zones {
		for _, name := range z.Names {
			for _, a := range d.cfg.Addresses {
				publish, reason := d.published(a)
				out = append(out, RecordPlan{z.Name, name, a, z.TTL, publish, reason})
			}
		}
		if !z.Gateways {
			continue
		}
		for _, g := range d.cfg.Gateways {
			if d.zoneOf(g.FQDN) != z.Name {
				continue
			}
			for _, a := range g.Addresses {
				if r := (record{g.FQDN, a}); !seen[r] {
					seen[r] = true
					out = append(out, RecordPlan{z.Name, g.FQDN + ".", a, z.TTL, true, "address of gateway " + g.Name})
				}
			}
		}
	}
	return out
}

// zoneOf returns the closest zone that host lies in: a name belongs to the
// zone below, not to its parent.
func (d *decision) zoneOf(host string) string {
	closest := ""
	for _, z := range d.cfg.Zones {
		if inZone(host, z.Name) && len(z.Name) > len(closest) {
			closest = z.Name
		}
	}
	return closest
}

// inZone says whether host, without a final dot, lies in zone, with one.
func inZone(host, zone string) bool {
	host += "."
	return len(host) > 1 && (zone == "." || host == zone || strings.HasSuffix(host, "."+zone))
}

// published says whether the anycast address a belongs into the DNS.
func (d *decision) published(a netip.Addr) (bool, string) {
	for _, r := range d.plan.Routes {
		if r.Prefix.Contains(a) && d.view.Spoken[r.Prefix] {
			return true, "anycast address"
		}
	}
	return false, fmt.Sprintf("waits until a neighbor has heard the prefix of %s", a)
}
