package ikefront

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/ikefront/ike"
	"github.com/anycastd/anycastd/policy"
)

var (
	gateway4 = netip.MustParseAddr("198.51.100.11")
	gateway6 = netip.MustParseAddr("2001:db8:1::11")
	client   = netip.MustParseAddrPort("192.0.2.7:500")
)

// table returns a table in which one gateway, alive, serves everybody.
func table(g policy.Gateway) *policy.Table {
	g.Name, g.Weight = "gw", 1
	health := map[netip.Addr]policy.Health{}
	for _, a := range g.Addresses {
		health[a] = policy.Health{State: policy.Up}
	}
	cfg := &policy.Config{Gateways: []policy.Gateway{g}}
	return policy.Decide(cfg, &policy.View{Health: health}, time.Unix(0, 0)).Table
}

func byAddress() *policy.Table {
	return table(policy.Gateway{Addresses: []netip.Addr{gateway4, gateway6}, RedirectBy: policy.ByAddress})
}

// by returns the rules of a front that has table t and asks for no cookies.
func by(t *policy.Table) *rules {
	f := New(Config{Cookie: CookieNever}, zerolog.Nop())
	f.Set(t)
	r := f.shared.rules(netip.MustParseAddr("203.0.113.1"))
	return &r
}

// request returns an IKE_SA_INIT request that supports redirect.
func request() []byte {
	return ike.Init{
		SPIi: 0x1122334455667788, Nonce: bytes.Repeat([]byte{9}, 32), Group: 31, KE: bytes.Repeat([]byte{1}, 32), Supported: true,
	}.Append(nil)
}

// change returns the request with octet i set to v.
func change(i int, v byte) []byte { b := request(); b[i] = v; return b }

// datagram is one that comes, and what becomes of it.
type datagram struct {
	in    []byte
	src   netip.AddrPort // default: client
	natt  bool
	table *policy.Table // default: byAddress
	cut   bool          // so short that the socket filter drops it
	want  Disposition
}

func (d *datagram) from() netip.AddrPort {
	if d.src.IsValid() {
		return d.src
	}
	return client
}

func (d *datagram) by() *policy.Table {
	if d.table != nil {
		return d.table
	}
	return byAddress()
}

// datagrams returns one for each thing that can become of one.
func datagrams() map[string]datagram {
	marker := make([]byte, 4)
	plain := ike.Init{SPIi: 1, Nonce: bytes.Repeat([]byte{9}, 32), Group: 31, KE: bytes.Repeat([]byte{1}, 32)}
	critical := request()
	critical[ike.HeaderLen+1] = 0x80
	critical[16] = 200
	small := ike.Init{SPIi: 1, Nonce: bytes.Repeat([]byte{9}, 16), Group: 31, KE: []byte{1}, Supported: true}.Append(nil)
	long := table(policy.Gateway{FQDN: string(bytes.Repeat([]byte("a"), 255)), RedirectBy: policy.ByFQDN})
	other := netip.MustParseAddrPort("192.0.2.7:40000")
	return map[string]datagram{
		"a client that supports redirect":               {in: request(), want: Redirected},
		"behind the marker on 4500":                     {in: append(marker, request()...), natt: true, want: Redirected},
		"without the marker on 4500, from port 500":     {in: request(), natt: true, want: Redirected},
		"without the marker on 4500, from another port": {in: request(), src: other, natt: true, want: ESP},
		"shorter than it says, on 4500 from port 500":   {in: request()[:100], natt: true, want: ESP},
		"the marker on port 500":                        {in: append(marker, request()...), want: OldVersion},
		"keep-alive":                                    {in: []byte{0xFF}, natt: true, want: Keepalive},
		"ESP":                                           {in: bytes.Repeat([]byte{1}, 80), natt: true, src: other, want: ESP},
		"nothing, on 4500":                              {in: nil, natt: true, want: ESP},
		"the marker alone":                              {in: marker, natt: true, want: TooShort},
		"nothing":                                       {in: nil, want: TooShort},
		"IKEv1":                                         {in: change(17, 0x10), want: OldVersion},
		"version 3":                                     {in: ike.AppendAliveProbe(nil, 1), want: VersionAnswered},
		"version 3, a header alone: answer longer":      {in: ike.Header{SPIi: 1, Version: 0x30, Flags: 8, Length: 28}.Append(nil), want: NewVersion},
		"version 3, wrong length":                       {in: change(17, 0x30)[:100], cut: true, want: NewVersion},
		"response":                                      {in: change(19, 0x20), want: Response},
		"a response in version 3":                       {in: ike.Header{SPIi: 1, Version: 0x30, Flags: 0x28, Length: 28}.Append(nil), want: Response},
		"IKE_AUTH":                                      {in: change(18, 35), want: OtherExchange},
		"truncated":                                     {in: request()[:60], want: BadHeader},
		"message id 1":                                  {in: change(23, 1), want: BadHeader},
		"a payload that would loop":                     {in: change(31, 0), want: SyntaxAnswered},
		"a header alone: answer longer":                 {in: ike.Header{SPIi: 1, Version: 0x20, Exchange: 34, Flags: 8, Length: 28}.Append(nil), cut: true, want: Malformed},
		"unknown critical payload":                      {in: critical, want: CriticalAnswered},
		"no support of redirect":                        {in: plain.Append(nil), want: NoSupport},
		"no gateway":                                    {in: request(), table: &policy.Table{}, want: NoGateway},
		"a gateway's name longer than the request allows": {in: small, table: long, want: ReplyTooLong},
	}
}

