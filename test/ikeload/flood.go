package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/anycastd/anycastd/ikefront/ike"
)

// variety is how many different messages a flood of random ones has.
const variety = 256

// kinds returns the kinds of floods and what each is made of.
func kinds() map[string]func(*rand.Rand) message {
	return map[string]func(*rand.Rand) message{
		"valid":      func(*rand.Rand) message { return initRequest(nil, true) },
		"no-support": func(*rand.Rand) message { return initRequest(nil, false) },
		"garbage":    func(rnd *rand.Rand) message { return message{octets: random(rnd, 1+rnd.IntN(500))} },
		"truncated":  truncated,
		"responses":  response,
		"exchanges":  otherExchange,
	}
}

// kindNames lists the kinds of floods.
func kindNames() string { return strings.Join(slices.Sorted(maps.Keys(kinds())), ", ") }

// truncated returns a request that ends too early, its header whole or not.
func truncated(rnd *rand.Rand) message {
	m := initRequest(nil, true)
	n := 8 + rnd.IntN(len(m.octets)-8)
	return message{octets: m.octets[:n], spi: true}
}

// response returns a response in IKE_SA_INIT such as we send.
func response(rnd *rand.Rand) message {
	r := ike.Request{SPIi: 1, Nonce: random(rnd, nonceLen)}
	to := ike.GatewayID{Addr: netip.AddrFrom4([4]byte(random(rnd, 4)))}
	return message{octets: ike.AppendRedirect(nil, &r, to), spi: true}
}

// otherExchange returns a request of an SA that does not exist: IKE_AUTH,
// CREATE_CHILD_SA or INFORMATIONAL (RFC 7296 section 3.1).
func otherExchange(rnd *rand.Rand) message {
	n := 64 + rnd.IntN(400)
	h := ike.Header{
		SPIi: 1, SPIr: rnd.Uint64(), Next: ike.PayloadSK, Version: ike.Version, Exchange: ike.ExchangeInit + 1 + uint8(rnd.IntN(3)),
		Flags: ike.FlagInitiator, MessageID: 1, Length: uint32(ike.HeaderLen + 4 + n),
	}
	b := append(h.Append(nil), ike.PayloadNone, 0, byte((n+4)>>8), byte(n+4))
	return message{octets: append(b, random(rnd, n)...), spi: true}
}

// flood sends datagrams and looks at no answer.
type flood struct {
	targets    []netip.AddrPort
	sources    sources
	sourcePort uint16
	rate       float64       // datagrams/s; 0: as fast as it goes
	count      uint64        // 0: no limit
	duration   time.Duration // 0: no limit
	messages   []message
}

// floodOf returns the messages of a kind of flood.
func floodOf(kind string) ([]message, error) {
	make, ok := kinds()[kind]
	if !ok {
		return nil, fmt.Errorf("no kind of flood %q; there are %s", kind, kindNames())
	}
	rnd := rand.New(rand.NewPCG(rand.Uint64(), 0))
	var all []message
	for range variety {
		all = append(all, make(rnd))
	}
	return all, nil
}

// run floods until it has done what it is to do, or stop is closed, and
// returns how many datagrams it sent.
func (f *flood) run(out link, stop <-chan struct{}) (sent uint64) {
	start := time.Now()
	for !closed(stop) {
		elapsed := time.Since(start)
		if f.duration > 0 && elapsed >= f.duration {
			break
		}
		n := uint64(batchLen)
		if f.rate > 0 {
			n = min(n, uint64(elapsed.Seconds()*f.rate)-sent)
		}
		if f.count > 0 {
			n = min(n, f.count-sent)
		}
		for range n {
			f.send(out, sent)
			sent++
		}
		out.flush()
		if f.count > 0 && sent == f.count {
			break
		}
		if n < batchLen/2 && f.rate > 0 {
			t := unix.NsecToTimespec(int64(pause))
			_ = unix.Nanosleep(&t, nil)
		}
	}
	return sent
}

// send sends the i-th datagram.
func (f *flood) send(out link, i uint64) {
	b := out.buffer()
	to := f.targets[i%uint64(len(f.targets))]
	if to.Port() == ike.NATTPort {
		b = append(b, 0, 0, 0, 0)
	}
	b = f.messages[i%variety].append(b, scramble(i+1))
	out.send(b, netip.AddrPortFrom(f.sources.at(i), f.sourcePort), to)
}
