package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/anycastd/anycastd/ikefront/ike"
)

// plan says how a load is to be.
type plan struct {
	targets  []netip.AddrPort // asked in turn; all of one family and port
	sources  sources
	window   int     // so many conversations at once, whatever time each takes; 0: by rate
	rate     float64 // conversations begun each second, whatever becomes of the others
	waits    []time.Duration
	warmup   time.Duration // what begins in it does not count
	duration time.Duration // of what counts
	obey     bool          // a COOKIE is brought back; else it is an answer like any other
	echo     bool          // answers are the requests' first octets
}

// maxSlots is how many conversations may be under way.
const maxSlots = 1 << slotBits

// load asks for redirects and checks every answer.
type load struct {
	plan
	out   link
	port  *port
	spis  spis
	begun uint64 // conversations
	sent  uint64 // datagrams
	tally tally

	plain    message
	byCookie [maxCookie + 1]*message // requests by their cookie's length
	slots    []conversation
	free     []uint32 // slots where none is under way
	waiting  []fifo   // by retries
	stamp    uint32
	start    time.Time
	counting bool
	ended    bool // nothing more is begun
}

// newLoad returns a load that goes out by one link and comes in at a port.
func newLoad(p plan, out link, in *port) (*load, error) {
	slots := p.window
	if p.window == 0 {
		var life time.Duration
		for _, w := range p.waits {
			life += w
		}
		slots = int(p.rate*(life+time.Second).Seconds()) + batchLen
	}
	if slots > maxSlots {
		return nil, fmt.Errorf("%d conversations would be under way at once, and %d can be", slots, maxSlots)
	}
	l := &load{
		plan: p, out: out, port: in, spis: spis{uint16(1 + rand.Uint32N(1<<16-1))}, plain: initRequest(nil, true),
		slots: make([]conversation, slots), waiting: make([]fifo, len(p.waits)), start: time.Now(),
	}
	for i := range slots {
		l.free = append(l.free, uint32(slots-1-i))
	}
	return l, nil
}

// run asks until the time is over or stop is closed, and then waits for what is
// still under way. Meter is read when counting begins and ends.
func (l *load) run(stop <-chan struct{}, m *meter) {
	end := int64(l.warmup + l.duration)
	for now := l.now(); now < end && !closed(stop); now = l.now() {
		if !l.counting && now >= int64(l.warmup) {
			l.counting = true
			m.begin()
		}
		n := l.due(now)
		for range min(n, batchLen) {
			l.begin(now)
		}
		l.turn(n == 0)
	}
	if !l.counting { // stopped early
		m.begin()
	}
	m.end()
	l.ended = true
	for len(l.free) < len(l.slots) {
		l.turn(true)
	}
}

// closed says whether c is closed.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// now returns the time in ns since the start.
func (l *load) now() int64 { return int64(time.Since(l.start)) }

// due returns how many conversations are to be begun now.
func (l *load) due(now int64) int {
	n := len(l.free)
	if l.window == 0 {
		n = min(n, int(float64(now)*l.rate/1e9)+1-int(l.begun))
	}
	return max(n, 0)
}

// begin begins a conversation.
func (l *load) begin(now int64) {
	slot := l.free[len(l.free)-1]
	l.free = l.free[:len(l.free)-1]
	c := &l.slots[slot]
	*c = conversation{turn: c.turn + 1, due: now, cookie: c.cookie[:0], counted: l.counting}
	if l.window == 0 { // not from when we came to it, or our delays would hide the responder's
		c.due = int64(float64(l.begun) / l.rate * 1e9)
	}
	c.asked = asked{l.spis.of(slot, c.turn), l.sources.at(l.begun), l.targets[l.begun%uint64(len(l.targets))], len(l.plain.octets)}
	l.begun++
	if c.counted {
		l.tally.begun++
	}
	l.transmit(slot, now)
}

// transmit sends a conversation's request.
func (l *load) transmit(slot uint32, now int64) {
	c := &l.slots[slot]
	b := l.out.buffer()
	if l.natt() {
		b = append(b, 0, 0, 0, 0)
	}
	if len(c.cookie) == 0 {
		b = l.plain.append(b, c.spi)
	} else {
		at := len(b)
		b = l.withCookie(len(c.cookie)).append(b, c.spi)
		copy(b[at+ike.HeaderLen+notifyHeaderLen:], c.cookie)
	}
	l.out.send(b, netip.AddrPortFrom(c.source, l.port.number), c.target)
	l.sent++
	l.stamp++
	c.stamp = l.stamp
	l.waiting[c.retries].push(timer{now + int64(l.waits[c.retries]), slot, l.stamp})
}

// natt says whether messages have a non-ESP marker (RFC 7296 section 2.23).
func (l *load) natt() bool { return l.targets[0].Port() == ike.NATTPort }

// withCookie returns the request for a cookie of n octets.
func (l *load) withCookie(n int) *message {
	if l.byCookie[n] == nil {
		m := initRequest(make([]byte, n), true)
		l.byCookie[n] = &m
	}
	return l.byCookie[n]
}

// turn sends what is queued, takes in what has come, and looks after the
// timers; idle says that there was nothing to begin.
func (l *load) turn(idle bool) {
	l.out.flush()
	if err := l.port.in.receive(l.port.fd); err != nil {
		l.port.in.filled = 0 // such as an ICMP error: passing
	}
	now := l.now()
	for i := range l.port.in.filled {
		data, from, to := l.port.in.datagram(i)
		l.take(data, from, to, now)
	}
	l.expire(now)
	if idle && l.port.in.filled < batchLen/2 {
		l.rest(now)
	}
}

// pause is how long a closed loop lets answers gather. It does not wait for the
// first of them: to wake us would cost the responder.
const pause = 20 * time.Microsecond

// rest waits until there may be something to do.
func (l *load) rest(now int64) {
	if l.window > 0 {
		t := unix.NsecToTimespec(int64(pause))
		_ = unix.Nanosleep(&t, nil)
		return
	}
	next := int64(math.MaxInt64)
	if !l.ended {
		next = int64(float64(l.begun) / l.rate * 1e9)
	}
	for i := range l.waiting {
		if t, ok := l.waiting[i].first(); ok {
			next = min(next, t.at)
		}
	}
	l.port.wait(min(next-now, int64(10*time.Millisecond)))
}
