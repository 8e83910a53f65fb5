package netlink

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// inside tells a test binary that it runs in a namespace of its own.
const inside = "ANYCASTD_NETLINK_TEST_NAMESPACE"

// TestMain runs the tests in a new network namespace, which it then removes.
func TestMain(m *testing.M) {
	_, err := exec.LookPath("ip")
	if os.Geteuid() != 0 || err != nil || os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	os.Exit(again(fmt.Sprintf("anycastd-nl-%d", os.Getpid())))
}

// again runs this binary in the named namespace and returns its exit code.
func again(name string) int {
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "ip netns add %s: %v: %s\n", name, err, out)
		return 1
	}
	defer exec.Command("ip", "netns", "del", name).Run()
	cmd := exec.Command("ip", append([]string{"netns", "exec", name, os.Args[0]}, os.Args[1:]...)...)
	cmd.Env = append(os.Environ(), inside+"="+name)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// namespace skips a test that has no namespace to play in, and sees to it that
// the test leaves the namespace's addresses and links as they were.
func namespace(t *testing.T) {
	t.Helper()
	if os.Getenv(inside) == "" {
		t.Skip("needs root and the ip command: it changes addresses in a network namespace")
	}
	ip(t, "link", "set", "lo", "up")
	before := ip(t, "address", "show")
	t.Cleanup(func() {
		if after := ip(t, "address", "show"); !t.Failed() && before != after {
			t.Errorf("want the namespace left as it was:\n%s\ngot:\n%s", before, after)
		}
	})
}

// alone runs the calling test once more, in a network namespace of its own,
// and says whether this is that run; the other has nothing left to do.
func alone(t *testing.T) bool {
	t.Helper()
	switch os.Getenv(inside) {
	case t.Name():
		ip(t, "link", "set", "lo", "up")
		return true
	case "":
		t.Skip("needs root and the ip command: it makes a network namespace")
	}
	t.Parallel()
	self := exec.Command(os.Args[0], "-test.v", "-test.run", "^"+strings.ReplaceAll(regexp.QuoteMeta(t.Name()), "/", "$/^")+"$")
	self.Env = append(os.Environ(), inside+"="+t.Name())
	self.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := self.CombinedOutput()
	switch {
	case err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) && !strings.Contains(string(out), "--- SKIP: "+t.Name()):
		t.Errorf("%v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP: "):
		t.Skipf("%s", out)
	}
	return false
}

func ip(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// newHost returns a Host whose doings are undone at the end of the test.
func newHost(t *testing.T, cfg Config) *Host {
	t.Helper()
	h := New(cfg, zerolog.New(zerolog.NewTestWriter(t)))
	t.Cleanup(func() { set(t, h) })
	return h
}

func set(t *testing.T, h *Host, want ...string) {
	t.Helper()
	if err := h.Set(context.Background(), prefixes(want...)); err != nil {
		t.Fatal(err)
	}
}

func prefixes(s ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, p := range s {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

// marked returns what bears our mark: addresses, each with its link, routes and rules.
func marked(t *testing.T) []string {
	t.Helper()
	all, err := list()
	if err != nil {
		t.Fatal(err)
	}
	var ours []string
	for _, a := range all {
		switch {
		case !a.marked():
		case a.kind == address:
			ours = append(ours, a.prefix.String()+" "+linkName(a.index))
		default:
			ours = append(ours, a.String())
		}
	}
	slices.Sort(ours)
	return ours
}

// running calls run until the end of the test.
func running(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("want nil from Run after cancel, got %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("Run goes on after cancel")
		}
	})
}

// notices returns a Notify and the channel that it signals.
func notices() (func(), chan struct{}) {
	c := make(chan struct{}, 1000)
	return func() { c <- struct{}{} }, c
}

// await waits for one notification.
func await(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(20 * time.Second):
		t.Fatal("no notification came")
	}
}
