package netlink

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// keeper does what the daemon does: it calls Set when it is told to.
type keeper struct {
	t    *testing.T
	host *Host
}

// keep keeps want on this host until the end of the test, and without trying
// again by itself.
func keep(t *testing.T, cfg Config, want ...string) *keeper {
	t.Helper()
	told := make(chan struct{}, 1)
	cfg.Notify = func() {
		select {
		case told <- struct{}{}:
		default:
		}
	}
	k := &keeper{t, New(cfg, zerolog.New(zerolog.NewTestWriter(t)))}
	if !kernelMakes(t, kindDummy) {
		k.host.kind = "bridge"
	}
	running(t, func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-told:
				_ = k.host.Set(ctx, prefixes(want...)) // Addresses tells
			}
		}
	})
	running(t, k.host.Run)
	return k
}

// behind runs commands of ip of which the host hears when all are done.
func (k *keeper) behind(commands string) {
	k.t.Helper()
	k.host.mu.Lock()
	defer k.host.mu.Unlock()
	ips(k.t, commands)
}

// eventually waits until what is wrong is nothing.
func (k *keeper) eventually(what string, wrong func() string) {
	k.t.Helper()
	var last string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if last = wrong(); last == "" {
			return
		}
	}
	k.t.Fatalf("want that %s: %s", what, last)
}

// installed waits until the host has all of want, by its own word and by the kernel's.
func (k *keeper) installed(want ...string) {
	k.t.Helper()
	k.eventually(fmt.Sprintf("%v are installed", want), func() string {
		all, err := list()
		if err != nil {
			return err.Error()
		}
		told := k.host.Addresses()
		k.host.mu.Lock()
		defer k.host.mu.Unlock()
		for _, p := range prefixes(want...) {
			i := slices.IndexFunc(told, func(a Address) bool { return a.Prefix == p && a.Installed })
			if to, ok := routeTo(all, p); i < 0 || !ok || to.other {
				return fmt.Sprint(p, " is not: ", told, all)
			}
			for _, e := range k.host.entriesOf(p) {
				if _, ok := k.host.find(all, e); e.kind == rule && !ok {
					return fmt.Sprint(p, " has no rule: ", all)
				}
			}
		}
		return ""
	})
}

// lost waits until the host says that it has p not, and why.
func (k *keeper) lost(p, reason string) {
	k.t.Helper()
	k.eventually(p+" is lost, because "+reason, func() string {
		i := slices.IndexFunc(k.host.Addresses(), func(a Address) bool {
			return a.Prefix.String() == p && !a.Installed && strings.Contains(a.Reason, reason)
		})
		if i < 0 {
			return fmt.Sprint(k.host.Addresses())
		}
		return ""
	})
}

// theirs waits until the host says that each of want is another's.
func (k *keeper) theirs(want ...string) {
	k.t.Helper()
	for _, p := range want {
		k.eventually(p+" is another's", func() string {
			i := slices.IndexFunc(k.host.Addresses(), func(a Address) bool {
				return a.Prefix.String() == p && a.Installed && strings.Contains(a.Reason, "was there before")
			})
			if i < 0 {
				return fmt.Sprint(k.host.Addresses())
			}
			return ""
		})
	}
}
