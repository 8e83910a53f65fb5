package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anycastd/anycastd/cmd/anycastd/internal/control"
	"github.com/anycastd/anycastd/policy"
)

func TestMarksComeBackAsTheyWereSaved(t *testing.T) {
	s := markStore{filepath.Join(t.TempDir(), "state", "drain.json")}
	if m, err := s.Load(); err != nil || m.Node != nil || len(m.Gateways) > 0 {
		t.Errorf("nothing saved yet: got %+v, %v", m, err)
	}
	at := time.Unix(1000, 0).UTC()
	want := control.Marks{Node: &policy.Drain{Reason: "x", Since: at}, Gateways: map[string]policy.Drain{"gw1": {Reason: "y", Since: at, Until: at.Add(time.Hour)}}}
	for range 2 {
		if err := s.Save(want); err != nil {
			t.Fatal(err)
		}
		got, err := s.Load()
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
}

func TestASpoiledFileIsPutAsideAndTold(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "cut off": `{"node": {`, "another type": `{"gateways": 7}`} {
		t.Run(name, func(t *testing.T) {
			s := markStore{filepath.Join(t.TempDir(), "drain.json")}
			if err := os.WriteFile(s.path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			m, err := s.Load()
			if err == nil || !strings.HasPrefix(err.Error(), s.path+": ") || !strings.Contains(err.Error(), "(kept as drain.json.bad-") || m.Node != nil || m.Gateways != nil {
				t.Errorf("got %+v, %v", m, err)
			}
			aside, _ := filepath.Glob(s.path + ".bad-*")
			if len(aside) != 1 {
				t.Fatalf("want one file put aside, got %v", aside)
			}
			if kept, err := os.ReadFile(aside[0]); err != nil || string(kept) != text {
				t.Errorf("put aside: got %q, %v", kept, err)
			}
			if _, err := s.Load(); err != nil {
				t.Errorf("the next start: %v", err)
			}
		})
	}
}

func TestMarksThatCantBeSavedAreAnErrorAndLeaveTheOldOnes(t *testing.T) {
	dir := t.TempDir()
	s := markStore{filepath.Join(dir, "drain.json")}
	if err := s.Save(control.Marks{Gateways: map[string]policy.Drain{"gw1": {}}}); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.path+".new", 0o700); err != nil { // in the way
		t.Fatal(err)
	}
	if err := s.Save(control.Marks{}); err == nil {
		t.Error("want an error")
	}
	if m, err := s.Load(); err != nil || len(m.Gateways) != 1 {
		t.Errorf("want the old marks, got %+v, %v", m, err)
	}
}
