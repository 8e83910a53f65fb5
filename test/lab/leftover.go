package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// netnsRoot is where ip-netns(8) keeps the named namespaces.
const netnsRoot = "/run/netns"

// owner tells which process made a lab. Its pid alone would not do: after that
// process's end another one may have it.
type owner struct {
	pid   int
	start uint64 // clock ticks from boot to the process's start
}

// ownerOf reads proc_pid_stat(5); a zombie counts as gone.
func ownerOf(pid int) (owner, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return owner{}, err
	}
	// The command's name, the second field, may hold spaces and parentheses.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 {
		return owner{}, fmt.Errorf("process %d: %d fields in its stat", pid, len(fields))
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return owner{}, fmt.Errorf("process %d: ended", pid)
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	return owner{pid: pid, start: start}, err
}

// prefix begins the name of everything that this owner makes.
func (o owner) prefix() string { return fmt.Sprintf("anycastd-lab-%d-%d-", o.pid, o.start) }

// parseOwner reads the owner from a name; ok is false if no lab gave that name.
func parseOwner(name string) (o owner, ok bool) {
	if _, err := fmt.Sscanf(name, "anycastd-lab-%d-%d-", &o.pid, &o.start); err != nil {
		return owner{}, false
	}
	return o, strings.HasPrefix(name, o.prefix())
}

func (o owner) alive() bool {
	now, err := ownerOf(o.pid)
	return err == nil && now == o
}

// removeLeftovers removes the namespaces, their processes and the files of labs
// whose owner is gone. Another lab may be doing the same, so errors mean nothing.
func removeLeftovers() {
	for _, name := range orphans(netnsRoot) {
		_ = removeNamespace(name)
	}
	for _, name := range orphans(tempRoot) {
		_ = os.RemoveAll(filepath.Join(tempRoot, name))
	}
}

// orphans returns the names in dir that a lab gave whose owner is gone.
func orphans(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if o, ok := parseOwner(e.Name()); ok && !o.alive() {
			names = append(names, e.Name())
		}
	}
	return names
}

// removeNamespace kills what still runs in the namespace, such as a daemon that
// left its process group, and deletes its name. It is no error if it is gone.
func removeNamespace(name string) error {
	if _, err := os.Stat(filepath.Join(netnsRoot, name)); err != nil {
		return nil
	}
	pids, err := exec.Command("ip", "netns", "pids", name).Output()
	if err != nil {
		return fmt.Errorf("processes of namespace %s: %w", name, err)
	}
	for _, field := range strings.Fields(string(pids)) {
		if pid, err := strconv.Atoi(field); err == nil && pid != os.Getpid() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	if out, err := exec.Command("ip", "netns", "delete", name).CombinedOutput(); err != nil {
		return fmt.Errorf("namespace %s: %w: %s", name, err, out)
	}
	return nil
}
