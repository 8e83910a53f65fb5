package bgp

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// theirs4 and theirs6 are BIRD as a neighbor that is dialed often.
func theirs4() Neighbor { return Neighbor{Address: their4, ASN: 65002, ConnectRetry: time.Second} }
func theirs6() Neighbor { return Neighbor{Address: their6, ASN: 65002, ConnectRetry: time.Second} }

// dropped counts the segments that the kernel did not take for their signature.
func dropped(t *testing.T) int {
	t.Helper()
	file, err := os.ReadFile("/proc/net/netstat")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(file), "\n")
	names, values := strings.Fields(lines[0]), strings.Fields(lines[1])
	sum := 0
	for i, name := range names {
		if strings.HasPrefix(name, "TCPMD5") {
			var n int
			fmt.Sscan(values[i], &n)
			sum += n
		}
	}
	return sum
}

func TestPasswordMustBeOnBothSidesWhoeverDials(t *testing.T) {
	for name, tc := range map[string]struct {
		ours, theirs string
		up           bool
	}{
		"the same":          {"s3cret", `password "s3cret";`, true},
		"another":           {"s3cret", `password "secret";`, false},
		"missing there":     {"s3cret", "", false},
		"missing here":      {"", `password "s3cret";`, false},
		"none on both ends": {"", "", true},
	} {
		for family, bird := range map[netip.Addr]string{their4: bird4, their6: strings.Replace(bird6, "passive on;", "", 1)} {
			for _, passive := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %v, passive %v", name, family, passive), func(t *testing.T) {
					options := tc.theirs
					if !passive {
						options += " passive on;"
					}
					startBird(t, fmt.Sprintf(bird, options))
					before := dropped(t)
					n := Neighbor{Address: family, ASN: 65002, ConnectRetry: time.Second, Password: tc.ours, Passive: passive}
					s := startSpeaker(t, Config{ListenPort: 179, Neighbors: []Neighbor{n}})
					if tc.up {
						s.up(family)
						return
					}
					eventually(t, "segments are dropped, or nobody answers", func() bool {
						return dropped(t) > before+1 || strings.Contains(s.peer(family).LastError, "TCP MD5")
					})
					if p := s.peer(family); p.Established != 0 || p.Sent.Open != 0 {
						t.Errorf("want no session, got %+v", p)
					}
				})
			}
		}
	}
}

func TestPasswordThatTheListenerCannotHoldRefusesTheNeighborAlone(t *testing.T) {
	startBird(t, fmt.Sprintf(bird4, ""), fmt.Sprintf(bird6, ""))
	cfg := Config{ListenPort: 179, Neighbors: []Neighbor{theirs6()}}
	s := startSpeaker(t, cfg)
	for _, l := range s.listeners { // a closed socket takes no key, as one of another kind
		l.Close()
	}
	signed := theirs4()
	signed.Password = "s3cret"
	const want = "no password on the listener"
	for range 3 {
		err := s.SetNeighbors(t.Context(), []Neighbor{theirs6(), signed})
		if err == nil || !strings.Contains(err.Error(), "neighbor 192.0.2.2: "+want) {
			t.Errorf("want an error about the listener's password, got %v", err)
		}
	}
	s.up(their6)
	if p := s.peer(their4); p.Up() || !strings.Contains(p.LastError, want) {
		t.Errorf("want it down for the listener's password, got %+v", p)
	}
	if got := strings.Count(s.log.String(), "session does not come up"); got != 1 {
		t.Errorf("want 1 line for it, got %d", got)
	}
}

func TestAPasswordThatIsTakenBackIsNoLongerAskedFor(t *testing.T) {
	startBird(t, fmt.Sprintf(bird4, ""))
	n := theirs4()
	n.Passive, n.Password = true, "s3cret"
	s := startSpeaker(t, Config{ListenPort: 179, Neighbors: []Neighbor{n}})
	n.Password = ""
	if err := s.SetNeighbors(t.Context(), []Neighbor{n}); err != nil {
		t.Fatal(err)
	}
	s.up(their4)
}

func TestTTLSecurityRefusesWhoIsFartherAway(t *testing.T) {
	for name, tc := range map[string]struct {
		bird    string
		passive bool
		want    string // error; "": it comes up
	}{
		"right, we dial":    {"passive on; ttl security on;", false, ""},
		"right, it dials":   {"ttl security on;", true, ""},
		"farther, we dial":  {"passive on;", false, "nothing heard for 10s (has it no ttl security, or is it farther away?): we sent Hold Timer Expired"},
		"farther, it dials": {"", true, "it is too far away: its packets come with TTL 1, not 255 or more"},
	} {
		for family, bird := range map[netip.Addr]string{their4: bird4, their6: strings.Replace(bird6, "passive on;", "", 1)} {
			t.Run(fmt.Sprintf("%s, %v", name, family), func(t *testing.T) {
				if family.Is6() && strings.HasPrefix(tc.want, "nothing heard") {
					t.Skip("it takes 10 s, as with IPv4")
				}
				startBird(t, fmt.Sprintf(bird, tc.bird))
				n := Neighbor{Address: family, ASN: 65002, ConnectRetry: time.Second, TTLSecurity: true, Passive: tc.passive}
				s := startSpeaker(t, Config{ListenPort: 179, Neighbors: []Neighbor{n}})
				if tc.want == "" {
					s.up(family)
					return
				}
				// BIRD's first packet comes from its listener, with a TTL of 255.
				eventually(t, "it is refused", func() bool {
					return s.seen.any(func(p Peer) bool { return strings.Contains(p.LastError, tc.want) })
				})
				if p := s.peer(family); p.Established != 0 {
					t.Errorf("want no session, got %+v", p)
				}
			})
		}
	}
}

