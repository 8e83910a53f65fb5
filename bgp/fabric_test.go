package bgp

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// peerEnv names, in the test process that runs in the Speaker's namespace, the
// namespace of its neighbor.
const peerEnv = "ANYCASTD_BGP_TEST_PEER"

// The two ends of the link, ours first.
var (
	our4   = netip.MustParseAddr("192.0.2.1")
	our6   = netip.MustParseAddr("2001:db8::1")
	their4 = netip.MustParseAddr("192.0.2.2")
	their6 = netip.MustParseAddr("2001:db8::2")
)

// TestMain runs the tests in a network namespace that has a link to a second
// one, where it can. A namespace holds a process's threads, and the Speaker's
// goroutines run on any of them: hence a second process.
func TestMain(m *testing.M) {
	if os.Getenv(peerEnv) != "" || missing() != "" {
		os.Exit(m.Run())
	}
	os.Exit(inNamespace())
}

// missing returns what these tests lack, or "".
func missing() string {
	if os.Geteuid() != 0 {
		return "network namespaces need root"
	}
	for _, tool := range []string{"ip", "bird", "birdc"} {
		if _, err := exec.LookPath(tool); err != nil {
			return tool + " is not installed"
		}
	}
	return ""
}

// inNamespace runs this test binary again between two namespaces of its own.
func inNamespace() int {
	us, peer := fmt.Sprintf("bgp%d-us", os.Getpid()), fmt.Sprintf("bgp%d-peer", os.Getpid())
	signal.Ignore(os.Interrupt) // the second process ends by it, this one cleans up
	defer exec.Command("ip", "netns", "del", us).Run()
	defer exec.Command("ip", "netns", "del", peer).Run()
	for _, line := range []string{
		"netns add " + us,
		"netns add " + peer,
		"-n " + us + " link set lo up",
		"-n " + peer + " link set lo up",
		"link add up0 netns " + us + " type veth peer name up0 netns " + peer,
		fmt.Sprintf("-n %s addr add %v/24 dev up0", us, our4),
		fmt.Sprintf("-n %s addr add %v/64 dev up0 nodad", us, our6),
		fmt.Sprintf("-n %s addr add %v/24 dev up0", peer, their4),
		fmt.Sprintf("-n %s addr add %v/64 dev up0 nodad", peer, their6),
		"-n " + us + " link set up0 up",
		"-n " + peer + " link set up0 up",
	} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "ip %s: %v: %s", line, err, out)
			return 1
		}
	}
	runtime.LockOSThread() // Pdeathsig is sent when the thread ends
	cmd := exec.Command("ip", append([]string{"netns", "exec", us}, os.Args...)...)
	cmd.Env = append(os.Environ(), peerEnv+"="+peer)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		return 1
	}
	return 0
}

// eventually waits until ok, for at most half a minute.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 30 s still not: %s", what)
		}
	}
}

// bird is a BIRD 2 in the neighbor's namespace.
type bird struct {
	t       *testing.T
	dir     string
	process *exec.Cmd
}

// startBird starts BIRD with protocols beside those that install all routes
// into its kernel.
func startBird(t *testing.T, protocols ...string) *bird {
	t.Helper()
	if os.Getenv(peerEnv) == "" {
		t.Skip(missing())
	}
	dir, err := os.MkdirTemp("", "bird") // short: a socket's path has at most 107 octets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	conf := `log stderr all; router id 192.0.2.2; protocol device { scan time 5; }
protocol kernel k4 { ipv4 { import none; export where source = RTS_BGP; }; }
protocol kernel k6 { ipv6 { import none; export where source = RTS_BGP; }; }
` + strings.Join(protocols, "\n") + "\n"
	b := &bird{t: t, dir: dir}
	if err := os.WriteFile(b.file("conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	b.start()
	t.Cleanup(func() { b.end(syscall.SIGTERM) })
	return b
}

func (b *bird) file(name string) string { return filepath.Join(b.dir, name) }

// start runs the daemon and waits until it answers.
func (b *bird) start() {
	b.t.Helper()
	log, err := os.OpenFile(b.file("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		b.t.Fatal(err)
	}
	defer log.Close()
	b.process = exec.Command("ip", "netns", "exec", os.Getenv(peerEnv),
		"bird", "-f", "-c", b.file("conf"), "-s", b.file("ctl"), "-P", b.file("pid"))
	b.process.Stderr = log
	if err := b.process.Start(); err != nil {
		b.t.Fatal(err)
	}
	eventually(b.t, "bird answers", func() bool { return strings.Contains(b.ask("show", "status"), "up and running") })
}

// end ends the daemon by sig; "ip netns exec" has become BIRD itself.
func (b *bird) end(sig syscall.Signal) {
	if b.process == nil {
		return
	}
	b.process.Process.Signal(sig)
	b.process.Wait()
	b.process = nil
	if log, err := os.ReadFile(b.file("log")); err == nil && b.t.Failed() {
		b.t.Logf("bird's log:\n%s", log)
	}
}

// ask returns birdc's answer to a command.
func (b *bird) ask(command ...string) string {
	out, _ := exec.Command("birdc", append([]string{"-s", b.file("ctl")}, command...)...).CombinedOutput()
	return string(out)
}

// logged reports whether the daemon has logged text.
func (b *bird) logged(text string) bool {
	log, err := os.ReadFile(b.file("log"))
	return err == nil && strings.Contains(string(log), text)
}

// kernel returns the route to prefix in the neighbor's kernel, "" if there is
// none.
func (b *bird) kernel(prefix string) string {
	args := []string{"-4", "-n", os.Getenv(peerEnv), "route", "show", prefix}
	if strings.Contains(prefix, ":") {
		args[0] = "-6"
	}
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		b.t.Errorf("ip %v: %v: %s", args, err, out)
	}
	return string(out)
}

// linkLocal returns the address of the neighbor's end that the kernel made.
func (b *bird) linkLocal() string {
	b.t.Helper()
	return linkLocal(b.t, exec.Command("ip", "-6", "-o", "-n", os.Getenv(peerEnv), "addr", "show", "dev", "up0", "scope", "link"))
}

// ip runs ip(8), which must succeed.
func ip(t *testing.T, command ...string) {
	t.Helper()
	if out, err := exec.Command("ip", command...).CombinedOutput(); err != nil {
		t.Fatalf("ip %v: %v: %s", command, err, out)
	}
}

// resident is how much memory this process has.
func resident(t *testing.T) string {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	size, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(size)
}

// linkLocal returns the address that show, a command that can be run again, shows.
func linkLocal(t *testing.T, show *exec.Cmd) string {
	t.Helper()
	var addr string
	eventually(t, "a link-local address is there", func() bool {
		out, err := exec.Command(show.Args[0], show.Args[1:]...).Output()
		if err != nil || strings.Contains(string(out), "tentative") {
			return false
		}
		_, rest, _ := strings.Cut(string(out), "inet6 ")
		addr, _, _ = strings.Cut(rest, "/")
		return addr != ""
	})
	return addr
}
