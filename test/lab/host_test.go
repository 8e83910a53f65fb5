package lab

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

func TestHosts_reach_each_other_through_a_router_in_both_families(t *testing.T) {
	l := newLab(t)
	a, r, b := l.Host("a"), l.Host("r"), l.Host("b")
	l.Uplink(a, "192.0.2.1/30 2001:db8:1::1/64", r, "192.0.2.2/30 2001:db8:1::2/64")
	l.Link(r, "198.51.100.1/30 2001:db8:2::1/64", b, "198.51.100.2/30 2001:db8:2::2/64")
	b.Route("192.0.2.0/24 via 198.51.100.1")
	b.Route("2001:db8:1::/64 via 2001:db8:2::1")

	for _, dst := range []string{"198.51.100.2", "2001:db8:2::2"} {
		if err := echo(a, b, dst, 200*time.Millisecond); err == nil {
			t.Errorf("%s: reached through a host that forwards nothing", dst)
		}
	}
	r.Router()
	for _, dst := range []string{"198.51.100.2", "2001:db8:2::2"} {
		if err := echo(a, b, dst, patience); err != nil {
			t.Errorf("%s: %v", dst, err)
		}
	}
}

// echo sends a datagram from one host to an address of another until it arrives.
func echo(from, to *Host, dst string, timeout time.Duration) error {
	var server net.PacketConn
	var client net.Conn
	if err := to.Do(func() (err error) {
		server, err = net.ListenPacket("udp", net.JoinHostPort(dst, "9"))
		return err
	}); err != nil {
		return err
	}
	defer server.Close()
	if err := from.Do(func() (err error) {
		client, err = net.Dial("udp", server.LocalAddr().String())
		return err
	}); err != nil {
		return err
	}
	defer client.Close()
	deadline := time.Now().Add(timeout)
	for time.Now().Before(deadline) {
		if _, err := client.Write([]byte("hello")); err != nil {
			return err
		}
		_ = server.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if _, _, err := server.ReadFrom(make([]byte, 16)); err == nil {
			return nil
		}
	}
	return errors.New("nothing arrived")
}

func TestA_host_has_its_own_run_directory_resolver_and_mounts(t *testing.T) {
	l := newLab(t)
	a, b := l.Host("a"), l.Host("b")
	a.Nameserver("192.0.2.53", "2001:db8::53")
	a.Run("touch", "/run/only-here")
	a.Mount(a.File("hostname", "edge\n"), "/etc/hostname")

	if got, want := a.Run("cat", "/etc/resolv.conf"), "nameserver 192.0.2.53\nnameserver 2001:db8::53"; got != want {
		t.Errorf("resolv.conf: got %q, want %q", got, want)
	}
	if got := b.Run("cat", "/etc/resolv.conf"); got != "" {
		t.Errorf("resolv.conf of the other host: got %q, want nothing", got)
	}
	if got, want := a.Run("cat", "/etc/hostname"), "edge"; got != want {
		t.Errorf("mounted file: got %q, want %q", got, want)
	}
	if got, want := a.Run("ls", "/sys/class/net"), "lo"; got != want {
		t.Errorf("interfaces in /sys: got %q, want %q", got, want)
	}
	if out, err := b.Try("ls", "/run/only-here"); err == nil {
		t.Errorf("the other host sees %s", out)
	}
	if _, err := os.Stat("/run/only-here"); err == nil {
		t.Error("the machine sees the host's file in /run")
	}
}

func TestDo_returns_to_the_machines_own_network(t *testing.T) {
	h := newLab(t).Host("a")
	before, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	var inside string
	if err := h.Do(func() error { inside, err = os.Readlink("/proc/thread-self/ns/net"); return err }); err != nil {
		t.Fatal(err)
	}
	if inside == before {
		t.Errorf("inside: got %s, the machine's own", inside)
	}
	if after, err := os.Readlink("/proc/thread-self/ns/net"); err != nil || after != before {
		t.Errorf("after: got %s, %v, want %s", after, err, before)
	}
}
