package probe

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestOtherProofsSpareNineOfTenProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &air{answers: after(ms(1))}
		p := a.watch(t, second(1, 3))
		for range 100 * 10 / 9 {
			time.Sleep(ms(900))
			p.Prove(gateway(1), time.Now())
		}
		synctest.Wait()
		if c := p.Counts(); c.Sent < 10 || c.Sent > 12 || c.Silent != 0 || len(a.states) != 1 {
			t.Errorf("want about ten probes in 100 s, got %+v and %+v", c, a.states)
		}
		for i := range a.sent[1:] {
			if gap := a.sent[i+1].Sub(a.sent[i]); gap > 10*time.Second {
				t.Errorf("want a probe after 10 s at the latest, got one after %v", gap)
			}
		}
	})
}

func TestWhenOtherProofsStopProbesGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &air{answers: after(ms(1))}
		p := a.watch(t, second(1, 3))
		time.Sleep(ms(800))
		p.Prove(gateway(1), time.Now())
		time.Sleep(ms(1000))
		synctest.Wait()
		if gap := a.sent[1].Sub(a.sent[0]); len(a.sent) != 2 || gap < ms(1700) || gap > ms(1800) {
			t.Errorf("want the next probe within 1 s of the last proof, got %v", a.sent)
		}
	})
}

func TestAProofCountsOnlyOfATargetThatAnswers(t *testing.T) {
	silent := func(netip.AddrPort, []byte) ([]byte, time.Duration) { return nil, 0 }
	for name, tc := range map[string]struct {
		answers func(netip.AddrPort, []byte) ([]byte, time.Duration)
		wait    time.Duration // until the proof
		age     time.Duration // of the proof
		addr    netip.AddrPort
		counts  bool
	}{
		"up":                        {after(ms(10)), ms(300), 0, gateway(1), true},
		"up, a little old":          {after(ms(10)), ms(300), ms(200), gateway(1), true},
		"up, its next probe out":    {after(ms(400)), ms(1200), 0, gateway(1), true},
		"up, older than the last":   {after(ms(10)), ms(300), ms(291), gateway(1), false},
		"up, without a time":        {after(ms(10)), ms(300), 1 << 62, gateway(1), false},
		"up, another address":       {after(ms(10)), ms(300), 0, gateway(2), false},
		"not answered yet":          {silent, ms(300), 0, gateway(1), false},
		"not answered, one silence": {silent, ms(600), 0, gateway(1), false},
		"down":                      {silent, 10 * time.Second, 0, gateway(1), false},
		"up, one silence":           {once(), ms(1600), 0, gateway(1), false},
		"down after it was up":      {once(), 10 * time.Second, 0, gateway(1), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &air{answers: tc.answers}
				p := a.watch(t, second(1, 3))
				time.Sleep(tc.wait)
				synctest.Wait()
				before, at := p.state(gateway(1)), time.Now().Add(-tc.age)
				p.Prove(tc.addr, at)
				got := p.state(gateway(1))
				if tc.counts && !got.Proof.Equal(at) {
					t.Errorf("want %v as the last proof, got %v", at, got.Proof)
				}
				if !tc.counts && got != before {
					t.Errorf("want %+v as before, got %+v", before, got)
				}
			})
		})
	}
}

// once answers the first probe only.
func once() func(netip.AddrPort, []byte) ([]byte, time.Duration) {
	n := 0
	return func(_ netip.AddrPort, msg []byte) ([]byte, time.Duration) {
		if n++; n > 1 {
			return nil, 0
		}
		return accept(msg), ms(10)
	}
}

func TestAProofOfTheFutureIsOfNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &air{answers: once()}
		p := a.watch(t, second(1, 3))
		time.Sleep(ms(300))
		now := time.Now()
		p.Prove(gateway(1), now.Round(0).Add(time.Hour)) // by another host's clock
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if s := p.state(gateway(1)); s.Status != Down || !s.Proof.Equal(now) || s.Since.Sub(now) != 3*time.Second {
			t.Errorf("want it down 3 s after %v, got %+v", now, s)
		}
	})
}
