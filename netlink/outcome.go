package netlink

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// settled returns what there is once the kernel has done what was asked of it:
// the route to a new IPv6 address comes a moment after the address.
func (h *Host) settled() ([]held, error) {
	const patience, pause = 100 * time.Millisecond, 2 * time.Millisecond
	for end := time.Now().Add(patience); ; time.Sleep(pause) {
		all, err := list()
		if err != nil || !slices.ContainsFunc(h.entries(), func(e entry) bool { return h.dead(all, e) }) || time.Now().After(end) {
			return all, err
		}
	}
}

// conclude records and logs the outcome, and joins what went wrong.
func (h *Host) conclude(after []held, failed map[netip.Prefix]error, errs ...error) error {
	outcome := make([]Address, 0, len(h.wanted))
	for _, p := range h.wanted {
		a := h.judge(after, p, failed[p])
		if err := failed[p]; !a.Installed && !slices.ContainsFunc(errs, func(e error) bool { return e != nil && errors.Is(e, err) }) {
			errs = append(errs, cmp.Or(err, fmt.Errorf("address %v: %s", p, a.Reason)))
		}
		if a.Installed && !slices.Contains(h.outcome, a) {
			h.log.Info().Stringer("address", p).Msg(a.Reason)
		}
		outcome = append(outcome, a)
	}
	h.outcome = outcome
	h.stood = slices.DeleteFunc(h.entries(), func(e entry) bool { _, ok := h.find(after, e); return !ok })
	return errors.Join(errs...)
}

// judge tells how p stands among what there is after a Set.
func (h *Host) judge(after []held, p netip.Prefix, failed error) Address {
	reason := ""
	for _, e := range h.entriesOf(p) {
		a, ok := h.find(after, e)
		switch {
		case !ok && failed != nil:
			return Address{p, false, failed.Error()}
		case !ok:
			return Address{p, false, fmt.Sprintf("%v: gone again right after it was added", e)}
		case e.kind == rule:
			continue
		}
		if to, ok := routeTo(after, p); !ok {
			return Address{p, false, "it is there, but table local has no route to it"}
		} else if to.other {
			return Address{p, false, inTheWay(p)}
		}
		reason = h.owner(a)
	}
	return Address{p, true, reason}
}

// owner says whose an address or a route is that does its work.
func (h *Host) owner(a held) string {
	what, on := "", linkName(a.index)
	if a.kind == route {
		what = "as a local route "
	}
	switch {
	case !h.owns(a) && a.kind == route:
		return fmt.Sprintf("was there before, %son %s; left to its owner", what, on)
	case !h.owns(a):
		return fmt.Sprintf("was there before, on %s as %v; left to its owner", on, a.prefix)
	case h.fallback && a.kind == address:
		return fmt.Sprintf("installed by anycastd on %s, as this kernel has no dummy links", on)
	}
	return fmt.Sprintf("installed by anycastd %son %s", what, on)
}

// incomplete says whether something of the last Set is not installed.
func (h *Host) incomplete() bool {
	return len(h.outcome) < len(h.wanted) || slices.ContainsFunc(h.outcome, func(a Address) bool { return !a.Installed })
}
