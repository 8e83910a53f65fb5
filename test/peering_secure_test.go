package test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	vnl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/anycastd/anycastd/test/lab"
)

// TestSIGKILLLosesTheRoutesLongBeforeTheHoldTime: the kernel of the dead daemon
// resets the signed sessions, and nothing else can tell the router within 90 s.
func TestSIGKILLLosesTheRoutesLongBeforeTheHoldTime(t *testing.T) {
	sites(t, func(t *testing.T, kind string, beside bool) {
		s := newSite(t, kind, beside,
			peering{Name: "v4", Password: "secret", HoldTime: 90}, peering{Name: "v6", Password: "secret", HoldTime: 90})
		daemon := startAnycastd(s.front, s.config("hold_time = \"90s\"\n"+s.password("secret")))
		s.awaitRoutes()
		routes := routesOf(t, s.core)
		start := time.Now()
		daemon.Kill()
		s.Eventually("the core's kernel has lost both routes", patience, func() error {
			for routes() > 0 {
				if time.Since(start) > patience {
					return errors.New("some are left")
				}
				time.Sleep(time.Millisecond)
			}
			return nil
		})
		t.Logf("both routes were gone from the core's kernel %.1f ms after SIGKILL", time.Since(start).Seconds()*1000)
	})
}

// password is the line that gives a neighbor this password.
func (s *site) password(password string) string {
	return fmt.Sprintf("password_file = %q\n", s.front.File("bgp.key", password))
}

// routesOf returns what counts the routes to the prefixes in the host's kernel.
func routesOf(t *testing.T, h *lab.Host) func() int {
	t.Helper()
	var handle *vnl.Handle
	if err := h.Do(func() (err error) { handle, err = vnl.NewHandle(unix.NETLINK_ROUTE); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(handle.Close)
	return func() int {
		n := 0
		routes, err := handle.RouteList(nil, unix.AF_UNSPEC)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range routes {
			if r.Dst != nil && (r.Dst.String() == prefix4 || r.Dst.String() == prefix6) {
				n++
			}
		}
		return n
	}
}

// TestANeighborWithAnotherPasswordNeverComesUp, while one with the right one does.
func TestANeighborWithAnotherPasswordNeverComesUp(t *testing.T) {
	sites(t, func(t *testing.T, kind string, beside bool) {
		s := newSite(t, kind, beside, peering{Name: "v4", Password: "another"}, peering{Name: "v6", Password: "secret"})
		daemon := startAnycastd(s.front, s.config("connect_retry = \"1s\"\n"+s.password("secret")))
		awaitRoute(s.core, prefix6, "via "+front6)
		wrong := s.peerings[0].Local
		s.Eventually("anycastd says why", patience, func() error {
			all, err := daemon.peers()
			if p := all[wrong]; err != nil || !strings.Contains(p.Reason+p.LastError, "password") {
				return fmt.Errorf("%+v, %v", p, err)
			}
			return nil
		})
		s.mustBeDown(t, daemon)
	})
}

// TestSessionsWithTTLSecurityComeUp: both ends take only what was sent with a TTL
// of 255 (RFC 5082), so that each sees that the other sends so.
func TestSessionsWithTTLSecurityComeUp(t *testing.T) {
	sites(t, func(t *testing.T, kind string, beside bool) {
		s := newSite(t, kind, beside, peering{Name: "v4", GTSM: true}, peering{Name: "v6", GTSM: true})
		startAnycastd(s.front, s.config("ttl_security = true\n"))
		s.awaitRoutes()
		s.mustServe(t)
	})
}

// TestIPv4IsCarriedOverIPv6 (RFC 8950): with no address of IPv4 in the fabric.
func TestIPv4IsCarriedOverIPv6(t *testing.T) {
	sites(t, func(t *testing.T, kind string, beside bool) {
		s := newSite(t, kind, beside, peering{Name: "v6", Families: []string{"ipv4", "ipv6"}})
		startAnycastd(s.front, s.config("families = [\"ipv4\", \"ipv6\"]\n", fmt.Sprintf("next_hop = [%q, %q]", front4, front6), fmt.Sprintf("next_hop = [%q]", front6)))
		awaitRoute(s.core, prefix4, "via inet6 "+front6)
		awaitRoute(s.core, prefix6, "via "+front6)
		s.mustServe(t)
	})
}

// TestANeighborWithoutThePasswordThatDialsNeverComesUp, while one that signs
// does: the listener of the daemon has both keys.
func TestANeighborWithoutThePasswordThatDialsNeverComesUp(t *testing.T) {
	for kind := range startRouter {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, kind, false, peering{Name: "v4"}, peering{Name: "v6", Password: "secret"})
			daemon := startAnycastd(s.front, s.config("passive = true\n"+s.password("secret"), "drain_wait", "listen_port = 179\ndrain_wait"))
			awaitRoute(s.core, prefix6, "via "+front6)
			awaitCount(s.front, "TcpExtTCPMD5NotFound")
			s.mustBeDown(t, daemon)
		})
	}
}

// TestANeighborWithoutTTLSecurityNeverComesUp: what it sends could have come
// from anywhere.
func TestANeighborWithoutTTLSecurityNeverComesUp(t *testing.T) {
	for kind := range startRouter {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, kind, false, peering{Name: "v4"}, peering{Name: "v6", GTSM: true})
			daemon := startAnycastd(s.front, s.config("ttl_security = true\n"))
			awaitRoute(s.core, prefix6, "via "+front6)
			awaitCount(s.front, "TcpExtTCPMinTTLDrop")
			s.mustBeDown(t, daemon)
		})
	}
}

// mustBeDown wants the first peering not to have come up, and no route from it.
func (s *site) mustBeDown(t *testing.T, daemon *anycastd) {
	t.Helper()
	all, err := daemon.peers()
	if p := all[s.peerings[0].Local]; err != nil || p.State == "Established" || p.Established > 0 {
		t.Errorf("the neighbor came up: %+v, %v", p, err)
	}
	if route := kernelRoute(s.core, prefix4); route != "" {
		t.Errorf("the core has a route from it: %s", route)
	}
}
