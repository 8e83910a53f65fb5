//go:build bench

package test

import (
	"fmt"
	"slices"
	"syscall"
)

// honesty is what became of an honest client beside a flood, in some rounds.
type honesty struct {
	begun, answered, firstTry float64
	worst                     float64 // share at the first try in the worst round
	latency                   latency // the worst rounds'
	sent, received            figure  // by the flood
}

// beside runs an honest client beside a flood.
func (b *bench) beside(h *honesty, c *contestant, kind string, rate float64, clientFlags string) {
	b.t.Helper()
	flood := b.start("flood -kind %s -to %s -from %s -rate %f", kind, c.to, spoofed, rate)
	r := b.run("client -to %s -duration %s -warmup 500ms %s", c.to, floodTime, clientFlags)
	flood.Signal(syscall.SIGTERM)
	f := b.finish(flood)
	share := r.FirstTry / r.Begun
	if h.begun == 0 || share < h.worst {
		h.worst = share
	}
	h.begun, h.answered, h.firstTry = h.begun+r.Begun, h.answered+r.Answered, h.firstTry+r.FirstTry
	h.latency = latency{max(h.latency.P50, r.Latency.P50), max(h.latency.P99, r.Latency.P99), max(h.latency.P999, r.Latency.P999)}
	h.sent, h.received = append(h.sent, f.SentRate), append(h.received, f.ReceivedRate)
	b.t.Logf("beside %s at %.0f/s: %.2f %%", kind, f.SentRate, 100*share)
}

// tell adds the share answered at the first try to the table.
func (b *bench) tell(name string, h *honesty, g goal) {
	b.table.add(name, "%.2f %%", figure{100 * h.firstTry / h.begun}, g,
		fmt.Sprintf("beside %.0f/s; worst round %.2f %%; %s", h.sent.median(), 100*h.worst, h.latency))
}

// String tells the quantiles.
func (l latency) String() string {
	return fmt.Sprintf("p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms", l.P50/1e3, l.P99/1e3, l.P999/1e3)
}

// roomy returns 0.8 × what c is seen to have a capacity for just now: that
// changes by the minute on a machine that is shared.
func (b *bench) roomy(c *contestant) float64 {
	b.measure(c)
	return .8 * c.rates[len(c.rates)-1]
}

// floods measures the honest client beside floods of all kinds that the node
// has the capacity for.
func (b *bench) floods() {
	plain, asking := b.anycastd("flooded", setup{}), b.anycastd("asking", setup{cookie: "always"})
	const cookieless = "valid, answered by cookies"
	kinds := []string{"valid", cookieless, "no-support", "garbage", "truncated", "responses", "exchanges"}
	got := map[string]*honesty{}
	for range floodRounds {
		for _, kind := range kinds {
			if got[kind] == nil {
				got[kind] = &honesty{}
			}
			if kind == cookieless {
				b.beside(got[kind], asking, "valid", b.roomy(plain), "")
			} else {
				b.beside(got[kind], plain, kind, b.roomy(plain), "")
			}
		}
	}
	b.table.section("An honest client's requests answered at the first try, beside floods of 0.8 × the capacity measured just before")
	for _, kind := range kinds {
		b.tell(kind, got[kind], atLeast(99.9))
	}
	plain.Stop()
	asking.Stop()
}

// limits measures the honest client beside floods as fast as the generator
// goes, and whether overload makes the node slower.
func (b *bench) limits(capacity float64) {
	c := b.anycastd("overrun", setup{})
	dropped := []string{"garbage", "responses", "exchanges", "no-support"}
	got := map[string]*honesty{"valid": {}}
	var valid [3]figure // answers/s at these multiples of the capacity, and at the limit
	multiples := [...]float64{.8, 1, 1.25}
	for range floodRounds {
		for _, kind := range dropped {
			if got[kind] == nil {
				got[kind] = &honesty{}
			}
			b.beside(got[kind], c, kind, 0, "")
		}
		b.beside(got["valid"], c, "valid", 0, "-retransmit")
		for i, m := range multiples {
			valid[i] = append(valid[i], b.run("flood -to %s -from %s -rate %f -duration %s", c.to, spoofed, m*capacity, roundTime).ReceivedRate)
		}
	}
	b.table.section("The same at the generator's limit")
	for _, kind := range dropped {
		b.tell(kind, got[kind], atLeast(99))
	}
	h := got["valid"]
	b.tell("valid", h, noGoal())
	b.table.add("valid, with retransmissions", "%.2f %%", figure{100 * h.answered / h.begun}, noGoal(), "after 0.5 s, 1 s, 2 s")
	peak := slices.Max([]float64{valid[0].median(), valid[1].median(), valid[2].median(), h.received.median()})
	var over figure
	for _, answered := range h.received {
		over = append(over, answered/peak)
	}
	b.table.add("valid: answers/s at the limit / at most", "%.2f", over, atLeast(.9),
		fmt.Sprintf("at the limit %.0f/s; at 0.8, 1, 1.25 × capacity %.0f, %.0f, %.0f/s", h.received.median(), valid[0].median(), valid[1].median(), valid[2].median()))
	c.Stop()
}
