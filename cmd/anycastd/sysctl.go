package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// sysctls is where the kernel shows its settings as files.
const sysctls = "/proc/sys"

// reversePath returns a warning for each link that is up and where the kernel
// drops IPv4 packets whose source it would answer by another link (strict
// reverse path filtering, RFC 3704 section 2.2): anycast clients' ways there and
// back differ often, and nobody counts what is dropped. Root is sysctls.
func reversePath(root string, links []net.Interface) []string {
	all := ipv4Setting(root, "all", "rp_filter")
	var out []string
	for _, l := range links {
		if l.Flags&net.FlagUp == 0 || l.Flags&net.FlagLoopback != 0 {
			continue
		}
		own := ipv4Setting(root, l.Name, "rp_filter")
		if max(all, own) != 1 { // the kernel takes the larger one
			continue
		}
		out = append(out, fmt.Sprintf("rp_filter is 1 on %s: IPv4 requests from clients whose way back is another link are dropped without a trace; sysctl -w net.ipv4.conf.%s.rp_filter=2",
			l.Name, strings.ReplaceAll(l.Name, ".", "/")))
	}
	return out
}

// announcing returns a warning for each Ethernet that is up and where the kernel
// may ask for a next hop in the name of an anycast address (arp_announce below
// 2): one that filters by reverse path does not answer that, and our answers
// are lost until something else has made it known.
func announcing(root string, links []net.Interface) []string {
	all := ipv4Setting(root, "all", "arp_announce")
	var out []string
	for _, l := range links {
		if l.Flags&net.FlagUp == 0 || len(l.HardwareAddr) == 0 || max(all, ipv4Setting(root, l.Name, "arp_announce")) == 2 {
			continue
		}
		out = append(out, fmt.Sprintf("arp_announce is not 2 on %s: ARP requests are made in the name of anycast addresses, and routers with reverse path filtering don't answer those; sysctl -w net.ipv4.conf.%s.arp_announce=2",
			l.Name, strings.ReplaceAll(l.Name, ".", "/")))
	}
	return out
}

// ipv4Setting reads a number below net/ipv4/conf; 0 if it can't be read.
func ipv4Setting(root, link, key string) int {
	text, err := os.ReadFile(filepath.Join(root, "net/ipv4/conf", link, key))
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}
