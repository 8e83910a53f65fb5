package probe

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/anycastd/anycastd/ikefront/ike"
)

// entry is a target with its past.
type entry struct {
	Target
	state   State
	due     time.Time // of the next probe, or of the time-out while waiting
	sent    time.Time // the last probe; zero: none yet
	vouched time.Time // the last proof of life that was no answer
	counted time.Time // from when the time until it is down counts: the last proof of life, the first probe, or when its timing was set
	waiting bool
	spi     uint64 // of the last probe, if it is unanswered
	streak  int    // answers in a row if positive, silences if negative
	trouble string // why the last probe could not even be sent
	index   int    // in the queue
}

// isAt says whether from is e's address. The kernel gives no zone with it.
func (e *entry) isAt(from netip.AddrPort) bool {
	return from == netip.AddrPortFrom(e.Addr.Addr().WithZone(""), e.Addr.Port())
}

// next returns when the next probe of e is to be sent, while none is under way.
func (e *entry) next() time.Time {
	silences := max(-e.streak, 0)
	if e.state.Status == Down {
		silences = e.Fall // and no time by which it must be found out
	}
	down := e.counted.Add(time.Duration(e.Fall) * e.Every)
	pause := e.pause(silences, down.Sub(e.sent), rand.N(e.Every/10+1))
	if silences == 0 && e.vouched.After(e.sent) {
		return e.sent.Add(min(e.vouched.Sub(e.sent)+pause, 10*e.Every))
	}
	return e.sent.Add(pause)
}

// answered takes in an answer that came at now, and says whether it changed
// e's status. One after the time-out is a proof of life, but does not undo
// the silence: a target that always answers too late goes down and stays so.
func (e *entry) answered(now time.Time, r *ike.Response) bool {
	e.state.Proof, e.counted = now, now
	if !e.waiting {
		return false
	}
	e.waiting = false
	e.streak = max(e.streak, 0) + 1
	if e.state.Status == Up || e.state.Status == Down && e.streak < e.Rise {
		return false
	}
	return e.become(Up, now, fmt.Sprintf("answers %s in %v", describe(r), now.Sub(e.sent).Round(10*time.Microsecond)))
}

// silent counts the probe under way, which timed out by now, as unanswered, and
// says whether that changed e's status.
func (e *entry) silent(now time.Time) bool {
	e.waiting = false
	e.streak = min(e.streak, 0) - 1
	reason := ""
	switch {
	case e.state.Status == Down:
		return false
	case -e.streak >= e.Fall:
		reason = fmt.Sprintf("no answer to %d probes in a row", -e.streak)
	case e.state.Status == Up && now.Sub(e.counted) > e.grace():
		reason = fmt.Sprintf("no proof of life for %.1f s", now.Sub(e.state.Proof).Seconds())
	default:
		return false
	}
	if e.trouble != "" {
		reason += ": " + e.trouble
	}
	return e.become(Down, now, reason)
}

// become gives e a new status.
func (e *entry) become(s Status, now time.Time, reason string) bool {
	e.state.Status, e.state.Reason, e.state.Since = s, reason, now
	return true
}

// describe returns r in words.
func describe(r *ike.Response) string {
	if len(r.Payloads) > 0 && r.Payloads[0] == ike.PayloadNotify {
		return r.Notifies[0].Type.String()
	}
	return "without error"
}
