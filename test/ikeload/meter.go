package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// meter reads, before and after, what a load costs.
type meter struct {
	pid         int    // the process to watch; 0: none
	iface       string // the interface where answers come in; "": not counted
	answered    *uint64
	first, last reading
}

// reading is what a meter shows at one time.
type reading struct {
	at       time.Time
	own      time.Duration // CPU time of this process
	process  time.Duration // of the process watched
	resident uint64        // octets of its memory
	packets  uint64        // that the interface has received
	answered uint64
}

// begin takes the first reading.
func (m *meter) begin() { m.first = m.read() }

// end takes the last reading.
func (m *meter) end() { m.last = m.read() }

// read reads everything; what can't be read is zero.
func (m *meter) read() reading {
	r := reading{at: time.Now()}
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) == nil {
		r.own = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	if m.answered != nil {
		r.answered = *m.answered
	}
	if m.pid != 0 {
		r.process, r.resident = cpuTime(m.pid), residentMemory(m.pid)
	}
	if m.iface != "" {
		r.packets = received(m.iface)
	}
	return r
}

// clockTick is the unit of times in /proc: USER_HZ, 100 on all architectures.
const clockTick = 10 * time.Millisecond

// cpuTime returns the CPU time that a process has taken, of all its threads,
// from proc_pid_stat(5).
func cpuTime(pid int) time.Duration {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	// The command's name, the second field, may hold spaces and parentheses.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseUint(string(fields[11]), 10, 64)
	system, _ := strconv.ParseUint(string(fields[12]), 10, 64)
	return time.Duration(user+system) * clockTick
}

// residentMemory returns a process's VmRSS in octets, from proc_pid_status(5).
func residentMemory(pid int) uint64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := bytes.Cut(status, []byte("VmRSS:"))
	var kilobytes uint64
	_, _ = fmt.Sscanf(string(rest), "%d kB", &kilobytes)
	return kilobytes << 10
}

// received returns how many packets an interface has received.
func received(iface string) uint64 {
	b, _ := os.ReadFile("/sys/class/net/" + iface + "/statistics/rx_packets")
	n, _ := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	return n
}
