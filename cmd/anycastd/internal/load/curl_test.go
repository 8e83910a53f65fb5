package load

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// documented returns the shell blocks of docs/load.md.
func documented(t *testing.T) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile("../../../../docs/load.md")
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range strings.Split(string(text), "```") {
		if shell, ok := strings.CutPrefix(part, "sh\n"); ok && i%2 == 1 {
			blocks = append(blocks, shell)
		}
	}
	return blocks
}

func TestTheDocumentedCurlLineReports(t *testing.T) {
	for _, program := range []string{"sh", "curl", "openssl"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Geteuid() != 0 {
				t.Skip(err)
			}
			t.Fatalf("%v: run make peers", err)
		}
	}
	blocks := documented(t)
	if len(blocks) != 2 || !strings.Contains(blocks[1], "curl ") {
		t.Fatalf("want settings and the curl line, got %q", blocks)
	}
	r := receive(secret)
	srv := httptest.NewServer(r.Handler())
	defer srv.Close()
	run := func(secret string) (string, error) {
		file := filepath.Join(t.TempDir(), "report.key")
		if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		ours := "gateway=gw1\nfront=" + srv.URL + "\nsecret_file=" + file + "\n"
		cmd := exec.CommandContext(t.Context(), "sh", "-ec", blocks[0]+ours+blocks[1])
		cmd.Env = append(os.Environ(), "no_proxy=*")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run(secret); err != nil || out != "" || len(r.loads) != 1 || r.loads[0] != "gw1 1234" {
		t.Errorf("got %v %q, told %v", err, out, r.loads)
	}
	if out, err := run("another secret"); err == nil || !strings.Contains(out, "is not the HMAC-SHA256 of the body") || len(r.loads) != 1 {
		t.Errorf("wrong secret: got %v %q, told %v", err, out, r.loads)
	}
}
