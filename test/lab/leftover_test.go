package lab

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// victim tells this test's own binary to make a lab and die in it.
const victim = "ANYCASTD_LAB_VICTIM"

func TestThe_next_lab_removes_what_a_killed_run_has_left(t *testing.T) {
	if reason := Available(); reason != "" {
		t.Skip(reason)
	}
	if os.Getenv(victim) != "" {
		dieInALab(t)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), victim+"=yes")
	var out bytes.Buffer
	cmd.Stdout = &out // no test summary: it is killed
	if err := cmd.Run(); err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("victim: got %v, want it killed", err)
	}
	var dir, netns string
	pids := make([]int, 3)
	if _, err := fmt.Sscan(out.String(), &dir, &netns, &pids[0], &pids[1], &pids[2]); err != nil {
		t.Fatalf("victim's words %q: %v", out.String(), err)
	}
	New(t)
	mustBeGone(t, &Lab{dir: dir, hosts: []*Host{{Netns: netns}}}, pids)
}

func dieInALab(t *testing.T) {
	l := New(t)
	h := l.Host("a")
	p := h.Start("sleeper", "sleep", "600")
	fmt.Println(l.Dir(), h.Netns, h.first.PID(), p.PID(), h.Run("sh", "-c", "setsid sleep 600 >/dev/null 2>&1 & echo $!"))
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

func TestA_name_tells_its_owner(t *testing.T) {
	self, err := ownerOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct{ ours, alive bool }{
		self.prefix() + "123-gw1":    {true, true},
		"anycastd-lab-1-1-123-gw1":   {true, false}, // pid 1, but not this one
		"anycastd-lab-1-123":         {false, false},
		"anycastd-lab-01-1-123-gw1":  {false, false},
		"anycastd-lab-one-two-three": {false, false},
		"blue":                       {false, false},
	} {
		o, ours := parseOwner(name)
		if alive := ours && o.alive(); ours != want.ours || alive != want.alive {
			t.Errorf("%s: ours %v, alive %v, want %+v", name, ours, alive, want)
		}
	}
	child := exec.Command("sleep", "0")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	(&Lab{t: t}).Eventually("a zombie counts as gone", patience, func() error {
		if _, err := ownerOf(child.Process.Pid); err == nil {
			return fmt.Errorf("process %d lives", child.Process.Pid)
		}
		return nil
	})
	_ = child.Wait()
}
