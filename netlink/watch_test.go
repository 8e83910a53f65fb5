package netlink

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	vnl "github.com/vishvananda/netlink"
)

func TestExternalChangesAreToldAndRepaired(t *testing.T) {
	for name, tc := range map[string]struct{ do, undo string }{
		"an IPv4 address removed": {do: "address del 203.0.113.1/32 dev va"},
		"an IPv6 address removed": {do: "address del 2001:db8:a::1/128 dev va"},
		"all addresses flushed":   {do: "address flush dev va"},
		"the link set down":       {do: "link set va down"},
		"the link renamed away":   {do: "link set va name elsewhere", undo: "link set elsewhere name va"},
	} {
		t.Run(name, func(t *testing.T) {
			namespace(t)
			link(t, "va")
			notify, told := notices()
			h := newHost(t, Config{Interface: "va", Notify: notify})
			set(t, h, v4, v6)
			running(t, h.Run)
			await(t, told) // the watch has begun

			ip(t, strings.Fields(tc.do)...)
			await(t, told)
			if tc.undo != "" {
				ip(t, strings.Fields(tc.undo)...)
			}
			set(t, h, v4, v6)
			if diff := cmp.Diff([]string{v6 + " va", v4 + " va"}, marked(t)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestALinkThatComesIsTold(t *testing.T) {
	namespace(t)
	notify, told := notices()
	h := newHost(t, Config{Interface: "va", Notify: notify})
	h.kind = "no such kind"
	if err := h.Set(t.Context(), prefixes(v4)); err == nil {
		t.Fatal("want an error without the link")
	}
	running(t, h.Run)
	await(t, told)
	link(t, "va")
	await(t, told)
	set(t, h, v4)
	if diff := cmp.Diff([]string{v4 + " va"}, marked(t)); diff != "" {
		t.Error(diff)
	}
}

func TestALinkOfOursThatIsRemovedIsToldAndMadeAgain(t *testing.T) {
	namespace(t)
	notify, told := notices()
	h := newHost(t, Config{Interface: "anycast0", Notify: notify})
	h.kind = "bridge"
	set(t, h, v4)
	running(t, h.Run)
	await(t, told)
	ip(t, "link", "del", "anycast0")
	await(t, told)
	set(t, h, v4)
	if diff := cmp.Diff([]string{v4 + " anycast0"}, marked(t)); diff != "" {
		t.Error(diff)
	}
}

func TestOurOwnChangesAndStrangersAreNotTold(t *testing.T) {
	namespace(t)
	notify, told := notices()
	h := newHost(t, Config{Interface: "lo", Notify: notify})
	running(t, h.Run)
	await(t, told)
	for range 20 {
		set(t, h, v4, v6)
		set(t, h, v4)
		set(t, h)
	}
	set(t, h, v4)
	ip(t, "address", "add", "192.0.2.7/32", "dev", "lo")
	ip(t, "address", "del", "192.0.2.7/32", "dev", "lo")
	if n := len(told); n > 3 { // a removal may be heard after the address is wanted again
		t.Errorf("want next to no notification, got %d", n)
	}
	ip(t, "address", "del", v4, "dev", "lo")
	await(t, told)
}

// A reader that is held up loses messages; the kernel then says so, and what
// was missed is told by the notification at the next subscription.
func TestALostSubscriptionIsTakenUpAgain(t *testing.T) {
	namespace(t)
	notify, told := notices()
	h := newHost(t, Config{Interface: "lo", Notify: notify})
	set(t, h, v4)
	running(t, h.Run)
	await(t, told)

	h.mu.Lock() // holds up the reader
	lo, err := vnl.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := vnl.ParseAddr("192.0.2.7/32")
	if err != nil {
		t.Fatal(err)
	}
	for range 8000 {
		if err := vnl.AddrAdd(lo, foreign); err != nil {
			t.Fatal(err)
		}
		if err := vnl.AddrDel(lo, foreign); err != nil {
			t.Fatal(err)
		}
	}
	h.mu.Unlock()
	await(t, told)
}

func TestRunEndsWithItsContextAndLeavesTheAddresses(t *testing.T) {
	namespace(t)
	h := newHost(t, Config{Interface: "lo"})
	set(t, h, v4)
	before := openFiles(t)
	for range 5 {
		t.Run("once", func(t *testing.T) { running(t, h.Run) })
	}
	if diff := cmp.Diff([]string{v4 + " lo"}, marked(t)); diff != "" {
		t.Error(diff)
	}
	for deadline := time.Now().Add(20 * time.Second); openFiles(t) > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("want %d open files, got %d", before, openFiles(t))
		}
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc: ", err)
	}
	return len(fds)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{2, 32, 0, 254, 1, 0, 0, 0, 8, 0, 2, 0, 203, 0, 113, 1, 5, 0, 11, 0, 201, 0, 0, 0})
	f.Add([]byte{2, 32, 0, 254, 1, 0, 0, 0, 4, 0, 2, 0, 4, 0, 11, 0})
	f.Add([]byte{10})
	f.Add([]byte{2, 32, 0, 254, 1, 0, 0, 0, 7, 0, 2, 0, 203, 0, 113}) // not a multiple of four octets
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := parse(body)
		if err != nil && a != (held{}) {
			t.Errorf("want nothing beside %v, got %v", err, a)
		}
	})
}

func TestParseReadsAddressAndMark(t *testing.T) {
	got, err := parse([]byte{2, 32, 0, 254, 3, 0, 0, 0, 8, 0, 2, 0, 203, 0, 113, 1, 5, 0, 11, 0, 201, 0, 0, 0})
	want := held{prefix: netip.MustParsePrefix("203.0.113.1/32"), index: 3, proto: Mark}
	if err != nil || got != want {
		t.Errorf("want %v, got %v, %v", want, got, err)
	}
}
