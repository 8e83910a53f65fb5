package bgp

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// running is a Speaker under test.
type running struct {
	*Speaker
	t      *testing.T
	cancel context.CancelFunc
	result chan error
	log    *logBuffer
	seen   *peerLog
}

// startSpeaker runs a Speaker of AS 65001 until the test ends.
func startSpeaker(t *testing.T, cfg Config) *running {
	t.Helper()
	if cfg.ASN == 0 {
		cfg.ASN, cfg.RouterID = 65001, our4
	}
	r := &running{t: t, result: make(chan error, 1), log: new(logBuffer), seen: new(peerLog)}
	if cfg.Notify == nil {
		cfg.Notify = r.seen.add
	}
	r.Speaker = New(cfg, zerolog.New(r.log).Level(zerolog.InfoLevel))
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.result <- r.Run(ctx) }()
	t.Cleanup(func() {
		r.end()
		if t.Failed() {
			t.Logf("the speaker's log:\n%s", r.log)
		}
	})
	select {
	case <-r.Ready():
	case err := <-r.result:
		r.result <- err
		t.Fatalf("run: %v", err)
	case <-time.After(30 * time.Second):
		t.Fatal("not ready after 30 s")
	}
	return r
}

// runOnce runs a Speaker that does not get far.
func runOnce(t *testing.T, cfg Config) error {
	t.Helper()
	return New(cfg, zerolog.Nop()).Run(t.Context())
}

// end cancels Run and returns its result.
func (r *running) end() error {
	r.cancel()
	err := <-r.result
	r.result <- err
	return err
}

// set is Set that must succeed.
func (r *running) set(routes ...Route) {
	r.t.Helper()
	if err := r.Set(context.Background(), routes); err != nil {
		r.t.Fatal(err)
	}
}

// peer returns the session with addr.
func (r *running) peer(addr netip.Addr) Peer {
	for _, p := range r.Peers() {
		if p.Address == addr {
			return p
		}
	}
	return Peer{}
}

// up waits until the session with each of addrs is established.
func (r *running) up(addrs ...netip.Addr) {
	r.t.Helper()
	for _, addr := range addrs {
		eventually(r.t, fmt.Sprintf("session with %v is up", addr), func() bool { return r.peer(addr).State == established })
	}
}

// logBuffer is what a Speaker logs.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// peerLog is what a Speaker notifies.
type peerLog struct {
	mu  sync.Mutex
	all []Peer
}

func (l *peerLog) add(p Peer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, p)
}

// any reports whether some notified peer is as told.
func (l *peerLog) any(is func(Peer) bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.all {
		if is(p) {
			return true
		}
	}
	return false
}
