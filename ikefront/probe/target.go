package probe

import (
	"net/netip"
	"time"
)

// Kind is what a probe asks, and so how deep into a gateway it reaches.
type Kind string

// The kinds. Any other counts as Version.
const (
	// Version is answered by all known gateways before any work (see
	// ike.AppendAliveProbe), even under attack. It proves the socket and the
	// receiver. It is the zero Kind, too.
	Version Kind = "version"
	// Proposal offers what nobody can accept. It takes a worker thread to
	// say so, but no Diffie-Hellman, and no IKE SA is left.
	Proposal Kind = "proposal"
	// Init is a real IKE_SA_INIT without support of redirect, so that even a
	// gateway that redirects others answers itself. It proves everything, at the
	// price of Diffie-Hellman and a half-open IKE SA for each probe.
	Init Kind = "init"
)

// Target is an IKE responder to be watched. All times are positive.
//
// A target that lives is down Every × Fall after its last proof of life, if no
// other came: the probes that are left to a silent one are spaced so that the
// last one's Timeout ends then. Since each of them gets its whole Timeout, and
// ends before the next one is sent, this takes a Timeout of at most
// Every × (1 − 1/Fall), or Every/2 if Fall is 1. With a longer one it takes
// until Every × Fall + Timeout, where a Timeout beyond Every counts as Every.
type Target struct {
	Addr    netip.AddrPort
	Kind    Kind
	Every   time.Duration // from one probe to the next, or up to a tenth less
	Timeout time.Duration // until a probe counts as unanswered
	Rise    int           // answers in a row that bring a dead target back, at least 1
	Fall    int           // silences in a row that make a target dead, at least 1
}

// pause returns how long after a probe the next one is sent, if this many in a
// row have been silent. left is from that probe until the target is to be
// down; spread, of 0 to Every/10, keeps the probes of many nodes apart.
func (t Target) pause(silences int, left, spread time.Duration) time.Duration {
	usual := t.Every - spread
	switch {
	case silences == 0 && t.Fall == 1: // no second chance: its time-out is in time already
		return min(usual, max(t.Every-t.Timeout, t.Every/2))
	case silences == 0, silences >= t.Fall:
		return usual
	}
	even := (left - t.Timeout) / time.Duration(t.Fall-silences)
	return min(max(even, t.Every/10), t.Every)
}

// grace returns how old a proof of life is at most if nothing has held up the
// probes and their answers.
func (t Target) grace() time.Duration {
	return time.Duration(t.Fall)*max(t.Every, t.Timeout) + t.Timeout
}
