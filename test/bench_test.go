//go:build bench

package test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// How much is measured; docs/performance.md has it in words.
const (
	rounds      = 5
	roundTime   = 2 * time.Second
	floodRounds = 3
	floodTime   = 6 * time.Second
	sourceCount = 10_000_000 // spoofed sources that must leave no trace in memory
)

// TestBench measures what the front promises, and prints one table.
func TestBench(t *testing.T) {
	b := newBench(t)
	capacity := b.rates()
	b.latency()
	b.flatness()
	b.memory()
	b.floods()
	b.limits(capacity)
	fmt.Printf("\n%s\n%s\n", machine(t), b.table.String())
}

// machine says what the figures were measured on.
func machine(t *testing.T) string {
	cpus, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Fatal(err)
	}
	model := "unknown CPU"
	for line := range strings.Lines(string(cpus)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
		}
	}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s, %d CPUs, Linux %s, %s", model, runtime.NumCPU(), strings.TrimSpace(string(release)), runtime.Version())
}

// rates measures all contestants in turn, and returns how many requests per
// second anycastd answers.
func (b *bench) rates() (capacity float64) {
	ours := b.anycastd("anycastd", setup{})
	six := *ours
	six.name, six.to = "anycastd, IPv6", ours.to6
	echo, bare, libreswan := b.echo(), b.bareEcho(), b.libreswan()
	all := []*contestant{ours, echo, bare, libreswan, &six} // the closest beside each other
	b.interleave(all)
	b.table.section("Answers per second of one responder, on a CPU of its own")
	for _, c := range all {
		b.table.add(c.name, "%.0f/s", c.rates, noGoal(), fmt.Sprintf("CPU: responder %.0f %%, generator %.0f %%", 100*c.cpu.median(), 100*c.generator.median()))
	}
	b.table.add("anycastd / libreswan", "%.1f", ours.rates.over(libreswan.rates), atLeast(5), "")
	b.saturate(ours, echo, bare)
	for _, c := range all {
		c.Stop()
	}
	return ours.rates.median()
}

// saturate measures what contestants answer in a second of their CPU's time when
// more comes than they can take: not even the generator's own work on the
// answers holds them up.
func (b *bench) saturate(ours, echo, bare *contestant) {
	all := []*contestant{ours, echo, bare}
	perCPU, perSecond := map[*contestant]figure{}, map[*contestant]figure{}
	var sent figure
	for range rounds {
		for _, c := range all {
			r := b.saturated(c)
			perCPU[c], perSecond[c] = append(perCPU[c], r.ReceivedRate/r.Process.CPU), append(perSecond[c], r.ReceivedRate)
			sent = append(sent, r.SentRate)
		}
	}
	b.table.section(fmt.Sprintf("Answers per second of CPU time, beside a valid flood as fast as it goes (%.0f/s)", sent.median()))
	for _, c := range all {
		b.table.add(c.name, "%.0f/s", perCPU[c], noGoal(), fmt.Sprintf("%.0f/s", perSecond[c].median()))
	}
	b.table.add("anycastd / echo on the same sockets", "%.2f", perCPU[ours].over(perCPU[echo]), atLeast(.9), "")
	b.table.add("anycastd / bare echo", "%.2f", perCPU[ours].over(perCPU[bare]), noGoal(), "")
}

// saturated floods a contestant with valid requests.
func (b *bench) saturated(c *contestant) loadReport {
	b.t.Helper()
	r := b.run("flood -to %s -from %s -duration %s -pid %d", c.to, spoofed, roundTime, c.PID())
	b.t.Logf("flooded: %s: %.0f/s of %.0f/s, CPU %.0f %%", c.name, r.ReceivedRate, r.SentRate, 100*r.Process.CPU)
	return r
}

// latency measures how long answers take while the node has room.
func (b *bench) latency() {
	c := b.anycastd("latency", setup{})
	var rate, p50, p99, p999 figure
	for range rounds {
		rate = append(rate, b.roomy(c))
		r := b.run("open -to %s -from %s -rate %f -duration %s -warmup 500ms", c.to, sources4, rate[len(rate)-1], roundTime)
		p50, p99, p999 = append(p50, r.Latency.P50/1e3), append(p99, r.Latency.P99/1e3), append(p999, r.Latency.P999/1e3)
	}
	b.table.section(fmt.Sprintf("From when a request was due to its answer, at 0.8 × the capacity measured just before (%.0f/s)", rate.median()))
	b.table.add("p50", "%.2f ms", p50, noGoal(), "")
	b.table.add("p99", "%.2f ms", p99, noGoal(), "")
	b.table.add("p99.9", "%.2f ms", p999, noGoal(), "")
	c.Stop()
}

// flatness measures what gateways and addresses cost.
func (b *bench) flatness() {
	var all []*contestant
	for _, n := range []int{2, 100, 10_000} {
		all = append(all, b.anycastd(fmt.Sprintf("gateways-%d", n), setup{gateways: n}))
	}
	for _, n := range []int{1, 64} {
		all = append(all, b.anycastd(fmt.Sprintf("addresses-%d", n), setup{addresses: n}))
	}
	for range rounds {
		for _, c := range all {
			r := b.saturated(c)
			c.rates = append(c.rates, r.ReceivedRate/r.Process.CPU)
		}
	}
	b.table.section("Answers per second of CPU time by size, beside a valid flood as fast as it goes")
	for i, c := range all {
		base := all[0]
		if i >= 3 {
			base = all[3]
		}
		b.table.add(c.name, "%.0f/s", c.rates, noGoal(), "")
		if c != base {
			b.table.add(c.name+" / "+base.name, "%.2f", c.rates.over(base.rates), goal{.9, 1.1}, "")
		}
	}
	for _, c := range all {
		c.Stop()
	}
}

// memory measures what very many clients leave behind.
func (b *bench) memory() {
	c := b.anycastd("memory", setup{})
	b.measure(c) // touches all that any client makes it touch
	r := b.run("flood -to %s -from %s -count %d -pid %d", c.to, spoofed, sourceCount, c.PID())
	before, after := float64(r.Process.Before), float64(r.Process.After)
	b.table.section("Resident memory")
	b.table.add(fmt.Sprintf("after / before %d spoofed sources", sourceCount), "%.3f", figure{after / before}, goal{0, 1.05},
		fmt.Sprintf("%.1f MB before, %.1f MB after; %.0f/s sent, %.0f/s answered", before/1e6, after/1e6, r.SentRate, r.ReceivedRate))
	c.Stop()
}
