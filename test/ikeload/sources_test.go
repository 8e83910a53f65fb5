package main

import (
	"net/netip"
	"testing"
)

func TestSources(t *testing.T) {
	for _, c := range []struct {
		prefix string
		n      uint64
		at     map[uint64]string
	}{
		{"10.0.0.0/8", 1 << 24, map[uint64]string{0: "10.0.0.0", 1: "10.0.0.1", 256: "10.0.1.0", 1 << 24: "10.0.0.0"}},
		{"192.0.2.7/32", 1, map[uint64]string{0: "192.0.2.7", 5: "192.0.2.7"}},
		{"2001:db8::/40", 1 << 16, map[uint64]string{0: "2001:db8::", 1: "2001:db8:0:100::", 256: "2001:db8:1::"}},
		{"2001:db8:0:1::/64", 1 << 32, map[uint64]string{1: "2001:db8:0:1::1"}},
		{"2001:db8::7/128", 1, map[uint64]string{3: "2001:db8::7"}},
		{"2001:db8::/112", 1 << 16, map[uint64]string{3: "2001:db8::3"}},
	} {
		s := newSources(netip.MustParsePrefix(c.prefix))
		if s.n != c.n {
			t.Errorf("%s: want %d, got %d", c.prefix, c.n, s.n)
		}
		for i, want := range c.at {
			if got := s.at(i); got != netip.MustParseAddr(want) {
				t.Errorf("%s: at %d want %s, got %s", c.prefix, i, want, got)
			}
		}
	}
}

func TestTenMillionSourcesAreDistinct(t *testing.T) {
	s := newSources(netip.MustParsePrefix("10.0.0.0/8"))
	if s.n < 10e6 {
		t.Fatalf("got %d", s.n)
	}
	for i := uint64(1); i < 10e6; i += 99_991 {
		if s.at(i).Compare(s.at(i-1)) <= 0 {
			t.Fatalf("%s follows %s", s.at(i), s.at(i-1))
		}
	}
}
