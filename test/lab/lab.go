// Package lab makes small networks of namespaces, veth links, real daemons and
// packet captures, and removes every trace of them, even of a killed run's.
// It never touches the machine's own interfaces, routes, mounts or processes.
package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// tempRoot is fixed and short: a unix socket's path has 107 bytes at most, and
// the temporary directory of the environment may lie under /run, which hosts hide.
const tempRoot = "/tmp"

// patience bounds whatever a lab itself waits for.
const patience = 30 * time.Second

// T is what a lab needs of a *testing.T: the one whose goroutine plays the
// scenario, not a subtest's parent. Fatalf must not return. If T also has
// Failed() bool, a failed scenario logs what its processes said last.
type T interface {
	Helper()
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// Lab is one network. It belongs to the goroutine that made it.
type Lab struct {
	t         T
	dir       string // its base name is also the prefix of every namespace
	hosts     []*Host
	processes []*Process
	captures  []*Capture
	links     int
}

// Available returns why no lab can be made here, or "" if it can: it takes root,
// iproute2 and util-linux, and a kernel or container that lets them work.
func Available() (reason string) {
	if os.Geteuid() != 0 {
		return "network namespaces need root"
	}
	for _, tool := range []string{"ip", "nsenter", "unshare"} {
		if _, err := exec.LookPath(tool); err != nil {
			return tool + " is not installed"
		}
	}
	out, err := exec.Command("unshare", "--net", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/run").CombinedOutput()
	if err != nil {
		return "namespaces are not permitted: " + strings.TrimSpace(string(out))
	}
	return ""
}

// New returns an empty lab, removed again by t.Cleanup. It first removes what
// labs of processes that are gone have left behind.
func New(t T) *Lab {
	t.Helper()
	if reason := Available(); reason != "" {
		t.Fatalf("no lab here: %s", reason)
	}
	self, err := ownerOf(os.Getpid())
	if err != nil {
		t.Fatalf("lab: %v", err)
	}
	removeLeftovers()
	dir, err := os.MkdirTemp(tempRoot, self.prefix()+"*")
	if err != nil {
		t.Fatalf("lab: %v", err)
	}
	l := &Lab{t: t, dir: dir}
	t.Cleanup(l.remove)
	return l
}

// Dir is the lab's temporary directory: one subdirectory per host.
func (l *Lab) Dir() string { return l.dir }

// File writes a file only root can read below Dir and returns its path.
func (l *Lab) File(name, content string) string {
	l.t.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		l.t.Fatalf("lab: %v", err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		l.t.Fatalf("lab: %v", err)
	}
	return path
}

// Eventually asks check every 20 ms until it returns nil, and ends the scenario
// with check's last error if that takes longer than timeout.
func (l *Lab) Eventually(what string, timeout time.Duration, check func() error) {
	l.t.Helper()
	deadline := time.Now().Add(timeout)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("%s: not within %v: %v", what, timeout, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// remove ends the processes, all at once so that slow ones wait together, then
// the namespaces and the files. It runs last, so it only logs what goes wrong.
func (l *Lab) remove() {
	if t, ok := l.t.(interface{ Failed() bool }); ok && t.Failed() {
		l.dump()
	}
	for _, p := range l.processes {
		p.Signal(sigterm)
	}
	deadline := time.Now().Add(grace)
	for _, p := range l.processes {
		p.endBy(deadline)
	}
	for _, h := range l.hosts {
		if err := removeNamespace(h.Netns); err != nil {
			l.t.Logf("lab: %v", err)
		}
	}
	if err := os.RemoveAll(l.dir); err != nil {
		l.t.Logf("lab: %v", err)
	}
}

// dump logs enough of a failed scenario to understand it from a CI log alone.
func (l *Lab) dump() {
	for _, p := range l.processes {
		if out := p.Output(); out != ready {
			l.t.Logf("--- %s: %s\n%s", p.Name, p.state(), tail(out, 60))
		}
	}
	for _, c := range l.captures {
		l.t.Logf("--- seen by %s:\n%s", c.process.Name, tail(c.Text(), 60))
	}
}

// tail returns the last n lines of text.
func tail(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
