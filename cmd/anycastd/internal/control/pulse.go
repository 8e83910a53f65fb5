package control

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/anycastd/anycastd/ikefront/probe"
	"github.com/anycastd/anycastd/policy"
)

// pulse is how many datagrams an endpoint of ours has read and how many the
// kernel dropped before that, and when there were last more of them.
type pulse struct {
	read, lost     uint64
	readAt, lostAt time.Time
}

// pulseFor is for how long a pulse counts.
const pulseFor = 2 * selfEvery

// takePulses looks at what the endpoints have read and lost, and says whether
// that may matter: while some own probe is unanswered.
func (l *Loop) takePulses() (matters bool) {
	now := time.Now()
	for at, e := range l.parts.Front.Endpoints() {
		var read, lost uint64
		for i := range e.Sockets {
			read, lost = read+e.Sockets[i].Read(), lost+e.Sockets[i].Lost()
		}
		p, known := l.pulses[at]
		if known && read != p.read {
			p.readAt = now
		}
		if known && lost != p.lost {
			p.lostAt = now
		}
		p.read, p.lost = read, lost
		l.pulses[at] = p
		matters = matters || l.probes[at].Status == probe.Down
	}
	return matters
}

// flooded says whether at reads on though it gets more than it can read. Its own
// probe gets lost then like any other request. That is no reason to withdraw,
// which would send the flood to the next site.
func (l *Loop) flooded(at netip.AddrPort) bool {
	p := l.pulses[at]
	return time.Since(p.readAt) <= pulseFor && time.Since(p.lostAt) <= pulseFor
}

// answers says whether every socket of our own address a answers its probe. One
// that has, and then is flooded, still counts.
func (l *Loop) answers(a netip.Addr, own policy.Own) policy.Fact {
	if !own.Listening.OK {
		return policy.Fact{}
	}
	fact := policy.Fact{OK: true}
	for _, port := range l.cfg.Ports {
		at := netip.AddrPortFrom(a, port)
		switch s := l.probes[at]; {
		case s.Status == probe.Up:
		case s.Status == probe.Down && own.Proven && l.flooded(at):
			fact.Reason = fmt.Sprintf("flooded on port %d: its own probe gets lost, but it reads on", port)
		default:
			return policy.Fact{Reason: s.Reason}
		}
	}
	if fact.Reason != own.Answers.Reason && (fact.Reason != "" || own.Answers.OK) {
		l.log.Warn().Stringer("address", a).Bool("flooded", fact.Reason != "").Str("reason", fact.Reason).Msg("own probe in a flood")
	}
	return fact
}