func TestEachDatagramHasOneDisposition(t *testing.T) {
	for name, tc := range datagrams() {
		t.Run(name, func(t *testing.T) {
			reply, got := answer(nil, tc.in, tc.from(), tc.natt, by(tc.by()))
			if got != tc.want {
				t.Errorf("want %s, got %s", tc.want, got)
			}
			if got.answered() && (len(reply) == 0 || len(reply) > len(tc.in)) {
				t.Errorf("%s with %d octets for %d", got, len(reply), len(tc.in))
			}
		})
	}
}

func TestTheAnswerNamesTheGatewayInTheClientsFamily(t *testing.T) {
	byName := table(policy.Gateway{Addresses: []netip.Addr{gateway4, gateway6}, FQDN: "gw1.example", RedirectBy: policy.ByFQDN})
	for name, tc := range map[string]struct {
		table *policy.Table
		src   string
		want  string
	}{
		"IPv4":         {byAddress(), "192.0.2.7:500", "198.51.100.11"},
		"IPv6":         {byAddress(), "[2001:db8::7]:500", "2001:db8:1::11"},
		"IPv4 by name": {byName, "192.0.2.7:500", "gw1.example"},
		"IPv6 by name": {byName, "[2001:db8::7]:500", "gw1.example"},
	} {
		t.Run(name, func(t *testing.T) {
			in := request()
			reply, _ := answer(nil, in, netip.MustParseAddrPort(tc.src), false, by(tc.table))
			r, err := ike.ParseResponse(reply, 0x1122334455667788)
			if err != nil {
				t.Fatal(err)
			}
			to, nonce, _ := r.Redirect()
			if to.String() != tc.want || !bytes.Equal(nonce, bytes.Repeat([]byte{9}, 32)) {
				t.Errorf("want %s with the nonce, got %s with %x", tc.want, to, nonce)
			}
		})
	}
}

func TestOn4500TheAnswerHasAMarkerIfTheRequestHad(t *testing.T) {
	in := append(make([]byte, 4), request()...)
	reply, _ := answer(nil, in, client, true, by(byAddress()))
	if binary.BigEndian.Uint32(reply) != 0 || binary.BigEndian.Uint64(reply[4:]) != 0x1122334455667788 {
		t.Errorf("with marker: got %x", reply)
	}
	reply, _ = answer(nil, in[4:], client, true, by(byAddress()))
	if binary.BigEndian.Uint64(reply) != 0x1122334455667788 {
		t.Errorf("without marker: got %x", reply)
	}
}

func TestParsePickAppendAllocatesNothing(t *testing.T) {
	in, out, rules := request(), make([]byte, 0, replyLen), by(byAddress())
	garbage := in[:40]
	v6 := netip.MustParseAddrPort("[2001:db8::7]:40000")
	if got := testing.AllocsPerRun(1000, func() {
		for _, src := range []netip.AddrPort{client, v6} {
			if _, d := answer(out, in, src, false, rules); d != Redirected {
				panic(d)
			}
		}
		answer(out, garbage, client, false, rules)
	}); got != 0 {
		t.Errorf("want 0 allocations, got %v", got)
	}
}

