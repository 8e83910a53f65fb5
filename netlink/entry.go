package netlink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// kind is what an entry is: the rtnetlink message that adds one. The next two
// numbers are those that remove and ask for one (linux/rtnetlink.h).
type kind uint16

const (
	address kind = unix.RTM_NEWADDR  // on a link
	route   kind = unix.RTM_NEWROUTE // to this very host (AnyIP)
	rule    kind = unix.RTM_NEWRULE  // by which table what is sent from there leaves
)

// loopback is the index of lo in every network namespace (LOOPBACK_IFINDEX).
const loopback = 1

// entry is something that the kernel has, or is to have, for a prefix.
type entry struct {
	kind     kind
	prefix   netip.Prefix
	index    int    // of the link of an address or a route
	table    uint32 // of a route or a rule
	priority uint32 // of a rule
}

// held is an entry that the kernel has.
type held struct {
	entry
	proto uint8 // who put it there; 0: not told
	other bool  // a route that leads elsewhere, a rule that asks for more than a source
}

// String names the entry to a person.
func (e entry) String() string {
	switch e.kind {
	case route:
		return fmt.Sprintf("local route %v on %s", e.prefix, linkName(e.index))
	case rule:
		return fmt.Sprintf("rule from %v lookup %d (priority %d)", e.prefix, e.table, e.priority)
	}
	return fmt.Sprintf("address %v on %s", e.prefix, linkName(e.index))
}

// add puts e into the kernel, with a mark. EEXIST: it is there.
func (e entry) add(mark uint8) error {
	return e.request(uint16(e.kind), unix.NLM_F_CREATE|unix.NLM_F_EXCL, mark)
}

// remove takes h out of the kernel. That it is gone already, or its link, is
// no error.
func (h held) remove() error {
	err := h.request(uint16(h.kind)+1, 0, h.proto)
	for _, gone := range []error{unix.EADDRNOTAVAIL, unix.ENODEV, unix.ESRCH, unix.ENOENT} {
		if errors.Is(err, gone) {
			return nil
		}
	}
	return err
}

// request asks the kernel to add or to remove e.
func (e entry) request(typ uint16, flags int, mark uint8) error {
	req := nl.NewNetlinkRequest(int(typ), flags|unix.NLM_F_ACK)
	switch e.kind {
	case address:
		e.describeAddress(req, mark)
	case route:
		e.describeRoute(req, mark)
	case rule:
		e.describeRule(req, mark)
	}
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// list returns every address and rule of this network namespace, and the
// routes of table local.
func list() ([]held, error) {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE) // to nothing: a socket to ask by
	if err != nil {
		return nil, fmt.Errorf("asking what the host has: %w", err)
	}
	defer s.Close()
	// An edge router has a million routes. Without this option, which came with
	// Linux 4.20, the kernel tells them all.
	_ = unix.SetsockoptInt(s.GetFd(), unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	sockets := map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: s}}

	var all []held
	for _, ask := range []struct {
		what   kind
		header nl.NetlinkRequestData
	}{
		{address, nl.NewIfAddrmsg(unix.AF_UNSPEC)},
		{route, routeHeader(unix.AF_INET)},
		{route, routeHeader(unix.AF_INET6)},
		{rule, &nl.RtMsg{}},
	} {
		got, err := dump(sockets, ask.what, ask.header)
		if err != nil {
			return nil, fmt.Errorf("asking what the host has: %w", err)
		}
		all = append(all, got...)
	}
	return slices.DeleteFunc(all, func(a held) bool { return a.kind == route && a.table != tableLocal }), nil
}

// dump returns the entries of a kind that the header asks for.
func dump(sockets map[int]*nl.SocketHandle, what kind, header nl.NetlinkRequestData) ([]held, error) {
	const tries = 10 // a dump is interrupted when something changes meanwhile
	var err error
	for range tries {
		var msgs [][]byte
		req := nl.NewNetlinkRequest(int(what)+2, unix.NLM_F_DUMP)
		req.Sockets = sockets
		req.AddData(header)
		msgs, err = req.Execute(unix.NETLINK_ROUTE, uint16(what))
		if err == nil {
			return parseAll(what, msgs)
		}
		if !errors.Is(err, nl.ErrDumpInterrupted) {
			break
		}
	}
	return nil, err
}

func parseAll(what kind, msgs [][]byte) ([]held, error) {
	all := make([]held, 0, len(msgs))
	for _, m := range msgs {
		a, err := parse(uint16(what), m)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

// parse reads the body of a message that says what came or went.
func parse(typ uint16, body []byte) (held, error) {
	const kinds = 3 // the bits by which messages of a kind differ
	switch what := kind(typ &^ kinds); what {
	case address:
		return parseAddress(body)
	case route, rule:
		return parseRouting(what, body)
	}
	return held{}, errors.New("a message of another kind")
}

// attributes returns what follows the header of a message.
func attributes(body []byte, header int) (map[uint16][]byte, error) {
	if len(body) < header || len(body)%unix.NLMSG_ALIGNTO != 0 {
		return nil, errors.New("malformed message")
	}
	attrs, err := nl.ParseRouteAttr(body[header:])
	if err != nil {
		return nil, err
	}
	by := map[uint16][]byte{}
	for _, a := range attrs {
		by[a.Attr.Type] = a.Value
	}
	return by, nil
}

// octet and number read an attribute; 0 where it is missing.
func octet(b []byte) uint8 {
	if len(b) < 1 {
		return 0
	}
	return b[0]
}

func number(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(b)
}

func familyOf(p netip.Prefix) uint8 {
	if p.Addr().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// explain adds to the kernel's word on e what it most often means.
func explain(err error, e entry) error {
	v6 := e.prefix.Addr().Is6()
	switch {
	case errors.Is(err, unix.EPERM):
		return permission(err)
	case errors.Is(err, unix.EACCES) && v6:
		return fmt.Errorf("%w (IPv6 is disabled there: net.ipv6.conf.*.disable_ipv6)", err)
	case errors.Is(err, unix.EAFNOSUPPORT) && v6:
		return fmt.Errorf("%w (this kernel has no IPv6)", err)
	case errors.Is(err, unix.EEXIST) && e.kind == route:
		return errors.New(inTheWay(e.prefix))
	}
	return err
}

// inTheWay says that p has another route where only one can be.
func inTheWay(p netip.Prefix) string {
	family := "-4"
	if p.Addr().Is6() {
		family = "-6"
	}
	return fmt.Sprintf("somebody else's route is in the way (ip %s route show table local %v)", family, p)
}
