package control

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/rs/zerolog"
)

// How a keeper times itself.
const (
	reconcileEvery = 30 * time.Second // a Set that should find nothing to do
	firstRetry     = time.Second      // doubled after each failure
	lastRetry      = 30 * time.Second
)

// keeper keeps one effector at its desired state: it calls Set when that
// changes, when poked, and now and then; after a failure with back-off. So
// an effector that is slow or stuck delays no other.
type keeper[T any] struct {
	name string
	log  zerolog.Logger
	set  func(context.Context, T) error
	done func(want T, err error) // tells the loop

	want chan T // at most one: the newest
	poke chan struct{}
}

// newKeeper returns a keeper that has nothing to do yet.
func newKeeper[T any](name string, log zerolog.Logger, set func(context.Context, T) error, done func(T, error)) *keeper[T] {
	return &keeper[T]{name: name, log: log, set: set, done: done, want: make(chan T, 1), poke: make(chan struct{}, 1)}
}

// desire makes want the desired state. Only the loop calls it.
func (k *keeper[T]) desire(want T) {
	select {
	case <-k.want:
	default:
	}
	k.want <- want
}

// again asks for a Set though nothing changed. Any goroutine may call it.
func (k *keeper[T]) again() {
	select {
	case k.poke <- struct{}{}:
	default:
	}
}

// run works until ctx ends.
func (k *keeper[T]) run(ctx context.Context) {
	var want T
	select {
	case <-ctx.Done():
		return
	case want = <-k.want:
	}
	retry, trouble := firstRetry, ""
	for {
		err := k.set(ctx, want)
		if ctx.Err() != nil {
			return
		}
		k.done(want, err)
		wait := reconcileEvery
		if err != nil {
			wait, retry = retry, min(2*retry, lastRetry)
		} else {
			retry = firstRetry
		}
		wait += rand.N(wait/5 + 1)
		trouble = k.tell(err, trouble, wait)
		select {
		case <-ctx.Done():
			return
		case want = <-k.want:
		case <-k.poke:
		case <-time.After(wait):
		}
	}
}

// tell logs what is new about the outcome of a Set and returns its trouble.
func (k *keeper[T]) tell(err error, before string, wait time.Duration) string {
	if err == nil {
		if before != "" {
			k.log.Info().Str("step", k.name).Msg("works again")
		}
		return ""
	}
	level := zerolog.DebugLevel
	if err.Error() != before {
		level = zerolog.WarnLevel
	}
	k.log.WithLevel(level).Str("step", k.name).Err(err).Str("retry_in", wait.Round(100*time.Millisecond).String()).Msg("can't bring it about")
	return err.Error()
}
