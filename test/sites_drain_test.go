package test

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// plain changes nothing of a router.
func plain(*birdConfig) {}

// traffic is a crowd's stream that began at a time.
type traffic struct {
	*crowd
	begin time.Time
	stop  func()
}

// trafficRate is how many requests come in a second, of both families together.
const trafficRate = 500

// startTraffic makes clients come, none of which asks twice.
func (w *pops) startTraffic(t *testing.T) *traffic {
	f := &traffic{crowd: crowdBehind(t, w.Lab, w.client, w.transit), begin: time.Now()}
	f.stop = f.stream(trafficRate)
	t.Cleanup(f.stop)
	return f
}

// awaitRequests waits until n requests of after a time have been sent.
func (f *traffic) awaitRequests(n int, after time.Time) {
	f.t.Helper()
	f.lab.Eventually(fmt.Sprintf("%d requests are sent", n), patience, func() error {
		if sent := len(f.since(after)); sent < n {
			return fmt.Errorf("%d are", sent)
		}
		return nil
	})
}

// answerTime is how long outcomes waits for the last answers.
const answerTime = 5 * time.Second

// outcomes ends the traffic, waits for the answers under way, and returns by
// family the requests of after a time and what became of them.
func (f *traffic) outcomes(after time.Time) map[string][]visit {
	f.stop()
	isOpen := func(v visit) bool { return v.answered.IsZero() }
	visits := f.since(after)
	for last := time.Now(); slices.ContainsFunc(visits, isOpen) && time.Since(last) < answerTime; visits = f.since(after) {
		time.Sleep(50 * time.Millisecond)
	}
	by := map[string][]visit{}
	for _, v := range visits {
		of := family(v.client.String())
		by[of] = append(by[of], v)
	}
	return by
}

// mustAllBeAnswered wants an answer to each request, of both families.
func (f *traffic) mustAllBeAnswered() {
	f.t.Helper()
	for family, visits := range f.outcomes(f.begin) {
		count := map[string]int{}
		for _, v := range visits {
			count[v.outcome()]++
			if v.outcome() != "gw1" && v.outcome() != "gw2" {
				f.t.Errorf("%s: %v asked %v after the begin: %s", family, v.client, v.asked.Sub(f.begin), v.outcome())
			}
		}
		f.t.Logf("%s: %d requests, became %v; sent %v too late at most", family, len(visits), count, f.lateness())
	}
}

// gap is the time in which requests had no answer.
type gap struct {
	lost       int
	begin, end time.Time // the first lost one was asked; the next after the last lost one was
}

// gapIn returns the gap among visits in their order.
func gapIn(visits []visit) (g gap) {
	for i, v := range visits {
		switch {
		case !v.answered.IsZero():
			continue
		case g.lost == 0:
			g.begin = v.asked
		}
		g.lost++
		g.end = visits[min(i+1, len(visits)-1)].asked
	}
	return g
}

// mustLoseNothing wants requests of after from and before until all answered,
// within a while.
func (f *traffic) mustLoseNothing(from, until time.Time) {
	f.t.Helper()
	f.lab.Eventually("every request is answered", patience, func() error {
		for _, v := range f.since(from) {
			if v.asked.Before(until) && v.answered.IsZero() {
				return fmt.Errorf("%v asked %v after the first of them: silence", v.client, v.asked.Sub(from))
			}
		}
		return nil
	})
}

// mustEndGap ends the traffic, wants every request of after settled answered,
// and logs the gap between since and that.
func (f *traffic) mustEndGap(cause string, since, settled time.Time) {
	f.t.Helper()
	for family, visits := range f.outcomes(since) {
		g := gapIn(visits)
		f.t.Logf("%s, %s: %d of %d requests lost", cause, family, g.lost, len(visits))
		if g.lost > 0 {
			f.t.Logf("they were asked in %v, from %v after it on", g.end.Sub(g.begin), g.begin.Sub(since))
		}
		for _, v := range visits {
			if v.answered.IsZero() && v.asked.After(settled) {
				f.t.Errorf("%s: %v asked %v after the routes had settled: silence", family, v.client, v.asked.Sub(settled))
			}
		}
	}
}

// TestASiteIsDrainedRestartedAndUndrainedWithoutALostRequest: what its clients
// see of it is another gateway.
func TestASiteIsDrainedRestartedAndUndrainedWithoutALostRequest(t *testing.T) {
	w := newPlaces(t, 1, plain)
	a, b := w.a.start(t, 0, "gw1"), w.b.start(t, 0, "gw2")
	a.awaitState("in service")
	b.awaitState("in service")
	awaitRoute(w.transit, prefix4, "via "+w.a.up4(2))
	awaitRoute(w.transit, prefix6, "via "+w.a.up6(2))
	f := w.startTraffic(t)
	f.awaitVisit("gw1", f.begin)
	f.awaitRequests(trafficRate/2, time.Now())
	a.mustDo("drain")
	a.awaitState("out of service")
	f.awaitVisit("gw2", time.Now())
	if code := a.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	a = w.a.start(t, 0, "gw1")
	a.awaitStatus("has its sessions", established)
	a.mustDo("undrain")
	a.awaitState("in service")
	f.awaitVisit("gw1", time.Now())
	f.awaitRequests(trafficRate/2, time.Now())

	if code := a.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	f.awaitVisit("gw2", time.Now())
	a = w.a.start(t, 0, "gw1")
	a.awaitState("in service")
	f.awaitVisit("gw1", time.Now())
	f.mustAllBeAnswered()
}

// established wants every session up.
func established(s status) error {
	for _, p := range s.Peers {
		if p.State != "Established" {
			return fmt.Errorf("%+v", p)
		}
	}
	return nil
}
