// Package netlink puts the anycast addresses on this host and keeps them there,
// and rewrites UDP ports where the one that clients ask for is another's.
// What it adds it marks, in the kernel, so that a later process still knows it.
// It never removes an address without that mark or touches a table of another
// name, and never routes; all it filters is what is sent to a rewritten socket
// past the rewriting.
package netlink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/rs/zerolog"
)

// Mark is the IFA_PROTO value that addresses added by this package carry:
// `ip address show proto 201` (iproute2 6.3) lists them. The kernel keeps it
// since 5.18 and gives no meaning to it.
const Mark = 201

// Config is where the addresses go.
type Config struct {
	// Interface is the link that bears the addresses. Where it is missing a
	// dummy link of that name is made; "lo" exists everywhere.
	Interface string

	// ReplyTable is the routing table by which what is sent from a wanted address
	// leaves, by a rule of priority ReplyPriority for each; 0: the host's usual way.
	ReplyTable    int // 1 to 4294967295
	ReplyPriority int // 1 to 32765

	// Notify is called by Run when our addresses or link may have changed
	// under us: call Set again. Calls come from one goroutine, bursts as one
	// call; it must not block. Nil: nobody asks.
	Notify func()
}

// Address is what the last Set came to for one wanted prefix.
type Address struct {
	Prefix    netip.Prefix
	Installed bool   // it is on the link
	Reason    string // by whom, or why not
}

// Host is the host's set of anycast addresses. There is one per network
// namespace: marked addresses on whatever link are taken for its own.
// Its methods may be called from several goroutines.
type Host struct {
	cfg  Config
	log  zerolog.Logger
	kind string // of a link that we make
	mark uint8  // sent with addresses that we add

	mu      sync.Mutex
	wanted  []netip.Prefix
	index   int                   // of the link; 0: there is none
	mine    map[netip.Prefix]bool // added by us where the kernel keeps no mark
	outcome []Address
	began   bool // leftovers of an earlier process have been looked for
}

// New returns a Host that has touched nothing yet.
func New(cfg Config, log zerolog.Logger) *Host {
	return &Host{cfg: cfg, log: log, kind: kindDummy, mark: Mark, mine: map[netip.Prefix]bool{}}
}

// Addresses returns the outcome of the last Set for each wanted prefix, sorted.
func (h *Host) Addresses() []Address {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.outcome)
}

// Set makes the marked addresses of this host exactly want: each a /32 or
// /128, on the configured link, which is made if it is missing, and set up.
// Addresses that somebody else put there count as present and stay. Marked
// addresses that are not wanted go, and so does a link made by us that is no
// longer needed, with all that is on it; Set(ctx, nil) leaves nothing of ours.
//
// The errors are joined; each names the address and the link. What can be done
// is done, and Addresses tells what that was. The error is an ErrNoDummy where
// the link is missing and the kernel cannot make one.
func (h *Host) Set(ctx context.Context, want []netip.Prefix) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	wanted, errBad := hostPrefixes(want)
	h.wanted = wanted

	errLink := h.ensureLink()
	before, err := list()
	if err != nil {
		return h.conclude(nil, failAll(wanted, err), errBad, errLink, err)
	}
	h.greet(before)
	failed := map[netip.Prefix]error{}
	if errLink != nil {
		failed = failAll(wanted, errLink)
	} else {
		h.addMissing(ctx, before, failed)
	}
	errOld := errors.Join(h.removeUnwanted(ctx, before, failed), h.removeLinks())

	after, err := list()
	if err != nil {
		return h.conclude(nil, failAll(wanted, err), errBad, errLink, errOld, err)
	}
	h.rememberUnmarked(before, after)
	return h.conclude(after, failed, errBad, errLink, errOld)
}

// hostPrefixes returns the prefixes of want that are single addresses, sorted
// and each once, and an error for each that is not.
func hostPrefixes(want []netip.Prefix) ([]netip.Prefix, error) {
	var good []netip.Prefix
	var errs []error
	for _, p := range want {
		if !p.IsSingleIP() || p.Addr().Is4In6() {
			errs = append(errs, fmt.Errorf("address %v: neither an IPv4 /32 nor an IPv6 /128", p))
			continue
		}
		good = append(good, p)
	}
	slices.SortFunc(good, comparePrefixes)
	return slices.Compact(good), errors.Join(errs...)
}

func comparePrefixes(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

func failAll(wanted []netip.Prefix, err error) map[netip.Prefix]error {
	failed := map[netip.Prefix]error{}
	for _, p := range wanted {
		failed[p] = err
	}
	return failed
}

// conclude records and logs the outcome, and joins what went wrong.
func (h *Host) conclude(after []held, failed map[netip.Prefix]error, errs ...error) error {
	outcome := make([]Address, 0, len(h.wanted))
	for _, p := range h.wanted {
		a := h.judge(after, p, failed[p])
		if !a.Installed && !isAny(failed[p], errs) {
			errs = append(errs, cmp.Or(failed[p], fmt.Errorf("address %v on link %s: %s", p, h.cfg.Interface, a.Reason)))
		}
		if a.Installed && !slices.Contains(h.outcome, a) {
			h.log.Info().Stringer("address", p).Msg(a.Reason)
		}
		outcome = append(outcome, a)
	}
	h.outcome = outcome
	return errors.Join(errs...)
}

// judge tells how p stands among the addresses after a Set.
func (h *Host) judge(after []held, p netip.Prefix, failed error) Address {
	a, ok := h.find(after, p)
	switch {
	case ok && h.owns(a):
		return Address{p, true, "installed by anycastd on " + h.cfg.Interface}
	case ok:
		return Address{p, true, fmt.Sprintf("was there before, on %s as %v; left to its owner", h.cfg.Interface, a.prefix)}
	case failed != nil:
		return Address{p, false, failed.Error()}
	}
	return Address{p, false, "gone again right after it was added"}
}

func isAny(err error, errs []error) bool {
	return err != nil && slices.Contains(errs, err)
}
