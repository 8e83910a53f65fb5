package main

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestAStepHoldsWhatIsCountedThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64Range(0, 1<<39).Draw(t, "n")
		if high := highest(step(n)); high < n || float64(high) > float64(n)*1.04 {
			t.Errorf("%d is counted as up to %d", n, high)
		}
		if s := step(n); s > 0 && highest(s-1) >= n {
			t.Errorf("%d would fit a lower step", n)
		}
	})
}

func TestQuantilesOfAThousandMilliseconds(t *testing.T) {
	var h histogram
	for i := range 1000 {
		h.add(time.Duration(i+1) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0: time.Millisecond, .5: 501 * time.Millisecond, .99: 991 * time.Millisecond, .999: time.Second, 1: time.Second} {
		if got := h.quantile(q); got < want || got > want+want/25 {
			t.Errorf("quantile %v: want %v, got %v", q, want, got)
		}
	}
}

func TestAnEmptyHistogramAndOneOfHugeTimes(t *testing.T) {
	var h histogram
	if got := h.quantile(.5); got != 0 {
		t.Errorf("empty: got %v", got)
	}
	h.add(time.Hour)
	h.add(-time.Second)
	if h.max != time.Hour || h.quantile(.99) > time.Hour || h.quantile(0) != 0 {
		t.Errorf("got max %v, p99 %v, p0 %v", h.max, h.quantile(.99), h.quantile(0))
	}
}
