package demo

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	miekgdns "github.com/miekg/dns"
)

func TestUpdate_does_each_kind_of_change(t *testing.T) {
	for name, c := range map[string]struct {
		build func(*miekgdns.Msg, ...string)
		rr    string
		done  string
		left  []string
	}{
		"adds a record":          {insert, "a.b.example.test. 60 IN A 198.51.100.2", "a.b.example.test. A 198.51.100.2 added, TTL 60 s", []string{"198.51.100.1", "198.51.100.2"}},
		"adds an equal record":   {insert, "A.b.example.test. 60 IN A 198.51.100.1", "a.b.example.test. A 198.51.100.1 added, TTL 60 s", []string{"198.51.100.1"}},
		"removes a record":       {remove, "a.b.example.test. 0 IN A 198.51.100.1", "a.b.example.test. A 198.51.100.1 removed", nil},
		"removes an absent one":  {remove, "a.b.example.test. 0 IN A 198.51.100.9", "a.b.example.test. A 198.51.100.9 removed", []string{"198.51.100.1"}},
		"removes an RRset":       {removeSet, "a.b.example.test. 0 IN A 198.51.100.9", "all of a.b.example.test. A removed", nil},
		"removes another's type": {removeSet, "a.b.example.test. 0 IN AAAA 2001:db8::", "all of a.b.example.test. AAAA removed", []string{"198.51.100.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			z := testZone(t)
			m := new(miekgdns.Msg).SetUpdate("example.test.")
			c.build(m, c.rr)
			rcode, done := z.update(wire(t, m))
			if rcode != miekgdns.RcodeSuccess || !cmp.Equal(done, []string{c.done}) {
				t.Errorf("got %s %q, want NOERROR %q", miekgdns.RcodeToString[rcode], done, c.done)
			}
			if _, left := lookup(z, "a.b.example.test.", miekgdns.TypeA); !cmp.Equal(left, c.left) {
				t.Errorf("left: got %v, want %v", left, c.left)
			}
			if got, want := z.soa.Serial, uint32(2); got != want {
				t.Errorf("serial: got %d, want %d", got, want)
			}
		})
	}
}

func TestUpdate_refuses_all_of_what_it_refuses_a_part_of(t *testing.T) {
	for name, c := range map[string]struct {
		build func(*miekgdns.Msg)
		want  string
	}{
		"of another zone":     {func(m *miekgdns.Msg) { m.SetUpdate("example.net.") }, "NOTAUTH"},
		"of a subzone":        {func(m *miekgdns.Msg) { m.SetUpdate("b.example.test.") }, "NOTAUTH"},
		"without a zone":      {func(m *miekgdns.Msg) { m.Question = nil }, "FORMERR"},
		"of a name elsewhere": {func(m *miekgdns.Msg) { insert(m, "a.example.net. 5 IN A 198.51.100.1") }, "NOTZONE"},
		"of the zone's NS":    {func(m *miekgdns.Msg) { removeSet(m, "example.test. 0 IN NS ns.example.test.") }, "REFUSED"},
		"of all of a name":    {func(m *miekgdns.Msg) { m.RemoveName(records("a.b.example.test. 0 IN A 198.51.100.1")) }, "REFUSED"},
		"with a prerequisite": {func(m *miekgdns.Msg) { m.NameUsed(records("a.b.example.test. 0 IN A 198.51.100.1")) }, "NOTIMP"},
		"of another class":    {func(m *miekgdns.Msg) { insert(m, "a.b.example.test. 5 CH A 198.51.100.1"); m.Ns[1].Header().Class = 3 }, "FORMERR"},
		"that removes a TTL":  {func(m *miekgdns.Msg) { remove(m, "a.b.example.test. 0 IN A 198.51.100.1"); m.Ns[1].Header().Ttl = 1 }, "FORMERR"},
		"with data in removal": {func(m *miekgdns.Msg) {
			insert(m, "a.b.example.test. 0 IN A 198.51.100.1")
			m.Ns[1].Header().Class = miekgdns.ClassANY
		}, "FORMERR"},
	} {
		t.Run(name, func(t *testing.T) {
			z := testZone(t)
			m := new(miekgdns.Msg).SetUpdate("example.test.")
			insert(m, "new.example.test. 5 IN A 198.51.100.3")
			c.build(m)
			rcode, done := z.update(wire(t, m))
			if got := miekgdns.RcodeToString[rcode]; got != c.want || done != nil {
				t.Errorf("got %s %q, want %s and nothing done", got, done, c.want)
			}
			if rcode, _ := lookup(z, "new.example.test.", miekgdns.TypeA); rcode != "NXDOMAIN" {
				t.Errorf("a part of it was done")
			}
		})
	}
}

// wire returns m as a server gets it: lengths of data are known there only.
func wire(t *testing.T, m *miekgdns.Msg) *miekgdns.Msg {
	raw, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	out := new(miekgdns.Msg)
	if err := out.Unpack(raw); err != nil {
		t.Fatal(err)
	}
	return out
}

func records(texts ...string) []miekgdns.RR {
	var out []miekgdns.RR
	for _, text := range texts {
		rr, _ := miekgdns.NewRR(text)
		out = append(out, rr)
	}
	return out
}

func insert(m *miekgdns.Msg, texts ...string)    { m.Insert(records(texts...)) }
func remove(m *miekgdns.Msg, texts ...string)    { m.Remove(records(texts...)) }
func removeSet(m *miekgdns.Msg, texts ...string) { m.RemoveRRset(records(texts...)) }
