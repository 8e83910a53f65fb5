package netlink

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// greet tells, once, what an earlier process has left.
func (h *Host) greet(before []held) {
	if h.began {
		return
	}
	h.began = true
	for _, a := range before {
		if a.proto == Mark {
			h.log.Info().Stringer("address", a.prefix).Str("link", linkName(a.index)).
				Bool("wanted", a.index == h.index && slices.Contains(h.wanted, a.prefix)).
				Msg("found an address that an earlier run of anycastd left")
		}
	}
}

// addMissing adds each wanted address that is not on the link, and puts why
// it could not into failed.
func (h *Host) addMissing(ctx context.Context, before []held, failed map[netip.Prefix]error) {
	for _, p := range h.wanted {
		if _, ok := h.find(before, p); ok {
			continue
		}
		if h.installed(p) {
			h.log.Warn().Stringer("address", p).Str("link", h.cfg.Interface).Msg("somebody has removed the address; putting it back")
		}
		delete(h.mine, p) // whatever was there is gone
		err := ctx.Err()
		if err == nil {
			err = add(h.index, p, h.mark)
		}
		if err != nil {
			failed[p] = fmt.Errorf("address %v on link %s: %w", p, h.cfg.Interface, explain(err, p))
		}
	}
}

// installed says whether p was there after the last Set.
func (h *Host) installed(p netip.Prefix) bool {
	return slices.ContainsFunc(h.outcome, func(a Address) bool { return a.Prefix == p && a.Installed })
}

// removeUnwanted removes every address of ours that is not wanted where it is.
// One that could not move to the configured link stays on its old one.
func (h *Host) removeUnwanted(ctx context.Context, before []held, failed map[netip.Prefix]error) error {
	var errs []error
	for _, a := range before {
		wanted := slices.Contains(h.wanted, a.prefix) && (a.index == h.index || failed[a.prefix] != nil)
		if !h.owns(a) || wanted {
			continue
		}
		err := ctx.Err()
		if err == nil {
			err = remove(a.index, a.prefix)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("address %v on link %s is not wanted: %w", a.prefix, linkName(a.index), explain(err, a.prefix)))
			continue
		}
		delete(h.mine, a.prefix)
		h.log.Info().Stringer("address", a.prefix).Str("link", linkName(a.index)).Msg("address removed")
	}
	return errors.Join(errs...)
}

// rememberUnmarked takes note of addresses that we have just added and that
// bear no mark: the kernel is older than 5.18 and ignores IFA_PROTO.
func (h *Host) rememberUnmarked(before, after []held) {
	for _, p := range h.wanted {
		if _, was := h.find(before, p); was {
			continue
		}
		a, ok := h.find(after, p)
		if !ok || a.proto == Mark {
			continue
		}
		if len(h.mine) == 0 {
			h.log.Warn().Msg("this kernel keeps no owner of addresses (IFA_PROTO, Linux 5.18): which are ours is remembered in memory only, and a killed daemon leaves them behind")
		}
		h.mine[p] = true
	}
}

// owns says whether an address is ours to remove.
func (h *Host) owns(a held) bool {
	return a.proto == Mark || a.index == h.index && h.mine[a.prefix]
}

// find returns the entry of our link that has p's address, whatever its length.
func (h *Host) find(all []held, p netip.Prefix) (held, bool) {
	i := slices.IndexFunc(all, func(a held) bool { return a.index == h.index && a.prefix.Addr() == p.Addr() })
	if i < 0 {
		return held{}, false
	}
	return all[i], true
}
