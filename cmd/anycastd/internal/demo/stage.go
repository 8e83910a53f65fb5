package demo

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"
)

// patience bounds each wait for something that a slow machine may delay.
const patience = 30 * time.Second

// stage is where a demo is played and told. It is a lab.T: a failure ends the
// play by panic, up to perform, which cleans up whatever happens.
type stage struct {
	ctx      context.Context
	out      io.Writer
	begun    time.Time
	failed   bool
	cleanups []func() // undone from the last to the first
}

func newStage(ctx context.Context, out io.Writer) *stage {
	return &stage{ctx: ctx, out: out, begun: time.Now()}
}

// curtain is what Fatalf panics with.
type curtain struct{}

// perform runs the play and then what it has left to clean up.
func (s *stage) perform(play func()) {
	defer s.clean()
	defer func() {
		switch cause := recover(); cause.(type) {
		case nil, curtain:
		default: // a bug of ours
			s.failed = true
			s.say("    ✗ %v\n%s", cause, debug.Stack())
		}
	}()
	play()
}

func (s *stage) clean() {
	for len(s.cleanups) > 0 {
		last := len(s.cleanups) - 1
		undo := s.cleanups[last]
		s.cleanups = s.cleanups[:last]
		undo()
	}
}

// Helper is part of lab.T.
func (s *stage) Helper() {}

// Failed is part of lab.T: it makes the lab log what its processes said last.
func (s *stage) Failed() bool { return s.failed }

// Cleanup is part of lab.T.
func (s *stage) Cleanup(undo func()) { s.cleanups = append(s.cleanups, undo) }

// Logf is part of lab.T.
func (s *stage) Logf(format string, args ...any) {
	s.say("%s", indent("      | ", fmt.Sprintf(format, args...)))
}

// Fatalf ends the play: with a failure, unless it was interrupted.
func (s *stage) Fatalf(format string, args ...any) {
	if s.ctx.Err() == nil {
		s.failed = true
		s.say("    ✗ %s", strings.TrimLeft(indent("      ", fmt.Sprintf(format, args...)), " "))
	}
	panic(curtain{})
}

// say tells a line.
func (s *stage) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

// seen tells what was observed, as one of the things that must be.
func (s *stage) seen(format string, args ...any) { s.say("    ✓ "+format, args...) }

// aside explains what was seen.
func (s *stage) aside(text string) { s.say("      (%s)", text) }

// quote shows what a program said.
func (s *stage) quote(text string) { s.say("%s", indent("        ", text)) }

// await asks check every 20 ms until it returns nil, and ends the play with
// check's last error if that takes longer than patience, or if the play is
// interrupted.
func (s *stage) await(what string, check func() error) {
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if s.ctx.Err() != nil || time.Now().After(deadline) {
			s.Fatalf("not observed within %v: %s; %v", patience, what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// indent puts before in front of each line of text.
func indent(before, text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return before + strings.Join(lines, "\n"+before)
}
