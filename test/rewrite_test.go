package test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/anycastd/anycastd/netlink"
	"github.com/anycastd/anycastd/test/lab"
)

// echo answers on a host with its name and what it was sent.
func echo(t *testing.T, h *lab.Host, name, network, at string) {
	t.Helper()
	serve(t, h, network, at, func(in []byte) []byte { return append([]byte(name+" "), in...) })
}

// question is a datagram, and who should echo it.
type question struct {
	from       netip.Addr // invalid: the host's choice
	at         netip.AddrPort
	octets     int
	noChecksum bool   // for IPv4 alone
	want       string // "": nobody
}

// ask sends the datagram until it is echoed by exactly the address and port
// asked, and wants that to be by whom it should.
func (q question) ask(t *testing.T, h *lab.Host) {
	t.Helper()
	conn := q.dial(t, h)
	defer conn.Close()
	wait := patience
	if q.want == "" {
		wait = time.Second
	}
	sent, buf, got := bytes.Repeat([]byte("x"), q.octets), make([]byte, 1<<16), ""
	for deadline := time.Now().Add(wait); got == "" && time.Now().Before(deadline); {
		conn.Write(sent) // that nobody is there is what Read tells, too
		conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		n, err := conn.Read(buf)
		if err != nil {
			continue
		}
		name, payload, _ := bytes.Cut(buf[:n], []byte(" "))
		if !bytes.Equal(payload, sent) {
			t.Errorf("want what was sent, got %d octets", len(payload))
		}
		got = string(name)
	}
	if got != q.want {
		t.Errorf("want %q to answer, got %q", q.want, got)
	}
}

// dial returns a socket that hears nobody but whom the question is for.
func (q question) dial(t *testing.T, h *lab.Host) (conn *net.UDPConn) {
	t.Helper()
	err := h.Do(func() (err error) {
		conn, err = net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(q.from, 0)), net.UDPAddrFromAddrPort(q.at))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := conn.SyscallConn()
	if err == nil && q.noChecksum {
		raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_NO_CHECK, 1) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// sharedPort returns two hosts joined by a cable. On front one socket has port
// 500 of all addresses, as charon does, and another gets it of the anycast ones.
func sharedPort(t *testing.T) (front, client *lab.Host) {
	l := newLab(t, "nft", "ethtool")
	front, client = l.Host("front"), l.Host("client")
	l.Link(front, front4+"/24 "+front6+"/64", client, "192.0.2.11/24 2001:db8:f::11/64")
	client.Route(anycast4 + " via " + front4)
	client.Route(anycast6 + " via " + front6)
	echo(t, front, "theirs", "udp4", "0.0.0.0:500")
	echo(t, front, "theirs", "udp6", "[::]:500")
	var want []netlink.Rewrite
	for _, a := range []string{anycast4, anycast6} {
		addr := netip.MustParseAddr(a)
		front.Run("ip", "address", "add", netip.PrefixFrom(addr, addr.BitLen()).String(), "dev", "lo", "nodad")
		want = append(want, netlink.Rewrite{Addr: addr, Port: 500, Bound: 15500})
		echo(t, front, "ours", "udp", netip.AddrPortFrom(addr, 15500).String())
	}
	rewriter := netlink.NewRewriter(netlink.RewriterConfig{}, zerolog.New(zerolog.NewTestWriter(t)))
	if err := front.Do(func() error { return rewriter.Set(context.Background(), want) }); err != nil {
		t.Fatal(err)
	}
	return front, client
}

// strictFirewall lets nothing pass but what front needs in this mode: the bound
// port on the way in, the service port on the way out.
const strictFirewall = `table inet firewall {
	chain input { type filter hook input priority filter; policy drop
		udp dport 15500 ct state new accept
		meta l4proto ipv6-icmp accept
	}
	chain output { type filter hook output priority filter; policy drop
		udp sport 500 accept
		meta l4proto ipv6-icmp accept
	}
}`

func TestRewritingLetsTwoSocketsShareAPort(t *testing.T) {
	front, client := sharedPort(t)
	for _, addrs := range [][2]string{{anycast4, front4}, {anycast6, front6}} {
		addr := netip.MustParseAddr(addrs[0])
		anycast, bound := netip.AddrPortFrom(addr, 500), netip.AddrPortFrom(addr, 15500)
		own := netip.AddrPortFrom(netip.MustParseAddr(addrs[1]), 500)
		fromClient := map[string]question{
			"the anycast address":                 {at: anycast, octets: 300, want: "ours"},
			"the anycast address in fragments":    {at: anycast, octets: 3000, want: "ours"},
			"the anycast address in 60000 octets": {at: anycast, octets: 60000, want: "ours"},
			"the host's own address":              {at: own, octets: 300, want: "theirs"},
			"the host's own address in fragments": {at: own, octets: 3000, want: "theirs"},
			"the bound port":                      {at: bound, octets: 300},
			"the bound port in fragments":         {at: bound, octets: 3000},
		}
		if addr.Is4() { // IPv6 has no datagram without a checksum (RFC 8200 section 8.1)
			fromClient["the anycast address without a checksum"] = question{at: anycast, octets: 300, noChecksum: true, want: "ours"}
			fromClient["the anycast address in fragments without a checksum"] = question{at: anycast, octets: 3000, noChecksum: true, want: "ours"}
		}
		fromHost := map[string]question{
			"the anycast address":             {at: anycast, octets: 300, want: "ours"},
			"the anycast address from itself": {at: anycast, from: addr, octets: 3000, want: "ours"},
			"the host's own address":          {at: own, octets: 300, want: "theirs"},
			"the bound port":                  {at: bound, octets: 300},
		}
		for _, offload := range []string{"on", "off"} { // of checksums, which are then right or not there yet
			front.Run("ethtool", "-K", "client", "tx", offload)
			client.Run("ethtool", "-K", "front", "tx", offload)
			for to, q := range fromClient {
				t.Run(fmt.Sprintf("client to %s, %v, offload %s", to, q.at, offload), func(t *testing.T) { q.ask(t, client) })
			}
		}
		for to, q := range fromHost {
			t.Run(fmt.Sprintf("host to %s, %v", to, q.at), func(t *testing.T) { q.ask(t, front) })
		}
		t.Run(fmt.Sprintf("client to %v behind a strict firewall", anycast), func(t *testing.T) {
			front.Run("nft", strictFirewall)
			defer front.Run("nft", "delete table inet firewall")
			question{at: anycast, octets: 3000, want: "ours"}.ask(t, client)
		})
	}
}
