package netlink

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	vnl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// kindDummy is the kind of link that bears addresses and leads nowhere.
const kindDummy = "dummy"

// alias is the IFLA_IFALIAS of links that we made: the mark to remove them by.
const alias = "anycastd"

// maxName is the longest name of a link in octets (IFNAMSIZ less the final zero).
const maxName = unix.IFNAMSIZ - 1

// errNoDummy says that a link cannot be made because the kernel has none of that kind.
var errNoDummy = errors.New("this kernel has no dummy links")

// ensureLink finds the link that bears single addresses, makes it if such are
// wanted and it is missing, and sets it up; failing that, they have failed.
func (h *Host) ensureLink(failed map[netip.Prefix]error) error {
	h.link, h.index = h.cfg.Interface, 0
	if !h.wantsLink() {
		return nil
	}
	link, err := h.bearer()
	if err == nil {
		h.link, h.index = link.Attrs().Name, link.Attrs().Index
		err = h.setUp(link)
	}
	if err != nil {
		err = fmt.Errorf("link %s: %w", h.link, err)
		h.fail(failed, err, netip.Prefix.IsSingleIP)
	}
	return err
}

// ensureLoopback sets lo up if prefixes are wanted that need it.
func (h *Host) ensureLoopback(failed map[netip.Prefix]error) error {
	if !h.wantsLoopback() {
		return nil
	}
	link, err := vnl.LinkByIndex(loopback)
	if err == nil {
		err = h.setUp(link)
	}
	if err != nil {
		err = fmt.Errorf("link lo: %w", err)
		h.fail(failed, err, isWide)
	}
	return err
}

// wantsLink says whether a wanted prefix needs the link.
func (h *Host) wantsLink() bool { return slices.ContainsFunc(h.wanted, netip.Prefix.IsSingleIP) }

// wantsLoopback says whether a wanted prefix needs a route on lo.
func (h *Host) wantsLoopback() bool { return slices.ContainsFunc(h.wanted, isWide) }

func isWide(p netip.Prefix) bool { return !p.IsSingleIP() }

// fail makes err the reason of the wanted prefixes of a sort.
func (h *Host) fail(failed map[netip.Prefix]error, err error, of func(netip.Prefix) bool) {
	for _, p := range h.wanted {
		if of(p) {
			failed[p] = err
		}
	}
}

// bearer returns the configured link, else one that we make, else lo.
func (h *Host) bearer() (vnl.Link, error) {
	link, err := vnl.LinkByName(h.cfg.Interface)
	if errors.As(err, &vnl.LinkNotFoundError{}) {
		link, err = h.makeLink()
	}
	fellBack := h.fallback
	h.fallback = errors.Is(err, errNoDummy)
	if !h.fallback {
		return link, err
	}
	if !fellBack {
		h.log.Warn().Str("interface", h.cfg.Interface).Msgf(`%v: the addresses go on lo; interface = "lo" says the same without this warning`, errNoDummy)
	}
	link, err = vnl.LinkByIndex(loopback)
	if err != nil {
		return nil, fmt.Errorf("no such interface, %w, and lo: %w", errNoDummy, err)
	}
	return link, nil
}

// setUp sets a link up that is down.
func (h *Host) setUp(link vnl.Link) error {
	if link.Attrs().Flags&net.FlagUp != 0 {
		return nil
	}
	if err := vnl.LinkSetUp(link); err != nil {
		return fmt.Errorf("setting it up: %w", permission(err))
	}
	h.log.Info().Str("link", link.Attrs().Name).Msg("link set up")
	return nil
}

// makeLink makes the configured link and marks it as made by us.
func (h *Host) makeLink() (vnl.Link, error) {
	if len(h.cfg.Interface) > maxName || h.cfg.Interface == "" {
		return nil, fmt.Errorf("no such interface, and none can be made: a name has 1 to %d octets", maxName)
	}
	link := &vnl.GenericLink{LinkAttrs: vnl.NewLinkAttrs(), LinkType: h.kind}
	link.Name = h.cfg.Interface
	switch err := vnl.LinkAdd(link); {
	case errors.Is(err, unix.EOPNOTSUPP):
		return nil, errNoDummy
	case err != nil:
		return nil, fmt.Errorf("no such interface, and making a %s link of that name: %w", h.kind, permission(err))
	}
	if err := vnl.LinkSetAlias(link, alias); err != nil {
		return nil, errors.Join(fmt.Errorf("marking it as made by anycastd: %w", permission(err)), vnl.LinkDel(link))
	}
	h.log.Info().Str("link", h.cfg.Interface).Str("kind", h.kind).Msg("link made")
	return vnl.LinkByName(h.cfg.Interface)
}

// removeLinks removes the links made by us that no wanted address needs, or
// none if these have nowhere to go.
func (h *Host) removeLinks() error {
	if h.index == 0 && h.wantsLink() {
		return nil
	}
	links, err := vnl.LinkList()
	if err != nil && !errors.Is(err, vnl.ErrDumpInterrupted) {
		return fmt.Errorf("listing the host's links: %w", err)
	}
	var errs []error
	for _, link := range links {
		a := link.Attrs()
		if a.Index == h.index || a.Alias != alias || link.Type() != h.kind {
			continue
		}
		if err := vnl.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("link %s is not wanted: %w", a.Name, permission(err)))
			continue
		}
		h.log.Info().Str("link", a.Name).Msg("link removed")
	}
	return errors.Join(errs...)
}

// linkName returns the name of a link, or its index where it is gone.
func linkName(index int) string {
	if link, err := vnl.LinkByIndex(index); err == nil {
		return link.Attrs().Name
	}
	return strconv.Itoa(index)
}

func permission(err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w (CAP_NET_ADMIN is needed)", err)
	}
	return err
}
