package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ready is what a host's first process says when the host is as it should be.
const ready = "ready\n"

// boot runs as the first process of a host and holds its namespaces. The host
// has its own /run, for pid files and sockets with fixed places, and its own
// resolv.conf, which on many systems is a link into /run. Duplicate address
// detection and router discovery would cost seconds and blur captures.
const boot = `set -e
mount -t tmpfs -o mode=755 tmpfs /run
resolv=$(readlink -m /etc/resolv.conf)
mkdir -p "$(dirname "$resolv")"
: >>"$resolv"
mount --bind "$1" "$resolv"
set_to() { value=$1; shift; for key; do echo "$value" >"/proc/sys/net/$key"; done; }
set_to 0 ipv4/ip_forward ipv6/conf/all/forwarding
for conf in all default; do
	set_to 0 ipv4/conf/$conf/rp_filter ipv6/conf/$conf/disable_ipv6 ipv6/conf/$conf/accept_dad \
		ipv6/conf/$conf/accept_ra ipv6/conf/$conf/router_solicitations
done
ip link set lo up
echo ready
exec sleep infinity`

// Host is a machine of the lab: a network namespace, and a mount namespace with
// its own /run and /etc/resolv.conf. It sees the machine's other files.
type Host struct {
	Name  string
	Netns string // for ip netns exec
	Lab   *Lab
	first *Process
}

// Host adds a host with loopback up, forwarding off, rp_filter off and no name
// server. Interfaces take the name of the host they lead to: 15 bytes at most.
func (l *Lab) Host(name string) *Host {
	l.t.Helper()
	if name == "" || len(name) >= unix.IFNAMSIZ {
		l.t.Fatalf("host name %q: want 1 to %d bytes", name, unix.IFNAMSIZ-1)
	}
	h := &Host{Name: name, Netns: filepath.Base(l.dir) + "-" + name, Lab: l}
	if out, err := exec.Command("ip", "netns", "add", h.Netns).CombinedOutput(); err != nil {
		l.t.Fatalf("host %s: %v: %s", name, err, out)
	}
	l.hosts = append(l.hosts, h)
	// ip-netns-exec(8) also makes the mount namespace, and a /sys that shows this network.
	h.first = l.start(name, "boot", "ip", "netns", "exec", h.Netns, "sh", "-c", boot, "sh", h.File("resolv.conf", ""))
	h.first.Await(strings.TrimSpace(ready))
	return h
}

// Router makes the host forward packets of both families.
func (h *Host) Router() {
	h.Lab.t.Helper()
	h.Sysctl("net/ipv4/ip_forward", "1")
	h.Sysctl("net/ipv6/conf/all/forwarding", "1")
}

// Sysctl sets a kernel parameter, named by its path below /proc/sys.
func (h *Host) Sysctl(name, value string) {
	h.Lab.t.Helper()
	h.Run("sh", "-c", `echo "$1" >"/proc/sys/$0"`, name, value)
}

// Link joins two hosts by a cable (a veth pair). Each end is named after the host
// at the other and gets its addresses: "192.0.2.1/30 2001:db8::1/64".
func (l *Lab) Link(a *Host, aAddrs string, b *Host, bAddrs string) {
	l.t.Helper()
	// The kernel takes a veth whose ends have the same index for a lazy link and
	// then leaves it without IPv6 for up to a second (linkwatch_urgent_event).
	l.links++
	a.Run("ip", "link", "add", "name", b.Name, "index", strconv.Itoa(1000+l.links), "type", "veth",
		"peer", "name", a.Name, "index", strconv.Itoa(2000+l.links), "netns", strconv.Itoa(b.first.PID()))
	a.attach(b.Name, aAddrs)
	b.attach(a.Name, bAddrs)
}

// Uplink is Link, and the router is the host's way to everywhere else.
func (l *Lab) Uplink(h *Host, addrs string, router *Host, routerAddrs string) {
	l.t.Helper()
	l.Link(h, addrs, router, routerAddrs)
	for _, prefix := range strings.Fields(routerAddrs) {
		hop, _, _ := strings.Cut(prefix, "/")
		h.Route("default via " + hop)
	}
}

func (h *Host) attach(iface, addrs string) {
	h.Lab.t.Helper()
	for _, addr := range strings.Fields(addrs) {
		h.Run("ip", "address", "add", addr, "dev", iface, "nodad")
	}
	h.Run("ip", "link", "set", "dev", iface, "up")
}

// Route adds a route in the words of ip-route(8): "default via 192.0.2.1". An
// address with colons makes it one of IPv6.
func (h *Host) Route(route string) {
	h.Lab.t.Helper()
	family := "-4"
	if strings.Contains(route, ":") {
		family = "-6"
	}
	h.Run(append([]string{"ip", family, "route", "add"}, strings.Fields(route)...)...)
}

// Nameserver makes these addresses the host's resolver: programs started later
// ask them, running ones of the C library from their next question.
func (h *Host) Nameserver(addrs ...string) {
	h.Lab.t.Helper()
	var conf strings.Builder
	for _, addr := range addrs {
		fmt.Fprintf(&conf, "nameserver %s\n", addr)
	}
	h.File("resolv.conf", conf.String())
}

// File writes a file of this host and returns its path.
func (h *Host) File(name, content string) string {
	h.Lab.t.Helper()
	return h.Lab.File(filepath.Join(h.Name, name), content)
}

// Mount makes a file or directory appear at target on this host alone. The
// target must exist on the machine.
func (h *Host) Mount(source, target string) {
	h.Lab.t.Helper()
	h.Run("mount", "--bind", source, target)
}

// Run executes a command on the host, in its root directory, and returns what it
// wrote without the last newline. An exit code other than 0 ends the scenario.
func (h *Host) Run(argv ...string) string {
	h.Lab.t.Helper()
	out, err := h.Try(argv...)
	if err != nil {
		h.Lab.t.Fatalf("%v\n%s", err, out)
	}
	return out
}

// Try is Run for a command that may fail; the error tells its exit code. It is
// killed after 60 seconds.
func (h *Host) Try(argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	inside := h.inside(argv)
	cmd := exec.CommandContext(ctx, inside[0], inside[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	runtime.LockOSThread() // Pdeathsig fires when the starting thread ends
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %s: %w", h.Name, strings.Join(argv, " "), err)
	}
	return strings.TrimRight(string(out), "\n"), err
}

// inside returns the command that runs argv in the host's namespaces.
func (h *Host) inside(argv []string) []string {
	return append([]string{"nsenter", "--target", strconv.Itoa(h.first.PID()), "--net", "--mount", "--"}, argv...)
}

// Do calls f with the calling thread in the host's network, so that sockets which
// f opens belong to it for good. Goroutines that f starts don't run there.
func (h *Host) Do(f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer home.Close()
	away, err := os.Open(filepath.Join(netnsRoot, h.Netns))
	if err != nil {
		return err
	}
	defer away.Close()
	if err := unix.Setns(int(away.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter %s: %w", h.Name, err)
	}
	defer func() {
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread() // otherwise the thread ends with its goroutine
		}
	}()
	return f()
}
