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
// parts fail, hang and answer late, and checks after each what must always hold.
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
		peers: []bgp.Peer{{Address: netip.MustParseAddr("192.0.2.1"), ASN: 64500, State: "Established"}},
	}
	for range 8 {
		x.sample = append(x.sample, x.client())
	}
	defer func() {
		if x.loop != nil {
			x.cancel()
		}
		x.healAll()
	}()
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
	if x.r.IntN(2) == 0 {
		a := netip.AddrFrom4([4]byte{10, byte(x.r.IntN(3)), byte(x.r.Uint32()), byte(x.r.Uint32())})
		return policy.Client{Source: a, SPI: x.r.Uint64()}
	}
	a := poolPrefix(x.r.IntN(3), true).Addr().As16()
	a[6], a[7], a[15] = byte(x.r.Uint32()), byte(x.r.Uint32()), 1
	return policy.Client{Source: netip.AddrFrom16(a), SPI: x.r.Uint64()}
}
