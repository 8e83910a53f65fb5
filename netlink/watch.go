package netlink

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"time"

	vnl "github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	receiveBuffer = 1 << 20                // octets; what overflows it costs a new subscription
	burst         = 20 * time.Millisecond  // changes within it are one notification
	minBackoff    = 100 * time.Millisecond // between subscriptions
	maxBackoff    = 10 * time.Second
)

// Run watches addresses and links, and calls Notify on changes that concern
// us, also once whenever it has begun to watch: what came before was not seen.
// It returns nil when ctx ends, and removes nothing then.
func (h *Host) Run(ctx context.Context) error {
	backoff := minBackoff
	for {
		began := time.Now()
		err := h.watch(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(began) > maxBackoff {
			backoff = minBackoff
		}
		h.log.Warn().Err(err).Dur("again_in", backoff).Msg("watching the host's addresses was interrupted")
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// watch notifies until its subscription or ctx ends.
func (h *Host) watch(ctx context.Context) error {
	s, err := subscribe()
	if err != nil {
		return err
	}
	defer s.Close()
	changed := make(chan struct{}, 1)
	changed <- struct{}{}
	ended := make(chan error, 1)
	go func() { ended <- h.receive(s, changed) }()
	for {
		select {
		case <-ctx.Done():
			s.Close()
			return <-ended
		case err := <-ended:
			return err
		case <-changed:
			h.notify(ctx, changed)
		}
	}
}

// notify lets a burst of changes pass, then tells of it once.
func (h *Host) notify(ctx context.Context, changed <-chan struct{}) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(burst):
	}
	select {
	case <-changed:
	default:
	}
	if h.cfg.Notify != nil {
		h.cfg.Notify()
	}
}

// subscribe opens a socket that hears of every address and link. The
// subscriptions of vnl are not used: they do not pass on IFA_PROTO.
func subscribe() (*nl.NetlinkSocket, error) {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return nil, fmt.Errorf("subscribing to address changes: %w", err)
	}
	if err := s.SetReceiveBufferSize(receiveBuffer, true); err != nil {
		err = s.SetReceiveBufferSize(receiveBuffer, false) // without CAP_NET_ADMIN: as much as is allowed
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("sizing the receive buffer: %w", err)
		}
	}
	return s, nil
}

// receive signals what concerns us, until the socket is closed or overflows.
func (h *Host) receive(s *nl.NetlinkSocket, changed chan<- struct{}) error {
	for {
		msgs, from, err := s.Receive()
		if err != nil {
			return err
		}
		if from.Pid != nl.PidKernel || !h.concerned(msgs) {
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
	switch m.Header.Type {
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		a, err := parse(m.Data)
		if err != nil || a.index != h.index {
			return false
		}
		wanted := slices.ContainsFunc(h.wanted, func(p netip.Prefix) bool { return p.Addr() == a.prefix.Addr() })
		return wanted && (m.Header.Type == unix.RTM_DELADDR || a.proto != Mark)
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		return h.concernsLink(m)
	}
	return false
}

// concernsLink says whether our link went, came, went down or was renamed.
func (h *Host) concernsLink(m syscall.NetlinkMessage) bool {
	if len(m.Data) < unix.SizeofIfInfomsg || m.Data[0] != unix.AF_UNSPEC {
		return false // a bridge tells of its ports in another family
	}
	header := unix.NlMsghdr(m.Header)
	link, err := vnl.LinkDeserialize(&header, m.Data)
	if err != nil {
		return false
	}
	a := link.Attrs()
	ours, named := a.Index == h.index, a.Name == h.cfg.Interface
	switch {
	case !ours && !named:
		return false
	case m.Header.Type == unix.RTM_DELLINK:
		return ours
	}
	return ours != named || a.RawFlags&unix.IFF_UP == 0
}
