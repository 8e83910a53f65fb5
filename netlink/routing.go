package netlink

import (
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// tableLocal has the routes to this very host. The kernel asks it first.
const tableLocal = unix.RT_TABLE_LOCAL

// metric is that of our IPv6 routes: the best that the kernel lets others have,
// so that no other route of the prefix goes before it. IPv4 routes have 0.
const metric = 1

// anySuppressed is FRA_SUPPRESS_PREFIXLEN of a rule that suppresses nothing.
const anySuppressed = 0xffffffff

// routeHeader asks for the routes of table local.
func routeHeader(family uint8) *nl.RtMsg {
	return &nl.RtMsg{RtMsg: unix.RtMsg{Family: family, Table: tableLocal}}
}

// describeRoute tells of a route by which all of a prefix is this very host.
func (e entry) describeRoute(req *nl.NetlinkRequest, mark uint8) {
	msg := routeHeader(familyOf(e.prefix))
	msg.Dst_len, msg.Protocol, msg.Scope, msg.Type = uint8(e.prefix.Bits()), mark, unix.RT_SCOPE_HOST, unix.RTN_LOCAL
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.RTA_DST, e.prefix.Addr().AsSlice()))
	req.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(e.index))))
	if e.prefix.Addr().Is6() {
		req.AddData(nl.NewRtAttr(unix.RTA_PRIORITY, nl.Uint32Attr(metric)))
	}
}

// describeRule tells of a rule that what comes from a prefix leaves by a table.
func (e entry) describeRule(req *nl.NetlinkRequest, mark uint8) {
	req.AddData(&nl.RtMsg{RtMsg: unix.RtMsg{Family: familyOf(e.prefix), Src_len: uint8(e.prefix.Bits()), Type: nl.FR_ACT_TO_TBL}})
	req.AddData(nl.NewRtAttr(nl.FRA_SRC, e.prefix.Addr().AsSlice()))
	req.AddData(nl.NewRtAttr(nl.FRA_PRIORITY, nl.Uint32Attr(e.priority)))
	req.AddData(nl.NewRtAttr(nl.FRA_TABLE, nl.Uint32Attr(e.table)))
	req.AddData(nl.NewRtAttr(nl.FRA_PROTOCOL, nl.Uint8Attr(mark)))
}

// parseRouting reads the body of a message about a route or a rule, which have
// the same header and share the numbers of some attributes.
func parseRouting(what kind, body []byte) (held, error) {
	attrs, err := attributes(body, unix.SizeofRtMsg)
	if err != nil {
		return held{}, err
	}
	msg := nl.DeserializeRtMsg(body)
	h := held{entry: entry{kind: what, table: uint32(msg.Table)}}
	if b, ok := attrs[unix.RTA_TABLE]; ok {
		h.table = number(b)
	}
	if what == route {
		h.index, h.proto, h.other = int(number(attrs[unix.RTA_OIF])), msg.Protocol, msg.Type != unix.RTN_LOCAL
		h.prefix = prefixOf(msg.Family, attrs[unix.RTA_DST], msg.Dst_len)
		return h, nil
	}
	h.priority, h.proto = number(attrs[nl.FRA_PRIORITY]), octet(attrs[nl.FRA_PROTOCOL])
	h.prefix = prefixOf(msg.Family, attrs[nl.FRA_SRC], msg.Src_len)
	h.other = msg.Type != nl.FR_ACT_TO_TBL || msg.Dst_len != 0 || msg.Tos != 0 || msg.Flags != 0 || asksForMore(attrs)
	return h, nil
}

// asksForMore says whether a rule has conditions beside a source.
func asksForMore(attrs map[uint16][]byte) bool {
	for typ, value := range attrs {
		switch typ {
		case nl.FRA_SRC, nl.FRA_PRIORITY, nl.FRA_TABLE, nl.FRA_PROTOCOL:
		case nl.FRA_SUPPRESS_PREFIXLEN:
			if number(value) != anySuppressed {
				return true
			}
		default:
			return true
		}
	}
	return false
}

// prefixOf returns the prefix of a message of a family; without an address it
// is everything. It is not valid in a family that is not IP.
func prefixOf(family uint8, addr []byte, bits uint8) netip.Prefix {
	a, ok := netip.AddrFromSlice(addr)
	switch {
	case ok:
	case family == unix.AF_INET:
		a = netip.IPv4Unspecified()
	case family == unix.AF_INET6:
		a = netip.IPv6Unspecified()
	}
	return netip.PrefixFrom(a, int(bits))
}
