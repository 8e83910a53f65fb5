package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/anycastd/anycastd/cmd/anycastd/internal/control"
)

// markStore keeps the operators' drain marks in a file.
type markStore struct{ path string }

// Load reads the marks. A file that can't be read or is none of ours is put
// aside, so that somebody can look at it and no Save destroys it.
func (s markStore) Load() (control.Marks, error) {
	var m control.Marks
	text, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err == nil {
		return m, nil
	}
	aside := s.path + time.Now().UTC().Format(".bad-20060102T150405Z")
	if moved := os.Rename(s.path, aside); moved != nil {
		return control.Marks{}, fmt.Errorf("%s: %w (and it can't be put aside: %w)", s.path, err, moved)
	}
	return control.Marks{}, fmt.Errorf("%s: %w (kept as %s)", s.path, err, filepath.Base(aside))
}

// Save writes the marks so that after a crash the file is the old or the new one.
func (s markStore) Save(m control.Marks) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.path), 0o755); err != nil {
		return err
	}
	fresh := s.path + ".new"
	f, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err = cmp.Or(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(fresh, s.path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(s.path))
}

// syncDir makes a rename in dir outlive a crash.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return cmp.Or(d.Sync(), d.Close())
}
