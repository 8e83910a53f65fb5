package probe

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// second is a target that one silence a second makes dead.
func second(n, fall int) Target {
	return Target{Addr: gateway(n), Every: time.Second, Timeout: ms(500), Rise: 1, Fall: fall}
}

// stall makes what a is told of this target hold up the Prober, as a process
// that is stopped is.
func (a *air) stall(target netip.AddrPort, d time.Duration) {
	a.changed = func(s State) {
		if s.Addr == target && s.Status == Up {
			time.Sleep(d)
		}
	}
}

func TestAnswersThatWaitedThroughAStallAreReadBeforeSilencesCount(t *testing.T) {
	for name, stall := range map[string]time.Duration{"beyond the time-out": 2 * time.Second, "beyond any grace": time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &air{}
				a.answers = func(to netip.AddrPort, msg []byte) ([]byte, time.Duration) {
					if to == gateway(0) {
						return accept(msg), ms(50)
					}
					return accept(msg), ms(100) // while the Prober is held up by the answer above
				}
				a.stall(gateway(0), stall)
				all := []Target{second(0, 1)}
				for n := 1; n <= 50; n++ {
					all = append(all, second(n, 1))
				}
				p := a.watch(t, all...)
				time.Sleep(stall + 10*time.Second)
				synctest.Wait()
				for _, s := range a.states {
					if s.Status != Up {
						t.Errorf("want nobody down, got %+v", s)
					}
				}
				if c := p.Counts(); len(a.states) != len(all) || c.Silent != 0 || c.Late != 0 {
					t.Errorf("want %d targets up and no silence, got %d and %+v", len(all), len(a.states), c)
				}
			})
		})
	}
}

func TestAfterAStallEachTargetGetsAProbeToProveThatItLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		dead := func(to netip.AddrPort) bool { return to == gateway(2) && time.Since(start) > 5*time.Second }
		a := &air{answers: func(to netip.AddrPort, msg []byte) ([]byte, time.Duration) {
			if dead(to) {
				return nil, 0
			}
			return accept(msg), ms(1)
		}}
		a.stall(gateway(0), time.Minute)
		p := a.watch(t, second(1, 3), second(2, 3), second(3, 3))
		time.Sleep(5*time.Second + ms(300))
		p.Set([]Target{second(0, 3), second(1, 3), second(2, 3), second(3, 3)}) // what stalls
		time.Sleep(time.Minute + ms(502))                                       // with one time-out
		synctest.Wait()
		for n, want := range map[int]Status{0: Up, 1: Up, 2: Down, 3: Up} {
			if got := p.state(gateway(n)); got.Status != want {
				t.Errorf("gateway %d: want %s, got %+v", n, want, got)
			}
		}
		if got := p.state(gateway(2)); !strings.HasPrefix(got.Reason, "no proof of life for 6") || !strings.HasSuffix(got.Reason, " s") {
			t.Errorf("want its reason to be the age of its last proof, got %q", got.Reason)
		}
	})
}

func TestAFloodCannotHoldUpTheTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &air{flood: true, answers: func(netip.AddrPort, []byte) ([]byte, time.Duration) { return nil, 0 }}
		p := a.watch(t, second(1, 1))
		time.Sleep(ms(500))
		synctest.Wait()
		if got := p.state(gateway(1)); got.Status != Down {
			t.Errorf("want it down, got %+v", got)
		}
		if c := p.Counts(); c.Strange < maxWaiting || c.Answered+c.Late != 0 {
			t.Errorf("want strange datagrams alone, got %+v", c)
		}
	})
}
