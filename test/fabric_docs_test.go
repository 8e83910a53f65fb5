package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestRouters_take_what_the_documentation_says holds the snippets of
// docs/fabric.md against BIRD's parser, and those for FRR, which takes a list
// that is not there for one that lets nothing pass, against their own lists.
func TestRouters_take_what_the_documentation_says(t *testing.T) {
	text, err := os.ReadFile("../docs/fabric.md")
	if err != nil {
		t.Fatal(err)
	}
	var ofBIRD, ofFRR []string
	for i, block := range strings.Split(string(text), "\n```") {
		switch {
		case i%2 == 0 || strings.HasPrefix(block, "toml"):
		case strings.Contains(block, "protocol "):
			ofBIRD = append(ofBIRD, block)
		default:
			ofFRR = append(ofFRR, block)
		}
	}
	if len(ofBIRD) != 3 || len(ofFRR) != 3 {
		t.Fatalf("%d snippets for BIRD and %d for FRR, want 3 of each", len(ofBIRD), len(ofFRR))
	}
	// One file: what a later one uses an earlier one defines.
	conf := filepath.Join(t.TempDir(), "bird.conf")
	if err := os.WriteFile(conf, []byte("router id 192.0.2.1;\n"+strings.Join(ofBIRD, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("bird", "-p", "-c", conf).CombinedOutput(); err != nil {
		t.Errorf("BIRD: %v: %s", err, out)
	}
	for _, block := range ofFRR {
		for _, used := range regexp.MustCompile(`neighbor \S+ ((?:prefix-list|route-map) \S+) `).FindAllStringSubmatch(block, -1) {
			if !strings.Contains(block, "\n"+used[1]+" permit") && !strings.Contains(block, "ip "+used[1]+" ") {
				t.Errorf("FRR: %s is used and not defined", used[1])
			}
		}
	}
}
