package probe

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// durations draws a duration of from to to, in nanoseconds.
func durations(from, to time.Duration) *rapid.Generator[time.Duration] {
	return rapid.Custom(func(t *rapid.T) time.Duration {
		return time.Duration(rapid.Int64Range(int64(from), int64(to)).Draw(t, "ns"))
	})
}

// targets draws a target.
func targets() *rapid.Generator[Target] {
	return rapid.Custom(func(t *rapid.T) Target {
		every := durations(ms(100), ms(10000)).Draw(t, "every")
		longest := every * time.Duration(rapid.SampledFrom([]int{1, 2, 4}).Draw(t, "longest timeout")) / 2
		return Target{
			Addr: gateway(1), Every: every, Timeout: durations(ms(1), longest).Draw(t, "timeout"),
			Rise: rapid.IntRange(1, 3).Draw(t, "rise"), Fall: rapid.IntRange(1, 5).Draw(t, "fall"),
		}
	})
}

// prompt says whether t is found dead Every × Fall after its last proof of life.
func (t Target) prompt() bool {
	if t.Fall == 1 {
		return t.Timeout <= t.Every/2
	}
	return t.Timeout <= t.Every-t.Every/time.Duration(t.Fall)
}

// mortal is a target that dies.
type mortal struct {
	Target
	rtt, death time.Duration             // death is counted from the start, when it answers no more
	report     func(i int) time.Duration // until its ith report; nil: it sends none
}

// course is what became of a mortal.
type course struct {
	proof, down time.Duration // from the start to its last proof of life, and until it was found dead; 0: never
	sent        int           // probes
	reason      string
}

// follow watches m beyond its death.
func (m mortal) follow(t *testing.T) (c course) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		a := &air{answers: func(_ netip.AddrPort, msg []byte) ([]byte, time.Duration) {
			if time.Since(start)+m.rtt > m.death {
				return nil, 0
			}
			return accept(msg), m.rtt
		}}
		p := a.watch(t, m.Target)
		if m.report != nil {
			for i := 0; time.Since(start) < m.death; i++ {
				time.Sleep(m.report(i))
				p.Prove(m.Addr, time.Now())
			}
		}
		time.Sleep(max(m.death-time.Since(start), 0) + m.grace() + 1)
		synctest.Wait()
		s := p.state(m.Addr)
		c = course{down: s.Since.Sub(start), sent: len(a.sent), reason: s.Reason}
		if !s.Proof.IsZero() {
			c.proof = s.Proof.Sub(start)
		}
		if s.Status != Down {
			c.down = 0
		}
	})
	return c
}

// check holds the times of c against what m's timing promises.
func (c course) check(t *rapid.T, m mortal) {
	whole := time.Duration(m.Fall) * m.Every
	if c.down == 0 || c.down > max(m.death, c.proof)+m.grace() {
		t.Fatalf("want down %v after the death at the latest, got %+v", m.grace(), c)
	}
	if m.prompt() && c.down > c.proof+whole {
		t.Fatalf("want down %v after the last proof at the latest, got %+v", whole, c)
	}
}

func TestProperty_a_death_is_found_in_time(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := mortal{Target: targets().Draw(rt, "target")}
		m.rtt = durations(0, m.Timeout-1).Draw(rt, "round trip")
		m.death = durations(0, 20*m.Every).Draw(rt, "death")
		m.follow(t).check(rt, m)
	})
}

func TestProperty_a_death_is_found_in_time_after_other_proofs(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := mortal{Target: targets().Draw(rt, "target")}
		m.rtt = durations(0, m.Timeout-1).Draw(rt, "round trip")
		m.death = durations(0, 40*m.Every).Draw(rt, "death")
		gaps := rapid.SliceOfN(durations(1, m.Every), 7, 7).Draw(rt, "gaps between reports")
		for i := range gaps {
			gaps[i] = max(gaps[i], m.Every/20)
		}
		m.report = func(i int) time.Duration { return gaps[i%len(gaps)] }
		m.follow(t).check(rt, m)
	})
}

func TestProperty_fewer_silences_in_a_row_than_Fall_never_make_a_target_dead(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		target := targets().Draw(rt, "target")
		rtt := durations(0, target.Timeout-1).Draw(rt, "round trip")
		lost := rapid.SliceOfN(rapid.Bool(), 1, 60).Draw(rt, "lost")
		var states []State
		synctest.Test(t, func(t *testing.T) {
			sent, row := 0, 0
			a := &air{answers: func(_ netip.AddrPort, msg []byte) ([]byte, time.Duration) {
				sent++
				if lost[sent%len(lost)] && row < target.Fall-1 {
					row++
					return nil, 0
				}
				row = 0
				return accept(msg), rtt
			}}
			a.watch(t, target)
			time.Sleep(100 * max(target.Every, target.Timeout))
			synctest.Wait()
			states = a.states
		})
		if len(states) != 1 || states[0].Status != Up {
			rt.Fatalf("want it to come up and stay so, got %+v", states)
		}
	})
}

func TestProperty_a_probe_goes_out_each_Every_or_a_tenth_sooner(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		target := targets().Draw(rt, "target")
		target.Fall = max(target.Fall, 2)
		rtt := durations(0, min(target.Timeout, target.Every*9/10)-1).Draw(rt, "round trip")
		var sent []time.Time
		synctest.Test(t, func(t *testing.T) {
			a := &air{answers: func(_ netip.AddrPort, msg []byte) ([]byte, time.Duration) { return accept(msg), rtt }}
			a.watch(t, target)
			time.Sleep(20 * target.Every)
			synctest.Wait()
			sent = a.sent
		})
		for i := range sent[1:] {
			if gap := sent[i+1].Sub(sent[i]); gap > target.Every || gap < target.Every*9/10 {
				rt.Fatalf("want 0.9 to 1.0 × %v, got %v", target.Every, gap)
			}
		}
	})
}
