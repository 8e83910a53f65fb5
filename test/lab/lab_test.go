package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func newLab(t *testing.T) *Lab {
	t.Helper()
	if reason := Available(); reason != "" {
		t.Skip(reason)
	}
	return New(t)
}

// trial is a T whose scenario may fail without failing the test that watches it.
type trial struct {
	log      strings.Builder
	cleanups []func()
	failed   bool
}

func (*trial) Helper()                         {}
func (tr *trial) Logf(format string, a ...any) { fmt.Fprintf(&tr.log, format+"\n", a...) }
func (tr *trial) Fatalf(format string, a ...any) {
	tr.failed = true
	tr.Logf(format, a...)
	runtime.Goexit()
}
func (tr *trial) Cleanup(f func()) { tr.cleanups = append(tr.cleanups, f) }
func (tr *trial) Failed() bool     { return tr.failed }

// run plays a scenario as package testing would: cleanups come last whatever happens.
func (tr *trial) run(scenario func(*Lab)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if v := recover(); v != nil {
				tr.failed = true
			}
			for _, f := range slices.Backward(tr.cleanups) {
				f()
			}
		}()
		scenario(New(tr))
	}()
	<-done
}

func TestA_lab_leaves_nothing_behind_when_its_scenario(t *testing.T) {
	if reason := Available(); reason != "" {
		t.Skip(reason)
	}
	for name, end := range map[string]func(*Lab){
		"ends":   func(*Lab) {},
		"fails":  func(l *Lab) { l.t.Fatalf("no good") },
		"panics": func(*Lab) { panic("no good at all") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l *Lab
			var pids []int
			tr := new(trial)
			tr.run(func(made *Lab) {
				l = made
				a, b := l.Host("a"), l.Host("b")
				l.Link(a, "192.0.2.1/24", b, "192.0.2.2/24")
				stubborn := a.Start("stubborn", "sh", "-c", `trap "" TERM; echo deaf; while :; do sleep 1; done`)
				stubborn.Await("deaf")
				escaped := b.Start("escaped", "sh", "-c", "setsid sleep 600 >/dev/null 2>&1 & echo $!")
				escaped.Wait(patience)
				var stray int
				if _, err := fmt.Sscan(escaped.Output(), &stray); err != nil {
					l.t.Fatalf("stray: %v", err)
				}
				pids = append(pids, a.first.PID(), stubborn.PID(), stray)
				end(l)
			})
			mustBeGone(t, l, pids)
			if name != "ends" && !strings.Contains(tr.log.String(), "--- a/stubborn: running\ndeaf") {
				t.Errorf("log of a failed scenario lacks the processes' output:\n%s", tr.log.String())
			}
		})
	}
}

// mustBeGone waits for the pids: the kernel takes a moment to end a process.
func mustBeGone(t *testing.T, l *Lab, pids []int) {
	t.Helper()
	for _, h := range l.hosts {
		if _, err := os.Stat(filepath.Join(netnsRoot, h.Netns)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("namespace %s: got %v, want it removed", h.Netns, err)
		}
	}
	if _, err := os.Stat(l.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: got %v, want it removed", l.Dir(), err)
	}
	for _, pid := range pids {
		(&Lab{t: t}).Eventually(fmt.Sprintf("process %d is gone", pid), patience, func() error {
			if _, err := ownerOf(pid); err == nil {
				return errors.New("it lives")
			}
			return nil
		})
	}
}

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

func TestTwo_labs_with_equal_names_and_addresses_stand_side_by_side(t *testing.T) {
	first, second := newLab(t), newLab(t)
	for _, l := range []*Lab{first, second} {
		a, b := l.Host("a"), l.Host("b")
		l.Link(a, "192.0.2.1/24", b, "192.0.2.2/24")
	}
	for _, l := range []*Lab{first, second} {
		if err := echo(l.hosts[0], l.hosts[1], "192.0.2.2", patience); err != nil {
			t.Error(err)
		}
		if err := echo(l.hosts[0], l.hosts[0], "192.0.2.1", patience); err != nil {
			t.Error(err)
		}
	}
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

func TestA_process_tells_its_output_and_its_end(t *testing.T) {
	h := newLab(t).Host("a")
	p := h.Start("talker", "sh", "-c", `trap "echo bye; exit 3" TERM; echo one; echo two >&2; while :; do sleep 0.05; done`)
	p.Await("two")
	if got, want := p.Lines("o"), []string{"one", "two"}; !slices.Equal(got, want) {
		t.Errorf("lines: got %q, want %q", got, want)
	}
	if got, want := p.Stop(), 3; got != want {
		t.Errorf("exit code: got %d, want %d", got, want)
	}
	if p.Running() || p.Output() != "one\ntwo\nbye\n" {
		t.Errorf("running %v, output %q", p.Running(), p.Output())
	}
	if log, err := os.ReadFile(filepath.Join(h.Lab.Dir(), "a", "talker.log")); err != nil || string(log) != p.Output() {
		t.Errorf("log file: got %q, %v, want %q", log, err, p.Output())
	}
}

func TestA_killed_process_takes_its_group_along(t *testing.T) {
	h := newLab(t).Host("a")
	p := h.Start("parent", "sh", "-c", "sleep 600 & echo child $!; wait")
	p.Await("child")
	var child int
	if _, err := fmt.Sscanf(p.Output(), "child %d", &child); err != nil {
		t.Fatal(err)
	}
	p.Kill()
	if got, want := p.Wait(0), -1; got != want {
		t.Errorf("exit code: got %d, want %d", got, want)
	}
	h.Lab.Eventually("the child is gone", patience, func() error {
		if _, err := ownerOf(child); err == nil {
			return errors.New("it lives")
		}
		return nil
	})
}

func TestA_scenario_ends_with_words_when(t *testing.T) {
	if reason := Available(); reason != "" {
		t.Skip(reason)
	}
	for name, c := range map[string]struct {
		want string
		do   func(*Lab)
	}{
		"a command fails":               {"a: sh -c echo no; exit 4: exit status 4\nno", func(l *Lab) { l.Host("a").Run("sh", "-c", "echo no; exit 4") }},
		"a process ends too early":      {`a/p: exit status 5 without "up"` + "\nnope", func(l *Lab) { l.Host("a").Start("p", "sh", "-c", "echo nope; exit 5").Await("up") }},
		"a process ends too late":       {"a/p: still running after 1ms", func(l *Lab) { l.Host("a").Start("p", "sleep", "60").Wait(time.Millisecond) }},
		"a condition never comes":       {"rain: not within 1ms: dry", func(l *Lab) { l.Eventually("rain", time.Millisecond, func() error { return errors.New("dry") }) }},
		"a host's name is too long":     {`host name "sixteen-letters-": want 1 to 15 bytes`, func(l *Lab) { l.Host("sixteen-letters-") }},
		"a host's name is there twice":  {"File exists", func(l *Lab) { l.Host("a"); l.Host("a") }},
		"a program is not on this host": {"no-such-program", func(l *Lab) { l.Host("a").Run("no-such-program") }},
	} {
		t.Run(name, func(t *testing.T) {
			tr := new(trial)
			tr.run(c.do)
			if !tr.failed || !strings.Contains(tr.log.String(), c.want) {
				t.Errorf("failed %v, log:\n%s\nwant:\n%s", tr.failed, tr.log.String(), c.want)
			}
		})
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
