package netlink

import (
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ifaProto is IFA_PROTO (linux/if_addr.h, Linux 5.18): who put the address
// there, one octet. vnl.Addr does not have it, and vnl.AddrReplace wipes it.
const ifaProto = 11

// forever is INFINITY_LIFE_TIME (linux/if_addr.h), a lifetime in seconds.
const forever = 0xffffffff

// describeAddress tells of an address that the host chooses as source of no
// connection of its own: an IPv4 address has host scope (without it an
// unnumbered uplink would borrow it), an IPv6 address is deprecated from the
// start (RFC 6724 section 5, rule 3; only a host without any other global
// address takes it, by rule 2). The latter is not probed for duplicates either,
// which an anycast address must not be (RFC 4862 section 5.4).
func (e entry) describeAddress(req *nl.NetlinkRequest, mark uint8) {
	msg := nl.NewIfAddrmsg(int(familyOf(e.prefix)))
	msg.Index = uint32(e.index)
	msg.Prefixlen = uint8(e.prefix.Bits())
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.IFA_LOCAL, e.prefix.Addr().AsSlice()))
	req.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, e.prefix.Addr().AsSlice()))
	if e.prefix.Addr().Is4() {
		msg.Scope = unix.RT_SCOPE_HOST
	} else {
		msg.Flags = unix.IFA_F_NODAD
		life := nl.IfaCacheInfo{IfaCacheinfo: unix.IfaCacheinfo{Prefered: 0, Valid: forever}}
		req.AddData(nl.NewRtAttr(unix.IFA_CACHEINFO, life.Serialize()))
	}
	req.AddData(nl.NewRtAttr(ifaProto, nl.Uint8Attr(mark)))
}

// parseAddress reads the body of an RTM_NEWADDR or RTM_DELADDR.
func parseAddress(body []byte) (held, error) {
	attrs, err := attributes(body, unix.SizeofIfAddrmsg)
	if err != nil {
		return held{}, err
	}
	msg := nl.DeserializeIfAddrmsg(body)
	addr, _ := netip.AddrFromSlice(attrs[unix.IFA_ADDRESS])
	if local, ok := netip.AddrFromSlice(attrs[unix.IFA_LOCAL]); ok {
		addr = local // the other is the far end of a point-to-point link
	}
	a := held{proto: octet(attrs[ifaProto])}
	a.kind, a.index, a.prefix = address, int(msg.Index), netip.PrefixFrom(addr, int(msg.Prefixlen))
	return a, nil
}
