package probe

import (
	"bytes"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anycastd/anycastd/ikefront/ike"
)

// statuses returns the statuses that a was told, in order.
func (a *air) statuses() []Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []Status
	for _, s := range a.states {
		all = append(all, s.Status)
	}
	return all
}

// after lets every probe be answered after d.
func after(d time.Duration) func(netip.AddrPort, []byte) ([]byte, time.Duration) {
	return func(_ netip.AddrPort, msg []byte) ([]byte, time.Duration) { return accept(msg), d }
}

func TestOnlyAnAnswerInTimeFromTheTargetItselfProvesItsLife(t *testing.T) {
	change := func(i int, v byte) func([]byte) []byte {
		return func(in []byte) []byte { out := accept(in); out[i] ^= v; return out }
	}
	for name, tc := range map[string]struct {
		from netip.AddrPort
		edit func([]byte) []byte
		up   bool
	}{
		"an error notify":           {gateway(1), accept, true},
		"a COOKIE":                  {gateway(1), notify(ike.Cookie, 1, 2, 3), true},
		"another version":           {gateway(1), change(17, 0x10), true},
		"behind a marker":           {gateway(1), func(in []byte) []byte { return append(make([]byte, 4), accept(in)...) }, true},
		"without any payload":       {gateway(1), func(in []byte) []byte { out := accept(in)[:28]; out[16], out[27] = 0, 28; return out }, true},
		"another address":           {gateway(2), accept, false},
		"another port":              {netip.AddrPortFrom(gateway(1).Addr(), 4500), accept, false},
		"another SPI":               {gateway(1), change(7, 2), false},
		"SPI 0":                     {gateway(1), func(in []byte) []byte { return append(make([]byte, 8), accept(in)[8:]...) }, false},
		"the probe itself, echoed":  {gateway(1), bytes.Clone, false},
		"another length":            {gateway(1), change(27, 1), false},
		"a payload that would loop": {gateway(1), change(31, 8), false},
		"cut in its notify":         {gateway(1), func(in []byte) []byte { return accept(in)[:35] }, false},
		"27 octets":                 {gateway(1), func(in []byte) []byte { return accept(in)[:27] }, false},
		"nothing":                   {gateway(1), func([]byte) []byte { return []byte{} }, false},
		"junk":                      {gateway(1), func([]byte) []byte { return bytes.Repeat([]byte("junk"), 5000) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &air{}
				a.answers = func(_ netip.AddrPort, msg []byte) ([]byte, time.Duration) {
					out := tc.edit(msg)
					time.AfterFunc(ms(1), func() { a.deliver(tc.from, out) })
					return nil, 0
				}
				p := a.watch(t, Target{Addr: gateway(1), Every: time.Second, Timeout: ms(100), Rise: 1, Fall: 1})
				time.Sleep(ms(101))
				synctest.Wait()
				want, counts := Down, Counts{Sent: 1, Silent: 1, Strange: 1}
				if tc.up {
					want, counts = Up, Counts{Sent: 1, Answered: 1}
				}
				if diff := cmp.Diff(want, p.state(gateway(1)).Status); diff != "" {
					t.Errorf("status (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(counts, p.Counts()); diff != "" {
					t.Errorf("counts (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestALateAnswerProvesLifeButUndoesNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		a := &air{answers: func(_ netip.AddrPort, msg []byte) ([]byte, time.Duration) {
			if time.Now().Equal(start) {
				return accept(msg), ms(10)
			}
			return accept(msg), ms(600) // too late
		}}
		p := a.watch(t, second(1, 3))
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]Status{Up, Down}, a.statuses()); diff != "" {
			t.Fatalf("statuses (-want +got):\n%s", diff)
		}
		s, c := p.state(gateway(1)), p.Counts()
		if s.Reason != "no answer to 3 probes in a row" || s.Proof.Before(start.Add(18*time.Second)) {
			t.Errorf("want it down with a fresh proof of life, got %+v", s)
		}
		if c.Late < 15 || c.Answered != 1 || c.Strange != 0 {
			t.Errorf("want its answers counted as late, got %+v", c)
		}
	})
}

func TestAnAnswerToAnEarlierProbeIsStrange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &air{answers: after(1700 * time.Millisecond)} // when the next probe is out
		p := a.watch(t, second(1, 1))
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if c, s := p.Counts(), p.state(gateway(1)); c.Late != 0 || c.Strange < 15 || !s.Proof.IsZero() || s.Status != Down {
			t.Errorf("want nothing proven, got %+v and %+v", c, s)
		}
	})
}

func TestAnAnswerCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &air{}
		a.answers = func(to netip.AddrPort, msg []byte) ([]byte, time.Duration) {
			for range 10 {
				a.deliver(to, accept(msg))
			}
			return nil, 0
		}
		target := second(1, 1)
		target.Rise = 3
		p := a.watch(t, target)
		time.Sleep(ms(1))
		synctest.Wait()
		if diff := cmp.Diff(Counts{Sent: 1, Answered: 1, Strange: 9}, p.Counts()); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
	})
}

func TestADeadTargetComesBackAfterRiseAnswersInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alive := []bool{false, true, true, false, true, true, true} // probe by probe
		var up time.Time
		n := 0
		a := &air{answers: func(_ netip.AddrPort, msg []byte) ([]byte, time.Duration) {
			n++
			if n <= len(alive) && !alive[n-1] {
				return nil, 0
			}
			if n == len(alive) {
				up = time.Now()
			}
			return accept(msg), 0
		}}
		target := second(1, 1)
		target.Rise = 3
		p := a.watch(t, target)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if s := p.state(gateway(1)); s.Status != Up || !s.Since.Equal(up) {
			t.Errorf("want it up since %v, got %+v", up, s)
		}
		if diff := cmp.Diff([]Status{Down, Up}, a.statuses()); diff != "" {
			t.Errorf("statuses (-want +got):\n%s", diff)
		}
	})
}

func TestForgedAnswersProveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &air{answers: func(netip.AddrPort, []byte) ([]byte, time.Duration) { return nil, 0 }}
		p := a.watch(t, second(1, 2))
		forger := newTestWriter(t)
		const forged = 20000
		for range forged / 100 {
			for range 100 {
				msg, _ := forger.write(Version, 500) // with an SPI of its own
				a.deliver(gateway(1), accept(msg))
			}
			time.Sleep(ms(10))
		}
		synctest.Wait()
		if diff := cmp.Diff([]Status{Down}, a.statuses()); diff != "" {
			t.Errorf("statuses (-want +got):\n%s", diff)
		}
		if c := p.Counts(); c.Strange != forged || c.Answered+c.Late != 0 {
			t.Errorf("want %d strange datagrams, got %+v", forged, c)
		}
	})
}

func TestATargetThatIsWatchedNoMoreIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &air{answers: after(ms(100))}
		p := a.watch(t, second(1, 1), second(2, 1))
		time.Sleep(ms(50))
		p.Set([]Target{second(2, 1)})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if len(a.states) != 1 || a.states[0].Addr != gateway(2) || len(p.queue) != 1 || len(p.byKey) != 1 || len(p.bySPI) > 1 {
			t.Errorf("want the other one alone, got %+v and %d, %d, %d kept", a.states, len(p.queue), len(p.byKey), len(p.bySPI))
		}
		if c := p.Counts(); c.Strange != 1 {
			t.Errorf("want its answer counted as strange, got %+v", c)
		}
	})
}

func TestAnotherTimingStartsTheClockAnewAndTheSameOneDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &air{answers: after(ms(1))}
		slow, fast := second(1, 3), second(1, 3)
		slow.Every = time.Hour
		p := a.watch(t, slow)
		time.Sleep(30 * time.Minute) // the last proof is far older than the new timing allows
		for range 10 {
			p.Set([]Target{slow, fast}) // the last one counts
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if c := p.Counts(); len(a.states) != 1 || c.Sent < 10 || c.Sent > 13 {
			t.Errorf("want it up all the time and asked each second, got %+v and %+v", a.states, c)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		a := &air{answers: func(_ netip.AddrPort, msg []byte) ([]byte, time.Duration) {
			if time.Since(start) > ms(100) {
				return nil, 0
			}
			return accept(msg), ms(1)
		}}
		p := a.watch(t, second(1, 3))
		for range 40 {
			time.Sleep(ms(100))
			p.Set([]Target{second(1, 3)})
		}
		synctest.Wait()
		if s := p.state(gateway(1)); s.Status != Down || s.Since.Sub(s.Proof) != 3*time.Second {
			t.Errorf("want it down 3 s after its last proof, got %+v", s)
		}
	})
}
