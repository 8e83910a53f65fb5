package ikefront

import (
	"net/netip"
	"slices"
	"time"

	"github.com/anycastd/anycastd/ikefront/ike"
	"github.com/anycastd/anycastd/policy"
)

// Seen is a datagram as it was seen by a watcher.
type Seen struct {
	Time        time.Time
	Endpoint    netip.AddrPort
	Source      netip.AddrPort
	Octets      int
	Request     ike.Request // without nonce and cookie; zero if it was none
	Disposition Disposition
	Target      policy.Target // of a Redirected one
}

// watcher is somebody who watches. It sees a sample and slows nobody: what it
// doesn't take in time it misses.
type watcher struct {
	clients netip.Prefix
	rate    rate
	bucket  bucket
	seen    chan Seen
}

// watchers are those of a time; the list is immutable.
type watchers []*watcher

// watchBuffer is how many datagrams a watcher may be behind.
const watchBuffer = 256

// Watch returns a channel of what becomes of datagrams from clients (the zero
// prefix: from anybody), up to n a second, until stop is called. A slow reader misses some.
func (f *Front) Watch(clients netip.Prefix, n int) (seen <-chan Seen, stop func()) {
	w := &watcher{clients: clients, rate: perSecond(n, time.Second), seen: make(chan Seen, watchBuffer)}
	f.setWatchers(func(all watchers) watchers { return append(all, w) })
	return w.seen, func() {
		f.setWatchers(func(all watchers) watchers {
			return slices.DeleteFunc(all, func(o *watcher) bool { return o == w })
		})
	}
}

// setWatchers puts a changed copy of the watchers in place; nil for none, so
// that sockets need look no further.
func (f *Front) setWatchers(change func(watchers) watchers) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all watchers
	if now := f.shared.watchers.Load(); now != nil {
		all = slices.Clone(*now)
	}
	if all = change(all); len(all) == 0 {
		f.shared.watchers.Store(nil)
		return
	}
	f.shared.watchers.Store(&all)
}

// tell shows the first n datagrams of s's batch b to those who watch.
func (all *watchers) tell(s *socket, b *batch, n int, by *rules) {
	for i := range n {
		in, src := b.request(i)
		for _, w := range *all {
			w.see(s, in, src, b.fates[i], by)
		}
	}
}

// see shows a datagram to w, if it watches its source and has not seen enough.
// It reads the datagram once more: what nobody watches must cost nothing.
func (w *watcher) see(s *socket, in []byte, src netip.AddrPort, d Disposition, by *rules) {
	if w.clients.IsValid() && !w.clients.Contains(src.Addr()) || w.bucket.take(1, by.now, w.rate) == 0 {
		return
	}
	seen := Seen{Time: time.Now(), Endpoint: s.at, Source: src, Octets: len(in), Disposition: d}
	if s.natt && sort4500(in, src) == marked {
		in = in[ike.MarkerLen:]
	}
	if r, err := ike.ParseRequest(in); err == nil {
		r.Nonce, r.Cookie = nil, nil // the buffer is used again
		seen.Request = r
	}
	if d == Redirected {
		seen.Target = *by.table.Peek(policy.Client{Source: src.Addr(), SPI: seen.Request.SPIi, From: seen.Request.From})
	}
	select {
	case w.seen <- seen:
	default:
	}
}
