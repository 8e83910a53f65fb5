package load

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/policy"
)

// patience is for what happens soon on a machine that is not busy.
const patience = 30 * time.Second

// logged is a log that can be read while it is written.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// lines returns how many lines contain all of these texts.
func (l *logged) lines(texts ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		found := true
		for _, text := range texts {
			found = found && strings.Contains(line, text)
		}
		if found {
			n++
		}
	}
	return n
}

// eventually waits until done.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// polled is a running Poller and what it has told.
type polled struct {
	*Poller
	log logged

	mu     sync.Mutex
	loads  map[string][]policy.Load
	errors map[string][]error
}

// poll runs a Poller until the test ends.
func poll(t *testing.T, sources ...Source) *polled {
	t.Helper()
	p := &polled{loads: map[string][]policy.Load{}, errors: map[string][]error{}}
	p.Poller = NewPoller(PollerConfig{
		Notify: func(gateway string, l policy.Load) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.loads[gateway] = append(p.loads[gateway], l)
		},
		Failed: func(gateway string, err error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.errors[gateway] = append(p.errors[gateway], err)
		},
	}, zerolog.New(&p.log))
	p.Set(sources)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run does not end")
		}
	})
	return p
}

// of returns how often a gateway's load and errors have been told, and the latest.
func (p *polled) of(gateway string) (loads, failures int, last policy.Load, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, e := p.loads[gateway], p.errors[gateway]
	if len(l) > 0 {
		last = l[len(l)-1]
	}
	if len(e) > 0 {
		err = e[len(e)-1]
	}
	return len(l), len(e), last, err
}

// often is how often sources are asked here.
const often = 100 * time.Millisecond

func TestAPollerTellsWhatItsSourcesSay(t *testing.T) {
	f := newFakeCharon(t, func() string { return stats("42", "2") })
	start := time.Now()
	p := poll(t, Source{"gw1", "unix", f.path, often})
	eventually(t, "three answers", func() bool { n, _, _, _ := p.of("gw1"); return n >= 3 })
	_, failed, got, _ := p.of("gw1")
	if failed != 0 || got.At.Before(start) || got.At.After(time.Now()) {
		t.Errorf("got %d failures, %+v", failed, got)
	}
	got.At = time.Time{}
	if diff := cmp.Diff(policy.Load{Sessions: 42, CPU: -1, Source: "VICI"}, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("load (-want +got):\n%s", diff)
	}
	if c := p.Counts()["gw1"]; c.Answered < 3 || c.Failed != 0 {
		t.Errorf("counts: got %+v", c)
	}
}

func TestASourceThatHangsInMidMessageHoldsUpNobodyElse(t *testing.T) {
	well := newFakeCharon(t, func() string { return stats("1", "0") })
	ill := newFakeCharon(t, func() string { return stats("1", "0")[:20] })
	ill.hang.Store(true)
	p := poll(t, Source{"ill", "unix", ill.path, often}, Source{"well", "unix", well.path, often})
	eventually(t, "two errors", func() bool { _, n, _, _ := p.of("ill"); return n >= 2 })
	if _, _, _, err := p.of("ill"); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), ill.path) {
		t.Errorf("got %v", err)
	}
	if n, failed, _, _ := p.of("well"); n < 3 || failed > 0 {
		t.Errorf("the other: got %d answers and %d failures", n, failed)
	}
	if n := p.log.lines(`"gateway":"ill"`, "gives no figures", "no answer to stats"); n != 1 {
		t.Errorf("want the outage logged once, got %d times", n)
	}
	if got := ill.conns.Load(); got < 2 {
		t.Errorf("want a new connection after each error, got %d", got)
	}
	ill.hang.Store(false)
	good := func() string { return stats("7", "0") }
	ill.answer.Store(&good)
	eventually(t, "figures again", func() bool { _, _, l, _ := p.of("ill"); return l.Sessions == 7 })
	if n := p.log.lines(`"gateway":"ill"`, "figures again"); n != 1 {
		t.Errorf("want the end logged once, got %d times", n)
	}
	if c := p.Counts()["ill"]; c.Failed < 2 || c.Answered < 1 {
		t.Errorf("counts: got %+v", c)
	}
}

