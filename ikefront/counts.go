package ikefront

import "net/netip"

// Counts are numbers of datagrams by disposition.
type Counts [Dispositions]uint64

// Read returns how many datagrams were read, and Lost how many the kernel
// dropped before that.
func (c *Counts) Read() (n uint64) {
	for _, count := range c {
		n += count
	}
	return n - c.Lost()
}

// Lost returns how many datagrams the kernel dropped.
func (c *Counts) Lost() uint64 { return c[QueueFull] + c[Filtered] + c[BadChecksum] }

// Endpoint is what an endpoint has had since the start.
type Endpoint struct {
	Sockets   []Counts // of each of its sockets
	Filtering int      // sockets with a filter against a flood of junk
}

// UDPErrors are the kernel's counts of the datagrams that were dropped at the
// sockets of a network namespace, of one family, and why (RFC 4113 has only
// their sum).
type UDPErrors struct {
	QueueFull   uint64 // RcvbufErrors
	BadChecksum uint64 // InCsumErrors
}

// Endpoints returns what each endpoint that is or was open has had since the
// start. What the kernel dropped is up to a second old.
func (f *Front) Endpoints() map[netip.AddrPort]Endpoint {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[netip.AddrPort]Endpoint{}
	for at, sockets := range f.counts {
		var e Endpoint
		for i := range sockets {
			e.Sockets = append(e.Sockets, sockets[i].values())
		}
		for _, s := range f.open[at] {
			if s.gate.shutNow() {
				e.Filtering++
			}
		}
		out[at] = e
	}
	return out
}

// requests returns how many valid IKE_SA_INIT requests have come since the start.
func (f *Front) requests() (n uint64) {
	for _, e := range f.Endpoints() {
		for _, counts := range e.Sockets {
			for d, c := range counts {
				if Disposition(d).request() {
					n += c
				}
			}
		}
	}
	return n
}

// account counts what the kernel has dropped since the last time at the open
// sockets, and at those of more. It tells how many those are, at each socket;
// why, it tells only for all sockets together: full queues and wrong checksums
// are put down to the first sockets that may have had them, and the rest to the
// filter.
func (f *Front) account(more ...*socket) {
	var now [2]UDPErrors
	if f.cfg.UDPErrors != nil {
		now[0], now[1] = f.cfg.UDPErrors()
	}
	left := [2]UDPErrors{now[0].since(f.errors[0]), now[1].since(f.errors[1])}
	f.errors = now
	for _, group := range f.open {
		more = append(more, group...)
	}
	for _, s := range more {
		family := 0
		if s.at.Addr().Is6() {
			family = 1
		}
		s.lost(s.gate.dropped(), &left[family])
	}
}

// since returns what is new in e.
func (e UDPErrors) since(last UDPErrors) UDPErrors {
	return UDPErrors{e.QueueFull - last.QueueFull, e.BadChecksum - last.BadChecksum}
}

// lost counts n drops, by reasons of which so many are left. Without a filter
// there is no third reason.
func (s *socket) lost(n uint64, left *UDPErrors) {
	full := min(n, left.QueueFull)
	wrong := min(n-full, left.BadChecksum)
	left.QueueFull, left.BadChecksum = left.QueueFull-full, left.BadChecksum-wrong
	s.counts[QueueFull].Add(full)
	s.counts[BadChecksum].Add(wrong)
	rest := n - full - wrong
	if s.filtered = 0; s.gate.shutNow() {
		s.filtered = rest
		s.counts[Filtered].Add(rest)
		return
	}
	s.counts[QueueFull].Add(rest)
}
