package test

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anycastd/anycastd/policy"
)

// updateVar names the environment variable that has TestSimulation write the
// plot and the table of figures instead of holding them to what it finds:
//
//	UPDATE_SIMULATION=1 go test ./test -run TestSimulation
const updateVar = "UPDATE_SIMULATION"

// simulation is a way to choose, under simulation.
type simulation struct {
	name   string
	fronts int
	how    simulatedChoice
	log    *record
	summary
}

// simulate runs all simulations, each of which is on its own.
func simulate() (sticky, ours, ours4, herd, herd4 *simulation) {
	sticky = &simulation{name: "sticky", fronts: 1, how: simulatedChoice{policy: policy.Sticky}}
	ours = &simulation{name: "least-loaded", fronts: 1, how: simulatedChoice{policy: policy.LeastLoaded}}
	ours4 = &simulation{name: "least-loaded, 4 front-ends", fronts: 4, how: ours.how}
	herd = &simulation{name: "lowest report", fronts: 1, how: simulatedChoice{herd: true}}
	herd4 = &simulation{name: "lowest report, 4 front-ends", fronts: 4, how: herd.how}
	var all sync.WaitGroup
	for _, s := range []*simulation{sticky, ours4, ours, herd, herd4} {
		all.Go(func() {
			w := newWorld(s.fronts, s.how)
			s.log = w.run()
			s.summary = s.log.sum(w.largest())
		})
	}
	all.Wait()
	return sticky, ours, ours4, herd, herd4
}

// TestSimulation holds what docs/choice.md claims of least-loaded, and its
// figures and plot to what the simulation gives.
func TestSimulation(t *testing.T) {
	sticky, ours, ours4, herd, herd4 := simulate()
	for _, s := range []*simulation{ours, ours4} {
		t.Run(s.name+" spreads load better than weights do", func(t *testing.T) { s.spreadsBetterThan(t, sticky) })
		t.Run(s.name+" leaves room everywhere", s.leavesRoom)
		t.Run(s.name+" fills an empty gateway without overshoot", s.fillsGently)
	}
	t.Run("the lowest report makes a herd", func(t *testing.T) { herd.swings(t, sticky, ours); herd4.swings(t, sticky, ours4) })
	if runtime.GOARCH != "amd64" {
		return // others may round a product and a sum at once, and so differ by a hair
	}
	t.Run("the table in the docs is of this simulation", func(t *testing.T) {
		holdTable(t, "../docs/choice.md", tableOf(sticky, ours, herd, ours4, herd4))
	})
	t.Run("the plot in the docs is of this simulation", func(t *testing.T) {
		holdFile(t, "../docs/load-spread.svg", plot(sticky, ours, herd))
	})
}

// spreadsBetterThan holds the loads of s to lie closer together than by weight
// alone, and to move less: nothing of it is a swing of its own.
func (s *simulation) spreadsBetterThan(t *testing.T, sticky *simulation) {
	if s.spread > sticky.spread/4 {
		t.Errorf("spread: want at most a quarter of sticky's %.4f, got %.4f", sticky.spread, s.spread)
	}
	if s.swing > sticky.swing/2 {
		t.Errorf("swing: want at most half of sticky's %.4f, got %.4f", sticky.swing, s.swing)
	}
}

// leavesRoom holds the gateways of s to be never full, and nobody to be sent to
// one that is, even in the burst and after it, for there is room for all.
func (s *simulation) leavesRoom(t *testing.T) {
	if s.high > 0.8 || s.low < 0.6 {
		t.Errorf("steady state, offered load %v: want loads of 0.6 to 0.8, got %.3f to %.3f", worldLoad, s.low, s.high)
	}
	if s.beyond > 0 || s.burstBeyond > 0 || s.allCrowding > 0 {
		t.Errorf("sessions above capacity: want none, got %d, in the burst %d; %.4f of all newcomers sent to full gateways", s.beyond, s.burstBeyond, s.allCrowding)
	}
}