func TestInterfaceHoldsTheSession(t *testing.T) {
	startBird(t, fmt.Sprintf(bird4, "passive on;"), fmt.Sprintf(bird6, ""))
	right, wrong := theirs4(), theirs6()
	right.Interface, wrong.Interface = "up0", "lo"
	s := startSpeaker(t, Config{Neighbors: []Neighbor{right, wrong}})
	s.up(their4)
	eventually(t, "no way over another one", func() bool { return s.peer(their6).LastError != "" })
	wrong.Interface = "nosuch0"
	if err := s.SetNeighbors(t.Context(), []Neighbor{right, wrong}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is named", func() bool { return s.peer(their6).LastError == "interface nosuch0 does not exist" })
	if p := s.peer(their6); p.Established != 0 {
		t.Errorf("want no session, got %+v", p)
	}
}

func TestInterfaceHoldsASessionThatTheNeighborDials(t *testing.T) {
	startBird(t, fmt.Sprintf(bird4, ""))
	n := theirs4()
	n.Interface, n.Passive = "up0", true
	startSpeaker(t, Config{ListenPort: 179, Neighbors: []Neighbor{n}}).up(their4)
}

func TestLinkLocalNeighborDialsUs(t *testing.T) {
	if os.Getenv(peerEnv) == "" {
		t.Skip(missing())
	}
	ours := linkLocal(t, exec.Command("ip", "-6", "-o", "addr", "show", "dev", "up0", "scope", "link"))
	b := startBird(t, fmt.Sprintf(`protocol bgp a6 { local as 65002; neighbor %s%%up0 as 65001; password "s3cret"; connect delay time 1; connect retry time 1;
  ipv6 { import all; export none; }; }`, ours))
	neighbor := netip.MustParseAddr(b.linkLocal() + "%up0")
	s := startSpeaker(t, Config{ListenPort: 179, Neighbors: []Neighbor{{Address: neighbor, ASN: 65002, Passive: true, Password: "s3cret"}}})
	s.set(route(prefix6))
	s.up(neighbor)
	eventually(t, "IPv6 in the neighbor's kernel", func() bool { return strings.Contains(b.kernel(prefix6), "via "+ours) })
}

func TestLocalAddressMustBeTheOneDialed(t *testing.T) {
	startBird(t, fmt.Sprintf(bird4, ""))
	n := theirs4()
	n.Passive, n.LocalAddress = true, netip.MustParseAddr("192.0.2.99")
	s := startSpeaker(t, Config{ListenPort: 179, Neighbors: []Neighbor{n}})
	eventually(t, "it is told", func() bool {
		return s.peer(their4).LastError == "it dialed 192.0.2.1, not our local address 192.0.2.99"
	})
	n.LocalAddress = our4
	if err := s.SetNeighbors(t.Context(), []Neighbor{n}); err != nil {
		t.Fatal(err)
	}
	s.up(their4)
	if got := s.peer(their4).LocalAddress; got != our4 {
		t.Errorf("want %v, got %v", our4, got)
	}
}

func TestAPassiveNeighborIsNeverDialed(t *testing.T) {
	startBird(t)
	n4, n6 := theirs4(), theirs6() // nobody listens there
	n6.Passive = true
	s := startSpeaker(t, Config{ListenPort: 179, Neighbors: []Neighbor{n4, n6}})
	eventually(t, "the other one was dialed", func() bool { return s.peer(their4).LastError == "connection refused" })
	if p := s.peer(their6); p.LastError != "" || p.State != active {
		t.Errorf("want it waited for, got %+v", p)
	}
}

func TestAPortInUseIsNamed(t *testing.T) {
	taken, err := listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := int(netip.MustParseAddrPort(taken.Addr().String()).Port())
	cfg := Config{ASN: 65001, RouterID: our4, ListenPort: port, Listen: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}
	err = runOnce(t, cfg)
	if want := fmt.Sprintf("port %d of 127.0.0.1 is in use", port); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("want %q, got %v", want, err)
	}
	cfg.Listen = []netip.Addr{netip.MustParseAddr("203.0.113.77")}
	if err = runOnce(t, cfg); err == nil || !strings.Contains(err.Error(), "203.0.113.77, to listen on, is not on this host") {
		t.Errorf("want the address named, got %v", err)
	}
}
