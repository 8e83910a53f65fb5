package control

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/bgp"
	"github.com/anycastd/anycastd/dnspub"
	"github.com/anycastd/anycastd/policy"
)

var (
	tortureSeeds  = flag.Int("torture.seeds", 200, "how many seeds TestTorture runs")
	tortureEvents = flag.Int("torture.events", 2000, "how many events each of them has")
)

// TestTorture lets the loop, with its real policy, meet random events while its
// parts fail, hang and answer late, and checks after each what must always hold:
//
//  1. announced: no prefix is up that can't be served, nor for long after, but
//     for one that when_dark keeps
//  2. newcomers: whom no client is sent to, and whom rather than others
//  3. order: of bring-up and tear-down, with drain_wait and settle
//  4. pure: the same view, the same plan; and that is the plan in force
//  5. reasons: everything has one, and each change of a route is logged
//  6. stable: who is not concerned by a change stays
//  7. turns: whatever hangs, the loop answers, and a stop ends in time
//  8. marks: what was drained is, and is kept
//  9. converges: when all is well again the world is as planned
//  10. hold-down: a site comes back no faster than it may
//
// A seed fixes the events, not what goroutines make of them at the same instant,
// nor the keepers' jitter: what is rare may need a -count.
//
// What the invariants are worth was tried by faults put into the code by hand,
// one at a time, and 24 seeds of 2,000 events:
//
//	fault                                              caught by, in how many seeds
//	drain_wait forgotten                               3 in all
//	withdrawn without graceful shutdown in a stop      3 in 19
//	announced before the own probe is answered         3, 1 in all
//	announced before the address is on the host        1, 3 in 5
//	sockets closed before settle                       3 in 23
//	addresses removed with their sockets               3 in 17
//	a drained node stops answering                     7 in all
//	records published before the route                 3 in all
//	when_dark withdraws whatever it says               1 in 20
//	when_dark never withdraws                          1 in all
//	--for of a drain lost                              8, 2 in all
//	end of a drain not scheduled                       2, 8, 6 in 18
//	drain ignored for a gateway named by FQDN          2, 1 in all
//	drain returns before the decision                  2 in 4
//	undrain not kept                                   8 in all
//	overloaded gateway stays among the fit ones        2 in 17
//	overloaded by a single figure                      2 in all
//	unknown load counts as idle                        2 in 21
//	a gateway's own wish to drain ignored              2, 1 in all
//	that wish forgotten when it is stale               2, 1 in 12
//	every second load forgotten                        2, 1, 9 in all
//	load fresh for ever                                2 in all
//	load of a dead gateway not forgotten               2 in 3
//	site overloaded for ever                           9 in 10
//	fallback order reversed                            2 in 8
//	fallbacks before the pool itself                   2 in 22
//	remembered clients sent to where they were before  2 in 23
//	slots by the number of gateways                    6 in 6
//	health of an address kept that left and came back  2, 1 in 6
//	hold-down removed                                  10 in 23
//	hold-down not doubled                              10 in 17
//	flood excuses a lost probe for ever                1 in all
//	keeper drops the newest desire                     9, 1 in 5
//	keeper does not try again                          9, 1 in 23
//	a zone's later records not handed on               9 in all
//	loop waits for the speaker                         7, 1 in all
//	a route changes without a line in the log          5, 3 in all
//	a route without a reason                           5 in all
func TestTorture(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	for seed := range *tortureSeeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { tortureBy(t, uint64(seed)) })
		})
	}
}

// torture is one run.
type torture struct {
	model
	t      *testing.T
	r      *rand.Rand
	seed   uint64
	loop   *Loop
	cancel func()
	done   chan error
	begun  time.Time

	dead      map[netip.Addr]bool // what does not answer probes
	ill       map[string]time.Time
	kept      Marks // must be in the store
	returning []policy.Client
	sample    []policy.Client
	before    *snapshot // of the check before; nil: there is nothing to compare with
	reloaded  bool
	badSince  map[netip.Prefix]time.Time // since when a prefix must not be announced
	checks    int
	history   []string
}

// tortureBy is the run of a seed.
func tortureBy(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	x := &torture{t: t, r: r, seed: seed, begun: time.Now(), dead: map[netip.Addr]bool{}, ill: map[string]time.Time{}}
	x.outside = &outside{
		modes: map[string]*mode{}, records: map[string][]dnspub.Record{}, cfg: tortured(r),
		peers: []bgp.Peer{{Address: netip.MustParseAddr("192.0.2.1"), ASN: 64500, State: "Established", Families: bgp.IPv4Unicast | bgp.IPv6Unicast}},
	}
	for range 8 {
		x.sample = append(x.sample, x.client())
	}
	defer x.leave()
	x.start()
	x.note("start: " + inShort(x.cfg))
	all, total := events(), 0
	for _, e := range all {
		total += e.weight
	}
	for range *tortureEvents {
		e := oneByWeight(all, r.IntN(total))
		x.note(e.name)
		x.amend(e.happen(x))
		x.check()
	}
	x.note(x.calm())
	if r.IntN(2) == 0 {
		x.stop()
	} else {
		x.end()
	}
}

// leave ends what still runs, after a failure too.
func (x *torture) leave() {
	if x.loop == nil {
		return
	}
	x.cancel()
	x.healAll()
	select {
	case <-x.done:
	case <-time.After(10 * time.Second):
	}
}

// oneByWeight returns the event that the n-th unit of weight belongs to.
func oneByWeight(all []event, n int) *event {
	for i := range all {
		if n -= all[i].weight; n < 0 {
			return &all[i]
		}
	}
	return nil
}

// note adds a line to the history.
func (x *torture) note(what string) {
	x.history = append(x.history, fmt.Sprintf("%d at %v: %s", len(x.history), time.Since(x.begun).Round(time.Millisecond), what))
	if n := len(x.history); n > 80 {
		x.history[n-81] = ""
	}
}

// amend says more of what has been noted last.
func (x *torture) amend(how string) { x.history[len(x.history)-1] += ": " + how }

// fail ends the run: this invariant does not hold.
func (x *torture) fail(format string, a ...any) {
	x.t.Helper()
	recent := x.history[max(0, len(x.history)-60):]
	x.t.Fatalf("invariant %s\nreplay: go test ./cmd/anycastd/internal/control -run 'TestTorture/seed=%d$' -torture.seeds %d -torture.events %d\nthe last events:\n%s",
		fmt.Sprintf(format, a...), x.seed, max(int(x.seed)+1, *tortureSeeds), *tortureEvents, strings.Join(recent, "\n"))
}

// logger is what the loop logs to: the world reads it.
func (x *torture) logger() zerolog.Logger { return zerolog.New(x.outside).Level(zerolog.InfoLevel) }

// wait waits until all has come to rest.
func (x *torture) wait() { synctest.Wait() }

// client returns a random client, of a pool or of none.
func (x *torture) client() policy.Client {
	i, v6 := x.r.IntN(3), x.r.IntN(2) == 0
	return x.clientLike(poolPrefix(i, v6).Addr())
}

// clientLike returns a random client of the pool that one from src is of.
func (x *torture) clientLike(src netip.Addr) policy.Client {
	a, some := src.As16(), x.r.Uint32()
	if src.Is4() {
		a[14], a[15] = byte(some), byte(some>>8)
	} else {
		a[6], a[7], a[15] = byte(some), byte(some>>8), 1
	}
	return policy.Client{Source: netip.AddrFrom16(a).Unmap(), SPI: x.r.Uint64()}
}
