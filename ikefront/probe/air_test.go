package probe

import (
	"bytes"
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/ikefront/ike"
)

// datagram is what has come in and is not yet read.
type datagram struct {
	from netip.AddrPort
	msg  []byte
}

// air is a wire without a host, for use in a bubble: who answers what, and
// when, is up to the test.
type air struct {
	answers func(to netip.AddrPort, msg []byte) (out []byte, after time.Duration) // nil: no answer
	changed func(State)                                                           // may hold up the Prober
	flood   bool                                                                  // there is always something to read
	ready   chan struct{}

	mu     sync.Mutex
	in     []datagram
	sent   []time.Time
	states []State
}

// send takes a probe, and lets its answer come.
func (a *air) send(msg []byte, to netip.AddrPort) error {
	a.mu.Lock()
	a.sent = append(a.sent, time.Now())
	a.mu.Unlock()
	if out, after := a.answers(to, bytes.Clone(msg)); out != nil {
		time.AfterFunc(after, func() { a.deliver(to, out) })
	}
	return nil
}

// deliver lets msg come in from the given address.
func (a *air) deliver(from netip.AddrPort, msg []byte) {
	a.mu.Lock()
	a.in = append(a.in, datagram{from, msg})
	a.mu.Unlock()
	select {
	case a.ready <- struct{}{}:
	default:
	}
}

// receive hands out what came first.
func (a *air) receive(buf []byte) (n int, from netip.AddrPort, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.in) == 0 {
		return copy(buf, "not an answer to anything that was asked"), gateway(1), a.flood
	}
	d := a.in[0]
	a.in = a.in[1:]
	return copy(buf, d.msg), d.from, true
}

// notify is the Prober's Config.Notify.
func (a *air) notify(s State) {
	a.mu.Lock()
	a.states = append(a.states, s)
	a.mu.Unlock()
	if a.changed != nil {
		a.changed(s)
	}
}

// watch runs a Prober of targets in the air until the test's bubble ends.
func (a *air) watch(t testing.TB, targets ...Target) *Prober {
	t.Helper()
	a.ready = make(chan struct{}, 1)
	p := New(Config{Notify: a.notify}, zerolog.Nop())
	p.work.writer, p.work.v4, p.work.v6 = newTestWriter(t), a, a
	p.Set(targets)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		p.loop(ctx, a.ready)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return p
}

// state returns what p knows of the target at addr.
func (p *Prober) state(addr netip.AddrPort) State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byKey[addr].state
}

// accept answers any probe as a gateway may.
func accept(msg []byte) []byte { return notify(ike.NoProposalChosen)(offWire(msg)) }

// gateway returns the address of the nth gateway.
func gateway(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(n >> 8), byte(n)}), 500)
}
