package probe

import (
	"context"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/ikefront/ike"
)

// watch runs a Prober with one target and returns its changes.
func watch(t *testing.T, target Target) (*Prober, <-chan State) {
	t.Helper()
	changes := make(chan State, 10000)
	p := New(Config{Notify: func(s State) { changes <- s }}, zerolog.Nop())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	p.Set([]Target{target})
	return p, changes
}

// next returns the next change, which must be to the given status.
func next(t *testing.T, changes <-chan State, want Status) State {
	t.Helper()
	select {
	case s := <-changes:
		if s.Status != want {
			t.Fatalf("want %s, got %+v", want, s)
		}
		return s
	case <-time.After(20 * time.Second):
		t.Fatalf("want %s, nothing changed", want)
	}
	return State{}
}

func TestTheFirstAnswerProvesANewTargetAlive(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(addr, func(t *testing.T) {
			var probes atomic.Int32
			at := respond(t, addr, func(in []byte) []byte {
				probes.Add(1)
				return notify(ike.InvalidMajorVersion)(in)
			})
			_, changes := watch(t, Target{Addr: at, Every: time.Minute, Timeout: 10 * time.Second, Rise: 2, Fall: 3})
			if s := next(t, changes, Up); !strings.HasPrefix(s.Reason, "answers INVALID_MAJOR_VERSION in ") {
				t.Errorf("reason: %q", s.Reason)
			}
			if got := probes.Load(); got != 1 {
				t.Errorf("want up after the first answer, got up after %d", got)
			}
		})
	}
}

func TestFallSilencesMakeDeadAndRiseAnswersAlive(t *testing.T) {
	var dead atomic.Bool
	at := respond(t, "127.0.0.1:0", func(in []byte) []byte {
		if dead.Load() {
			return nil
		}
		return notify(ike.NoProposalChosen)(in)
	})
	_, changes := watch(t, Target{Addr: at, Every: 20 * time.Millisecond, Timeout: 300 * time.Millisecond, Rise: 2, Fall: 3})
	next(t, changes, Up)
	dead.Store(true)
	if s := next(t, changes, Down); s.Reason != "no answer to 3 probes in a row" {
		t.Errorf("reason: %q", s.Reason)
	}
	dead.Store(false)
	next(t, changes, Up)
}

func TestATargetThatNeverAnswersIsDownAfterFall(t *testing.T) {
	at := respond(t, "127.0.0.1:0", func([]byte) []byte { return nil })
	p, changes := watch(t, Target{Addr: at, Every: 10 * time.Millisecond, Timeout: 10 * time.Millisecond, Rise: 1, Fall: 2})
	next(t, changes, Down)
	p.Set(nil)
	p.Set([]Target{{Addr: at, Every: 10 * time.Millisecond, Timeout: 10 * time.Millisecond, Rise: 1, Fall: 2}})
	next(t, changes, Down) // a target that was gone starts anew
}

func TestOnlyTheTargetItselfProvesItsLife(t *testing.T) {
	at := respond(t, "127.0.0.1:0", func(in []byte) []byte {
		out := notify(ike.InvalidMajorVersion)(in)
		out[7]++ // another SPI
		return out
	})
	_, changes := watch(t, Target{Addr: at, Every: 10 * time.Millisecond, Timeout: 10 * time.Millisecond, Rise: 1, Fall: 2})
	next(t, changes, Down)
}

func TestAnUnreachableTargetIsDownWithTheReason(t *testing.T) {
	at := netip.MustParseAddrPort("127.0.0.1:0") // the kernel sends nothing to port 0
	_, changes := watch(t, Target{Addr: at, Every: 10 * time.Millisecond, Timeout: 10 * time.Millisecond, Rise: 1, Fall: 2})
	if s := next(t, changes, Down); !strings.Contains(s.Reason, "invalid argument") {
		t.Errorf("want the kernel's reason, got %q", s.Reason)
	}
}
