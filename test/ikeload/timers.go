package main

// timer is the end of the wait for the answer to one transmission.
type timer struct {
	at    int64 // ns since the start
	slot  uint32
	stamp uint32 // of the transmission; the timer means nothing once another one has followed
}

// fifo is a queue of timers of the same length, which end in the order in
// which they begin.
type fifo struct {
	timers []timer
	head   int
}

// push adds a timer.
func (f *fifo) push(t timer) {
	if len(f.timers) == cap(f.timers) && f.head > len(f.timers)/2 {
		n := copy(f.timers, f.timers[f.head:])
		f.timers, f.head = f.timers[:n], 0
	}
	f.timers = append(f.timers, t)
}

// first returns the timer that ends first; false: there is none.
func (f *fifo) first() (timer, bool) {
	if f.head == len(f.timers) {
		return timer{}, false
	}
	return f.timers[f.head], true
}

// pop removes the first timer.
func (f *fifo) pop() {
	if f.head++; f.head == len(f.timers) {
		f.timers, f.head = f.timers[:0], 0
	}
}
