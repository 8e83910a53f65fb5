package demo

import (
	"fmt"
	"time"
)

// event is something that becomes true once, in its turn.
type event struct {
	what     string
	happened func() bool
	after    time.Duration // from the beginning; known once it was seen
	seen     bool
}

// timeline watches events, which are given in the order in which they must
// happen, until all have happened. An error names the first that did not within
// patience, that came before its turn, or that the end of the play prevented.
//
// Each round looks at the events from the last to the first, so that those
// which keep their order are never seen out of it.
func (s *stage) timeline(begun time.Time, events []*event) error {
	for missing := len(events); missing > 0; time.Sleep(time.Millisecond) {
		now := time.Since(begun)
		for i := len(events) - 1; i >= 0; i-- {
			if e := events[i]; !e.seen && e.happened() {
				e.seen, e.after = true, now
				missing--
			}
		}
		if missing > 0 && (s.ctx.Err() != nil || now > patience) {
			return fmt.Errorf("not observed within %v: %s", now.Round(time.Second), firstMissing(events).what)
		}
	}
	for i, e := range events[1:] {
		if e.after < events[i].after {
			return fmt.Errorf("out of order: %q came before %q", e.what, events[i].what)
		}
	}
	return nil
}

func firstMissing(events []*event) *event {
	for _, e := range events {
		if !e.seen {
			return e
		}
	}
	return nil
}

// watch tells a timeline. One that is not as it must be ends the play.
func (s *stage) watch(begun time.Time, events ...*event) {
	err := s.timeline(begun, events)
	for _, e := range events {
		if e.seen {
			s.seen("after %s: %s", brief(e.after), e.what)
		}
	}
	if err != nil {
		s.Fatalf("%v", err)
	}
}

// brief is a duration as people read it.
func brief(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
