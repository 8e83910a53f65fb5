package netlink

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	vnl "github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ifaProto is IFA_PROTO (linux/if_addr.h, Linux 5.18): who put the address
// there, one octet. vnl.Addr does not have it, and vnl.AddrReplace wipes it.
const ifaProto = 11

// forever is INFINITY_LIFE_TIME (linux/if_addr.h), a lifetime in seconds.
const forever = 0xffffffff

// held is an address that the kernel has.
type held struct {
	prefix netip.Prefix
	index  int   // of its link
	proto  uint8 // IFA_PROTO; 0: not told
}

// add puts p on a link, so that the host chooses it as source of no connection
// of its own: an IPv4 address has host scope (without it an unnumbered uplink
// would borrow it), an IPv6 address is deprecated from the start (RFC 6724
// section 5, rule 3). The latter is not probed for duplicates either, which an
// anycast address must not be (RFC 4862 section 5.4). EEXIST: p is there.
func add(index int, p netip.Prefix, mark uint8) error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	msg := nl.NewIfAddrmsg(familyOf(p))
	msg.Index = uint32(index)
	msg.Prefixlen = uint8(p.Bits())
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.IFA_LOCAL, p.Addr().AsSlice()))
	req.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, p.Addr().AsSlice()))
	if p.Addr().Is4() {
		msg.Scope = unix.RT_SCOPE_HOST
	} else {
		msg.Flags = unix.IFA_F_NODAD
		life := nl.IfaCacheInfo{IfaCacheinfo: unix.IfaCacheinfo{Prefered: 0, Valid: forever}}
		req.AddData(nl.NewRtAttr(unix.IFA_CACHEINFO, life.Serialize()))
	}
	req.AddData(nl.NewRtAttr(ifaProto, nl.Uint8Attr(mark)))
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// remove takes p off a link. That it is gone already, or its link, is no error.
func remove(index int, p netip.Prefix) error {
	ip := &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
	err := vnl.AddrDel(nil, &vnl.Addr{IPNet: ip, LinkIndex: index})
	if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// list returns every address of this network namespace.
func list() ([]held, error) {
	const tries = 10 // a dump is interrupted when addresses change meanwhile
	var err error
	for range tries {
		var msgs [][]byte
		req := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
		req.AddData(nl.NewIfAddrmsg(unix.AF_UNSPEC))
		msgs, err = req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWADDR)
		if err == nil {
			return parseAll(msgs)
		}
		if !errors.Is(err, nl.ErrDumpInterrupted) {
			break
		}
	}
	return nil, fmt.Errorf("listing the host's addresses: %w", err)
}

func parseAll(msgs [][]byte) ([]held, error) {
	all := make([]held, 0, len(msgs))
	for _, m := range msgs {
		a, err := parse(m)
		if err != nil {
			return nil, fmt.Errorf("listing the host's addresses: %w", err)
		}
		all = append(all, a)
	}
	return all, nil
}

// parse reads the body of an RTM_NEWADDR or RTM_DELADDR.
func parse(body []byte) (held, error) {
	if len(body) < unix.SizeofIfAddrmsg || len(body)%unix.NLMSG_ALIGNTO != 0 {
		return held{}, errors.New("malformed address message")
	}
	msg := nl.DeserializeIfAddrmsg(body)
	attrs, err := nl.ParseRouteAttr(body[unix.SizeofIfAddrmsg:])
	if err != nil {
		return held{}, err
	}
	a := held{index: int(msg.Index)}
	var addr, local netip.Addr // equal or only the first, but for point-to-point
	for _, attr := range attrs {
		switch attr.Attr.Type {
		case unix.IFA_ADDRESS:
			addr, _ = netip.AddrFromSlice(attr.Value)
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(attr.Value)
		case ifaProto:
			if len(attr.Value) > 0 {
				a.proto = attr.Value[0]
			}
		}
	}
	if local.IsValid() {
		addr = local
	}
	a.prefix = netip.PrefixFrom(addr, int(msg.Prefixlen))
	return a, nil
}

func familyOf(p netip.Prefix) int {
	if p.Addr().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// explain adds to the kernel's word what it most often means.
func explain(err error, p netip.Prefix) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w (CAP_NET_ADMIN is needed)", err)
	case errors.Is(err, unix.EACCES) && p.Addr().Is6():
		return fmt.Errorf("%w (IPv6 is disabled there: net.ipv6.conf.*.disable_ipv6)", err)
	case errors.Is(err, unix.EAFNOSUPPORT) && p.Addr().Is6():
		return fmt.Errorf("%w (this kernel has no IPv6)", err)
	}
	return err
}
