package load

import (
	"net/http"
	"sync"
	"time"
)

// Reason is what became of a report.
type Reason string

// The reasons, in the order in which a report is looked at.
const (
	Accepted       Reason = "accepted"
	TooLong        Reason = "too_long"        // more than 4096 octets
	Signature      Reason = "signature"       // not proved to be the gateway's
	Syntax         Reason = "syntax"          // not one whole JSON object
	Figures        Reason = "figures"         // a member is missing or out of range
	UnknownGateway Reason = "unknown_gateway" // not in the configuration
	Future         Reason = "future"          // more than MaxAhead ahead of our clock
	Stale          Reason = "stale"           // older than StaleAfter by our clock
	Replayed       Reason = "replayed"        // seq has not grown
)

// reasons returns all of them.
func reasons() []Reason {
	return []Reason{Accepted, TooLong, Signature, Syntax, Figures, UnknownGateway, Future, Stale, Replayed}
}

// status returns the HTTP status that tells the sender.
func (r Reason) status() int {
	switch r {
	case Accepted:
		return http.StatusNoContent
	case TooLong:
		return http.StatusRequestEntityTooLarge
	case Signature:
		return http.StatusForbidden
	case UnknownGateway:
		return http.StatusNotFound
	case Future, Stale, Replayed:
		return http.StatusConflict
	}
	return http.StatusBadRequest
}

// refusal is why a report is not taken.
type refusal struct {
	reason Reason
	words  string // what is from outside is quoted in them
}

// quiet is for how long a kind of refusal is not logged again.
const quiet = 10 * time.Second

// kind is what refusals have in common that are logged once.
type kind struct {
	who    string
	reason Reason
}

// hush keeps a flood of refusals out of the log, and the kinds that it
// remembers to a fixed number.
type hush struct {
	most int

	mu    sync.Mutex
	kinds map[kind]*line
}

// line is when a kind was logged last, and how many were not since.
type line struct {
	at   time.Time
	held uint64
}

// let says whether a refusal of this kind is logged now, and how many like it
// have not been since the last that was.
func (h *hush) let(k kind, now time.Time) (held uint64, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.kinds[k]
	switch {
	case l != nil && now.Sub(l.at) < quiet:
		l.held++
		return 0, false
	case l != nil:
		held = l.held
	case len(h.kinds) >= h.most && !h.forget(now):
		return 0, false
	}
	h.kinds[k] = &line{at: now}
	return held, true
}

// forget makes room by what was logged long ago, and says whether there is some.
func (h *hush) forget(now time.Time) bool {
	for k, l := range h.kinds {
		if now.Sub(l.at) >= quiet {
			delete(h.kinds, k)
		}
	}
	return len(h.kinds) < h.most
}
