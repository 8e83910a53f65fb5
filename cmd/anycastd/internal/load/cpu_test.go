package load

import (
	"math"
	"testing"
)

func TestTheMeterTellsTheShareInUseBetweenReadings(t *testing.T) {
	for name, tc := range map[string]struct {
		before, after string
		want          float64
	}{
		"idle":                      {"cpu  10 0 10 100 0 0 0 0 0 0\ncpu0 1", "cpu  10 0 10 200 0 0 0 0 0 0\n", 0},
		"half":                      {"cpu  10 0 10 100 0 0 0 0 0 0\n", "cpu  40 10 20 140 10 0 0 0 0 0\n", 0.5},
		"busy":                      {"cpu  10 0 10 100 0 0 0 0 0 0\n", "cpu  20 1 11 100 0 5 6 7 0 0\n", 1},
		"guests are in user":        {"cpu  10 0 10 100 0 0 0 0 0 0\n", "cpu  20 0 10 110 0 0 0 0 10 0\n", 0.5},
		"steal is in use":           {"cpu  10 0 10 100 0 0 0 0 0 0\n", "cpu  10 0 10 150 0 0 0 50 0 0\n", 0.5},
		"an old kernel's columns":   {"cpu  10 0 10 100\n", "cpu  20 0 10 110\n", 0.5},
		"iowait that goes back":     {"cpu  10 0 10 100 50 0 0 0 0 0\n", "cpu  110 0 10 100 40 0 0 0 0 0\n", 1},
		"nothing has passed":        {"cpu  10 0 10 100 0 0 0 0 0 0\n", "cpu  10 0 10 100 0 0 0 0 0 0\n", -1},
		"back in time":              {"cpu  10 0 10 100 0 0 0 0 0 0\n", "cpu  5 0 5 50 0 0 0 0 0 0\n", -1},
		"first reading":             {"", "cpu  10 0 10 100 0 0 0 0 0 0\n", -1},
		"unreadable":                {"cpu  10 0 10 100 0 0 0 0 0 0\n", "", -1},
		"not that file":             {"cpu  10 0 10 100 0 0 0 0 0 0\n", "intr 99 99 99 99 99\n", -1},
		"a word in place of ticks":  {"cpu  10 0 10 100 0 0 0 0 0 0\n", "cpu  20 x 10 110 0 0 0 0 0 0\n", -1},
		"fewer columns than needed": {"cpu  10 0 10 100 0 0 0 0 0 0\n", "cpu  20 3 10\n", -1},
	} {
		var m Meter
		m.Share(tc.before)
		if got := m.Share(tc.after); math.Abs(got-tc.want) > 1e-9 || (got < 0) != (tc.want < 0) {
			t.Errorf("%s: want %v, got %v", name, tc.want, got)
		}
	}
}
