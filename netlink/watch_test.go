package netlink

import (
	"bytes"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
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
	if !alone(t) {
		return
	}
	link(t, "va")
	h := newHost(t, Config{Interface: "va", ReplyTable: 100, ReplyPriority: 1000})
	w := h.watch()
	s, err := w.subscribe()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 3 {
		set(t, h, everything...)
	}
	for _, strange := range []string{
		"address add 192.0.2.7/32 dev va; address del 192.0.2.7/32 dev va",
		"route add 192.0.2.0/24 dev va; route del 192.0.2.0/24 dev va",
		"route add 203.0.113.1/32 dev va; route del 203.0.113.1/32 dev va", // not in table local
		"rule add from 203.0.113.1 lookup 200 priority 7; rule del priority 7",
		"link add other type veth peer name other-far; link set other up; link del other",
		"link set va mtu 1400; link set lo mtu 65000",
		"address del 203.0.113.1/32 dev va", // no stranger
	} {
		ips(t, strange)
	}
	for {
		msgs, _, err := s.Receive()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range msgs {
			a, _ := parse(m.Header.Type, m.Data)
			if !w.concerned([]syscall.NetlinkMessage{m}) {
				continue
			}
			if m.Header.Type != unix.RTM_DELADDR || a.prefix.String() != v4 {
				t.Errorf("want nothing told, got type %d of %v", m.Header.Type, a)
			}
			return
		}
	}
}

// A reader that is held up loses messages; the kernel then says so, and what
// was missed is told by the notification at the next subscription.
func TestALostSubscriptionIsTakenUpAgain(t *testing.T) {
	if !alone(t) {
		return
	}
	notify, told := notices()
	var log bytes.Buffer
	h := New(Config{Interface: "lo", Notify: notify}, zerolog.New(&log))
	h.buffer = 4096
	set(t, h, v4, wide4)
	t.Run("watched", func(t *testing.T) {
		running(t, h.Run)
		await(t, told)
		h.mu.Lock() // holds up the reader
		for range 100 {
			ip(t, "address", "add", "192.0.2.7/32", "dev", "lo")
			ip(t, "address", "del", "192.0.2.7/32", "dev", "lo")
		}
		ip(t, "address", "del", v4, "dev", "lo")
		ip(t, "route", "del", "local", wide4, "table", "local")
		h.mu.Unlock()
		await(t, told)
	})
	set(t, h, v4, wide4)
	if diff := cmp.Diff([]string{v4 + " lo", "local route " + wide4 + " on lo"}, marked(t)); diff != "" {
		t.Error(diff)
	}
	if got := log.String(); !strings.Contains(got, `"error":"no buffer space available"`) {
		t.Errorf("want the log to tell what interrupted the watch, got %s", got)
	}
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
	f.Add(uint16(address), []byte{2, 32, 0, 254, 1, 0, 0, 0, 8, 0, 2, 0, 203, 0, 113, 1, 5, 0, 11, 0, 201, 0, 0, 0})
	f.Add(uint16(address), []byte{2, 32, 0, 254, 1, 0, 0, 0, 4, 0, 2, 0, 4, 0, 11, 0})
	f.Add(uint16(address), []byte{10})
	f.Add(uint16(address), []byte{2, 32, 0, 254, 1, 0, 0, 0, 7, 0, 2, 0, 203, 0, 113}) // not a multiple of four octets
	f.Add(uint16(route), []byte{2, 24, 0, 0, 255, 201, 254, 2, 0, 0, 0, 0, 8, 0, 1, 0, 198, 51, 100, 0, 8, 0, 4, 0, 1, 0, 0, 0})
	f.Add(uint16(route)+1, []byte{10, 48, 0, 0, 255, 201, 0, 6, 0, 0, 0, 0, 4, 0, 15, 0})
	f.Add(uint16(rule), []byte{2, 32, 0, 0, 100, 0, 0, 1, 0, 0, 0, 0, 8, 0, 2, 0, 203, 0, 113, 1, 5, 0, 21, 0, 201, 0, 0, 0, 4, 0, 6, 0})
	f.Add(uint16(rule)+1, []byte{128, 0, 0, 0, 100, 0, 0, 1, 0, 0, 0, 0})
	f.Add(uint16(unix.RTM_NEWLINK), []byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, typ uint16, body []byte) {
		a, err := parse(typ, body)
		if err != nil && a != (held{}) {
			t.Errorf("want nothing beside %v, got %v", err, a)
		}
	})
}

func TestParseReadsAddressAndMark(t *testing.T) {
	got, err := parse(unix.RTM_NEWADDR, []byte{2, 32, 0, 254, 3, 0, 0, 0, 8, 0, 2, 0, 203, 0, 113, 1, 5, 0, 11, 0, 201, 0, 0, 0})
	want := held{entry: entry{kind: address, prefix: netip.MustParsePrefix("203.0.113.1/32"), index: 3}, proto: Mark}
	if err != nil || got != want {
		t.Errorf("want %v, got %v, %v", want, got, err)
	}
}
