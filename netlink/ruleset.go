package netlink

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// tableName is that of our tables, one for each family. Whatever is in them is
// ours.
const tableName = "anycastd"

// What a table has, by the names that `nft list table ip anycastd` shows.
const (
	private    = "private"    // the bound ports: not for others to send to
	boundPort  = "bound"      // by service port
	service    = "service"    // by bound port
	prerouting = "prerouting" // what arrives, also over lo
	output     = "output"     // what this host sends
)

// Offsets in the UDP header (RFC 768).
const (
	udpSource      = 0
	udpDestination = 2
	udpChecksum    = 6
	udpPortLen     = 2
)

// Registers: an address in the first, and where it leaves room for a port that
// is behind; together they are the key of our sets.
const (
	register     = unix.NFT_REG_1
	behindIPv4   = unix.NFT_REG32_01
	behindIPv6   = unix.NFT_REG_2
	registerSize = unix.NFT_REG32_SIZE
)

// layer is a family of tables, and where its packets have their addresses.
type layer struct {
	name         string // of the family, as nft has it
	table        *nftables.Table
	address      nftables.SetDatatype
	source       uint32 // offset in the network header
	destination  uint32
	behind       uint32 // the register behind an address
	zeroChecksum bool   // means that there is none
}

// layers returns IPv4 (RFC 791 section 3.1) and IPv6 (RFC 8200 section 3).
func layers() []layer {
	return []layer{
		{"ip", &nftables.Table{Name: tableName, Family: nftables.TableFamilyIPv4}, nftables.TypeIPAddr, 12, 16, behindIPv4, true},
		{"ip6", &nftables.Table{Name: tableName, Family: nftables.TableFamilyIPv6}, nftables.TypeIP6Addr, 8, 24, behindIPv6, false},
	}
}

// has says whether a belongs to the family.
func (l layer) has(a netip.Addr) bool { return a.BitLen() == int(8*l.address.Bytes) }

// content is what a table holds; nil stands for no table.
type content struct {
	flags    uint32
	chains   []*nftables.Chain
	rules    []*nftables.Rule // in order
	sets     []*nftables.Set
	elements map[string][]nftables.SetElement // by set
}

// content returns what the table must hold for want.
func (l layer) content(want []Rewrite) *content {
	elements := map[string][]nftables.SetElement{}
	for _, w := range want {
		if l.has(w.Addr) {
			asked, bound := key(w.Addr, w.Port), key(w.Addr, w.Bound)
			elements[private] = append(elements[private], nftables.SetElement{Key: bound})
			elements[boundPort] = append(elements[boundPort], nftables.SetElement{Key: asked, Val: port(w.Bound)})
			elements[service] = append(elements[service], nftables.SetElement{Key: bound, Val: port(w.Port)})
		}
	}
	if len(elements) == 0 {
		return nil
	}
	in, out := l.chain(prerouting, nftables.ChainHookPrerouting), l.chain(output, nftables.ChainHookOutput)
	return &content{
		chains:   []*nftables.Chain{in, out},
		rules:    append(l.arriving(in), l.leaving(out)),
		sets:     []*nftables.Set{l.set(1, private, false), l.set(2, boundPort, true), l.set(3, service, true)},
		elements: elements,
	}
}

// port is a port as packets have it.
func port(p uint16) []byte { return binary.BigEndian.AppendUint16(nil, p) }

// key is an address with a port as a set has it: the port fills a register.
func key(a netip.Addr, p uint16) []byte {
	return append(append(a.AsSlice(), port(p)...), make([]byte, registerSize-udpPortLen)...)
}

// chain returns a chain ahead of connection tracking, which so sees the ports
// that the sockets here have on the way in, and those that the clients see on
// the way out.
func (l layer) chain(name string, hook *nftables.ChainHook) *nftables.Chain {
	accept := nftables.ChainPolicyAccept
	return &nftables.Chain{Name: name, Table: l.table, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityRaw, Policy: &accept}
}

// set returns a set of addresses with ports, or a map from these to ports.
func (l layer) set(id uint32, name string, isMap bool) *nftables.Set {
	both, _ := nftables.ConcatSetType(l.address, nftables.TypeInetService) // fails with six types or more
	s := &nftables.Set{Table: l.table, ID: id, Name: name, KeyType: both, IsMap: isMap}
	if isMap {
		s.DataType = nftables.TypeInetService
	}
	return s
}

// arriving returns the rules of what arrives. Of a datagram in fragments only
// the first has ports, and only that needs to be rewritten. A checksum of zero
// stands for none in IPv4 (RFC 768), and must stay.
func (l layer) arriving(c *nftables.Chain) []*nftables.Rule {
	rules := []*nftables.Rule{l.rule(c, "the sockets are reached by the service ports alone",
		append(l.find(private, l.destination, udpDestination), &expr.Verdict{Kind: expr.VerdictDrop}))}
	if l.zeroChecksum {
		none := []expr.Any{
			&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: udpChecksum, Len: 2},
			&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: []byte{0, 0}},
		}
		rules = append(rules, l.rule(c, "without a checksum", append(none, l.rewrite(boundPort, l.destination, udpDestination, expr.CsumTypeNone)...)))
	}
	return append(rules, l.rule(c, "to the socket", l.rewrite(boundPort, l.destination, udpDestination, expr.CsumTypeInet)))
}

// leaving returns the rule of what the sockets send.
func (l layer) leaving(c *nftables.Chain) *nftables.Rule {
	return l.rule(c, "from the socket", l.rewrite(service, l.source, udpSource, expr.CsumTypeInet))
}

// rule returns a rule for UDP. The comment is also its mark.
func (l layer) rule(c *nftables.Chain, comment string, then []expr.Any) *nftables.Rule {
	udp := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: []byte{unix.IPPROTO_UDP}},
	}
	return &nftables.Rule{Table: l.table, Chain: c, Exprs: append(udp, then...), UserData: userdata.AppendString(nil, userdata.TypeComment, comment)}
}

// find matches packets whose address and port, at these offsets, are in a set.
func (l layer) find(set string, address, port uint32) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: address, Len: l.address.Bytes},
		&expr.Payload{DestRegister: l.behind, Base: expr.PayloadBaseTransportHeader, Offset: port, Len: udpPortLen},
		&expr.Lookup{SourceRegister: register, SetName: set},
	}
}

// rewrite makes the port at this offset the one that a map has for it.
func (l layer) rewrite(by string, address, port uint32, checksum expr.PayloadCsumType) []expr.Any {
	e := l.find(by, address, port)
	lookup := e[len(e)-1].(*expr.Lookup)
	lookup.DestRegister, lookup.IsDestRegSet = register, true
	write := &expr.Payload{OperationType: expr.PayloadWrite, SourceRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: port, Len: udpPortLen}
	if checksum != expr.CsumTypeNone {
		write.CsumType, write.CsumOffset = checksum, udpChecksum
	}
	return append(e, write)
}
