package demo

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/anycastd/anycastd/ikefront/ike"
)

func TestGateway_answers_probes_and_clients_and_tells_of_them(t *testing.T) {
	const spi = 0x1122334455667788
	from := netip.MustParseAddr(client4)
	init := ike.Init{SPIi: spi, Nonce: make([]byte, 32), Group: 31, KE: make([]byte, 32), Supported: true}
	redirected := init
	redirected.From = netip.MustParseAddr(anycast6)
	for name, c := range map[string]struct {
		in   []byte
		want ike.NotifyType // 0: no answer
		told string
	}{
		"a probe":             {ike.AppendAliveProbe(nil, spi), ike.InvalidMajorVersion, "192.0.2.200 asks whether we live, and is answered INVALID_MAJOR_VERSION as by any gateway\n"},
		"a redirected client": {redirected.Append(nil), ike.NoProposalChosen, "client 192.0.2.200 comes with REDIRECTED_FROM 2001:db8:a::1\n"},
		"another client":      {init.Append(nil), ike.NoProposalChosen, "client 192.0.2.200 comes without REDIRECTED_FROM\n"},
		"half a message":      {init.Append(nil)[:40], 0, "192.0.2.200 sent what is no IKE_SA_INIT: the header's length is not the datagram's\n"},
		"a response":          {ike.AppendNotify(nil, ike.Header{SPIi: spi, Exchange: ike.ExchangeInit}, ike.NoProposalChosen, nil), 0, "192.0.2.200 sent what is no IKE_SA_INIT: a response\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var told bytes.Buffer
			out := NewGateway(&told).answer(c.in, from)
			var got ike.NotifyType
			if r, err := ike.ParseResponse(out, spi); err == nil {
				got = r.Notifies[0].Type
			}
			if got != c.want || (out == nil) != (c.want == 0) {
				t.Errorf("got %v (%d octets), want %v", got, len(out), c.want)
			}
			if told.String() != c.told {
				t.Errorf("told %q, want %q", told.String(), c.told)
			}
		})
	}
}

func TestGateway_tells_of_each_prober_once(t *testing.T) {
	var told bytes.Buffer
	g := NewGateway(&told)
	for range 3 {
		g.answer(ike.AppendAliveProbe(nil, 1), netip.MustParseAddr(front4))
		g.answer(ike.AppendAliveProbe(nil, 1), netip.MustParseAddr(front6))
	}
	if got, want := strings.Count(told.String(), "\n"), 2; got != want {
		t.Errorf("got %d lines, want %d:\n%s", got, want, &told)
	}
}
