//go:build bench

package test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/anycastd/anycastd/test/lab"
)

// The CPUs: everything that a responder does is paid for by one, everything
// else by the other.
const (
	generatorCPU = 0
	responderCPU = 1
)

// The prefixes that requests come from.
const (
	sources4 = "172.16.0.0/16"      // answers come in
	sources6 = "2001:db8:1000::/40" // the same
	spoofed  = "10.0.0.0/8"         // answers are dropped
)

// bench is the place of the measurements: one generator, joined by a cable to
// each responder.
type bench struct {
	t                *testing.T
	lab              *lab.Lab
	generator        *lab.Host
	ikeload, echoing string // programs
	responders       int
	runs             int
	table            table
}

// newBench builds the programs and makes the generator.
func newBench(t *testing.T) *bench {
	if runtime.NumCPU() < 2 {
		t.Fatal("generator and responder need a CPU each")
	}
	t.Setenv("GOMAXPROCS", "1") // of all programs
	b := &bench{t: t, lab: newLab(t, "taskset", "certutil", plutoProgram)}
	programs := t.TempDir()
	b.ikeload, b.echoing = filepath.Join(programs, "ikeload"), filepath.Join(programs, "echo")
	for _, build := range [][]string{{"build", "-o", b.ikeload, "./ikeload"}, {"test", "-c", "-o", b.echoing, "../ikefront"}} {
		if out, err := exec.Command("go", build...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	b.generator = b.lab.Host("generator")
	for _, route := range []string{"local " + sources4 + " dev lo", "local " + sources6 + " dev lo", "blackhole " + spoofed} {
		b.generator.Route(route)
	}
	return b
}

// place is where a responder runs.
type place struct {
	*lab.Host
	prefix4, prefix6 string // of its anycast addresses, the first of which are
	anycast6         string
}

// anycast4 returns the n-th anycast address, from 1 on.
func (p *place) anycast4(n int) string {
	return fmt.Sprintf("%s%d", strings.TrimSuffix(p.prefix4, "0/24"), n)
}

// responder makes a host that the generator reaches, and that sends everything
// to the generator. Both know each other's link-layer address for good: in a
// flood the question for it could be lost.
func (b *bench) responder(name string) *place {
	i := b.responders
	b.responders++
	h := b.lab.Host(name)
	near4, far4 := fmt.Sprintf("192.0.2.%d", 4*i+1), fmt.Sprintf("192.0.2.%d", 4*i+2)
	near6, far6 := fmt.Sprintf("2001:db8:f:%x::1", i), fmt.Sprintf("2001:db8:f:%x::2", i)
	b.lab.Link(b.generator, near4+"/30 "+near6+"/64", h, far4+"/30 "+far6+"/64")
	for _, far := range []string{far4, far6} {
		know(b.generator, name, far, h, b.generator.Name)
	}
	for _, near := range []string{near4, near6} {
		know(h, b.generator.Name, near, b.generator, name)
		h.Route("default via " + near)
	}
	p := &place{h, fmt.Sprintf("198.18.%d.0/24", i), fmt.Sprintf("2001:db8:a%02x::/48", i), fmt.Sprintf("2001:db8:a%02x::1", i)}
	b.generator.Route(p.prefix4 + " via " + far4)
	b.generator.Route(p.prefix6 + " via " + far6)
	return p
}

// know tells a host the link-layer address of a neighbor's interface.
func know(h *lab.Host, iface, address string, neighbor *lab.Host, theirs string) {
	mac := neighbor.Run("cat", "/sys/class/net/"+theirs+"/address")
	h.Run("ip", "neighbor", "replace", address, "lladdr", mac, "dev", iface, "nud", "permanent")
}

// own puts the first anycast addresses of a place on its host, for programs
// that don't do so themselves.
func (p *place) own() {
	p.Run("ip", "address", "add", p.anycast4(1)+"/32", "dev", "lo")
	p.Run("ip", "address", "add", p.anycast6+"/128", "dev", "lo", "nodad")
}

// pin makes a process and its threads run on the responders' CPU.
func pin(h *lab.Host, p *lab.Process) {
	h.Run("taskset", "-a", "-c", "-p", fmt.Sprint(responderCPU), fmt.Sprint(p.PID()))
}

// loadReport is the part of ikeload's report that the bench looks at.
type loadReport struct {
	SentRate     float64 `json:"sent_per_second"`
	Rate         float64 `json:"answers_per_second"`
	ReceivedRate float64 `json:"received_per_second"`
	Begun        float64
	Answered     float64
	FirstTry     float64  `json:"first_try"`
	OwnCPU       float64  `json:"own_cpu"`
	Latency      latency  `json:"latency_us"`
	Process      struct { // the responder
		CPU    float64
		Before uint64 `json:"rss_before"`
		After  uint64 `json:"rss_after"`
	}
}

// latency is in microseconds.
type latency struct {
	P50  float64
	P99  float64
	P999 float64 `json:"p99_9"`
}

// start starts ikeload.
func (b *bench) start(format string, args ...any) *lab.Process {
	b.runs++
	argv := append([]string{b.ikeload}, strings.Fields(fmt.Sprintf(format, args...))...)
	return b.generator.Start(fmt.Sprintf("ikeload%d", b.runs), append(argv, "-cpu", fmt.Sprint(generatorCPU), "-o", "json")...)
}

// finish waits for ikeload and returns its report. That an answer was at fault
// ends everything.
func (b *bench) finish(p *lab.Process) (r loadReport) {
	b.t.Helper()
	if code := p.Wait(5 * time.Minute); code != 0 {
		b.t.Fatalf("ikeload: exit code %d\n%s", code, p.Output())
	}
	if err := json.Unmarshal([]byte(p.Output()), &r); err != nil {
		b.t.Fatalf("%v: %s", err, p.Output())
	}
	return r
}

// run runs ikeload.
func (b *bench) run(format string, args ...any) loadReport {
	b.t.Helper()
	return b.finish(b.start(format, args...))
}
