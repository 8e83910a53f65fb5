package test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/anycastd/anycastd/test/lab"
)

// startDemo runs `anycastd demo`, whose story goes to out.
func startDemo(t *testing.T, out io.Writer) *exec.Cmd {
	if reason := lab.Available(); reason != "" {
		t.Skip(reason)
	}
	cmd := exec.Command(program(), "demo")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // does nothing if it has ended
	return cmd
}

// leftovers returns the namespaces of the lab of the process with this id.
func leftovers(pid int) []string {
	entries, _ := os.ReadDir("/run/netns")
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), fmt.Sprintf("anycastd-lab-%d-", pid)) {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestTheDemoObservesEachOfItsSteps(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	cmd := startDemo(t, &out)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{
		`✓ the client asks there by IKE: no answer from 203\.0\.113\.1:500`,
		`✓ in its kernel: 203\.0\.113\.0/24 via 192\.0\.2\.10 dev front proto bgp`,
		`✓ in its kernel: 2001:db8:a::/48 via 2001:db8:f::10 dev front proto bgp`,
		`✓ dns: update from 192\.0\.2\.10, signed with anycastd\.: vpn\.example\.test\. A 203\.0\.113\.1 added`,
		`✓ it asks 203\.0\.113\.1 by IKE: .*: REDIRECT to 198\.51\.100\.`,
		`✓ it asks 2001:db8:a::1 by IKE: .*: REDIRECT to 2001:db8:`,
		`✓ gw.: client 192\.0\.2\.200 comes with REDIRECTED_FROM 203\.0\.113\.1`,
		`✓ gw.: client 2001:db8:c::200 comes with REDIRECTED_FROM 2001:db8:a::1`,
		`✓ after .*: what still arrives then is answered all the same`,
		`✓ with exit code 0`,
		`Namespaces, processes and files of the demo are removed\.`,
		`All 12 steps were observed`,
	} {
		if !regexp.MustCompile(want).Match(out.Bytes()) {
			t.Errorf("the story lacks %s", want)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

func TestAnInterruptedDemoLeavesNothing(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	cmd := startDemo(t, write)
	write.Close()
	var story bytes.Buffer
	told := io.TeeReader(read, &story)
	for buf := make([]byte, 4096); !strings.Contains(story.String(), "it answers there"); {
		if _, err := told.Read(buf); err != nil {
			t.Fatalf("the demo has ended before it was interrupted:\n%s", &story)
		}
	}
	_ = cmd.Process.Signal(unix.SIGINT)
	begun := time.Now()
	_, _ = io.Copy(io.Discard, told)
	_ = cmd.Wait()
	if got, want := cmd.ProcessState.ExitCode(), 1; got != want {
		t.Errorf("exit code: got %d, want %d", got, want)
	}
	if took := time.Since(begun); took > patience {
		t.Errorf("it ended after %v", took)
	}
	if names := leftovers(cmd.Process.Pid); len(names) > 0 {
		t.Errorf("it left %v", names)
	}
	if want := "anycastd: the demo was interrupted"; !strings.Contains(story.String(), want) {
		t.Errorf("got %q, want %q in it", story.String(), want)
	}
}
