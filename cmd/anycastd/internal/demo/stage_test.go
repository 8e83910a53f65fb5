package demo

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestStage_cleans_up_whatever_ends_the_play(t *testing.T) {
	ended, end := context.WithCancel(context.Background())
	end()
	never := func() error { return errors.New("not yet") }
	for name, c := range map[string]struct {
		ctx    context.Context
		play   func(*stage)
		failed bool
		told   string
	}{
		"its end":        {context.Background(), func(s *stage) { s.seen("%d", 1) }, false, "    ✓ 1\n"},
		"a failure":      {context.Background(), func(s *stage) { s.Fatalf("a\n%s", "b"); s.seen("more") }, true, "    ✗ a\n      b\n"},
		"a bug":          {context.Background(), func(s *stage) { panic("bug") }, true, "    ✗ bug\n"},
		"a signal":       {ended, func(s *stage) { s.await("it", never); s.seen("more") }, false, ""},
		"a signal, late": {ended, func(s *stage) { s.watch(time.Now(), &event{happened: func() bool { return false }}) }, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var told bytes.Buffer
			var undone []int
			s := newStage(c.ctx, &told)
			s.perform(func() {
				s.Cleanup(func() { undone = append(undone, 1) })
				s.Cleanup(func() { undone = append(undone, 2) })
				c.play(s)
			})
			if s.Failed() != c.failed {
				t.Errorf("failed: got %v, want %v", s.Failed(), c.failed)
			}
			if !strings.HasPrefix(told.String(), c.told) || c.told == "" && told.Len() > 0 {
				t.Errorf("told %q, want %q", told.String(), c.told)
			}
			if want := []int{2, 1}; !cmp.Equal(undone, want) {
				t.Errorf("undone: got %v, want %v", undone, want)
			}
		})
	}
}

func TestStage_tells_what_a_lab_logs_apart_from_the_story(t *testing.T) {
	var told bytes.Buffer
	newStage(context.Background(), &told).Logf("one\n%s\n", "two")
	if got, want := told.String(), "      | one\n      | two\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTimeline_holds_events_to_their_order(t *testing.T) {
	for name, c := range map[string]struct {
		rounds []int // in which round of looks each event happens
		want   string
	}{
		"in order":         {[]int{1, 2, 3}, ""},
		"all at once":      {[]int{2, 2, 2}, ""},
		"one before other": {[]int{2, 1, 3}, `out of order: "1" came before "0"`},
	} {
		t.Run(name, func(t *testing.T) {
			var events []*event
			for i, round := range c.rounds {
				looks := 0
				events = append(events, &event{what: string(rune('0' + i)), happened: func() bool { looks++; return looks >= round }})
			}
			err := newStage(context.Background(), new(bytes.Buffer)).timeline(time.Now(), events)
			if got := text(err); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestDurations_are_told_as_people_read_them(t *testing.T) {
	for d, want := range map[time.Duration]string{
		900 * time.Microsecond: "0 ms", 41 * time.Millisecond: "41 ms", time.Second: "1.0 s", 12749 * time.Millisecond: "12.7 s",
	} {
		if got := brief(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}