// fillsGently holds gateways that come back empty to fill, but never to get
// above the mean by more than 3 % of their capacity.
func (s *simulation) fillsGently(t *testing.T) {
	for n, back := range map[int]struct {
		half  time.Duration
		above float64
	}{1: s.one, restarts: s.ten} {
		if back.half < 0 || back.above > 0.03 {
			t.Errorf("%d gateways: want half of the mean load at some time, and never more than 0.03 above it; got half after %v, %.3f above", n, back.half, back.above)
		}
	}
}

// swings holds s to show what a herd does: it is what the others are measured by.
func (s *simulation) swings(t *testing.T, sticky, ours *simulation) {
	if ours.swing > s.swing/4 {
		t.Errorf("%s: want at most a quarter of the herd's swing %.4f, got %.4f", ours.name, s.swing, ours.swing)
	}
	if s.swing < 4*sticky.swing || s.beyond == 0 {
		t.Errorf("%s: no herd: swing %.4f beside sticky's %.4f, %d sessions above capacity", s.name, s.swing, sticky.swing, s.beyond)
	}
}

// tableOf returns the figures as a table in Markdown.
func tableOf(all ...*simulation) string {
	percent := func(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) }
	rows := []struct {
		name string
		cell func(*simulation) string
	}{
		{"", func(s *simulation) string { return s.name }},
		{"---", func(*simulation) string { return "---" }},
		{"**steady state:** spread", func(s *simulation) string { return percent(s.spread) }},
		{"swing", func(s *simulation) string { return percent(s.swing) }},
		{"lowest and highest load", func(s *simulation) string { return fmt.Sprintf("%.0f to %.0f %%", 100*s.low, 100*s.high) }},
		{"sessions above capacity, at most", func(s *simulation) string { return fmt.Sprint(s.beyond) }},
		{"newcomers sent to a full gateway", func(s *simulation) string { return percent(s.crowding) }},
		{"**burst:** highest load", func(s *simulation) string { return fmt.Sprintf("%.0f %%", 100*s.burstHigh) }},
		{"sessions above capacity, at most", func(s *simulation) string { return fmt.Sprint(s.burstBeyond) }},
		{"**one gateway returns:** half of the mean load after", func(s *simulation) string { return s.one.half.String() }},
		{"above the mean load by at most", func(s *simulation) string { return percent(s.one.above) }},
		{"**ten gateways restart:** half of the mean load after", func(s *simulation) string { return s.ten.half.String() }},
		{"above the mean load by at most", func(s *simulation) string { return percent(s.ten.above) }},
		{"**all 50 minutes:** newcomers sent to a full gateway", func(s *simulation) string { return percent(s.allCrowding) }},
	}
	var b strings.Builder
	for _, row := range rows {
		b.WriteString("| " + row.name + " |")
		for _, s := range all {
			b.WriteString(" " + row.cell(s) + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// holdTable holds the table in the file at path, the one with want's first
// line, to be want, or makes it so.
func holdTable(t *testing.T, path, want string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(want, "\n")
	table := regexp.MustCompile(regexp.QuoteMeta(head) + "\n(\\|.*\n)*")
	if !table.Match(text) {
		t.Fatalf("%s: no table begins with %q", path, head)
	}
	holdFile(t, path, string(table.ReplaceAllLiteral(text, []byte(want))))
}

// holdFile holds the file at path to be want, or makes it so.
func holdFile(t *testing.T, path, want string) {
	t.Helper()
	if os.Getenv(updateVar) != "" {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wantLines, gotLines := strings.Split(want, "\n"), strings.Split(string(got), "\n")
	for i := range min(len(wantLines), len(gotLines)) {
		if wantLines[i] != gotLines[i] {
			t.Fatalf("%s:%d: with %s=1 it is written anew\nwant %.200s\ngot  %.200s", path, i+1, updateVar, wantLines[i], gotLines[i])
		}
	}
	if len(wantLines) != len(gotLines) {
		t.Fatalf("%s: want %d lines, got %d", path, len(wantLines), len(gotLines))
	}
}
