package netlink

import (
	"context"
	"errors"
	"strings"
	"testing"

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

func TestWithoutDummyLinksTheErrorSaysSoAndNamesTheWayOut(t *testing.T) {
	namespace(t)
	if kernelMakes(t, kindDummy) {
		t.Skip("this kernel has dummy links")
	}
	h := newHost(t, Config{Interface: "anycast0"})
	err := h.Set(context.Background(), prefixes(v4, v6))
	if !errors.Is(err, ErrNoDummy) {
		t.Fatalf("want ErrNoDummy, got %v", err)
	}
	want := `link anycast0: no such interface, and this kernel has no dummy links to make it of (interface = "lo" works on every kernel)`
	if err.Error() != want {
		t.Errorf("want %q once, got %q", want, err)
	}
	for _, a := range h.Addresses() {
		if a.Installed || a.Reason != want {
			t.Errorf("want it not installed, for the same reason, got %v", a)
		}
	}
	set(t, h) // wants nothing of the link, and so does not miss it
}

func TestAMissingLinkIsMadeAndRemovedAgain(t *testing.T) {
	for _, kind := range []string{kindDummy, "bridge"} {
		t.Run(kind, func(t *testing.T) {
			namespace(t)
			if !kernelMakes(t, kind) {
				t.Skip("this kernel has no such links")
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
