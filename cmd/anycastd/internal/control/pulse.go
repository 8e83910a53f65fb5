package control

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/anycastd/anycastd/ikefront/probe"
	"github.com/anycastd/anycastd/policy"
)

// pulse is how many answers an endpoint of ours has sent, and when there were
// last more of them. In a flood beyond what the node can answer its own probe
// gets lost like any other request; as long as clients get their answers that
// is no reason to withdraw, which would send the flood to the next site.
type pulse struct {
	answers uint64
	at      time.Time
}

// pulseFor is for how long an answer proves that an endpoint lives.
const pulseFor = 2 * selfEvery

// takePulses looks at how many answers were sent, and says whether that may
// matter: while some own probe is unanswered.
func (l *Loop) takePulses() (matters bool) {
	now := time.Now()
	for at, sockets := range l.parts.Front.Counts() {
		var answers uint64
		for i := range sockets {
			answers += sockets[i].Answers()
		}
		if p, known := l.pulses[at]; !known || p.answers != answers {
			if p.answers = answers; known {
				p.at = now
			}
			l.pulses[at] = p
		}
		matters = matters || l.probes[at].Status == probe.Down
	}
	return matters
}

// answers says whether every socket of our own address a answers: its probe or,
// lately, clients.
func (l *Loop) answers(a netip.Addr, own policy.Own) policy.Fact {
	if !own.Listening.OK {
		return policy.Fact{}
	}
	fact := policy.Fact{OK: true}
	for _, port := range l.cfg.Ports {
		at := netip.AddrPortFrom(a, port)
		switch s := l.probes[at]; {
		case s.Status == probe.Up:
		case s.Status == probe.Down && time.Since(l.pulses[at].at) <= pulseFor:
			fact.Reason = fmt.Sprintf("its own probe got lost, but clients get answers on port %d", port)
		default:
			return policy.Fact{Reason: s.Reason}
		}
	}
	return fact
}
