package netlink

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	vnl "github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	receiveBuffer = 1 << 20                // octets
	burst         = 20 * time.Millisecond  // changes within it are one notification
	minBackoff    = 100 * time.Millisecond // between subscriptions
	maxBackoff    = 10 * time.Second
)

// Run watches addresses, links, routes and rules, and calls Notify on changes
// that concern us, also once whenever it has begun to watch: what came before
// was not seen.
// It returns nil when ctx ends, and removes nothing then.
func (h *Host) Run(ctx context.Context) error {
	w := h.watch()
	return w.run(ctx)
}

func (h *Host) watch() watch {
	return watch{
		what: "the host's addresses", protocol: unix.NETLINK_ROUTE, buffer: h.buffer,
		groups: []uint{
			unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
			unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE,
		},
		concerned: h.concerned, notify: h.cfg.Notify, log: h.log,
	}
}

// watch hears of changes in the kernel. The subscriptions of vnl are not used:
// they do not pass on IFA_PROTO.
type watch struct {
	what      string
	protocol  int
	groups    []uint // of netlink's multicast
	buffer    int    // octets; what overflows it costs a new subscription
	concerned func([]syscall.NetlinkMessage) bool
	notify    func() // may be nil
	log       zerolog.Logger
}

// run is Run, of a Host or another.
func (w *watch) run(ctx context.Context) error {
	backoff := minBackoff
	for {
		began := time.Now()
		err := w.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(began) > maxBackoff {
			backoff = minBackoff
		}
		w.log.Warn().Err(err).Dur("again_in", backoff).Msgf("watching %s was interrupted", w.what)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// once notifies until its subscription or ctx ends.
func (w *watch) once(ctx context.Context) error {
	s, err := w.subscribe()
	if err != nil {
		return err
	}
	defer s.Close()
	changed := make(chan struct{}, 1)
	changed <- struct{}{}
	ended := make(chan error, 1)
	go func() { ended <- w.receive(s, changed) }()
	for {
		select {
		case <-ctx.Done():
			s.Close()
			return <-ended
		case err := <-ended:
			return err
		case <-changed:
			w.tell(ctx, changed)
		}
	}
}

// tell lets a burst of changes pass, then tells of it once.
func (w *watch) tell(ctx context.Context, changed <-chan struct{}) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(burst):
	}
	select {
	case <-changed:
	default:
	}
	if w.notify != nil {
		w.notify()
	}
}

// subscribe opens a socket that hears of every change in the groups.
func (w *watch) subscribe() (*nl.NetlinkSocket, error) {
	s, err := nl.Subscribe(w.protocol, w.groups...)
	if err != nil {
		return nil, fmt.Errorf("subscribing to changes of %s: %w", w.what, permission(err))
	}
	if err := s.SetReceiveBufferSize(w.buffer, true); err != nil {
		err = s.SetReceiveBufferSize(w.buffer, false) // without CAP_NET_ADMIN: as much as is allowed
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("sizing the receive buffer: %w", err)
		}
	}
	return s, nil
}

// receive signals what concerns us, until the socket is closed or overflows.
func (w *watch) receive(s *nl.NetlinkSocket, changed chan<- struct{}) error {
	for {
		msgs, from, err := s.Receive()
		if err != nil {
			return err
		}
		if from.Pid != nl.PidKernel || !w.concerned(msgs) {
			continue
		}
		select {
		case changed <- struct{}{}:
		default:
		}
	}
}

// concerned says whether one of the messages tells of a change that is not
// our own doing to what we want.
func (h *Host) concerned(msgs []syscall.NetlinkMessage) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.wanted) > 0 && slices.ContainsFunc(msgs, h.concerns)
}

func (h *Host) concerns(m syscall.NetlinkMessage) bool {
	if m.Header.Type == unix.RTM_NEWLINK || m.Header.Type == unix.RTM_DELLINK {
		return h.concernsLink(m)
	}
	a, err := parse(m.Header.Type, m.Data)
	if err != nil {
		return false
	}
	gone := kind(m.Header.Type) != a.kind
	switch a.kind {
	case address:
		return h.concernsAddress(a, gone)
	case route:
		return h.concernsRoute(a, gone)
	}
	return slices.Contains(h.entries(), a.entry) && (gone || a.proto != Mark)
}

// concernsAddress also hears of other addresses: of new ones on our links while
// something is amiss, for that is how IPv6 says that it has been enabled again,
// and of those that go from lo, for its IPv4 routes go with the last without a
// word.
func (h *Host) concernsAddress(a held, gone bool) bool {
	if a.index != h.index && a.index != loopback || !gone && a.proto == Mark {
		return false
	}
	wanted := a.index == h.index && slices.ContainsFunc(h.wanted, func(p netip.Prefix) bool { return p.Addr() == a.prefix.Addr() })
	return wanted || !gone && h.incomplete() || gone && a.index == loopback && h.wantsLoopback()
}

// concernsRoute leaves out the routes that the kernel makes for addresses.
func (h *Host) concernsRoute(a held, gone bool) bool {
	return a.table == tableLocal && slices.Contains(h.wanted, a.prefix) &&
		(gone || a.proto != Mark && (a.other || !a.prefix.IsSingleIP()))
}

// concernsLink says whether our link or lo went, came, went down or was renamed.
func (h *Host) concernsLink(m syscall.NetlinkMessage) bool {
	a, ok := parseLink(m)
	if !ok {
		return false
	}
	ours, named := a.Index == h.index, a.Name == h.cfg.Interface
	if ours || a.Index == loopback && h.wantsLoopback() {
		down := m.Header.Type == unix.RTM_DELLINK || a.RawFlags&unix.IFF_UP == 0
		return down || ours && a.Name != h.link
	}
	return named && m.Header.Type == unix.RTM_NEWLINK && h.wantsLink()
}

// parseLink reads a message about a link.
func parseLink(m syscall.NetlinkMessage) (*vnl.LinkAttrs, bool) {
	if len(m.Data) < unix.SizeofIfInfomsg || m.Data[0] != unix.AF_UNSPEC {
		return nil, false // a bridge tells of its ports in another family
	}
	header := unix.NlMsghdr(m.Header)
	link, err := vnl.LinkDeserialize(&header, m.Data)
	if err != nil {
		return nil, false
	}
	return link.Attrs(), true
}
