package demo

import (
	"errors"
	"net"
	"net/netip"

	vnl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// metric is what routes of BGP get in the kernel: worse than those of links.
const metric = 20

// installRoute makes via the way to prefix, in the network namespace that we run in.
func installRoute(prefix netip.Prefix, via netip.Addr) error {
	route := kernelRoute(prefix)
	route.Gw = via.AsSlice()
	return vnl.RouteReplace(route)
}

// removeRoute takes the way to prefix out. That there is none is no error.
func removeRoute(prefix netip.Prefix) error {
	if err := vnl.RouteDel(kernelRoute(prefix)); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

// kernelRoute is the route to prefix by which the kernel knows it.
func kernelRoute(prefix netip.Prefix) *vnl.Route {
	dst := &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())}
	return &vnl.Route{Dst: dst, Protocol: unix.RTPROT_BGP, Priority: metric}
}
