package lab

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	sigterm = syscall.SIGTERM
	grace   = 3 * time.Second // from SIGTERM to SIGKILL when a lab is removed
)

// Process is a program that runs on a host, at the latest until the lab's end.
type Process struct {
	Name string // host/name
	lab  *Lab
	cmd  *exec.Cmd
	out  output
	done chan struct{} // closed once the process has been waited for
}

// Start runs a program on the host, in its root directory and in a process group
// of its own. What it writes is kept for Output, and in Dir as HOST/NAME.log.
func (h *Host) Start(name string, argv ...string) *Process {
	h.Lab.t.Helper()
	return h.Lab.start(h.Name, name, h.inside(argv)...)
}

func (l *Lab) start(host, name string, argv ...string) *Process {
	l.t.Helper()
	file, err := os.Create(filepath.Join(l.dir, host, name+".log"))
	if err != nil {
		l.t.Fatalf("%s/%s: %v", host, name, err)
	}
	p := &Process{Name: host + "/" + name, lab: l, out: output{file: file}, done: make(chan struct{})}
	p.cmd = exec.Command(argv[0], argv[1:]...)
	// A pipe, not the file itself: a confined daemon may not write under /tmp.
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.cmd.WaitDelay = time.Second // for a pipe that a grandchild holds open
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		l.t.Fatalf("%s: %v", p.Name, err)
	}
	l.processes = append(l.processes, p)
	return p
}

// run starts the process and waits for it, on a thread that lives as long:
// Pdeathsig fires when the thread that started the process ends.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer p.out.file.Close()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	_ = p.cmd.Wait() // ProcessState tells how it ended
	close(p.done)
}

// PID is the process's id as the machine sees it.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Running tells whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Signal sends a signal to the process; to one that has ended it does nothing.
func (p *Process) Signal(sig syscall.Signal) {
	_ = p.cmd.Process.Signal(sig)
}

// Kill ends the process and its group by SIGKILL, as a crash would, and waits
// until they are gone.
func (p *Process) Kill() { p.endBy(time.Now()) }

// Stop asks the process to end by SIGTERM and returns its exit code.
func (p *Process) Stop() int {
	p.lab.t.Helper()
	p.Signal(sigterm)
	return p.Wait(patience)
}

// Wait returns the exit code, -1 after a signal. A process that still runs after
// timeout ends the scenario.
func (p *Process) Wait(timeout time.Duration) int {
	p.lab.t.Helper()
	if !p.ended(timeout) {
		p.lab.t.Fatalf("%s: still running after %v", p.Name, timeout)
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *Process) ended(timeout time.Duration) bool {
	select {
	case <-p.done:
		return true
	case <-time.After(timeout):
		return !p.Running()
	}
}

// endBy gives the process until the deadline and then kills its group, which by
// then is still its own: a group's number is not reused while its leader lives.
func (p *Process) endBy(deadline time.Time) {
	if p.ended(time.Until(deadline)) {
		return
	}
	_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	<-p.done
}

// Output returns all that the process has written to stdout and stderr so far.
func (p *Process) Output() string { return p.out.String() }

// Lines returns the lines of Output that contain text.
func (p *Process) Lines(text string) []string {
	var found []string
	for line := range strings.Lines(p.Output()) {
		if strings.Contains(line, text) {
			found = append(found, strings.TrimRight(line, "\n"))
		}
	}
	return found
}

// Await waits until the process has written text, 30 seconds at most; that it
// ends without having done so ends the scenario too.
func (p *Process) Await(text string) {
	p.lab.t.Helper()
	p.lab.Eventually(fmt.Sprintf("%s says %q", p.Name, text), patience, func() error {
		running := p.Running() // asked first: last words come before the end
		if len(p.Lines(text)) > 0 {
			return nil
		}
		if !running {
			p.lab.t.Fatalf("%s: %s without %q\n%s", p.Name, p.state(), text, tail(p.Output(), 20))
		}
		return fmt.Errorf("so far:\n%s", tail(p.Output(), 20))
	})
}

// state says in words whether and how the process has ended.
func (p *Process) state() string {
	if p.Running() {
		return "running"
	}
	return p.cmd.ProcessState.String()
}

// output collects what a process writes, in memory and in a file.
type output struct {
	file io.WriteCloser
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(b)
	return o.file.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
