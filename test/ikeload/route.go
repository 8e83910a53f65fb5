package main

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	vnl "github.com/vishvananda/netlink"
)

// hop is the next hop to a target, on an Ethernet.
type hop struct {
	link *net.Interface
	mac  net.HardwareAddr
}

// nextHop returns the way to a target as the kernel's routes and neighbors have
// it.
func nextHop(target netip.Addr) (hop, error) {
	routes, err := vnl.RouteGet(target.AsSlice())
	if err != nil {
		return hop{}, fmt.Errorf("route to %s: %w", target, err)
	}
	link, err := net.InterfaceByIndex(routes[0].LinkIndex)
	if err != nil {
		return hop{}, err
	}
	neighbor, _ := netip.AddrFromSlice(routes[0].Gw)
	if !neighbor.IsValid() {
		neighbor = target
	}
	for range 100 {
		if mac := neighborMAC(link.Index, neighbor.Unmap()); mac != nil {
			return hop{link, mac}, nil
		}
		resolve(target)
		time.Sleep(20 * time.Millisecond)
	}
	return hop{}, fmt.Errorf("no answer from %s on %s to the question for its link-layer address", neighbor, link.Name)
}

// neighborMAC returns the address of a neighbor on a link; nil: it is not known.
func neighborMAC(link int, neighbor netip.Addr) net.HardwareAddr {
	family := vnl.FAMILY_V4
	if neighbor.Is6() {
		family = vnl.FAMILY_V6
	}
	known, _ := vnl.NeighList(link, family)
	for _, n := range known {
		if a, _ := netip.AddrFromSlice(n.IP); a.Unmap() == neighbor && len(n.HardwareAddr) == 6 {
			return n.HardwareAddr
		}
	}
	return nil
}

// resolve makes the kernel ask for the next hop's address: it sends a datagram
// to the discard port (RFC 863).
func resolve(target netip.Addr) {
	conn, err := net.Dial("udp", netip.AddrPortFrom(target, 9).String())
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte{0})
}
