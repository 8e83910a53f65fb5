package test

import (
	"strings"
	"testing"
)

// testKey is what the tests' BIND knows anycastd by.
var testKey = tsigKey{Name: "anycastd.", Secret: "YSBzZWNyZXQgb2YgdGhlIHRlc3RzLCAzMiBieXRlcyE="}

// testZone is a zone in which anycastd may publish vpn and the gateways.
var testZone = bindConfig{
	Zone:      "example.test.",
	Addresses: []string{"192.0.2.53", "2001:db8:53::53"},
	Records:   "static A 198.51.100.1\nstatic AAAA 2001:db8::1",
	Key:       testKey,
	Policy: []string{
		"grant anycastd. name vpn.example.test. A AAAA TXT",
		"grant anycastd. subdomain gw.example.test. ANY",
	},
}

func TestBIND_answers_and_takes_updates_of_the_key_that_may(t *testing.T) {
	l := newLab(t, "named", "dig", "nsupdate")
	server, client := l.Host("dns"), l.Host("client")
	l.Link(server, "192.0.2.53/24 2001:db8:53::53/64", client, "192.0.2.1/24 2001:db8:53::1/64")
	b := startBIND(server, testZone)
	client.Nameserver("192.0.2.53")

	if got, want := client.Run("dig", "+short", "static.example.test", "A"), "198.51.100.1"; got != want {
		t.Errorf("A by resolv.conf: got %q, want %q", got, want)
	}
	if got, want := client.Run("dig", "+short", "@2001:db8:53::53", "static.example.test", "AAAA"), "2001:db8::1"; got != want {
		t.Errorf("AAAA over IPv6: got %q, want %q", got, want)
	}
	if err := b.update(testKey, "add vpn.example.test. 5 A 203.0.113.1", "add a.gw.example.test. 5 AAAA 2001:db8::a"); err != nil {
		t.Fatal(err)
	}
	if got, want := client.Run("dig", "+short", "vpn.example.test", "A"), "203.0.113.1"; got != want {
		t.Errorf("added A: got %q, want %q", got, want)
	}
	if err := b.update(testKey, "delete vpn.example.test. A"); err != nil {
		t.Fatal(err)
	}
	if got := b.lookup("vpn.example.test", "A"); got != "" {
		t.Errorf("deleted A: got %q, want nothing", got)
	}
}

func TestBIND_refuses_updates_that_are_not_granted(t *testing.T) {
	l := newLab(t, "named", "dig", "nsupdate")
	b := startBIND(l.Host("dns"), testZone)
	for name, c := range map[string]struct {
		key        tsigKey
		line, want string
	}{
		"another name":   {testKey, "add static.example.test. 5 A 203.0.113.1", "REFUSED"},
		"another type":   {testKey, "add vpn.example.test. 5 MX 0 static", "REFUSED"},
		"another key":    {tsigKey{"stranger.", testKey.Secret}, "add vpn.example.test. 5 A 203.0.113.1", "BADKEY"},
		"another secret": {tsigKey{testKey.Name, "b3RoZXI="}, "add vpn.example.test. 5 A 203.0.113.1", "BADSIG"},
	} {
		err := b.update(c.key, c.line)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	if got := b.lookup("vpn.example.test", "ANY"); got != "" {
		t.Errorf("vpn: got %q, want nothing", got)
	}
}