// FuzzAnswer: whatever comes, there is one disposition and never a longer answer.
func FuzzAnswer(f *testing.F) {
	f.Add(request(), true)
	f.Add(append(make([]byte, 4), request()...), true)
	f.Add(ike.AppendAliveProbe(nil, 1), false)
	rules := by(byAddress())
	f.Fuzz(func(t *testing.T, in []byte, natt bool) {
		rules.now += time.Second // so that no limit ends the test
		reply, d := answer(nil, in, client, natt, rules)
		if len(reply) > max(len(in), ike.MarkerLen) {
			t.Fatalf("%d octets for %d", len(reply), len(in))
		}
		if d >= Dispositions || d.String() == "" {
			t.Fatalf("disposition %d has no name", d)
		}
	})
}

// BenchmarkAnswer is the cost of an answer, sockets apart, by the number of
// gateways: it should be flat.
func BenchmarkAnswer(b *testing.B) {
	for _, n := range []int{2, 100, 10_000} {
		b.Run(fmt.Sprintf("%d gateways", n), func(b *testing.B) {
			in, out, rules := request(), make([]byte, 0, replyLen), limited(Config{SourceLimit: 1000, ReplyLimit: 1000000, ErrorLimit: 100})
			rules.table = manyGateways(n)
			b.ReportAllocs()
			for i := uint32(0); b.Loop(); i++ {
				src := netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
				if _, d := answer(out, in, netip.AddrPortFrom(src, 500), false, rules); d != Redirected {
					b.Fatal(d)
				}
				rules.now += time.Microsecond
			}
		})
	}
}

// manyGateways returns a table of n gateways of equal weight.
func manyGateways(n int) *policy.Table {
	cfg, health := policy.Config{}, map[netip.Addr]policy.Health{}
	for i := range n {
		a := netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
		cfg.Gateways = append(cfg.Gateways, policy.Gateway{Name: fmt.Sprintf("gw%d", i), Weight: 100, Addresses: []netip.Addr{a}, RedirectBy: policy.ByAddress})
		health[a] = policy.Health{State: policy.Up}
	}
	return policy.Decide(&cfg, &policy.View{Health: health}, time.Unix(0, 0)).Table
}

func TestAClientThatNothingServesIsTurnedOffOnlyOnRequest(t *testing.T) {
	anycast := netip.MustParseAddr("203.0.113.1")
	ok := policy.Fact{OK: true}
	cfg := &policy.Config{
		TurnOff: true, Addresses: []netip.Addr{anycast}, Prefixes: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")},
		Gateways: []policy.Gateway{{Name: "gw", Weight: 1, Addresses: []netip.Addr{gateway4}}},
		Pools:    []policy.Pool{{Name: "gold", Gateways: []string{"gw"}, Sources: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}},
	}
	view := &policy.View{
		Health: map[netip.Addr]policy.Health{gateway4: {State: policy.Up}},
		Own:    map[netip.Addr]policy.Own{anycast: {Installed: ok, Listening: ok, Answers: ok, Proven: true}},
	}
	rules := by(policy.Decide(cfg, view, time.Unix(0, 0)).Table)
	reply, got := answer(nil, request(), client, false, rules)
	r, err := ike.ParseResponse(reply, 0x1122334455667788)
	if _, silent := answer(nil, request(), client, false, by(&policy.Table{})); silent != NoGateway {
		t.Errorf("a node that is not in charge: want %s, got %s", NoGateway, silent)
	}
	if got != Refused || err != nil || len(r.Notifies) != 1 || r.Notifies[0].Type != ike.NoProposalChosen {
		t.Errorf("want NO_PROPOSAL_CHOSEN alone, got %s, %+v, %v", got, r, err)
	}
}

func TestAClientBeyondItsShareIsNotCountedAsSent(t *testing.T) {
	cfg := &policy.Config{Choose: policy.LeastLoaded, Gateways: []policy.Gateway{{Name: "gw", Weight: 1, Addresses: []netip.Addr{gateway4}}}}
	view := &policy.View{Health: map[netip.Addr]policy.Health{gateway4: {State: policy.Up}}}
	rules := by(policy.Decide(cfg, view, time.Unix(0, 0)).Table)
	rules.limits = newLimits(&Config{SourceLimit: 1})
	for spi := range byte(100) {
		answer(nil, change(0, spi), client, false, rules)
	}
	if sent := rules.table.Sent("gw"); sent == 0 || sent > 2 {
		t.Errorf("want one or two counted, got %d", sent)
	}
}
