package demo

import (
	"net"
	"net/netip"
	"testing"

	"github.com/anycastd/anycastd/test/lab"
)

func TestWitness_sees_addresses_and_sockets_of_its_host(t *testing.T) {
	if reason := lab.Available(); reason != "" {
		t.Skip(reason)
	}
	host := lab.New(t).Host("front")
	w, err := newWitness(host)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	for _, addr := range []string{anycast4, anycast6} {
		at := netip.AddrPortFrom(netip.MustParseAddr(addr), 500).String()
		if w.owns(addr) || w.listens(at) {
			t.Errorf("%s: it is there before it is there", addr)
		}
		host.Run("ip", "address", "add", addr, "dev", "lo", "nodad")
		if !w.owns(addr) || w.listens(at) {
			t.Errorf("%s: got owned %v, listening %v; want true, false", addr, w.owns(addr), w.listens(at))
		}
		var conn net.PacketConn
		err := host.Do(func() (err error) {
			conn, err = net.ListenPacket("udp", at)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if !w.listens(at) || w.answers(at) {
			t.Errorf("%s: got listening %v, answering %v; want true, false", addr, w.listens(at), w.answers(at))
		}
		conn.Close()
		host.Run("ip", "address", "del", addr, "dev", "lo")
		if w.owns(addr) || w.listens(at) {
			t.Errorf("%s: it is there when it is gone", addr)
		}
	}
}
