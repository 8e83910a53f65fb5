package main

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

// checksum is the Internet checksum as RFC 1071 says it, two octets at a time;
// over what holds its own checksum it is 0xffff.
func checksum(parts ...[]byte) uint16 {
	all := bytes.Join(parts, nil)
	all = append(all, make([]byte, len(all)%2)...)
	var sum uint32
	for ; len(all) > 0; all = all[2:] {
		sum += uint32(binary.BigEndian.Uint16(all))
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

func TestTheChecksumsOfAFrameAreRight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v6 := rapid.Bool().Draw(t, "v6")
		n := 4
		if v6 {
			n = 16
		}
		address := rapid.SliceOfN(rapid.Byte(), n, n)
		from, _ := netip.AddrFromSlice(address.Draw(t, "from"))
		to, _ := netip.AddrFromSlice(address.Draw(t, "to"))
		payload := rapid.SliceOfN(rapid.Byte(), 0, 600).Draw(t, "payload")
		frame := append(make([]byte, headersLen(v6)), payload...)
		putHeaders(frame, netip.AddrPortFrom(from, 500), netip.AddrPortFrom(to, 4500))
		ip, udp := frame[etherLen:headersLen(v6)-udpLen], frame[headersLen(v6)-udpLen:]
		if got := checksum(ip); !v6 && got != 0xffff {
			t.Errorf("IPv4 header %x sums up to %#x", ip, got)
		}
		pseudo := append(append(from.AsSlice(), to.AsSlice()...), 0, protocolUDP, byte(len(udp)>>8), byte(len(udp)))
		if got := checksum(pseudo, udp); got != 0xffff || udp[6]|udp[7] == 0 {
			t.Errorf("datagram sums up to %#x, checksum %x", got, udp[6:8])
		}
	})
}

func TestAFrameTellsWhereFromAndWhereTo(t *testing.T) {
	frame := make([]byte, headersLen(false)+3)
	putEther(frame, net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 2}, false)
	copy(frame[headersLen(false):], "abc")
	putHeaders(frame, netip.MustParseAddrPort("192.0.2.1:500"), netip.MustParseAddrPort("203.0.113.1:4500"))
	want := "\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x08\x00" +
		"\x45\x00\x00\x1f\x00\x00\x40\x00\x40\x11\x3c\xcb\xc0\x00\x02\x01\xcb\x00\x71\x01" +
		"\x01\xf4\x11\x94\x00\x0b\x29\xea" + "abc"
	if string(frame) != want {
		t.Errorf("want %x, got %x", want, frame)
	}
}
