package test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestARouterSeesEachStateOfTheRoutes: announced, made worse, about to go, gone,
// and why the session ended.
func TestARouterSeesEachStateOfTheRoutes(t *testing.T) {
	sites(t, func(t *testing.T, kind string, beside bool) {
		s := newSite(t, kind, beside, peering{Name: "v4"}, peering{Name: "v6"})
		daemon := startAnycastd(s.front, s.config(""))
		s.awaitRoutes()
		s.awaitTold("that are announced", told{Path: "64512", Communities: "64500:1"})
		daemon.awaitState("in service")
		s.mustServe(t)

		s.front.File("anycastd.toml", s.config("", "min_gateways = 0", "min_gateways = 2"))
		daemon.mustDo("reload")
		s.awaitTold("that are made worse", told{Path: "64512 64512 64512", MED: "50", Communities: "64500:1 64500:80"})
		s.mustServe(t)

		daemon.Signal(syscall.SIGTERM)
		s.awaitTold("that are about to go", told{Path: "64512 64512 64512", MED: "50", Communities: "64500:1 64500:80 65535:0"})
		awaitNoRoute(s.core, prefix4)
		awaitNoRoute(s.core, prefix6)
		if code := daemon.Wait(patience); code != 0 {
			t.Errorf("exit code %d", code)
		}
		for _, p := range s.peerings {
			if words := s.router.lastWords(p); !strings.Contains(words, "anycastd is stopping") || !strings.Contains(words, "Administrative") {
				t.Errorf("the router does not say that the session was shut down, and why:\n%s", words)
			}
		}
	})
}

// TestARouterBesideTellsTheFabricOfAnInternalNeighborsRoutes: one of its own AS,
// which makes its paths those of the router alone.
func TestARouterBesideTellsTheFabricOfAnInternalNeighborsRoutes(t *testing.T) {
	for kind := range startRouter {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, kind, true, peering{Name: "v4", Internal: true}, peering{Name: "v6", Internal: true})
			startAnycastd(s.front, s.config("", "asn        = 64512", "asn        = 64500", "prepend     = 2\n", ""))
			s.awaitRoutes()
			s.awaitTold("without a path", told{Communities: "64500:1"})
			s.mustServe(t)
		})
	}
}

// TestAReloadKeepsASessionThatItDoesNotChange: neither the router nor anycastd
// sees it end, while what the routes say changes and a neighbor comes and goes.
func TestAReloadKeepsASessionThatItDoesNotChange(t *testing.T) {
	sites(t, func(t *testing.T, kind string, beside bool) {
		s := newSite(t, kind, beside, peering{Name: "v4"}, peering{Name: "v6"})
		with := func(neighbor string) string { return s.config("", "[bgp.worse]", neighbor+"[bgp.worse]") }
		daemon := startAnycastd(s.front, with(""))
		s.awaitRoutes()
		for _, p := range s.peerings {
			s.router.awaitPeering(p)
		}
		before, up := s.histories(), daemon.sessions(s.peerings)
		another := "[[bgp.neighbor]]\naddress = \"192.0.2.77\"\nasn = 64577\n"
		for i, neighbor := range []string{another, "", strings.ReplaceAll(another, "77", "78")} {
			tag := fmt.Sprintf("64500:%d", 10+i)
			s.front.File("anycastd.toml", strings.ReplaceAll(with(neighbor), `"64500:1"`, `"`+tag+`"`))
			daemon.mustDo("reload")
			s.awaitTold("with "+tag, told{Path: "64512", Communities: tag})
			daemon.awaitPeers(2 + strings.Count(neighbor, "address"))
		}
		if after := s.histories(); after != before {
			t.Errorf("in the router's eyes the sessions were\n%s before the reloads,\n%s after them", before, after)
		}
		if after := daemon.sessions(s.peerings); after != up {
			t.Errorf("in anycastd's eyes the sessions came up\n%s before the reloads,\n%s after them", up, after)
		}
	})
}

// histories tells in the router's words when, or how often, each session came up.
func (s *site) histories() string {
	var all []string
	for _, p := range s.peerings {
		all = append(all, s.router.history(p))
	}
	return strings.Join(all, "\n")
}

// peer is a neighbor as "anycastd peers" tells it.
type peer struct {
	Address, State, Reason string
	LastError              string `json:"last_error"`
	Since                  time.Time
	Established            int
}

// peers returns the neighbors by their addresses.
func (a *anycastd) peers() (map[string]peer, error) {
	var list []peer
	err := a.ask(&list, "peers")
	all := map[string]peer{}
	for _, p := range list {
		all[p.Address] = p
	}
	return all, err
}

// awaitPeers waits until the daemon has so many neighbors.
func (a *anycastd) awaitPeers(n int) {
	a.host.Lab.Eventually(fmt.Sprintf("%s has %d neighbors", a.Name, n), patience, func() error {
		if all, err := a.peers(); err != nil || len(all) != n {
			return fmt.Errorf("%v, %v", all, err)
		}
		return nil
	})
}

// sessions tells when each session came up, and how often.
func (a *anycastd) sessions(of []peering) string {
	all, err := a.peers()
	if err != nil {
		return err.Error()
	}
	var words []string
	for _, p := range of {
		n := all[p.Local]
		words = append(words, fmt.Sprintf("%s %s since %v, %d times", n.Address, n.State, n.Since, n.Established))
	}
	return strings.Join(words, "\n")
}
