package load

import (
	"strconv"
	"strings"
)

// Meter turns readings of /proc/stat into shares of the CPUs in use. The zero
// value has read nothing yet.
type Meter struct{ idle, total uint64 }

// Share returns the share of all CPUs in use since the reading before, 0 to 1,
// or -1 if that can't be told: at first, or if stat is not that file's content.
// What a hypervisor took away (steal) counts as in use.
func (m *Meter) Share(stat string) float64 {
	last := *m
	*m = readStat(stat)
	idle, total := float64(m.idle)-float64(last.idle), float64(m.total)-float64(last.total)
	if last.total == 0 || total <= 0 {
		return -1
	}
	return min(1, max(0, 1-idle/total)) // the kernel's iowait can go back (proc_stat(5))
}

// readStat reads the first line: "cpu", then ticks in user, nice, system, idle,
// iowait, irq, softirq, steal, and others that are in user and nice already.
func readStat(stat string) (m Meter) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 5 || fields[0] != "cpu" {
		return Meter{}
	}
	for i, field := range fields[1:min(len(fields), 9)] {
		n, err := strconv.ParseUint(field, 10, 63)
		if err != nil {
			return Meter{}
		}
		m.total += n
		if i == 3 || i == 4 {
			m.idle += n
		}
	}
	return m
}
