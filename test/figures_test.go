package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// figure is what was measured several times, once in each round.
type figure []float64

// median returns the middle value; 0 if there is none.
func (f figure) median() float64 {
	if len(f) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(f))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// over returns the ratios to another figure, round by round: what slows a round
// down slows both.
func (f figure) over(other figure) figure {
	var ratios figure
	for i := range min(len(f), len(other)) {
		ratios = append(ratios, f[i]/other[i])
	}
	return ratios
}

// goal is what a figure's median is to be.
type goal struct{ low, high float64 }

// noGoal is that of a figure which is only told.
func noGoal() goal { return goal{} }

// atLeast is a goal without upper bound.
func atLeast(low float64) goal { return goal{low: low} }

// verdict says whether v reaches the goal.
func (g goal) verdict(v float64) string {
	switch {
	case g == noGoal():
		return ""
	case v >= g.low && (g.high == 0 || v <= g.high):
		return "met"
	}
	return "MISSED"
}

// text writes the goal as figures are written.
func (g goal) text(form string) string {
	switch {
	case g == noGoal():
		return ""
	case g.high == 0:
		return "≥ " + fmt.Sprintf(form, g.low)
	}
	return fmt.Sprintf(form+" to "+form, g.low, g.high)
}

// table is the bench's table: sections of figures.
type table struct{ rows [][]string }

// section begins a section.
func (t *table) section(name string) { t.rows = append(t.rows, nil, []string{name}) }

// add adds a figure, written in a form of package fmt.
func (t *table) add(name, form string, f figure, g goal, note string) {
	spread := ""
	if len(f) > 1 {
		spread = fmt.Sprintf(form+" to "+form, slices.Min(f), slices.Max(f))
	}
	t.rows = append(t.rows, []string{"  " + name, fmt.Sprintf(form, f.median()), spread, g.text(form), g.verdict(f.median()), note})
}

// String returns the table in columns.
func (t *table) String() string {
	rows := append([][]string{{"", "median", "spread", "target", "", "note"}}, t.rows...)
	var widths [6]int
	for _, row := range rows {
		for i := range row {
			if len(row) > 1 {
				widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
			}
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line := ""
		for i := range row {
			line += fmt.Sprintf("%-*s  ", widths[i], row[i])
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

func TestTheMedianOfSomeRounds(t *testing.T) {
	for _, c := range []struct {
		f    figure
		want float64
	}{{nil, 0}, {figure{3}, 3}, {figure{3, 1}, 2}, {figure{9, 1, 2}, 2}, {figure{4, 1, 3, 2}, 2.5}} {
		if got := c.f.median(); got != c.want {
			t.Errorf("%v: want %v, got %v", c.f, c.want, got)
		}
	}
}

func TestATableTellsFigureTargetAndVerdict(t *testing.T) {
	var tab table
	tab.section("rates")
	tab.add("ours", "%.0f/s", figure{200, 100, 300}, noGoal(), "")
	tab.add("ours / theirs", "%.2f", figure{200, 100, 300}.over(figure{100, 100, 100}), atLeast(2), "")
	tab.add("share", "%.1f %%", figure{98.9}, atLeast(99), "of 100")
	tab.add("flat", "%.2f", figure{1.2}, goal{.9, 1.1}, "")
	want := `                 median  spread          target                note

rates
  ours           200/s   100/s to 300/s
  ours / theirs  2.00    1.00 to 3.00    ≥ 2.00        met
  share          98.9 %                  ≥ 99.0 %      MISSED  of 100
  flat           1.20                    0.90 to 1.10  MISSED
`
	if diff := cmp.Diff(want, tab.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
