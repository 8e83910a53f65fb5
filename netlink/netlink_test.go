package netlink

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	vnl "github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	v4 = "203.0.113.1/32"
	v6 = "2001:db8:a::1/128"

	wide4 = "198.51.100.0/24"
	wide6 = "2001:db8:b::/48"
)

func TestSetAddsBothFamiliesWithOurMark(t *testing.T) {
	namespace(t)
	h := newHost(t, Config{Interface: "lo"})
	set(t, h, v6, v4, v4)

	if diff := cmp.Diff([]string{v6 + " lo", v4 + " lo"}, marked(t)); diff != "" {
		t.Errorf("want the addresses with our mark: %s", diff)
	}
	want := []Address{
		{netip.MustParsePrefix(v4), true, "installed by anycastd on lo"},
		{netip.MustParsePrefix(v6), true, "installed by anycastd on lo"},
	}
	if diff := cmp.Diff(want, h.Addresses(), cmp.Comparer(samePrefix)); diff != "" {
		t.Error(diff)
	}
	for _, a := range want {
		c, err := net.ListenUDP("udp", &net.UDPAddr{IP: a.Prefix.Addr().AsSlice()})
		if err != nil {
			t.Fatalf("want a socket on %v, got %v", a.Prefix, err)
		}
		c.Close()
	}
}

func samePrefix(a, b netip.Prefix) bool { return a == b }

func TestSetTwiceChangesNothing(t *testing.T) {
	namespace(t)
	h := newHost(t, Config{Interface: "lo", ReplyTable: 100, ReplyPriority: 1000})
	set(t, h, everything...)

	s, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	set(t, h, everything...)
	set(t, h, v6, v4, wide6, wide4)
	ip(t, "address", "add", "192.0.2.77/32", "dev", "lo") // ends what is to be heard
	t.Cleanup(func() { ip(t, "address", "del", "192.0.2.77/32", "dev", "lo") })

	for {
		msgs, _, err := s.Receive()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range msgs {
			a, err := parse(m.Header.Type, m.Data)
			if err == nil && a.kind == address && a.prefix.String() == "192.0.2.77/32" {
				return
			}
			late := a.prefix.String() == v6 && m.Header.Type == unix.RTM_NEWADDR // the kernel tells of it twice
			if routed := a.prefix.String() == "192.0.2.77/32" && a.kind == route; !late && !routed {
				t.Errorf("want no change heard, got type %d of %v", m.Header.Type, a)
			}
		}
	}
}

func TestSetLeavesForeignAddressesAlone(t *testing.T) {
	namespace(t)
	for _, foreign := range []string{v4, "2001:db8:a::1/64", "192.0.2.7/32"} {
		ip(t, "address", "add", foreign, "dev", "lo", "nodad")
		t.Cleanup(func() { ip(t, "address", "del", foreign, "dev", "lo") })
	}
	before := ip(t, "address", "show", "dev", "lo")
	h := newHost(t, Config{Interface: "lo"})
	set(t, h, v4, v6)

	want := []Address{
		{netip.MustParsePrefix(v4), true, "was there before, on lo as 203.0.113.1/32; left to its owner"},
		{netip.MustParsePrefix(v6), true, "was there before, on lo as 2001:db8:a::1/64; left to its owner"},
	}
	if diff := cmp.Diff(want, h.Addresses(), cmp.Comparer(samePrefix)); diff != "" {
		t.Error(diff)
	}
	set(t, h)
	if after := ip(t, "address", "show", "dev", "lo"); before != after {
		t.Errorf("want\n%s\ngot\n%s", before, after)
	}
}

func TestSetTakesOverWhatAKilledDaemonLeft(t *testing.T) {
	namespace(t)
	set(t, newHost(t, Config{Interface: "lo"}), v4, v6, "203.0.113.2/32", "2001:db8:a::2/128")
	h := newHost(t, Config{Interface: "lo"})
	set(t, h, v4, v6, "203.0.113.3/32")

	if diff := cmp.Diff([]string{v6 + " lo", v4 + " lo", "203.0.113.3/32 lo"}, marked(t)); diff != "" {
		t.Errorf("want the wanted kept and the rest removed: %s", diff)
	}
	if got := h.Addresses()[0].Reason; got != "installed by anycastd on lo" {
		t.Errorf("want the leftover to be ours, got %q", got)
	}
	set(t, newHost(t, Config{Interface: "nowhere"}))
	if got := marked(t); got != nil {
		t.Errorf("want all removed, also from another link, got %v", got)
	}
}

func TestSetMovesAddressesToAnotherLink(t *testing.T) {
	namespace(t)
	link(t, "va")
	set(t, newHost(t, Config{Interface: "lo"}), v4, v6)
	set(t, newHost(t, Config{Interface: "va"}), v4, v6)
	if diff := cmp.Diff([]string{v6 + " va", v4 + " va"}, marked(t)); diff != "" {
		t.Error(diff)
	}
	if got := ip(t, "route", "get", "203.0.113.1"); !strings.Contains(got, "local 203.0.113.1") {
		t.Errorf("want a local address, got %s", got)
	}
}

// link makes a veth pair, the named end of which is to bear addresses.
func link(t *testing.T, name string) {
	t.Helper()
	ip(t, "link", "add", name, "type", "veth", "peer", "name", name+"-far")
	t.Cleanup(func() { ip(t, "link", "del", name) })
}

