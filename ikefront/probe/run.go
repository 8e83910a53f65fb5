package probe

import (
	"container/heap"
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/anycastd/anycastd/ikefront/ike"
)

// Probes are sent in bursts of at most burst, one each pace, and what has come
// in is read before each: so the answers of any number of new targets find
// room in the receive buffer.
const (
	burst = 100
	pace  = time.Millisecond
)

// maxWaiting is more datagrams than a receive buffer of twice buffer octets
// (the kernel doubles it) can hold, at the 768 octets that each takes at least.
const maxWaiting = 2*buffer/768 + 1

// work is what only the goroutine of Run uses.
type work struct {
	v4, v6  wire // nil: none of this family
	writer  *writer
	in      []byte
	answer  ike.Response
	changed []State   // to be told to Config.Notify
	tick    time.Time // when the last burst began
	sent    int       // of it
}

// Run probes until ctx ends. An address family that the host has not, or not
// the source for, is logged; its targets go down with that reason.
func (p *Prober) Run(ctx context.Context) (err error) {
	if p.work.writer, err = newWriter(); err != nil {
		return err
	}
	ready := make(chan struct{})
	var waiting sync.WaitGroup
	defer waiting.Wait()
	for _, family := range []struct {
		name   string
		source netip.Addr
		wire   *wire
	}{{"udp4", p.cfg.Source4, &p.work.v4}, {"udp6", p.cfg.Source6, &p.work.v6}} {
		s, err := listen(family.name, family.source)
		if err != nil {
			p.log.Warn().Err(err).Str("family", family.name).Msg("can't probe this address family")
			continue
		}
		defer s.conn.Close()
		*family.wire = s
		waiting.Go(func() { s.wait(ctx, ready) })
	}
	p.loop(ctx, ready)
	return nil
}

// loop does the work whenever there is some until ctx ends.
func (p *Prober) loop(ctx context.Context, ready <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-ready:
		case <-timer.C:
		}
		timer.Reset(p.round(time.Now()))
		for _, s := range p.work.changed {
			p.cfg.Notify(s)
		}
		p.work.changed = p.work.changed[:0]
	}
}

// round takes in all answers and does what is due, and returns how long nothing
// will be. now is from before the answers are read: a probe is silent only if
// its time-out had passed when the sockets still held every answer to it that
// had come, however long this process was stopped or stuck.
func (p *Prober) round(now time.Time) time.Duration {
	for _, w := range []wire{p.work.v4, p.work.v6} {
		if w != nil {
			p.receive(w)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.advance(now)
}

// receive takes in all that had come in when it was called. It ends in a flood, too.
func (p *Prober) receive(w wire) {
	for range maxWaiting {
		n, from, ok := w.receive(p.work.in)
		if !ok {
			return
		}
		p.take(p.work.in[:n], from, time.Now())
	}
}

// take takes in a datagram.
func (p *Prober) take(in []byte, from netip.AddrPort, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	in = offWire(in)
	h, _ := ike.ParseHeader(in)
	e := p.bySPI[h.SPIi]
	if e == nil || !e.isAt(from) || p.work.answer.Parse(in, h.SPIi) != nil {
		p.counts.Strange++
		return
	}
	delete(p.bySPI, e.spi)
	late := !e.waiting
	if late {
		p.counts.Late++
	} else {
		p.counts.Answered++
	}
	if e.answered(now, &p.work.answer) {
		p.work.changed = append(p.work.changed, e.state)
	}
	if !late {
		p.reschedule(e, e.next())
	}
}

// advance counts the probes that had timed out by now, and sends those that
// are due.
func (p *Prober) advance(now time.Time) time.Duration {
	if now.Sub(p.work.tick) >= pace {
		p.work.tick, p.work.sent = now, 0
	}
	for len(p.queue) > 0 {
		e := p.queue[0]
		switch {
		case e.due.After(now):
			return time.Until(e.due)
		case e.waiting:
			p.silent(e, now)
		case p.work.sent == burst:
			return time.Until(p.work.tick.Add(pace))
		default:
			p.send(e)
		}
	}
	return time.Hour
}

// silent counts the probe of e that is under way as unanswered. Its SPI stays
// known until the next one is sent.
func (p *Prober) silent(e *entry, now time.Time) {
	p.counts.Silent++
	if e.silent(now) {
		p.work.changed = append(p.work.changed, e.state)
	}
	p.reschedule(e, e.next())
}

// send sends a probe to e.
func (p *Prober) send(e *entry) {
	p.work.sent++
	p.counts.Sent++
	delete(p.bySPI, e.spi)
	var msg []byte
	msg, e.spi = p.work.writer.write(e.Kind, e.Addr.Port())
	p.bySPI[e.spi] = e
	w := p.work.v6
	if e.Addr.Addr().Is4() {
		w = p.work.v4
	}
	now := time.Now()
	if e.sent.IsZero() {
		e.counted = now
	}
	e.sent, e.waiting, e.trouble = now, true, ""
	if w == nil {
		e.trouble = "no socket of its family"
	} else if err := w.send(msg, e.Addr); err != nil {
		e.trouble = err.Error()
	}
	p.reschedule(e, e.sent.Add(e.Timeout))
}

// reschedule makes e due at t.
func (p *Prober) reschedule(e *entry, t time.Time) {
	e.due = t
	heap.Fix(&p.queue, e.index)
}
