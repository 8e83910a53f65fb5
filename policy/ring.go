package policy

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/dchest/siphash"
)

// slotCount is the number of slots that clients are hashed to. All nodes of a
// service must use the same number, so it is no setting. With n gateways of
// equal weight a gateway's share deviates by about sqrt(n/slotCount).
const slotCount = 1 << 16

// slots maps a client's slot to the index of its gateway.
type slots []uint16

// candidate is a gateway with the weight that it takes part with.
type candidate struct {
	name   string
	weight int
}

// arrivals is a gateway's own endless sequence of slots, in the order in which
// it bids for them; each bid has a time.
type arrivals struct {
	state uint64
	rate  float64 // bids per unit of time, all slots together
	time  float64 // of the last bid
}

// next returns the next slot and advances time by an exponentially distributed gap.
func (a *arrivals) next() (slot int) {
	x := splitmix(&a.state)
	u := (float64(splitmix(&a.state)>>11) + 0.5) / (1 << 53) // in (0, 1)
	a.time -= math.Log(u) / a.rate
	return int(x % slotCount)
}

// splitmix advances a 64-bit generator and returns its next output.
func splitmix(state *uint64) uint64 {
	*state += 0x9E3779B97F4A7C15
	z := *state
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// rendezvous gives each slot to the candidate with the best score for it, by
// weighted rendezvous hashing: the score of candidate and slot is exponentially
// distributed with the candidate's weight as rate, and the smallest wins. So a
// slot changes hands only if its winner leaves or loses weight, or another one
// joins or gains.
//
// The scores are not drawn for every pair, which would cost slots × candidates.
// A candidate's scores for all slots are the times of a Poisson process that
// hits random slots; bids are generated only until every slot has one. That is
// about slotCount × ln(slotCount) bids however many candidates there are.
func rendezvous(k0, k1 uint64, from []candidate) slots {
	won := make(slots, slotCount)
	best := make([]float64, slotCount)
	for i := range best {
		best[i] = math.Inf(1)
	}
	bidders, step := bidders(k0, k1, from)
	for open, horizon := slotCount, step; open > 0; horizon += step {
		for i := range bidders {
			b := &bidders[i]
			for b.time < horizon {
				slot := b.next()
				if math.IsInf(best[slot], 1) {
					open--
				}
				if b.time < best[slot] {
					best[slot], won[slot] = b.time, uint16(i)
				}
			}
		}
	}
	return won
}

// bidders returns the arrivals of each candidate, and a time within which
// almost every slot gets a bid: 1 slot in 20 tables stays open.
func bidders(k0, k1 uint64, from []candidate) (all []arrivals, step float64) {
	all, total := make([]arrivals, len(from)), 0.0
	for i, c := range from {
		all[i] = arrivals{state: siphash.Hash(k0, k1, []byte(c.name)), rate: float64(c.weight) * slotCount}
		total += float64(c.weight)
	}
	return all, (math.Log(slotCount) + 3) / total
}

// fewCandidates is up to how many of them order ranks all.
const fewCandidates = 16

// order returns the candidates that bid for slot, the winner first, then who
// would win if those before it were not there. Of many candidates only the first
// are there: those that bid while slots are usually open.
func order(k0, k1 uint64, from []candidate, slot int) []int {
	type bid struct {
		time float64
		by   int
	}
	var bids []bid
	bidders, last := bidders(k0, k1, from)
	if len(from) <= fewCandidates {
		last = math.Inf(1)
	}
	for i := range bidders {
		b := &bidders[i]
		for s := b.next(); b.time < last; s = b.next() {
			if s == slot {
				bids = append(bids, bid{b.time, i})
				break
			}
		}
	}
	slices.SortFunc(bids, func(a, b bid) int { return cmp.Compare(a.time, b.time) })
	var out []int
	for _, b := range bids {
		out = append(out, b.by)
	}
	return out
}

// fingerprint identifies a list of candidates, in the order given.
func fingerprint(from []candidate) string {
	var b strings.Builder
	for _, c := range from {
		b.WriteString(c.name)
		b.WriteByte(0)
		b.Write(binary.BigEndian.AppendUint32(nil, uint32(c.weight)))
	}
	return b.String()
}
