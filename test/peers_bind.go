package test

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/anycastd/anycastd/test/lab"
)

// bindConfig describes an authoritative name server for one zone.
type bindConfig struct {
	Zone      string   // absolute: "example.test."
	Addresses []string // where ns.ZONE, the SOA's MNAME and only NS, is to be found
	Records   string   // more of the zone in master file format
	Key       tsigKey  // may update the zone as far as Policy lets it
	Policy    []string // update-policy statements: "grant anycastd. name vpn.example.test. A AAAA"
}

// tsigKey is a key of RFC 8945 for hmac-sha256.
type tsigKey struct {
	Name   string // absolute: "anycastd."
	Secret string // base64
}

// bind is a running BIND.
type bind struct {
	*lab.Process
	host   *lab.Host
	config bindConfig
}

// startBIND runs BIND on port 53 of all the host's addresses, and returns when it
// answers. It never asks other servers.
func startBIND(h *lab.Host, c bindConfig) *bind {
	h.File("bind/zone", c.zone())
	conf := h.File("bind/named.conf", c.text())
	// Where a confined named is used to read and write.
	h.Mount(filepath.Dir(conf), "/var/cache/bind")
	b := &bind{host: h, config: c, Process: h.Start("named", "named", "-g", "-n", "1", "-c", "/var/cache/bind/named.conf")}
	b.Await("all zones loaded")
	b.Await("running")
	return b
}

func (c bindConfig) text() string {
	var policy strings.Builder
	for _, statement := range c.Policy {
		fmt.Fprintf(&policy, " %s;", statement)
	}
	return fmt.Sprintf(`options {
	directory "/var/cache/bind";
	pid-file none;
	session-keyfile none;
	listen-on { any; };
	listen-on-v6 { any; };
	allow-query { any; };
	recursion no;
	dnssec-validation no;
	notify no;
};
controls { };
%s
zone %q {
	type primary;
	file "zone";
	update-policy {%s };
};
`, c.Key.text(), c.Zone, policy.String())
}

// text returns the key as BIND and nsupdate read it.
func (k tsigKey) text() string {
	return fmt.Sprintf("key %q { algorithm hmac-sha256; secret %q; };\n", k.Name, k.Secret)
}

// zone is in master file format: RFC 1035 section 5.
func (c bindConfig) zone() string {
	var s strings.Builder
	fmt.Fprintf(&s, "$ORIGIN %s\n$TTL 5\n@ SOA ns hostmaster 1 3600 600 86400 1\n@ NS ns\n", c.Zone)
	for _, address := range c.Addresses {
		rrtype := map[string]string{"ipv4": "A", "ipv6": "AAAA"}[family(address)]
		fmt.Fprintf(&s, "ns %s %s\n", rrtype, address)
	}
	return s.String() + c.Records + "\n"
}

// lookup returns the server's own answer from one of its addresses, as dig(1)
// prints it: one record's data per line, "" if there is none.
func (b *bind) lookup(name, rrtype string) string {
	return b.host.Run("dig", "+short", "+norecurse", "@127.0.0.1", name, rrtype)
}

// update sends one signed update (RFC 2136) in the words of nsupdate(1). The
// error tells the response code.
func (b *bind) update(key tsigKey, lines ...string) error {
	script := append([]string{"server 127.0.0.1", "zone " + b.config.Zone}, lines...)
	script = append(script, "send", "")
	out, err := b.host.Try("nsupdate", "-k", b.host.File("bind/update.key", key.text()),
		b.host.File("bind/update", strings.Join(script, "\n")))
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}