func TestDialFailuresAndMalformedAnswersAreTold(t *testing.T) {
	odd := newFakeCharon(t, func() string { return stats("-5", "0") })
	p := poll(t, Source{"absent", "unix", filepath.Join(t.TempDir(), "vici"), often}, Source{"odd", "unix", odd.path, often})
	for gateway, want := range map[string]string{"absent": "no such file or directory", "odd": `ikesas.total: "-5" is not a whole number`} {
		eventually(t, gateway, func() bool { _, n, _, _ := p.of(gateway); return n > 0 })
		if loads, _, _, err := p.of(gateway); loads != 0 || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want %q and no load, got %v, %d", gateway, want, err, loads)
		}
		if n := p.log.lines(`"gateway":"`+gateway+`"`, "gives no figures"); n != 1 {
			t.Errorf("%s: want one line, got %d", gateway, n)
		}
	}
}

func TestACharonThatNeverTakesTheConnectionIsAnError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // the kernel completes the connection, nobody reads
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := poll(t, Source{"gw1", "tcp", l.Addr().String(), often})
	eventually(t, "an error", func() bool { _, n, _, _ := p.of("gw1"); return n > 0 })
}

func TestSetKeepsTheConnectionsOfWhatStays(t *testing.T) {
	stays, leaves := newFakeCharon(t, func() string { return stats("1", "0") }), newFakeCharon(t, func() string { return stats("2", "0") })
	s, l := Source{"stays", "unix", stays.path, often}, Source{"leaves", "unix", leaves.path, often}
	p := poll(t, s, l)
	eventually(t, "both answer", func() bool {
		a, _, _, _ := p.of("stays")
		b, _, _, _ := p.of("leaves")
		return a > 0 && b > 0
	})
	for range 10 {
		p.Set([]Source{s, s, l})
	}
	p.Set([]Source{s})
	n, _, _, _ := p.of("leaves")
	m, _, _, _ := p.of("stays")
	eventually(t, "the one that stays goes on", func() bool { now, _, _, _ := p.of("stays"); return now >= m+5 })
	if now, failed, _, _ := p.of("leaves"); now > n+1 || failed > 0 {
		t.Errorf("the one that left: %d answers became %d, %d failures", n, now, failed)
	}
	if a, b := stays.conns.Load(), leaves.conns.Load(); a != 1 || b != 1 {
		t.Errorf("want 1 connection each, got %d and %d", a, b)
	}
	if diff := cmp.Diff([]string{"stays"}, keys(p.Counts())); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	p.Set(nil)
	eventually(t, "nobody is counted", func() bool { return len(p.Counts()) == 0 })
}

// keys returns the names in m.
func keys(m map[string]Polls) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	return names
}

func TestPausesAfterFailuresGrowTo30Seconds(t *testing.T) {
	var b backoff
	for i, most := range []time.Duration{2, 4, 8, 16, 30, 30, 30} {
		if got := b.next(); got < most*time.Second/2 || got > most*time.Second {
			t.Errorf("pause %d: want %d to %d s, got %v", i, most/2, most, got)
		}
	}
	for range 100 {
		if got := jitter(time.Second); got < 900*time.Millisecond || got > 1100*time.Millisecond {
			t.Errorf("jitter: got %v", got)
		}
	}
	for every, want := range map[time.Duration]time.Duration{often: time.Second, 3 * time.Second: 3 * time.Second, time.Minute: 5 * time.Second} {
		if got := bound(every); got != want {
			t.Errorf("bound of %v: want %v, got %v", every, want, got)
		}
	}
}
