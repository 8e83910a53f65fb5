package main

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/anycastd/anycastd/ikefront/ike"
)

// conversation is what a client does to be redirected.
type conversation struct {
	asked
	turn    uint32 // how many there have been in this slot
	stamp   uint32 // of the last transmission; 0: not under way
	due     int64  // when it was to begin, in ns since the start
	retries int    // transmissions again, for want of an answer
	rounds  int    // cookies brought back
	cookie  []byte // to bring back
	counted bool
}

// maxRounds is how many cookies a conversation brings back: strongSwan's limit.
const maxRounds = 5

// tally is what became of the conversations that count.
type tally struct {
	begun, answered, firstTry, lost uint64
	retransmitted                   uint64
	verdicts                        [verdicts]uint64 // of all that came in, counted or not
	times                           histogram        // from due to answered
}

// take takes in a datagram.
func (l *load) take(data []byte, from netip.AddrPort, to netip.Addr, now int64) {
	slot, v, cookie := l.judge(data, from, to)
	l.tally.verdicts[v]++
	switch {
	case v == redirected, v == cookied && !l.obey:
		l.finish(slot, now)
	case v == cookied && l.slots[slot].rounds < maxRounds:
		c := &l.slots[slot]
		c.cookie = append(c.cookie[:0], cookie...)
		c.rounds++
		l.transmit(slot, now)
	}
}

// judge finds the conversation that a datagram belongs to, and checks it.
func (l *load) judge(data []byte, from netip.AddrPort, to netip.Addr) (slot uint32, v verdict, cookie []byte) {
	if l.natt() {
		if len(data) < ike.MarkerLen || binary.BigEndian.Uint32(data) != 0 {
			return 0, noMarker, nil
		}
		data = data[ike.MarkerLen:]
	}
	if len(data) < ike.HeaderLen {
		return 0, tooShort, nil
	}
	spi := binary.BigEndian.Uint64(data)
	slot, ours := l.spis.slot(spi)
	if !ours || int(slot) >= len(l.slots) {
		return 0, unknownSPI, nil
	}
	c := &l.slots[slot]
	if c.spi != spi || c.stamp == 0 {
		return slot, late, nil
	}
	if l.echo {
		return slot, c.checkEcho(data, from, to, &l.plain), nil
	}
	v, cookie = c.check(data, from, to)
	return slot, v, cookie
}

// finish ends a conversation that got what it wanted.
func (l *load) finish(slot uint32, now int64) {
	c := &l.slots[slot]
	if c.counted {
		l.tally.answered++
		l.tally.times.add(time.Duration(now - c.due))
		if c.retries == 0 {
			l.tally.firstTry++
		}
	}
	l.leave(slot)
}

// leave makes a slot free.
func (l *load) leave(slot uint32) {
	l.slots[slot].stamp = 0
	l.free = append(l.free, slot)
}

// expire asks again, or gives up, where an answer has been waited for long
// enough.
func (l *load) expire(now int64) {
	for i := range l.waiting {
		for {
			t, ok := l.waiting[i].first()
			if !ok || t.at > now && l.slots[t.slot].stamp == t.stamp {
				break
			}
			l.waiting[i].pop()
			if l.slots[t.slot].stamp == t.stamp {
				l.unanswered(t.slot, now)
			}
		}
	}
}

// unanswered asks again, or gives up after the last wait.
func (l *load) unanswered(slot uint32, now int64) {
	c := &l.slots[slot]
	if c.retries+1 < len(l.waits) {
		c.retries++
		l.transmit(slot, now)
		if c.counted {
			l.tally.retransmitted++
		}
		return
	}
	if c.counted {
		l.tally.lost++
	}
	l.leave(slot)
}
