package netlink

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// entries returns what is to be in the kernel for the wanted prefixes.
func (h *Host) entries() (all []entry) {
	for _, p := range h.wanted {
		all = append(all, h.entriesOf(p)...)
	}
	return all
}

// entriesOf returns what is to be in the kernel for p.
func (h *Host) entriesOf(p netip.Prefix) []entry {
	e := entry{kind: route, prefix: p, index: loopback, table: tableLocal}
	if p.IsSingleIP() {
		e = entry{kind: address, prefix: p, index: h.index}
	}
	if h.cfg.ReplyTable == 0 {
		return []entry{e}
	}
	return []entry{e, {kind: rule, prefix: p, table: uint32(h.cfg.ReplyTable), priority: uint32(h.cfg.ReplyPriority)}}
}

// greet tells, once, what an earlier process has left.
func (h *Host) greet(before []held) {
	if h.began {
		return
	}
	h.began = true
	for _, a := range before {
		if a.marked() {
			h.log.Info().Stringer("what", a).Bool("wanted", slices.Contains(h.entries(), a.entry)).Msg("found what an earlier run of anycastd left")
		}
	}
}

// addMissing adds what is wanted and not there, and puts why it could not into
// failed, for each prefix the first reason.
func (h *Host) addMissing(ctx context.Context, before []held, failed map[netip.Prefix]error) {
	for _, e := range h.entries() {
		a, there := h.find(before, e)
		dead := there && h.owns(a) && h.dead(before, e)
		if failed[e.prefix] != nil || there && !dead {
			continue
		}
		if slices.Contains(h.stood, e) {
			h.log.Warn().Stringer("what", e).Msg("somebody has removed it; putting it back")
		}
		delete(h.mine, e) // whatever was there is gone
		err := ctx.Err()
		if err == nil && dead {
			err = a.remove()
		}
		if err == nil {
			err = e.add(h.mark)
		}
		if err != nil {
			failed[e.prefix] = fmt.Errorf("%v: %w", e, explain(err, e))
		}
	}
}

// removeUnwanted removes everything of ours that is not wanted where it is.
// What could not move to its new place stays in its old one.
func (h *Host) removeUnwanted(ctx context.Context, before []held, failed map[netip.Prefix]error) error {
	var errs []error
	wanted := h.entries()
	for _, a := range before {
		stuck := failed[a.prefix] != nil && slices.ContainsFunc(wanted, func(e entry) bool { return e.kind == a.kind && e.prefix == a.prefix })
		if !h.owns(a) || stuck || slices.Contains(wanted, a.entry) {
			continue
		}
		what, err := a.String(), ctx.Err()
		if err == nil {
			err = a.remove()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s is not wanted: %w", what, explain(err, a.entry)))
			continue
		}
		delete(h.mine, a.entry)
		h.log.Info().Str("what", what).Msg("removed")
	}
	return errors.Join(errs...)
}

// rememberUnmarked takes note of what we have just added and what bears no
// mark: the kernel is older than 5.18 and ignores IFA_PROTO.
func (h *Host) rememberUnmarked(before, after []held) {
	for _, e := range h.entries() {
		if _, was := h.find(before, e); was {
			continue
		}
		a, ok := h.find(after, e)
		if !ok || a.proto == Mark {
			continue
		}
		if len(h.mine) == 0 {
			h.log.Warn().Msg("this kernel keeps no owner of addresses (IFA_PROTO, Linux 5.18): which are ours is remembered in memory only, and a killed daemon leaves them behind")
		}
		h.mine[e] = true
	}
}

// marked says whether a is of our making by its mark.
func (a held) marked() bool { return a.proto == Mark && !a.other }

// owns says whether a is ours to remove.
func (h *Host) owns(a held) bool { return a.marked() || h.mine[a.entry] }

// find returns what does the work of e: e itself, best of all ours, or an
// address of any prefix length.
func (h *Host) find(all []held, e entry) (held, bool) {
	same := func(a held) bool { return a.entry == e && !a.other }
	for _, does := range []func(held) bool{
		func(a held) bool { return same(a) && h.owns(a) },
		same,
		func(a held) bool {
			return e.kind == address && a.kind == address && a.index == e.index && a.prefix.Addr() == e.prefix.Addr()
		},
	} {
		if i := slices.IndexFunc(all, does); i >= 0 {
			return all[i], true
		}
	}
	return held{}, false
}

// dead says whether e is an address that is there but to which there is no
// route, so that nothing reaches it: `ip route flush table local` does that.
func (h *Host) dead(all []held, e entry) bool {
	if _, there := h.find(all, e); !there || e.kind != address {
		return false
	}
	_, ok := routeTo(all, e.prefix)
	return !ok
}

// routeTo returns the route of exactly p that goes before all others.
func routeTo(all []held, p netip.Prefix) (held, bool) {
	i := slices.IndexFunc(all, func(a held) bool { return a.kind == route && a.prefix == p })
	if i < 0 {
		return held{}, false
	}
	return all[i], true
}
