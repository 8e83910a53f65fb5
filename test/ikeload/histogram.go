package main

import (
	"math/bits"
	"time"
)

// histogram counts durations from 1 ns to 10 minutes in steps of about 3 %.
type histogram struct {
	counts [(40 - stepBits) << stepBits]uint64
	total  uint64
	max    time.Duration
}

// stepBits says in how many steps each power of two is parted: 2^stepBits.
const stepBits = 5

// add counts d.
func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.counts[min(step(uint64(d)), len(h.counts)-1)]++
	h.total++
	h.max = max(h.max, d)
}

// step returns the step of a number: up to 2^stepBits each has its own.
func step(n uint64) int {
	shift := max(bits.Len64(n)-stepBits-1, 0)
	return shift<<stepBits + int(n>>shift)
}

// highest returns the greatest number of a step.
func highest(step int) uint64 {
	shift := max(step>>stepBits-1, 0)
	return uint64(step-shift<<stepBits+1)<<shift - 1
}

// quantile returns the duration that the share q of all does not exceed.
func (h *histogram) quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.total))
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen > rank {
			return min(time.Duration(highest(i)), h.max)
		}
	}
	return h.max
}
