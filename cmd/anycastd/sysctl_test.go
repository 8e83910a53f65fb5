package main

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// settings makes a tree of the kernel's settings with these files.
func settings(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, "net/ipv4/conf", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestStrictReversePathFilteringIsToldWithTheSettingThatEndsIt(t *testing.T) {
	const why = "IPv4 requests from clients whose way back is another link are dropped without a trace; sysctl -w net.ipv4.conf."
	ether := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	links := []net.Interface{
		{Name: "lo", Flags: net.FlagUp | net.FlagLoopback},
		{Name: "eth0", Flags: net.FlagUp, HardwareAddr: ether},
		{Name: "eth1.5", Flags: net.FlagUp, HardwareAddr: ether},
		{Name: "eth2", HardwareAddr: ether}, // down
	}
	for name, tc := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"off":                        {map[string]string{"all/rp_filter": "0\n", "eth0/rp_filter": "0\n"}, nil},
		"loose on all":               {map[string]string{"all/rp_filter": "2\n", "eth0/rp_filter": "1\n"}, nil},
		"strict on one":              {map[string]string{"all/rp_filter": "0\n", "eth0/rp_filter": "1\n", "eth2/rp_filter": "1\n"}, []string{"rp_filter is 1 on eth0: " + why + "eth0.rp_filter=2"}},
		"strict on all, but for one": {map[string]string{"all/rp_filter": "1\n", "eth0/rp_filter": "2\n"}, []string{"rp_filter is 1 on eth1.5: " + why + "eth1/5.rp_filter=2"}},
		"nothing can be read":        {nil, nil},
		"no number":                  {map[string]string{"all/rp_filter": "strict\n"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, reversePath(settings(t, tc.files), links)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestARPFromAnycastAddressesIsAdvisedAgainst(t *testing.T) {
	links := []net.Interface{{Name: "eth0", Flags: net.FlagUp, HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}}, {Name: "tun0", Flags: net.FlagUp}}
	if got := announcing(settings(t, map[string]string{"all/arp_announce": "2"}), links); got != nil {
		t.Errorf("want none, got %q", got)
	}
	want := []string{"arp_announce is not 2 on eth0: ARP requests are made in the name of anycast addresses, and routers with reverse path filtering don't answer those; sysctl -w net.ipv4.conf.eth0.arp_announce=2"}
	if diff := cmp.Diff(want, announcing(settings(t, map[string]string{"all/arp_announce": "0", "eth0/arp_announce": "1"}), links)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
