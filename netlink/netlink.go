// Package netlink puts the anycast addresses on this host and keeps them there,
// watches the uplinks, and rewrites UDP ports where the one that clients ask for
// is another's. What it adds it marks, in the kernel, so that a later process
// still knows it. It never removes what is without that mark or touches a table
// of another name, and never routes to anywhere but this host; all it filters is
// what is sent to a rewritten socket past the rewriting.
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

// Mark is the protocol of addresses (IFA_PROTO), routes (rtm_protocol) and rules
// (FRA_PROTOCOL) that this package adds: `ip address show proto 201` (iproute2
// 6.3), `ip route show table local proto 201` and `ip rule show` tell it. The
// kernel keeps that of addresses since 5.18, and gives no meaning to any.
const Mark = 201

// Config is where the addresses go.
type Config struct {
	// Interface is the link that bears the addresses. Where it is missing a
	// dummy link of that name is made; where the kernel has none of these the
	// addresses go on "lo", which exists everywhere.
	Interface string

	// ReplyTable is the routing table by which what is sent from a wanted address
	// leaves, by a rule of priority ReplyPriority for each; 0: the host's usual way.
	ReplyTable    int // 1 to 4294967295
	ReplyPriority int // 1 to 32765

	// Notify is called by Run when something of ours may have changed under us:
	// call Set again. Calls come from one goroutine, bursts as one call; it must
	// not block. Nil: nobody asks.
	Notify func()
}

// Address is what the last Set came to for one wanted prefix.
type Address struct {
	Prefix    netip.Prefix
	Installed bool   // what is sent to it reaches this host, and answers leave as configured
	Reason    string // by whom, or why not
}

// Host is the host's set of anycast addresses. There is one per network
// namespace: what is marked is taken for its own, wherever it is.
// Its methods may be called from several goroutines.
type Host struct {
	cfg    Config
	log    zerolog.Logger
	kind   string // of a link that we make
	mark   uint8  // sent with what we add
	buffer int    // octets, of the watch

	mu       sync.Mutex
	wanted   []netip.Prefix
	link     string         // that bears single addresses
	index    int            // its index; 0: there is none
	fallback bool           // link is lo for want of dummy links
	mine     map[entry]bool // added by us where the kernel keeps no mark
	stood    []entry        // what the last Set left in the kernel of what was wanted
	outcome  []Address
	began    bool // leftovers of an earlier process have been looked for
}

// New returns a Host that has touched nothing yet.
func New(cfg Config, log zerolog.Logger) *Host {
	return &Host{cfg: cfg, log: log, kind: kindDummy, mark: Mark, buffer: receiveBuffer, mine: map[entry]bool{}}
}

// Addresses returns the outcome of the last Set for each wanted prefix, sorted.
func (h *Host) Addresses() []Address {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.outcome)
}

// Set makes the marked addresses, local routes and rules of this host exactly
// those of want. A /32 or /128 is an address on the configured link, which is
// made if it is missing, and set up; of a wider prefix every address is this
// host's, by a local route on lo (AnyIP; IPv6 sockets need IPV6_FREEBIND then).
// What somebody else put there counts as present and stays. What is marked and
// not wanted goes, and so does a link made by us that is no longer needed, with
// all that is on it; Set(ctx, nil) leaves nothing of ours.
//
// The errors are joined; each names the prefix and the place. What can be done
// is done, and Addresses tells what that was.
func (h *Host) Set(ctx context.Context, want []netip.Prefix) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	wanted, errBad := sane(want)
	h.wanted = wanted

	failed := map[netip.Prefix]error{}
	errLinks := errors.Join(h.ensureLink(failed), h.ensureLoopback(failed))
	before, err := list()
	if err != nil {
		return h.conclude(nil, failAll(wanted, err), errBad, errLinks, err)
	}
	h.greet(before)
	h.addMissing(ctx, before, failed)
	errOld := errors.Join(h.removeUnwanted(ctx, before, failed), h.removeLinks())

	after, err := h.settled()
	if err != nil {
		return h.conclude(nil, failAll(wanted, err), errBad, errLinks, errOld, err)
	}
	h.rememberUnmarked(before, after)
	return h.conclude(after, failed, errBad, errLinks, errOld)
}

// sane returns the prefixes of want that can be, sorted and each once, and an
// error for each that can't.
func sane(want []netip.Prefix) ([]netip.Prefix, error) {
	var good []netip.Prefix
	var errs []error
	for _, p := range want {
		switch {
		case !p.IsValid() || p.Addr().Is4In6():
			errs = append(errs, fmt.Errorf("address %v: neither an IPv4 nor an IPv6 prefix", p))
		case p.Bits() == 0:
			errs = append(errs, fmt.Errorf("address %v: all there is can't be this host", p))
		case p != p.Masked():
			errs = append(errs, fmt.Errorf("address %v: the prefix is %v; a single address has /%d", p, p.Masked(), p.Addr().BitLen()))
		default:
			good = append(good, p)
		}
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
