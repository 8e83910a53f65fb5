package lab

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// file makes a capture file of these frames.
func file(frames ...[]byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, pcapMagic)
	b = append(b, make([]byte, 16)...)
	b = binary.NativeEndian.AppendUint32(b, pcapEthernet)
	for _, f := range frames {
		b = append(b, make([]byte, 8)...)
		b = binary.NativeEndian.AppendUint32(b, uint32(len(f)))
		b = binary.NativeEndian.AppendUint32(b, uint32(len(f)))
		b = append(b, f...)
	}
	return b
}

// frame4 makes an Ethernet frame with a datagram from 192.0.2.1:500 to
// 192.0.2.2:4500, and edit changes it.
func frame4(payload string, edit func(frame []byte)) []byte {
	b := make([]byte, etherHeader+20+udpHeader, 128)
	binary.BigEndian.PutUint16(b[12:], etherIPv4)
	ip := b[etherHeader:]
	ip[0], ip[9] = 0x45, protocolUDP
	copy(ip[12:], []byte{192, 0, 2, 1, 192, 0, 2, 2})
	binary.BigEndian.PutUint16(ip[20:], 500)
	binary.BigEndian.PutUint16(ip[22:], 4500)
	binary.BigEndian.PutUint16(ip[24:], uint16(udpHeader+len(payload)))
	b = append(b, payload...)
	edit(b)
	return b
}

func TestA_capture_file_is_read_as_far_as_it_goes(t *testing.T) {
	as := func([]byte) {}
	whole := file(frame4("one", as), frame4("two", as))
	for name, c := range map[string]struct {
		file []byte
		want []string
	}{
		"two packets":          {whole, []string{"one", "two"}},
		"one and a half":       {whole[:len(whole)-1], []string{"one"}},
		"one and half a head":  {whole[:pcapFileHeader+pcapRecord+etherHeader+20+udpHeader+3+5], []string{"one"}},
		"half a header":        {whole[:20], nil},
		"nothing yet":          {nil, nil},
		"padding after UDP":    {file(append(frame4("one", as), 0, 0, 0)), []string{"one"}},
		"an IPv4 option":       {file(frame4("\x00\x00\x00\x00one", func(f []byte) { f[14] = 0x46; copy(f[38:], f[34:42]); f[43] = 11 })), []string{"one"}},
		"a first fragment":     {file(frame4("one", func(f []byte) { f[20] = 0x20 })), nil},
		"a last fragment":      {file(frame4("one", func(f []byte) { f[21] = 1 })), nil},
		"don't fragment":       {file(frame4("one", func(f []byte) { f[20] = 0x40 })), []string{"one"}},
		"TCP":                  {file(frame4("one", func(f []byte) { f[23] = 6 })), nil},
		"ARP":                  {file(frame4("one", func(f []byte) { f[13] = 6 })), nil},
		"UDP longer than IP":   {file(frame4("one", func(f []byte) { f[39] = 12 })), nil},
		"UDP shorter than UDP": {file(frame4("one", func(f []byte) { f[39] = 7 })), nil},
		"a runt":               {file([]byte{1, 2, 3}), nil},
	} {
		t.Run(name, func(t *testing.T) {
			packets, err := parsePCAP(c.file)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range packets {
				got = append(got, string(p.Payload))
				if p.Src != netip.MustParseAddrPort("192.0.2.1:500") || p.Dst != netip.MustParseAddrPort("192.0.2.2:4500") {
					t.Errorf("got %v > %v", p.Src, p.Dst)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("payloads (-want +got):\n%s", diff)
			}
		})
	}
}

func TestA_file_that_is_no_Ethernet_capture_is_an_error(t *testing.T) {
	for name, b := range map[string][]byte{
		"another format":    make([]byte, 64),
		"another interface": file()[:20:20],
	} {
		if len(b) == 20 {
			b = binary.NativeEndian.AppendUint32(b, 113) // LINKTYPE_LINUX_SLL
		}
		if _, err := parsePCAP(b); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

func TestA_capture_shows_each_datagram_once_with_addresses_payload_and_time(t *testing.T) {
	l := newLab(t)
	a, b := l.Host("a"), l.Host("b")
	l.Link(a, "192.0.2.1/24 2001:db8::1/64", b, "192.0.2.2/24 2001:db8::2/64")
	start := time.Now().Add(-time.Second)
	capture := b.Capture("a", "udp port 500")
	for _, dst := range []string{"192.0.2.2:500", "[2001:db8::2]:500"} {
		if err := a.Do(func() error { return send("udp", dst, "hi "+dst) }); err != nil {
			t.Fatal(err)
		}
	}
	l.Eventually("both datagrams are captured", patience, func() error {
		if got := len(capture.Packets()); got < 2 {
			return fmt.Errorf("got %d packets", got)
		}
		return nil
	})
	capture.Stop()

	packets := capture.Packets()
	if len(packets) != 2 {
		t.Fatalf("got %d packets, want 2:\n%s", len(packets), capture.Text())
	}
	for i, want := range []struct{ src, dst string }{{"192.0.2.1", "192.0.2.2:500"}, {"2001:db8::1", "[2001:db8::2]:500"}} {
		p := packets[i]
		if p.Src.Addr() != netip.MustParseAddr(want.src) || p.Dst != netip.MustParseAddrPort(want.dst) {
			t.Errorf("got %v > %v, want %s > %s", p.Src, p.Dst, want.src, want.dst)
		}
		if got, want := string(p.Payload), "hi "+want.dst; got != want {
			t.Errorf("payload: got %q, want %q", got, want)
		}
		if p.Time.Before(start) || p.Time.After(time.Now().Add(time.Second)) {
			t.Errorf("time: got %v, want one of this test", p.Time)
		}
	}
	if text := capture.Text(); !strings.Contains(text, "2001:db8::2.500: ") {
		t.Errorf("text: got\n%s", text)
	}
}

func send(network, dst, payload string) error {
	conn, err := net.Dial(network, dst)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(payload))
	return err
}

func FuzzParsePCAP(f *testing.F) {
	f.Add(file(frame4("one", func([]byte) {})))
	f.Fuzz(func(t *testing.T, b []byte) {
		packets, _ := parsePCAP(b)
		for _, p := range packets {
			if !p.Src.IsValid() || !p.Dst.IsValid() {
				t.Errorf("packet without addresses: %+v", p)
			}
		}
	})
}
