package main

import (
	"encoding/binary"
	"math/bits"
	"net"
	"net/netip"
)

// Lengths of headers in octets (IEEE 802.3, RFC 791, RFC 8200, RFC 768).
const (
	etherLen = 14
	ipv4Len  = 20
	ipv6Len  = 40
	udpLen   = 8
)

const (
	protocolUDP = 17
	hops        = 64
)

// headersLen is how many octets stand before the payload of a UDP datagram.
func headersLen(v6 bool) int {
	if v6 {
		return etherLen + ipv6Len + udpLen
	}
	return etherLen + ipv4Len + udpLen
}

// putEther writes the Ethernet header.
func putEther(frame []byte, from, to net.HardwareAddr, v6 bool) {
	copy(frame, to)
	copy(frame[6:], from)
	kind := uint16(0x0800)
	if v6 {
		kind = 0x86dd
	}
	binary.BigEndian.PutUint16(frame[12:], kind)
}

// putHeaders writes the headers of IP and UDP before the payload, which is in
// its place, with checksums.
func putHeaders(frame []byte, from, to netip.AddrPort) {
	ip := frame[etherLen:]
	if from.Addr().Is4() {
		putIPv4(ip, from.Addr().As4(), to.Addr().As4())
		putUDP(ip[ipv4Len:], from.Port(), to.Port(), sum(ip[12:ipv4Len], 0))
		return
	}
	putIPv6(ip, from.Addr().As16(), to.Addr().As16())
	putUDP(ip[ipv6Len:], from.Port(), to.Port(), sum(ip[8:ipv6Len], 0))
}

// putIPv4 writes the header of the IPv4 packet that ip is (RFC 791 section 3.1).
func putIPv4(ip []byte, from, to [4]byte) {
	ip[0], ip[1] = 0x45, 0
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	binary.BigEndian.PutUint32(ip[4:], 0x4000) // no identification; don't fragment
	ip[8], ip[9], ip[10], ip[11] = hops, protocolUDP, 0, 0
	copy(ip[12:], from[:])
	copy(ip[16:], to[:])
	binary.BigEndian.PutUint16(ip[10:], ^fold(sum(ip[:ipv4Len], 0)))
}

// putIPv6 writes the header of the IPv6 packet that ip is (RFC 8200 section 3).
func putIPv6(ip []byte, from, to [16]byte) {
	binary.BigEndian.PutUint32(ip, 0x60000000)
	binary.BigEndian.PutUint16(ip[4:], uint16(len(ip)-ipv6Len))
	ip[6], ip[7] = protocolUDP, hops
	copy(ip[8:], from[:])
	copy(ip[24:], to[:])
}

// putUDP writes the header of the datagram that udp is; addresses is the sum
// of the addresses, which the pseudo-header has (RFC 768, RFC 8200 section 8.1).
func putUDP(udp []byte, from, to uint16, addresses uint64) {
	binary.BigEndian.PutUint16(udp, from)
	binary.BigEndian.PutUint16(udp[2:], to)
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	udp[6], udp[7] = 0, 0
	check := ^fold(sum(udp, uint64(fold(addresses))+protocolUDP+uint64(len(udp))))
	if check == 0 {
		check = 0xffff // 0 means that there is none
	}
	binary.BigEndian.PutUint16(udp[6:], check)
}

// sum adds b to a sum that fold makes an Internet checksum of (RFC 1071). At
// most the last of several parts may have an odd length.
func sum(b []byte, acc uint64) uint64 {
	var carry uint64
	for ; len(b) >= 8; b = b[8:] {
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(b), carry)
	}
	var rest [8]byte
	copy(rest[:], b)
	acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(rest[:]), carry)
	acc, carry = bits.Add64(acc, 0, carry)
	return acc + carry
}

// fold makes 16 bits of a sum.
func fold(acc uint64) uint16 {
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>16 + acc&0xffff
	acc = acc>>16 + acc&0xffff
	return uint16(acc>>16 + acc&0xffff)
}
