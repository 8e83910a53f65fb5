package dnspub

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	miekgdns "github.com/miekg/dns"
)

func set(t *testing.T, p *Publisher, records ...Record) {
	t.Helper()
	if err := p.Set(t.Context(), records); err != nil {
		t.Fatal(err)
	}
}

func TestSetPublishesBothFamiliesAndASecondTimeNothing(t *testing.T) {
	n := startNamed(t)
	p := publisher(t, n.addr, testKey())
	records := []Record{record("2001:db8:a::1"), record("203.0.113.1"), record("203.0.113.1")}
	records[1].Name = "VPN.Example.TEST" // is the same name
	set(t, p, records...)
	n.want(miekgdns.TypeA, "300 203.0.113.1")
	n.want(miekgdns.TypeAAAA, "300 2001:db8:a::1")

	before := n.serial()
	set(t, p, records...)
	set(t, publisher(t, n.addr, testKey()), records...)
	if after := n.serial(); before != after {
		t.Errorf("want no update, got serial %d after %d", after, before)
	}
	got := p.Status()
	for i := range got {
		if time.Since(got[i].Checked) > time.Minute {
			t.Errorf("want it checked now, got %v", got[i].Checked)
		}
		got[i].Checked = time.Time{}
	}
	held := "held by server " + n.addr
	want := []Status{
		{Name: name, Type: "A", Want: []netip.Addr{netip.MustParseAddr("203.0.113.1")}, Published: true, Reason: held},
		{Name: name, Type: "AAAA", Want: []netip.Addr{netip.MustParseAddr("2001:db8:a::1")}, Published: true, Reason: held},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

func TestSetLeavesTheAddressesOfOtherFrontEndsAlone(t *testing.T) {
	n := startNamed(t)
	n.insert(name + " 300 A 203.0.113.9")
	p := publisher(t, n.addr, testKey())
	set(t, p, record("203.0.113.1"))
	n.want(miekgdns.TypeA, "300 203.0.113.1, 300 203.0.113.9")
	set(t, p, record("203.0.113.2"))
	n.want(miekgdns.TypeA, "300 203.0.113.2, 300 203.0.113.9")
	set(t, p)
	n.want(miekgdns.TypeA, "300 203.0.113.9")
	if got := p.Status(); len(got) != 0 {
		t.Errorf("want nothing more to tell, got %v", got)
	}
}

func TestSetReplacesAnAddressInOneUpdate(t *testing.T) {
	n := startNamed(t)
	p := publisher(t, n.addr, testKey())
	set(t, p, record("203.0.113.1"), record("2001:db8:a::1"))
	before := n.serial()
	set(t, p, record("203.0.113.2"), record("203.0.113.3"), record("2001:db8:a::1"))
	n.want(miekgdns.TypeA, "300 203.0.113.2, 300 203.0.113.3")
	n.want(miekgdns.TypeAAAA, "300 2001:db8:a::1")
	if after := n.serial(); after != before+1 {
		t.Errorf("want one update after serial %d, got serial %d", before, after)
	}
	set(t, p)
	n.want(miekgdns.TypeA, "")
	n.want(miekgdns.TypeAAAA, "")
}

func TestSetChangesTheTTL(t *testing.T) {
	n := startNamed(t)
	n.insert(name + " 300 A 203.0.113.9")
	p := publisher(t, n.addr, testKey())
	a := record("203.0.113.1")
	for _, a.TTL = range []uint32{300, 60, 0} {
		set(t, p, a)
		n.want(miekgdns.TypeA, fmt.Sprintf("%d 203.0.113.1, %d 203.0.113.9", a.TTL, a.TTL))
	}
}

func TestSetRepairsWhatSomebodyRemoved(t *testing.T) {
	n := startNamed(t)
	p := publisher(t, n.addr, testKey())
	set(t, p, record("203.0.113.1"))
	set(t, publisher(t, n.addr, testKey()), record("203.0.113.1")) // takes it for its own
	m := new(miekgdns.Msg)
	m.SetUpdate(zone)
	m.RemoveRRset([]miekgdns.RR{&miekgdns.A{Hdr: miekgdns.RR_Header{Name: name, Rrtype: miekgdns.TypeA}}})
	m.SetTsig("anycastd.", miekgdns.HmacSHA256, fudge, time.Now().Unix())
	if _, err := n.put(m); err != nil {
		t.Fatal(err)
	}
	n.want(miekgdns.TypeA, "")
	set(t, p, record("203.0.113.1"))
	n.want(miekgdns.TypeA, "300 203.0.113.1")
}

func TestSetDoesTheOthersWhereOneIsRefused(t *testing.T) {
	n := startNamed(t)
	p := publisher(t, n.addr, testKey())
	refused, alias, good := record("203.0.113.1"), record("203.0.113.1"), record("203.0.113.1")
	refused.Name = "mail.example.test."
	alias.Name = "alias.gw.example.test."
	good.Name = "a.gw.example.test."
	outside, invalid := record("203.0.113.1"), Record{Name: name}
	outside.Name = "vpn.example.org."
	err := p.Set(t.Context(), []Record{refused, alias, outside, invalid, {Name: "a..b"}, good})
	contains(t, err,
		"zone example.test., mail.example.test. A: server "+n.addr+": the server does not grant key anycastd. this update (REFUSED)",
		"alias.gw.example.test. A: server "+n.addr+": the name is an alias of ns.example.test. (CNAME)",
		"zone example.test.: vpn.example.org. is not in this zone",
		`zone example.test., vpn.example.test.: "invalid IP" is not an address for the DNS`,
		`zone example.test.: "a..b" is not a domain name`,
	)
	if got := n.holds(good.Name, miekgdns.TypeA); got != "300 203.0.113.1" {
		t.Errorf("want the good one published, got %q", got)
	}
	for _, s := range p.Status() {
		if s.Published != (s.Name == good.Name) {
			t.Errorf("want only %s published, got %v", good.Name, s)
		}
	}
}

func TestWhatBINDSaysToAnUpdateReachesTheOperator(t *testing.T) {
	n := startNamed(t)
	for name, tc := range map[string]struct {
		key   TSIG
		clock time.Duration
		want  string
	}{
		"no key":            {TSIG{}, 0, "the server takes no updates of this without a key (REFUSED)"},
		"unknown key":       {TSIG{Name: "nobody", Secret: secret}, 0, "the server does not know key nobody. with algorithm hmac-sha256 (BADKEY)"},
		"another algorithm": {TSIG{Name: "anycastd", Algorithm: "hmac-sha512", Secret: secret}, 0, "the server does not know key anycastd. with algorithm hmac-sha512 (BADKEY)"},
		"wrong secret":      {TSIG{Name: "ANYCASTD.", Secret: otherSecret}, 0, "the secret of key anycastd. is not the one that the server has (BADSIG)"},
		"slow clock":        {testKey(), -1000 * time.Second, "this host's is behind; 300 s are allowed (BADTIME)"},
		"fast clock":        {testKey(), 1000 * time.Second, "this host's is ahead; 300 s are allowed (BADTIME)"},
		"no grant":          {TSIG{Name: "stranger", Algorithm: "HMAC-SHA512", Secret: otherSecret}, 0, "the server does not grant key stranger. this update (REFUSED)"},
	} {
		t.Run(name, func(t *testing.T) {
			p := publisher(t, n.addr, tc.key)
			p.now = func() time.Time { return time.Now().Add(tc.clock) }
			err := p.Set(t.Context(), []Record{record("203.0.113.1")})
			contains(t, err, "zone example.test., vpn.example.test. A: server "+n.addr+": the ", tc.want)
			if s := p.Status(); len(s) != 1 || s[0].Published || !strings.Contains(s[0].Reason, tc.want) {
				t.Errorf("want the status to say the same, got %v", s)
			}
			if tc.clock != 0 {
				contains(t, err, "the clocks differ by 16m")
			}
		})
	}
	n.want(miekgdns.TypeA, "")
}

func TestAKeyInCapitalsWithoutDotWorks(t *testing.T) {
	n := startNamed(t)
	p := publisher(t, n.addr, TSIG{Name: "AnycastD", Secret: secret})
	set(t, p, record("203.0.113.1"))
	n.want(miekgdns.TypeA, "300 203.0.113.1")
}

func TestAZoneThatTheServerDoesNotHave(t *testing.T) {
	n := startNamed(t)
	p := publisher(t, n.addr, testKey())
	p.cfg.Zone = "vpn." + zone // within one that it has
	contains(t, p.Set(t.Context(), []Record{record("203.0.113.1")}), "the server is not the primary of this zone (NOTAUTH)")
}

func TestAFullRRsetIsTold(t *testing.T) {
	n := startNamed(t)
	p := publisher(t, n.addr, testKey())
	var records []Record
	for i := range 101 {
		records = append(records, record(fmt.Sprintf("203.0.113.%d", i+1)))
	}
	err := p.Set(t.Context(), records)
	if err == nil {
		t.Skip("this BIND has no limit of 100 records of one name and type")
	}
	contains(t, err, "too many records of one name and type")
	n.want(miekgdns.TypeA, "") // all or nothing
}
