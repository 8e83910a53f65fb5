package netlink

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	vnl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// kernelMakes says whether the kernel can make links of a kind.
func kernelMakes(t *testing.T, kind string) bool {
	t.Helper()
	trial := &vnl.GenericLink{LinkAttrs: vnl.NewLinkAttrs(), LinkType: kind}
	trial.Name = "trial"
	err := vnl.LinkAdd(trial)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := vnl.LinkDel(trial); err != nil {
		t.Fatal(err)
	}
	return true
}

func TestWithoutDummyLinksTheAddressesGoOnLoWithOneWarning(t *testing.T) {
	if !alone(t) {
		return
	}
	ip(t, "link", "set", "lo", "down")
	var log bytes.Buffer
	h := New(Config{Interface: "anycast0"}, zerolog.New(&log))
	h.kind = "none"
	if !kernelMakes(t, kindDummy) {
		h.kind = kindDummy
	}
	for range 3 {
		set(t, h, v4, v6)
	}
	if diff := cmp.Diff([]string{v6 + " lo", v4 + " lo"}, marked(t)); diff != "" {
		t.Error(diff)
	}
	for _, a := range h.Addresses() {
		if !a.Installed || a.Reason != "installed by anycastd on lo, as this kernel has no dummy links" {
			t.Errorf("want it installed and the reason to tell why there, got %v", a)
		}
	}
	const warning = `"level":"warn","interface":"anycast0","message":"this kernel has no dummy links: the addresses go on lo; interface = \"lo\" says the same without this warning"`
	if n := strings.Count(log.String(), warning); n != 1 || strings.Count(log.String(), `"warn"`) != 1 {
		t.Errorf("want this warning once, and no other: %s, got\n%s", warning, &log)
	}
	set(t, h)
	if got := marked(t); got != nil {
		t.Errorf("want nothing left, got %v", got)
	}
}

func TestAddressesThatFellBackToLoMoveToTheLinkWhenItComes(t *testing.T) {
	if !alone(t) {
		return
	}
	notify, told := notices()
	h := newHost(t, Config{Interface: "va", Notify: notify})
	h.kind = "none"
	set(t, h, v4, v6)
	running(t, h.Run)
	await(t, told)
	ip(t, "link", "set", "lo", "mtu", "65000") // told by the kernel, and nobody's business
	link(t, "va")
	await(t, told)
	set(t, h, v4, v6)
	if diff := cmp.Diff([]string{v6 + " va", v4 + " va"}, marked(t)); diff != "" {
		t.Error(diff)
	}
	if got := h.Addresses()[0].Reason; got != "installed by anycastd on va" {
		t.Errorf("want the reason to be as new, got %q", got)
	}
}

func TestAMissingLinkIsMadeAndRemovedAgain(t *testing.T) {
	for _, kind := range []string{kindDummy, "bridge"} {
		t.Run(kind, func(t *testing.T) {
			namespace(t)
			if !kernelMakes(t, kind) {
				t.Skipf("this kernel makes no links of kind %s", kind)
			}
			h := newHost(t, Config{Interface: "anycast0"})
			h.kind = kind
			set(t, h, v4, v6)
			got := ip(t, "-d", "address", "show", "dev", "anycast0")
			for _, want := range []string{kind, "alias anycastd", ",UP", v4, v6} {
				if !strings.Contains(got, want) {
					t.Errorf("want %q in %s", want, got)
				}
			}
			killed := newHost(t, Config{Interface: "anycast0"}) // comes after a killed one
			killed.kind = kind
			set(t, killed, v4)
			if got := ip(t, "link", "show"); !strings.Contains(got, "anycast0") {
				t.Errorf("want the link kept while it is wanted, got %s", got)
			}
			set(t, killed)
			if got := ip(t, "link", "show"); strings.Contains(got, "anycast0") {
				t.Errorf("want the link gone, got %s", got)
			}
		})
	}
}

func TestALinkThatWeDidNotMakeStays(t *testing.T) {
	namespace(t)
	ip(t, "link", "add", "anycast0", "type", "bridge")
	ip(t, "link", "add", "other", "type", "bridge")
	ip(t, "link", "set", "other", "alias", "anycastd: not quite")
	link(t, "va")
	ip(t, "link", "set", "va", "alias", "anycastd") // of another kind
	t.Cleanup(func() { ip(t, "link", "del", "anycast0"); ip(t, "link", "del", "other") })
	h := newHost(t, Config{Interface: "anycast0"})
	h.kind = "bridge"
	set(t, h, v4)
	set(t, h)
	for _, name := range []string{"anycast0", "other", "va"} {
		ip(t, "link", "show", name)
	}
}
