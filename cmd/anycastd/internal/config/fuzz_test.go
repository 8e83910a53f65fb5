package config

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"
)

// FuzzLoad holds that any text gives a configuration or faults, never both,
// and that whatever is found lies within the text.
func FuzzLoad(f *testing.F) {
	f.Add(Reference())
	f.Add(setting.ReplaceAllString(Reference(), "$1"))
	for _, text := range tomls {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "_file") {
			return // it would read files
		}
		cfg, err := Load("a.toml", strings.NewReader(text))
		var faults Faults
		if (cfg == nil) != errors.As(err, &faults) {
			t.Fatalf("want a configuration or faults, got %v and %v", cfg, err)
		}
		if cfg != nil {
			faults = cfg.Warnings
		}
		_ = faults.Error()
		lines := strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n")
		for _, w := range faults {
			if w.Line < 1 || w.Line > len(lines) {
				t.Fatalf("want line 1 to %d, got %v", len(lines), w)
			}
			line := strings.TrimSuffix(lines[w.Line-1], "\r")
			if w.Text != line || w.Column < 1 || w.Column > utf8.RuneCountInString(line)+1 {
				t.Fatalf("want a place in %q, got %v in %q", line, w, w.Text)
			}
		}
	})
}

// FuzzParse holds that the tree says what go-toml's decoder says.
func FuzzParse(f *testing.F) {
	f.Add(Reference())
	for _, text := range tomls {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want := map[string]any{}
		err := toml.Unmarshal([]byte(text), &want)
		d := newDocument("a.toml", []byte(text))
		_, problem := d.parse()
		if (err != nil) != (problem != "") {
			t.Fatalf("want %v, got %q", err, problem)
		}
		if err != nil {
			return
		}
		if diff := cmp.Diff(decoded(want), plain(d.root)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
