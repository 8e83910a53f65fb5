package demo

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	miekgdns "github.com/miekg/dns"
)

// testZone is example.test. with one record of a name below another.
func testZone(t *testing.T) *zone {
	z := newZone("Example.test", []netip.Addr{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("2001:db8:53::53")})
	z.insert(record(t, "a.b.example.test. 5 IN A 198.51.100.1"))
	return z
}

func record(t *testing.T, text string) miekgdns.RR {
	rr, err := miekgdns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return rr
}

// lookup returns the response code and the data of z's answer.
func lookup(z *zone, name string, kind uint16) (string, []string) {
	reply := new(miekgdns.Msg)
	z.answer(reply, miekgdns.Question{Name: name, Qtype: kind, Qclass: miekgdns.ClassINET})
	var data []string
	for _, rr := range reply.Answer {
		data = append(data, rdata(rr))
	}
	return miekgdns.RcodeToString[reply.Rcode], data
}

func TestZone_answers_what_it_holds_and_says_what_is_not_there(t *testing.T) {
	z := testZone(t)
	for _, c := range []struct {
		name  string
		kind  uint16
		rcode string
		data  []string
	}{
		{"example.test.", miekgdns.TypeNS, "NOERROR", []string{"ns.example.test."}},
		{"EXAMPLE.test.", miekgdns.TypeSOA, "NOERROR", []string{"ns.example.test. hostmaster.example.test. 1 3600 600 86400 5"}},
		{"ns.example.test.", miekgdns.TypeA, "NOERROR", []string{"192.0.2.53"}},
		{"ns.example.test.", miekgdns.TypeAAAA, "NOERROR", []string{"2001:db8:53::53"}},
		{"A.b.example.test.", miekgdns.TypeA, "NOERROR", []string{"198.51.100.1"}},
		{"a.b.example.test.", miekgdns.TypeAAAA, "NOERROR", nil},
		{"b.example.test.", miekgdns.TypeA, "NOERROR", nil},
		{"c.example.test.", miekgdns.TypeA, "NXDOMAIN", nil},
		{"example.net.", miekgdns.TypeA, "REFUSED", nil},
	} {
		rcode, data := lookup(z, c.name, c.kind)
		if rcode != c.rcode || !cmp.Equal(data, c.data) {
			t.Errorf("%s %s: got %s %v, want %s %v", c.name, miekgdns.TypeToString[c.kind], rcode, data, c.rcode, c.data)
		}
	}
}

func TestZone_says_with_its_SOA_that_something_is_not_there(t *testing.T) {
	reply := new(miekgdns.Msg)
	testZone(t).answer(reply, miekgdns.Question{Name: "c.example.test.", Qtype: miekgdns.TypeA, Qclass: miekgdns.ClassINET})
	if len(reply.Ns) != 1 || reply.Ns[0].Header().Rrtype != miekgdns.TypeSOA || !reply.Authoritative {
		t.Errorf("got %v, want an authoritative answer with the SOA", reply)
	}
}

func TestZone_gives_a_whole_RRset_the_TTL_of_the_record_added_last(t *testing.T) {
	z := testZone(t)
	z.insert(record(t, "a.b.example.test. 60 IN A 198.51.100.2"))
	z.insert(record(t, "a.b.example.test. 60 IN A 198.51.100.2"))
	var got []string
	for _, rr := range z.rrs["a.b.example.test."] {
		got = append(got, rr.String())
	}
	want := []string{"a.b.example.test.\t60\tIN\tA\t198.51.100.1", "a.b.example.test.\t60\tIN\tA\t198.51.100.2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
}
