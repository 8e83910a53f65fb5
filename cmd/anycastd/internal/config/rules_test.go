package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// row is an input and what is found in it, as line:column: message (hint).
type row struct {
	in   string
	want []string
}

// service is a first line that makes what follows a valid file.
const service = "anycast.prefixes = [\"203.0.113.1/32\"]\n"

// hinted puts findings into lines with their hints.
func hinted(faults []Fault) []string {
	out := brief(faults)
	for i, f := range faults {
		if f.Hint != "" {
			out[i] += " (" + f.Hint + ")"
		}
	}
	return out
}

// checkFaults checks that each row has just its faults.
func checkFaults(t *testing.T, rows map[string]row) {
	t.Helper()
	for name, r := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(r.want, hinted(faultsOf(t, r.in))); diff != "" {
				t.Errorf("(-want +got):\n%s\n%s", diff, faultsOf(t, r.in))
			}
		})
	}
}

// checkWarnings checks that each row has its warnings, among others.
func checkWarnings(t *testing.T, rows map[string]row) {
	t.Helper()
	for name, r := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := Load("a.toml", strings.NewReader(r.in))
			if err != nil {
				t.Fatal(err)
			}
			all := hinted(cfg.Warnings)
			for _, w := range r.want {
				if !strings.Contains("\n"+strings.Join(all, "\n")+"\n", "\n"+w+"\n") {
					t.Errorf("want %s, got\n%s", w, strings.Join(all, "\n"))
				}
			}
		})
	}
}