func TestSetKeepsAnAddressThatCannotMove(t *testing.T) {
	namespace(t)
	set(t, newHost(t, Config{Interface: "lo"}), v4, "203.0.113.2/32")
	h := newHost(t, Config{Interface: "a-name-that-is-too-long"})
	err := h.Set(context.Background(), prefixes(v4))
	if err == nil || !strings.Contains(err.Error(), "link a-name-that-is-too-long: no such interface, and none can be made: a name has 1 to 15 octets") {
		t.Errorf("want the reason, got %v", err)
	}
	if diff := cmp.Diff([]string{v4 + " lo"}, marked(t)); diff != "" {
		t.Errorf("want the wanted address to stay on its old link: %s", diff)
	}
	if a := h.Addresses()[0]; a.Installed || a.Reason != err.Error() {
		t.Errorf("want it not installed, for %q, got %v", err, a)
	}
}

func TestSetOnAVethSetsItUp(t *testing.T) {
	namespace(t)
	link(t, "va")
	h := newHost(t, Config{Interface: "va"})
	set(t, h, v4, v6)
	if diff := cmp.Diff([]string{v6 + " va", v4 + " va"}, marked(t)); diff != "" {
		t.Error(diff)
	}
	if got := ip(t, "link", "show", "va"); !strings.Contains(got, ",UP") {
		t.Errorf("want it up, got %s", got)
	}
	set(t, h)
	ip(t, "link", "show", "va") // is still there: we did not make it
}

func TestSetDoesWhatItCan(t *testing.T) {
	namespace(t)
	h := newHost(t, Config{Interface: "lo"})
	ip4in6 := netip.PrefixFrom(netip.MustParseAddr("::ffff:203.0.113.9"), 128)
	err := h.Set(context.Background(), append(prefixes("203.0.113.7/24", "0.0.0.0/0", v4, "ff02::1/128"), ip4in6, netip.Prefix{}))
	for _, want := range []string{
		"address 203.0.113.7/24: the prefix is 203.0.113.0/24; a single address has /32",
		"address 0.0.0.0/0: all there is can't be this host",
		"address ::ffff:203.0.113.9/128: neither",
		"address invalid Prefix: neither",
		"address ff02::1/128 on lo: ",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in %v", want, err)
		}
	}
	if diff := cmp.Diff([]string{v4 + " lo"}, marked(t)); diff != "" {
		t.Errorf("want the good one installed: %s", diff)
	}
}

func TestSetSaysThatIPv6IsDisabled(t *testing.T) {
	namespace(t)
	link(t, "va")
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/va/disable_ipv6", []byte("1"), 0); err != nil {
		t.Skip("no IPv6 switch to turn: ", err)
	}
	h := newHost(t, Config{Interface: "va"})
	err := h.Set(context.Background(), prefixes(v4, v6))
	if want := "address 2001:db8:a::1/128 on va: permission denied (IPv6 is disabled there"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("want %q, got %v", want, err)
	}
	if a := h.Addresses(); !a[0].Installed || a[1].Installed {
		t.Errorf("want only the IPv4 address installed, got %v", a)
	}
}

func TestSetChangesNothingOnceItsContextHasEnded(t *testing.T) {
	namespace(t)
	h := newHost(t, Config{Interface: "lo"})
	set(t, h, v4)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := h.Set(ctx, prefixes(v6)); !errors.Is(err, context.Canceled) {
		t.Errorf("want %v, got %v", context.Canceled, err)
	}
	if diff := cmp.Diff([]string{v4 + " lo"}, marked(t)); diff != "" {
		t.Error(diff)
	}
}

func TestSetRemembersItsAddressesWhereTheKernelKeepsNoMark(t *testing.T) {
	namespace(t)
	ip(t, "address", "add", "192.0.2.7/32", "dev", "lo")
	t.Cleanup(func() { ip(t, "address", "del", "192.0.2.7/32", "dev", "lo") })
	h := newHost(t, Config{Interface: "lo"})
	h.mark = 0 // the same to the kernel as an attribute that it does not know
	set(t, h, v4, v6, "192.0.2.7/32")
	if got := marked(t); got != nil {
		t.Fatalf("want no marks, got %v", got)
	}
	if got := h.Addresses()[1].Reason; got != "installed by anycastd on lo" {
		t.Errorf("want it known as ours, got %q", got)
	}
	set(t, h, v6)
	if got := ip(t, "address", "show", "dev", "lo"); strings.Contains(got, v4) || !strings.Contains(got, "192.0.2.7") {
		t.Errorf("want ours removed and the foreign one left, got %s", got)
	}
}

func TestAnAddressThatSomebodyReplacesIsTheirs(t *testing.T) {
	namespace(t)
	h := newHost(t, Config{Interface: "lo"})
	set(t, h, v4)
	lo, err := vnl.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	addr, err := vnl.ParseAddr(v4)
	if err != nil {
		t.Fatal(err)
	}
	if err := vnl.AddrReplace(lo, addr); err != nil { // wipes the mark
		t.Fatal(err)
	}
	t.Cleanup(func() { ip(t, "address", "del", v4, "dev", "lo") })
	set(t, h, v4)
	if got := h.Addresses()[0].Reason; !strings.HasPrefix(got, "was there before") {
		t.Errorf("want it left to its new owner, got %q", got)
	}
}
