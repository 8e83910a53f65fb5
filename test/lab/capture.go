package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// The pcap file format: pcap-savefile(5). tcpdump writes in the machine's byte order.
const (
	pcapMagic      = 0xa1b2c3d4 // microseconds
	pcapEthernet   = 1          // LINKTYPE_ETHERNET
	pcapFileHeader = 24
	pcapRecord     = 16
)

const (
	etherHeader = 14
	etherIPv4   = 0x0800
	etherIPv6   = 0x86dd
	ipv6Header  = 40 // RFC 8200 section 3
	protocolUDP = 17 // RFC 768
	udpHeader   = 8
)

// Capture is a running or stopped tcpdump on one interface.
type Capture struct {
	host    *Host
	path    string
	process *Process
}

// Packet is a captured UDP datagram.
type Packet struct {
	Time     time.Time
	Src, Dst netip.AddrPort
	Payload  []byte
}

// Capture records what passes the interface and matches the filter, in the words
// of pcap-filter(7), from the moment it returns.
func (h *Host) Capture(iface, filter string) *Capture {
	h.Lab.t.Helper()
	name := fmt.Sprintf("tcpdump-%s-%d", iface, len(h.Lab.captures))
	c := &Capture{host: h, path: filepath.Join(h.Lab.dir, h.Name, name+".pcap")}
	// Without -Z root it would change its user, and then outlive a killed lab.
	c.process = h.Start(name, "tcpdump", "-Z", "root", "-nn", "-U", "--immediate-mode",
		"-i", iface, "-w", c.path, filter)
	c.process.Await("listening on")
	h.Lab.captures = append(h.Lab.captures, c)
	return c
}

// Stop ends the capture; Packets and Text keep working.
func (c *Capture) Stop() {
	c.host.Lab.t.Helper()
	c.process.Signal(syscall.SIGINT)
	c.process.Wait(patience)
}

// Text returns the packets so far as tcpdump prints them, one line each.
func (c *Capture) Text() string {
	out, _ := c.host.Try("tcpdump", "-Z", "root", "-nn", "-tttt", "-r", c.path) // the last packet may be incomplete
	return out
}

// Packets returns the whole UDP datagrams so far, over IPv4 or IPv6 without
// extension headers. All else, fragments too, is left out.
func (c *Capture) Packets() []Packet {
	c.host.Lab.t.Helper()
	file, err := os.ReadFile(c.path)
	if err != nil {
		c.host.Lab.t.Fatalf("capture: %v", err)
	}
	packets, err := parsePCAP(file)
	if err != nil {
		c.host.Lab.t.Fatalf("capture: %v", err)
	}
	return packets
}

// parsePCAP reads a capture of an Ethernet interface, which may end anywhere: it
// is still being written.
func parsePCAP(file []byte) ([]Packet, error) {
	if len(file) < pcapFileHeader {
		return nil, nil
	}
	if magic := binary.NativeEndian.Uint32(file); magic != pcapMagic {
		return nil, fmt.Errorf("magic %#x: want %#x", magic, pcapMagic)
	}
	if binary.NativeEndian.Uint32(file[20:]) != pcapEthernet {
		return nil, errors.New("not an Ethernet interface")
	}
	var packets []Packet
	for b := file[pcapFileHeader:]; len(b) >= pcapRecord; {
		length := uint64(binary.NativeEndian.Uint32(b[8:]))
		if uint64(len(b)-pcapRecord) < length {
			break
		}
		if p, ok := parseEthernet(b[pcapRecord:][:length]); ok {
			p.Time = time.Unix(int64(binary.NativeEndian.Uint32(b)), int64(binary.NativeEndian.Uint32(b[4:]))*1000)
			packets = append(packets, p)
		}
		b = b[pcapRecord+length:]
	}
	return packets, nil
}

func parseEthernet(frame []byte) (Packet, bool) {
	if len(frame) < etherHeader {
		return Packet{}, false
	}
	switch ip := frame[etherHeader:]; binary.BigEndian.Uint16(frame[12:]) {
	case etherIPv4:
		return parseIPv4(ip)
	case etherIPv6:
		return parseIPv6(ip)
	}
	return Packet{}, false
}

// parseIPv4 takes whole datagrams only: RFC 791 section 3.1.
func parseIPv4(b []byte) (Packet, bool) {
	if len(b) < 20 {
		return Packet{}, false
	}
	header := int(b[0]&0x0f) * 4
	fragment := binary.BigEndian.Uint16(b[6:]) & 0x3fff // more fragments, offset
	if header < 20 || header > len(b) || fragment != 0 || b[9] != protocolUDP {
		return Packet{}, false
	}
	return parseUDP(netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])), b[header:])
}

func parseIPv6(b []byte) (Packet, bool) {
	if len(b) < ipv6Header || b[6] != protocolUDP {
		return Packet{}, false
	}
	return parseUDP(netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40])), b[ipv6Header:])
}

// parseUDP trusts the datagram's own length: a short frame is padded.
func parseUDP(src, dst netip.Addr, b []byte) (Packet, bool) {
	if len(b) < udpHeader {
		return Packet{}, false
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length < udpHeader || length > len(b) {
		return Packet{}, false
	}
	return Packet{
		Src:     netip.AddrPortFrom(src, binary.BigEndian.Uint16(b)),
		Dst:     netip.AddrPortFrom(dst, binary.BigEndian.Uint16(b[2:])),
		Payload: b[udpHeader:length],
	}, true
}
