package control

import (
	"net/netip"

	"github.com/anycastd/anycastd/bgp"
	"github.com/anycastd/anycastd/cmd/anycastd/internal/config"
	"github.com/anycastd/anycastd/ikefront/probe"
	"github.com/anycastd/anycastd/netlink"
	"github.com/anycastd/anycastd/policy"
)

// configure makes cfg the configuration.
func (l *Loop) configure(cfg *config.Config) {
	l.cfg = cfg
	for _, a := range cfg.Policy.Addresses {
		if _, ours := l.view.Own[a]; !ours { // those that leave go in order
			l.view.Own[a] = policy.Own{}
		}
	}
	names := map[string]int{}
	for i, g := range cfg.Policy.Gateways {
		names[g.Name] = i
	}
	l.names.Store(&names)
	for name := range l.figures {
		if !l.Knows(name) {
			l.forget(name)
		}
	}
	known := l.view.Health
	l.view.Health = map[netip.Addr]policy.Health{}
	for _, g := range cfg.Policy.Gateways {
		for _, a := range g.Addresses {
			if cfg.Probes[g.Name].Every == 0 {
				l.view.Health[a] = policy.Health{State: policy.Up, Reason: `taken as alive: probe.every is "0s"`}
			} else if h, ok := known[a]; ok { // it stands until a probe says otherwise
				l.view.Health[a] = h
			}
		}
	}
}

// Neighbors returns cfg's BGP neighbors as the speaker wants them.
func Neighbors(cfg *config.Config) []bgp.Neighbor { return cfg.BGP.Neighbors }

// health is s as policy sees it.
func health(s probe.State) policy.Health {
	return policy.Health{State: policy.Liveness(s.Status), Reason: s.Reason}
}

// seeAddresses takes in what the last Set of the host came to. An address is as
// good as the prefix that it lies in, where that is to be local as a whole.
func (l *Loop) seeAddresses() {
	outcome := l.parts.Host.Addresses()
	for a, own := range l.view.Own {
		own.Installed = policy.Fact{}
		for _, o := range outcome {
			if o.Prefix == netip.PrefixFrom(a, a.BitLen()) {
				own.Installed = policy.Fact{OK: o.Installed, Reason: o.Reason}
			}
		}
		for _, o := range outcome {
			if !o.Prefix.IsSingleIP() && o.Prefix.Contains(a) && !o.Installed && own.Installed.OK {
				own.Installed = policy.Fact{Reason: o.Prefix.String() + ": " + o.Reason}
			}
		}
		l.view.Own[a] = own
	}
}

// ports is how far the service ports of the anycast addresses are open.
type ports struct {
	rewritten  map[netip.AddrPort]bool // to the ports that sockets are bound to
	rewriteErr error                   // of the last Set of the rewriter
	open       map[netip.AddrPort]bool // have sockets
	sockets    map[netip.Addr]policy.Fact
}

// seeRewrites takes in what a Set of the rewriter came to. One that failed has
// changed nothing.
func (l *Loop) seeRewrites(set []netlink.Rewrite, err error) {
	l.ports.rewriteErr = err
	if err != nil {
		return
	}
	l.ports.rewritten = map[netip.AddrPort]bool{}
	for _, w := range set {
		l.ports.rewritten[netip.AddrPortFrom(w.Addr, w.Port)] = true
	}
}

// rewrittenAt says whether a port of address a is rewritten.
func (p *ports) rewrittenAt(a netip.Addr) bool {
	for at := range p.rewritten {
		if at.Addr() == a {
			return true
		}
	}
	return false
}

// seeSockets takes in which endpoints are open.
func (l *Loop) seeSockets(want []netip.AddrPort, failed map[netip.AddrPort]error) {
	l.ports.open, l.ports.sockets = map[netip.AddrPort]bool{}, map[netip.Addr]policy.Fact{}
	for _, at := range want {
		l.ports.open[at] = failed[at] == nil
	}
	for a := range l.view.Own {
		fact := policy.Fact{OK: true}
		for _, port := range l.cfg.Ports {
			at := netip.AddrPortFrom(a, port)
			if err := failed[at]; err != nil {
				fact = policy.Fact{Reason: err.Error()}
			} else if !l.ports.open[at] {
				fact = policy.Fact{}
			}
		}
		l.ports.sockets[a] = fact
	}
}

// listening says whether what arrives for address a reaches sockets.
func (p *ports) listening(a netip.Addr) policy.Fact {
	if p.rewriteErr != nil {
		return policy.Fact{Reason: p.rewriteErr.Error()}
	}
	return p.sockets[a]
}

// seeRoutes takes in what a Set of the speaker came to.
func (l *Loop) seeRoutes(set []bgp.Route, err error) {
	l.routeErr = err
	if err != nil {
		return
	}
	l.told = nil
	for _, r := range set {
		l.told = append(l.told, r.Prefix)
	}
}

// lookAround derives what follows from several observations together.
func (l *Loop) lookAround() {
	for a, own := range l.view.Own {
		own.Listening = l.ports.listening(a)
		own.Answers = l.answers(a, own)
		own.Proven = own.Proven || own.Installed.OK && own.Listening.OK && own.Answers.OK
		l.view.Own[a] = own
	}
	unheard := l.unheard()
	for _, p := range l.told {
		if unheard(p) == "" {
			l.view.Spoken[p] = true
		}
	}
}

// seeProbe takes in what a probe has shown, of a gateway or of ourselves.
func (l *Loop) seeProbe(s probe.State) {
	if !l.asked.watched[s.Addr] {
		return
	}
	l.probes[s.Addr] = s
	if _, ours := l.view.Own[s.Addr.Addr()]; !ours {
		if s.Status == probe.Up && l.view.Health[s.Addr.Addr()].State == policy.Down {
			l.forgetDead(s.Addr.Addr())
		}
		l.view.Health[s.Addr.Addr()] = health(s)
	}
}
