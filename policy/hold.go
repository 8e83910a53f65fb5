package policy

import (
	"fmt"
	"hash/fnv"
	"time"
)

// HoldDown damps the flapping of a site or a route: what was lost again soon
// after it had come back has to be well for a while before it may again, lest
// the fabric damp our routes (RFC 2439) or follow each flap.
type HoldDown struct {
	Clear    time.Time // since when nothing speaks against coming back; zero: something does, or it is back
	Returned time.Time // when it came back last
	Relapses int       // losses within RelapseWithin of having come back, in a row
}

// fall notes a loss at now.
func (h *HoldDown) fall(now time.Time) {
	h.Relapses++
	if h.Returned.IsZero() || now.Sub(h.Returned) > RelapseWithin {
		h.Relapses = 0
	}
}

// held says, when nothing speaks against h's coming back any more, whether it
// is held down all the same, and why; else it is back.
func (d *decision) held(h *HoldDown) (why string, held bool) {
	if h.Clear.IsZero() {
		h.Clear = d.now
	}
	hold := d.hold(h.Relapses)
	if !d.passed(h.Clear, hold) {
		return fmt.Sprintf("held down for %v after %d relapses", hold.Round(time.Second), h.Relapses), true
	}
	h.Clear, h.Returned = time.Time{}, d.now
	return "", false
}

// hold returns for how long what has had so many relapses stays down: the first
// time not at all, then Hold, doubled each time. It differs by a fifth up or
// down from node to node, lest all come back at once.
func (d *decision) hold(relapses int) time.Duration {
	if relapses == 0 || d.cfg.Site.Hold <= 0 {
		return 0
	}
	hold := min(d.cfg.Site.Hold<<min(relapses-1, 20), MaxHold)
	h := fnv.New32a()
	fmt.Fprint(h, d.cfg.Node, relapses)
	return hold*4/5 + time.Duration(uint64(hold)*2/5*uint64(h.Sum32()%1000)/1000)
}
