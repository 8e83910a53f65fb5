package lab

import (
	"errors"
	"fmt"
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
