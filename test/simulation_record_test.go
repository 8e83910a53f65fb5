package test

import (
	"math"
	"time"
)

// record is what is seen of a world.
type record struct {
	loads   [][]float64 // by second and gateway; NaN: it is dead
	above   []int       // by second: sessions beyond the capacity of their gateway
	sent    []int       // by second: newcomers
	crowded []int       // by second: those of them that were sent to a full gateway
	sending [2]int      // newcomers since the last sample, and those sent to a full gateway
}

// newcomer notes a newcomer that is sent to s.
func (r *record) newcomer(s *station) {
	r.sending[0]++
	if len(s.sessions) >= s.Capacity {
		r.sending[1]++
	}
}

// sample notes a second.
func (r *record) sample(stations []*station) {
	loads, above := make([]float64, len(stations)), 0
	for i, s := range stations {
		loads[i] = s.load()
		if !s.up {
			loads[i] = math.NaN()
		}
		above += max(0, len(s.sessions)-s.Capacity)
	}
	r.loads, r.above = append(r.loads, loads), append(r.above, above)
	r.sent, r.crowded = append(r.sent, r.sending[0]), append(r.crowded, r.sending[1])
	r.sending = [2]int{}
}

// during returns the seconds from one time to another.
func (r *record) during(from, to time.Duration) span {
	return span{r, int(from / time.Second), int(to / time.Second)}
}

// span is a part of a record.
type span struct {
	*record
	from, to int // seconds
}

// extent is how values lie.
type extent struct{ low, high, mean, deviation float64 }

// extentOf returns how values lie, those left out that are NaN.
func extentOf(values []float64) extent {
	e, sum, squares, n := extent{low: math.Inf(1), high: math.Inf(-1)}, 0., 0., 0.
	for _, x := range values {
		if !math.IsNaN(x) {
			e.low, e.high = min(e.low, x), max(e.high, x)
			sum, squares, n = sum+x, squares+x*x, n+1
		}
	}
	e.mean = sum / n
	e.deviation = math.Sqrt(max(0, squares/n-e.mean*e.mean))
	return e
}

// spread is the standard deviation over the gateways' loads, on average.
func (s span) spread() float64 {
	sum := 0.
	for _, loads := range s.loads[s.from:s.to] {
		sum += extentOf(loads).deviation
	}
	return sum / float64(s.to-s.from)
}

// swing is the standard deviation, over time, of what a gateway's load differs
// by from the mean of all, on average over the gateways. All of them live.
func (s span) swing() float64 {
	var means []float64
	for _, loads := range s.loads[s.from:s.to] {
		means = append(means, extentOf(loads).mean)
	}
	sum := 0.
	for g := range worldGateways {
		var off []float64
		for i, loads := range s.loads[s.from:s.to] {
			off = append(off, loads[g]-means[i])
		}
		sum += extentOf(off).deviation
	}
	return sum / worldGateways
}

// bounds returns the lowest and the highest load.
func (s span) bounds() (low, high float64) {
	low = math.Inf(1)
	for _, loads := range s.loads[s.from:s.to] {
		e := extentOf(loads)
		low, high = min(low, e.low), max(high, e.high)
	}
	return low, high
}

// beyond returns the most sessions above the capacity of their gateways at a time.
func (s span) beyond() (most int) {
	for _, n := range s.above[s.from:s.to] {
		most = max(most, n)
	}
	return most
}

// crowding is the share of newcomers that are sent to a full gateway.
func (s span) crowding() float64 {
	sent, crowded := 0, 0
	for i := s.from; i < s.to; i++ {
		sent, crowded = sent+s.sent[i], crowded+s.crowded[i]
	}
	return float64(crowded) / float64(sent)
}

// filling says how gateways that are empty when the span begins fill up: for
// how long they have less than half of the mean load, all together, and by how
// much any of them gets above the mean at most.
func (s span) filling(gateways []int) (half time.Duration, above float64) {
	half = -1
	for i, loads := range s.loads[s.from:s.to] {
		mean, sum := extentOf(loads).mean, 0.
		for _, g := range gateways {
			sum += loads[g]
			above = max(above, loads[g]-mean)
		}
		if half < 0 && sum/float64(len(gateways)) >= mean/2 {
			half = time.Duration(i) * time.Second
		}
	}
	return half, above
}

// summary is what docs/choice.md tells of a run. Loads are shares of capacity.
type summary struct {
	spread, swing, low, high float64 // in the steady state, as are the next two
	beyond                   int
	crowding                 float64
	burstHigh                float64
	burstBeyond              int
	one, ten                 struct { // gateways come back
		half  time.Duration
		above float64
	}
	allCrowding float64 // in the whole run
}

// sum returns the summary of a run in which the largest gateway died.
func (r *record) sum(largest int) (s summary) {
	steady, burst := r.during(steadyFrom, burstAt), r.during(burstAt, deathAt)
	s.spread, s.swing, s.beyond, s.crowding = steady.spread(), steady.swing(), steady.beyond(), steady.crowding()
	s.low, s.high = steady.bounds()
	_, s.burstHigh = burst.bounds()
	s.burstBeyond = burst.beyond()
	restarted := make([]int, restarts)
	for i := range restarted {
		restarted[i] = i
	}
	s.one.half, s.one.above = r.during(deathAt+deathFor+time.Second, restartAt).filling([]int{largest})
	s.ten.half, s.ten.above = r.during(restartAt+restartFor+time.Second, worldEnds).filling(restarted)
	s.allCrowding = r.during(0, worldEnds).crowding()
	return s
}
