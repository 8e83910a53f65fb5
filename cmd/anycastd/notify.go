package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// supervisor tells systemd how the daemon is (sd_notify(3)). Without one, that
// is without NOTIFY_SOCKET, it says nothing.
type supervisor struct {
	turns func(context.Context) error // returns nil when the control loop has answered
	log   zerolog.Logger
	gone  atomic.Bool // stopping has been said
}

// run says that the daemon is ready once the control loop answers, and from
// then on, at least twice in the time that the watchdog grants, that it still
// does. It has no limit of its own: while the loop is stuck, run waits with it,
// and the watchdog ends the daemon. It returns when ctx or the loop ends.
func (s *supervisor) run(ctx context.Context) {
	if s.turns(ctx) != nil {
		return
	}
	s.ready("running")
	patience, err := systemd.SdWatchdogEnabled(false)
	if err != nil {
		s.log.Warn().Err(err).Msg("the watchdog can't be told anything")
	}
	if patience == 0 {
		return
	}
	for s.turns(ctx) == nil {
		s.say(systemd.SdNotifyWatchdog)
		select {
		case <-ctx.Done():
			return
		case <-time.After(patience / 2):
		}
	}
}

// ready says that the daemon works, for the first time or after a reload.
func (s *supervisor) ready(status string) {
	if !s.gone.Load() {
		s.say(systemd.SdNotifyReady + "\nSTATUS=" + status)
	}
}

// reloading says that the configuration is being read; ready is to follow.
func (s *supervisor) reloading() {
	if s.gone.Load() {
		return
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		s.log.Warn().Err(err).Msg("systemd can't be told of the reload")
		return
	}
	s.say(fmt.Sprintf("%s\nMONOTONIC_USEC=%d\nSTATUS=reading the configuration", systemd.SdNotifyReloading, now.Nano()/1000))
}

// stopping says that the daemon has begun to go out of service.
func (s *supervisor) stopping() {
	s.gone.Store(true)
	s.say(systemd.SdNotifyStopping + "\nSTATUS=going out of service")
}

// say sends one message.
func (s *supervisor) say(message string) {
	if _, err := systemd.SdNotify(false, message); err != nil {
		s.log.Warn().Err(err).Msg("systemd does not hear us")
	}
}
