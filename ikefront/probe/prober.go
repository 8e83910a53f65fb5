package probe

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/ikefront/ike"
)

// Target is an IKE responder to be watched. All times are positive.
type Target struct {
	Addr    netip.AddrPort
	Every   time.Duration // from one probe to the next, ±10 %
	Timeout time.Duration // until a probe counts as unanswered
	Rise    int           // answers in a row that bring a dead target back, at least 1
	Fall    int           // silences in a row that make a target dead, at least 1
}

// Status is what the probes have shown.
type Status string

// The statuses. The first answer proves a new target alive; Rise is for those
// that were dead.
const (
	Unknown Status = "unknown"
	Up      Status = "up"
	Down    Status = "down"
)

// State is a target's status with its reason in words.
type State struct {
	Addr   netip.AddrPort
	Status Status
	Reason string
	Since  time.Time
}

// Config is what a Prober needs to know.
type Config struct {
	Notify func(State) // each change of status; from one goroutine, must return quickly and not call the Prober
}

// Prober watches any number of targets from one goroutine and one socket per
// family. The probe is answered by all known gateways before any work (see
// ike.AppendAliveProbe); any response with its SPI proves life.
type Prober struct {
	cfg  Config
	log  zerolog.Logger
	wake chan struct{}

	mu    sync.Mutex
	queue queue
	byKey map[netip.AddrPort]*entry
	bySPI map[uint64]*entry
}

// entry is a target with its past.
type entry struct {
	Target
	state   State
	due     time.Time // of the next probe, or of the time-out while waiting
	sent    time.Time
	waiting bool
	spi     uint64 // of the probe under way
	streak  int    // answers in a row if positive, silences if negative
	trouble string // why the last probe could not even be sent
	index   int    // in the queue
}

// New returns a Prober without targets.
func New(cfg Config, log zerolog.Logger) *Prober {
	return &Prober{
		cfg: cfg, log: log, wake: make(chan struct{}, 1),
		byKey: map[netip.AddrPort]*entry{}, bySPI: map[uint64]*entry{},
	}
}

// Set makes targets the ones to be watched. Those that were watched before
// keep their state; new ones are probed at once.
func (p *Prober) Set(targets []Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wanted := map[netip.AddrPort]bool{}
	for _, t := range targets {
		wanted[t.Addr] = true
		if e := p.byKey[t.Addr]; e != nil {
			e.Target = t
			if soon := time.Now().Add(jitter(t.Every)); !e.waiting && soon.Before(e.due) {
				p.reschedule(e, soon)
			}
			continue
		}
		e := &entry{Target: t, state: State{Addr: t.Addr, Status: Unknown, Reason: "not probed yet", Since: time.Now()}, due: time.Now()}
		p.byKey[t.Addr] = e
		heap.Push(&p.queue, e)
	}
	for at, e := range p.byKey {
		if !wanted[at] {
			delete(p.byKey, at)
			delete(p.bySPI, e.spi)
			heap.Remove(&p.queue, e.index)
		}
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Run probes until ctx ends.
func (p *Prober) Run(ctx context.Context) error {
	answers := make(chan answer, 64)
	var readers sync.WaitGroup
	conns := map[string]*net.UDPConn{}
	for _, family := range []string{"udp4", "udp6"} {
		conn, err := net.ListenUDP(family, nil)
		if err != nil {
			p.log.Warn().Err(err).Str("family", family).Msg("can't probe this address family")
			continue
		}
		conns[family] = conn
		readers.Go(func() { read(ctx, conn, answers) })
	}
	defer readers.Wait()
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var changed []State
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		case <-timer.C:
		case a := <-answers:
			changed = p.answered(a)
		}
		late, next := p.advance(conns)
		for _, s := range append(changed, late...) {
			p.cfg.Notify(s)
		}
		timer.Reset(next)
	}
}

// answer is a datagram that may answer a probe.
type answer struct {
	from netip.AddrPort
	spi  uint64
	what string // in words
	at   time.Time
}

// read sends what comes in on conn to answers until conn is closed.
func read(ctx context.Context, conn *net.UDPConn, answers chan<- answer) {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			time.Sleep(10 * time.Millisecond) // a passing fault of the socket
			continue
		}
		h, ok := ike.ParseHeader(offWire(buf[:n]))
		if !ok {
			continue
		}
		r, err := ike.ParseResponse(offWire(buf[:n]), h.SPIi)
		if err != nil {
			continue
		}
		what := "a response"
		if len(r.Notifies) > 0 {
			what = r.Notifies[0].Type.String()
		}
		select {
		case answers <- answer{netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), h.SPIi, what, time.Now()}:
		case <-ctx.Done():
			return
		}
	}
}

// answered takes an answer in and returns the state that it changed, if any.
func (p *Prober) answered(a answer) []State {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.bySPI[a.spi]
	if e == nil || !e.waiting || e.Addr != a.from {
		return nil
	}
	delete(p.bySPI, a.spi)
	e.waiting = false
	e.streak = max(e.streak, 0) + 1
	p.reschedule(e, e.sent.Add(jitter(e.Every)))
	if e.state.Status == Up || e.state.Status == Down && e.streak < e.Rise {
		return nil
	}
	return e.turn(Up, fmt.Sprintf("answers %s in %v", a.what, a.at.Sub(e.sent).Round(10*time.Microsecond)))
}

// advance sends the probes that are due and counts those that timed out. It
// returns the states that changed, and how long nothing is due.
func (p *Prober) advance(conns map[string]*net.UDPConn) (changed []State, next time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) > 0 {
		e := p.queue[0]
		if wait := time.Until(e.due); wait > 0 {
			return changed, wait
		}
		if e.waiting {
			changed = append(changed, p.silent(e)...)
			continue
		}
		p.send(e, conns[network(e.Addr.Addr())])
	}
	return changed, time.Hour
}

// send sends a probe to e.
func (p *Prober) send(e *entry, conn *net.UDPConn) {
	e.spi, e.sent, e.waiting, e.trouble = rand.Uint64()|1, time.Now(), true, ""
	p.bySPI[e.spi] = e
	if conn == nil {
		e.trouble = "no socket of its family"
	} else if _, err := conn.WriteToUDPAddrPort(onWire(ike.AppendAliveProbe(nil, e.spi), e.Addr.Port()), e.Addr); err != nil {
		var op *net.OpError
		if errors.As(err, &op) { // where to is known
			err = op.Err
		}
		e.trouble = err.Error()
	}
	p.reschedule(e, e.sent.Add(e.Timeout))
}

// silent counts an unanswered probe of e.
func (p *Prober) silent(e *entry) []State {
	delete(p.bySPI, e.spi)
	e.waiting = false
	e.streak = min(e.streak, 0) - 1
	p.reschedule(e, e.sent.Add(jitter(e.Every)))
	if e.state.Status == Down || -e.streak < e.Fall {
		return nil
	}
	reason := fmt.Sprintf("no answer to %d probes in a row", -e.streak)
	if e.trouble != "" {
		reason += ": " + e.trouble
	}
	return e.turn(Down, reason)
}

// turn gives e a new status and returns its state.
func (e *entry) turn(s Status, reason string) []State {
	e.state.Status, e.state.Reason, e.state.Since = s, reason, time.Now()
	return []State{e.state}
}

// reschedule makes e due at t.
func (p *Prober) reschedule(e *entry, t time.Time) {
	e.due = t
	heap.Fix(&p.queue, e.index)
}

// jitter returns d ±10 %, so that the probes of many nodes spread.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
}
