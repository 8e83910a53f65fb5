package netlink

import (
	"errors"
	"fmt"
	"net"
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

// ErrNoDummy says that the configured link is missing and cannot be made,
// because the kernel has no dummy links. Every kernel has "lo".
var ErrNoDummy = errors.New(`no such interface, and this kernel has no dummy links to make it of (interface = "lo" works on every kernel)`)

// ensureLink finds the configured link, makes it if addresses are wanted and
// it is missing, and sets it up.
func (h *Host) ensureLink() error {
	h.index = 0
	name := h.cfg.Interface
	link, err := vnl.LinkByName(name)
	if errors.As(err, &vnl.LinkNotFoundError{}) && len(h.wanted) > 0 {
		link, err = h.makeLink()
	}
	switch {
	case errors.As(err, &vnl.LinkNotFoundError{}) && len(h.wanted) == 0:
		return nil // nothing is wanted of it
	case err != nil:
		return fmt.Errorf("link %s: %w", name, err)
	}
	h.index = link.Attrs().Index
	if len(h.wanted) == 0 || link.Attrs().Flags&net.FlagUp != 0 {
		return nil
	}
	if err := vnl.LinkSetUp(link); err != nil {
		return fmt.Errorf("link %s: setting it up: %w", name, permission(err))
	}
	h.log.Info().Str("link", name).Msg("link set up")
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
		return nil, ErrNoDummy
	case err != nil:
		return nil, fmt.Errorf("no such interface, and making a %s link of that name: %w", h.kind, permission(err))
	}
	if err := vnl.LinkSetAlias(link, alias); err != nil {
		return nil, errors.Join(fmt.Errorf("marking it as made by anycastd: %w", permission(err)), vnl.LinkDel(link))
	}
	h.log.Info().Str("link", h.cfg.Interface).Str("kind", h.kind).Msg("link made")
	return vnl.LinkByName(h.cfg.Interface)
}

// removeLinks removes the links made by us that no wanted address needs.
func (h *Host) removeLinks() error {
	links, err := vnl.LinkList()
	if err != nil && !errors.Is(err, vnl.ErrDumpInterrupted) {
		return fmt.Errorf("listing the host's links: %w", err)
	}
	var errs []error
	for _, link := range links {
		a := link.Attrs()
		needed := len(h.wanted) > 0 && a.Index == h.index
		if needed || a.Alias != alias || link.Type() != h.kind {
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
