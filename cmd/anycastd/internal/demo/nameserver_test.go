package demo

import (
	"bytes"
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	miekgdns "github.com/miekg/dns"
	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/dnspub"
)

// serve runs a name server on a free port of loopback, and returns that and
// what the server tells.
func serve(t *testing.T) (at string, told *bytes.Buffer) {
	told = new(bytes.Buffer)
	s := NewNameServer(NameServerConfig{Zone: zoneName, Key: keyName, Secret: keyText}, told)
	servers, err := s.listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range servers {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		go server.ActivateAndServe()
		<-started
		t.Cleanup(func() { server.Shutdown() }) // waits for handlers
	}
	return servers[0].PacketConn.LocalAddr().String(), told
}

// publisher is the daemon's own.
func publisher(at, key, secret string) *dnspub.Publisher {
	return dnspub.New(dnspub.Config{
		Zone: zoneName, Server: at, TSIG: dnspub.TSIG{Name: key, Algorithm: "hmac-sha256", Secret: secret},
	}, zerolog.Nop())
}

func TestNameServer_takes_what_anycastd_publishes(t *testing.T) {
	at, told := serve(t)
	p := publisher(at, keyName, keyText)
	for _, c := range []struct {
		addrs []string
		ttl   uint32
	}{
		{[]string{"203.0.113.1", "2001:db8:a::1"}, 5},
		{[]string{"203.0.113.1", "2001:db8:a::1"}, 60},
		{[]string{"203.0.113.2"}, 60},
		{nil, 0},
	} {
		var records []dnspub.Record
		for _, a := range c.addrs {
			records = append(records, dnspub.Record{Name: service, Address: netip.MustParseAddr(a), TTL: c.ttl})
		}
		if err := p.Set(context.Background(), records); err != nil {
			t.Fatalf("%v: %v", c, err)
		}
		if got := append(ask(t, "udp", at, miekgdns.TypeA), ask(t, "tcp", at, miekgdns.TypeAAAA)...); !cmp.Equal(got, c.addrs) {
			t.Errorf("got %v, want %v", got, c.addrs)
		}
	}
	if want := "update from 127.0.0.1, signed with anycastd.: vpn.example.test. A 203.0.113.1 added, TTL 5 s\n"; !strings.Contains(told.String(), want) {
		t.Errorf("told %q, want %q in it", told, want)
	}
}

// ask returns the data that the server at an address has of service.
func ask(t *testing.T, network, at string, kind uint16) (data []string) {
	c := miekgdns.Client{Net: network}
	r, _, err := c.Exchange(new(miekgdns.Msg).SetQuestion(service, kind), at)
	if err != nil {
		t.Fatal(err)
	}
	for _, rr := range r.Answer {
		data = append(data, rdata(rr))
	}
	return data
}

func TestNameServer_refuses_updates_without_its_key(t *testing.T) {
	at, _ := serve(t)
	records := []dnspub.Record{{Name: service, Address: netip.MustParseAddr(anycast4), TTL: 5}}
	for name, p := range map[string]*dnspub.Publisher{
		"unsigned":       publisher(at, "", ""),
		"another key":    publisher(at, "stranger.", keyText),
		"another secret": publisher(at, keyName, "b3RoZXI="),
	} {
		if err := p.Set(context.Background(), records); err == nil {
			t.Errorf("%s: got no error", name)
		}
		if got := ask(t, "tcp", at, miekgdns.TypeA); got != nil {
			t.Errorf("%s: the server has %v", name, got)
		}
	}
}
