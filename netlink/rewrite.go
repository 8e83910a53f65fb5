package netlink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"syscall"

	"github.com/google/nftables"
	"github.com/rs/zerolog"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Rewrite says that what arrives for Addr:Port, UDP, reaches the socket that is
// bound to Addr:Bound, and that what this socket sends leaves from Port.
type Rewrite struct {
	Addr        netip.Addr
	Port, Bound uint16
}

// String returns the rewrite as a person would write it.
func (w Rewrite) String() string {
	return fmt.Sprintf("%s (bound to %d)", netip.AddrPortFrom(w.Addr, w.Port), w.Bound)
}

// RewriterConfig is what a Rewriter needs to know.
type RewriterConfig struct {
	// Notify is called by Run when our tables may have been changed: call Set
	// again. Calls come from one goroutine, bursts as one call; it must not
	// block. Nil: nobody asks.
	Notify func()
}

// Rewriter rewrites UDP ports, without any state, by an nf_tables table of its
// own for each family. There is one per network namespace: the tables of that
// name are taken for its own. Its methods may be called from several goroutines.
type Rewriter struct {
	cfg  RewriterConfig
	log  zerolog.Logger
	dial func() (*nftables.Conn, error)

	mu     sync.Mutex
	wanted []Rewrite
	stands bool // the last Set left the kernel as wanted
}

// NewRewriter returns a Rewriter that has touched nothing yet.
func NewRewriter(cfg RewriterConfig, log zerolog.Logger) *Rewriter {
	return &Rewriter{cfg: cfg, log: log, dial: func() (*nftables.Conn, error) { return nftables.New() }}
}

// ErrNoTables says that this kernel can't rewrite.
var ErrNoTables = errors.New("this kernel has no nf_tables (CONFIG_NF_TABLES)")

// Set makes what the host rewrites exactly want. A table that is not as it
// should be is replaced, in one transaction with the other family's, and one
// that nothing is wanted of is removed: Set(ctx, nil) leaves nothing of ours,
// and needs no nf_tables.
//
// The errors are joined. One that is about a single rewrite names it, and the
// others stand; after any other error nothing has changed.
func (r *Rewriter) Set(ctx context.Context, want []Rewrite) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	good, errBad := sound(want)
	stood := r.stands && slices.Equal(r.wanted, good)
	r.wanted, r.stands = good, false
	changed, err := r.settle()
	if errors.Is(err, ErrNoTables) && len(good) == 0 {
		err = nil // then nothing is there
	}
	if err != nil {
		return errors.Join(errBad, fmt.Errorf("rewriting UDP ports: %w", err))
	}
	r.stands = true
	r.tell(changed, stood)
	return errBad
}

// Run watches our tables, and calls Notify when somebody has changed them (a
// firewall's `nft flush ruleset`), when Set has, and once whenever it has begun
// to watch. It returns nil when ctx ends, and removes nothing then.
func (r *Rewriter) Run(ctx context.Context) error {
	w := watch{
		what: "the host's nftables tables", protocol: unix.NETLINK_NETFILTER, buffer: receiveBuffer, groups: []uint{unix.NFNLGRP_NFTABLES},
		concerned: r.concerned, notify: r.cfg.Notify, log: r.log,
	}
	return w.run(ctx)
}

// concerned says whether one of the messages tells of a table of ours.
func (r *Rewriter) concerned(msgs []syscall.NetlinkMessage) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.wanted) > 0 && slices.ContainsFunc(msgs, ofOurTable)
}

// ofOurTable says whether m tells of a table of ours or of something in one.
func ofOurTable(m syscall.NetlinkMessage) bool {
	n := len(m.Data)
	if m.Header.Type>>8 != unix.NFNL_SUBSYS_NFTABLES || n < nl.SizeofNfgenmsg || n%unix.NLMSG_ALIGNTO != 0 {
		return false
	}
	attrs, err := nl.ParseRouteAttr(m.Data[nl.SizeofNfgenmsg:])
	return err == nil && slices.ContainsFunc(attrs, func(a syscall.NetlinkRouteAttr) bool {
		// It has the same number for tables, chains, rules, sets and elements.
		return a.Attr.Type == unix.NFTA_TABLE_NAME && unix.ByteSliceToString(a.Value) == tableName
	})
}

// tell logs what is new after a Set; stood says that the last one wanted and
// got the same.
func (r *Rewriter) tell(changed, stood bool) {
	switch {
	case stood && changed:
		r.log.Warn().Msg("somebody has changed our nftables tables; they are put back")
	case stood:
	case len(r.wanted) > 0:
		for _, w := range r.wanted {
			r.log.Info().Stringer("at", netip.AddrPortFrom(w.Addr, w.Port)).Uint16("bound", w.Bound).Msg("UDP port rewritten")
		}
	case changed:
		r.log.Info().Msg("UDP ports are no longer rewritten")
	}
}

// settle makes the kernel's tables those of wanted, and says whether they were
// not.
func (r *Rewriter) settle() (changed bool, err error) {
	conn, err := r.dial()
	if err != nil {
		return false, explainTables(err)
	}
	for _, l := range layers() {
		want := l.content(r.wanted)
		differs, err := l.differs(conn, want)
		if err != nil {
			return false, explainTables(err)
		}
		if differs {
			changed = true
			if err := l.replace(conn, want); err != nil {
				return false, err
			}
		}
	}
	return changed, conn.Flush()
}

// explainTables adds to the kernel's answer to a first question what it means:
// without netfilter there is no such socket, without nf_tables nobody whom the
// question is for (nfnetlink then says EINVAL).
func explainTables(err error) error {
	if errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%w: %w", ErrNoTables, err)
	}
	return permission(err)
}

// sound returns the rewrites of want that can be, sorted, and an error for
// each that can't.
func sound(want []Rewrite) (good []Rewrite, err error) {
	var errs []error
	for _, w := range want {
		if why := unsound(w, good); why != "" {
			errs = append(errs, fmt.Errorf("rewrite of %s: %s", w, why))
			continue
		}
		good = append(good, w)
	}
	slices.SortFunc(good, func(a, b Rewrite) int { return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Port, b.Port)) })
	return good, errors.Join(errs...)
}

// unsound says what is wrong with w beside others; "" if nothing is.
func unsound(w Rewrite, others []Rewrite) string {
	switch {
	case !w.Addr.IsValid():
		return "there is no address"
	case w.Addr.Is4In6() || w.Addr.Zone() != "":
		return "neither a plain IPv4 nor a plain IPv6 address"
	case w.Port == 0 || w.Bound == 0:
		return "0 is no port"
	case w.Port == w.Bound:
		return "both ports are the same"
	}
	for _, o := range others {
		switch {
		case o.Addr != w.Addr:
		case o.Port == w.Port:
			return "it is there already, as " + o.String()
		case o.Bound == w.Bound || o.Bound == w.Port || o.Port == w.Bound:
			return "it shares a port with " + o.String()
		}
	}
	return ""
}
