package demo

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	vnl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/anycastd/anycastd/ikefront/probe"
	"github.com/anycastd/anycastd/test/lab"
)

// witness looks at one host from outside of any program that runs there, fast
// enough to tell what happened first.
type witness struct {
	host   *lab.Host
	kernel *vnl.Handle
}

// newWitness returns a witness of h; close ends it.
func newWitness(h *lab.Host) (*witness, error) {
	w := &witness{host: h}
	err := h.Do(func() (err error) {
		w.kernel, err = vnl.NewHandle(unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", h.Name, err)
	}
	return w, nil
}

func (w *witness) close() { w.kernel.Close() }

// routed says whether the kernel has a route of BGP to prefix.
func (w *witness) routed(prefix string) bool {
	want := kernelRoute(netip.MustParsePrefix(prefix))
	found, err := w.kernel.RouteListFiltered(family(want.Dst.IP), want, vnl.RT_FILTER_DST|vnl.RT_FILTER_PROTOCOL)
	return err == nil && len(found) > 0
}

// owns says whether an interface of the host has addr.
func (w *witness) owns(addr string) bool {
	want := net.ParseIP(addr)
	found, err := w.kernel.AddrList(nil, family(want))
	for _, a := range found {
		if a.IP.Equal(want) {
			return err == nil
		}
	}
	return false
}

// family is that of an address, for the kernel.
func family(ip net.IP) int {
	if ip.To4() != nil {
		return vnl.FAMILY_V4
	}
	return vnl.FAMILY_V6
}

// listens says whether a UDP socket is bound to this very address and port.
func (w *witness) listens(at string) bool {
	var sockets []byte
	endpoint := netip.MustParseAddrPort(at)
	err := w.host.Do(func() (err error) {
		name := "udp"
		if endpoint.Addr().Is6() {
			name = "udp6"
		}
		sockets, err = os.ReadFile("/proc/thread-self/net/" + name)
		return err
	})
	return err == nil && strings.Contains(string(sockets), " "+procName(endpoint)+" ")
}

// procName is an endpoint as proc_pid_net(5) writes it: words of 32 bits in the
// machine's order, and the port.
func procName(at netip.AddrPort) string {
	var s strings.Builder
	for b := at.Addr().AsSlice(); len(b) > 0; b = b[4:] {
		fmt.Fprintf(&s, "%08X", binary.NativeEndian.Uint32(b))
	}
	fmt.Fprintf(&s, ":%04X", at.Port())
	return s.String()
}

// answers says whether an IKE_SA_INIT that is sent on the host itself to one
// of its addresses is answered by a redirect.
func (w *witness) answers(at string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	redirected := false
	err := w.host.Do(func() error {
		a, err := probe.Ask(ctx, probe.Query{Target: netip.MustParseAddrPort(at)})
		redirected = err == nil && a.Redirected()
		return err
	})
	return err == nil && redirected
}
