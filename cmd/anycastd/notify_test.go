package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// manager is the socket of a service manager.
type manager struct {
	t  *testing.T
	fd int
}

// newManager makes NOTIFY_SOCKET and WATCHDOG_USEC name a manager.
func newManager(t *testing.T, watchdog string) manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", watchdog)
	t.Setenv("WATCHDOG_PID", "")
	return manager{t, fd}
}

// heard returns the messages that have come since the last call.
func (m manager) heard() []string {
	m.t.Helper()
	var all []string
	for buf := make([]byte, 4096); ; {
		n, _, err := unix.Recvfrom(m.fd, buf, 0)
		if errors.Is(err, unix.EAGAIN) {
			return all
		}
		if err != nil {
			m.t.Fatal(err)
		}
		all = append(all, string(buf[:n]))
	}
}

// expect checks what has been heard once nothing moves any more.
func (m manager) expect(when string, want ...string) {
	m.t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, m.heard()); diff != "" {
		m.t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

func TestAStuckLoopIsNotPetted(t *testing.T) {
	m := newManager(t, "10000000") // 10 s
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		answers := make(chan error)
		ended := make(chan struct{})
		s := &supervisor{turns: func(ctx context.Context) error {
			select {
			case err := <-answers:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
		go func() { s.run(ctx); close(ended) }()

		m.expect("before the loop runs")
		answers <- nil
		m.expect("once it runs", "READY=1\nSTATUS=running")
		answers <- nil
		m.expect("right after", "WATCHDOG=1")
		for range 3 {
			time.Sleep(5 * time.Second)
			answers <- nil
			m.expect("half the time later", "WATCHDOG=1")
		}
		time.Sleep(time.Hour)
		m.expect("while it is stuck")
		answers <- nil
		m.expect("when it goes on", "WATCHDOG=1")
		cancel()
		<-ended
		m.expect("at the end")
	})
}

func TestTheWatchdogIsForgottenWithTheLoop(t *testing.T) {
	for name, tc := range map[string]struct {
		watchdog string
		answers  []error
		want     []string
	}{
		"the loop ends before it ran": {"10000000", []error{context.Canceled}, nil},
		"the loop ends later":         {"10000000", []error{nil, nil, context.Canceled}, []string{"READY=1\nSTATUS=running", "WATCHDOG=1"}},
		"there is no watchdog":        {"", []error{nil}, []string{"READY=1\nSTATUS=running"}},
		"the watchdog's time is none": {"soon", []error{nil}, []string{"READY=1\nSTATUS=running"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t, tc.watchdog)
			synctest.Test(t, func(t *testing.T) {
				s := &supervisor{turns: func(context.Context) error {
					err := tc.answers[0]
					tc.answers = tc.answers[1:]
					return err
				}}
				s.run(t.Context())
				m.expect("after the end", tc.want...)
			})
		})
	}
}

func TestAReloadHasATimeAndAnEnd(t *testing.T) {
	m := newManager(t, "")
	s := &supervisor{}
	s.reloading()
	s.ready("reload refused")
	s.stopping()
	got := m.heard()
	var usec int64
	if len(got) != 3 {
		t.Fatalf("want 3 messages, got %q", got)
	}
	if n, err := fmt.Sscanf(got[0], "RELOADING=1\nMONOTONIC_USEC=%d\nSTATUS=reading the configuration", &usec); n != 1 || err != nil || usec <= 0 {
		t.Errorf("got %q: %v", got[0], err)
	}
	if diff := cmp.Diff([]string{"READY=1\nSTATUS=reload refused", "STOPPING=1\nSTATUS=going out of service"}, got[1:]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWithoutAManagerNothingIsSaid(t *testing.T) {
	for socket, want := range map[string]string{"": "", "/nowhere/notify": "systemd does not hear us"} {
		t.Setenv("NOTIFY_SOCKET", socket)
		var log strings.Builder
		(&supervisor{log: zerolog.New(&log)}).ready("running")
		if got := log.String(); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%q: want %q in the log, got %q", socket, want, got)
		}
	}
}
