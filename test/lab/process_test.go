package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

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
