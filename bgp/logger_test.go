package bgp

import (
	"strings"
	"testing"

	gobgplog "github.com/osrg/gobgp/v3/pkg/log"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

func TestLoggerNeverEndsTheProcess(t *testing.T) {
	out, fatal := new(logBuffer), make(chan error, 1)
	l := logger{log: zerolog.New(out), fatal: fatal}
	l.Panic("code logic bug", gobgplog.Fields{"Topic": "Peer"})
	l.Fatal("path's nlri is nil", nil)
	if err := <-fatal; err.Error() != "gobgp: code logic bug" {
		t.Errorf("want the first bug, got %v", err)
	}
	if got := strings.Count(out.String(), `"level":"error"`); got != 2 {
		t.Errorf("want 2 error lines, got:\n%s", out)
	}
}

func TestRunEndsWhenGoBGPGivesUpItsListener(t *testing.T) {
	fatal := make(chan error, 1)
	l := logger{log: zerolog.Nop(), fatal: fatal}
	l.Warn("accepted conn is closed to avoid be blocked", nil)
	l.Warn("Failed to AcceptTCP", gobgplog.Fields{"Error": unix.EMFILE})
	if got, want := (<-fatal).Error(), "gobgp: it no longer accepts connections: too many open files"; got != want {
		t.Errorf("want %q, got %q", want, got)
	}
}

func TestLoggerMapsLevels(t *testing.T) {
	for name, tc := range map[string]struct {
		say  func(logger)
		want string
	}{
		"error": {func(l logger) { l.Error("x", gobgplog.Fields{"Key": 1}) }, `{"level":"error","key":"1","message":"gobgp: x"}`},
		"warn":  {func(l logger) { l.Warn("x", nil) }, `{"level":"debug","message":"gobgp: x"}`},
		"info":  {func(l logger) { l.Info("x", nil) }, `{"level":"debug","message":"gobgp: x"}`},
		"debug": {func(l logger) { l.Debug("x", nil) }, `{"level":"trace","message":"gobgp: x"}`},
	} {
		t.Run(name, func(t *testing.T) {
			out := new(logBuffer)
			tc.say(logger{log: zerolog.New(out).Level(zerolog.TraceLevel)})
			if got := strings.TrimSpace(out.String()); got != tc.want {
				t.Errorf("want %s, got %s", tc.want, got)
			}
		})
	}
}
