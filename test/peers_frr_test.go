package test

import (
	"testing"

	"github.com/anycastd/anycastd/test/lab"
)

// routerBeside joins a BIRD that tells two routes to a host for FRR.
func routerBeside(l *lab.Lab, password string) (speaker *bird, learner *lab.Host) {
	a, b := l.Host("speaker"), l.Host("learner")
	l.Link(a, "192.0.2.1/30 2001:db8:f::1/64", b, "192.0.2.2/30 2001:db8:f::2/64")
	return startBIRD(a, birdConfig{
		RouterID: "192.0.2.1", ASN: 65001,
		Static: []string{"203.0.113.0/24", "2001:db8:a::/48"},
		Neighbors: []birdNeighbor{
			{Name: "v4", Local: "192.0.2.1", Remote: "192.0.2.2", ASN: 65002, Password: password, Export: true},
			{Name: "v6", Local: "2001:db8:f::1", Remote: "2001:db8:f::2", ASN: 65002, Password: password, Export: true},
		},
	}), b
}

func TestFRR_learns_installs_and_loses_routes_of_both_families(t *testing.T) {
	l := newLab(t, "bird", "birdc", bgpdProgram, zebraProgram, "vtysh")
	speaker, host := routerBeside(l, "secret")
	f := startFRR(host, frrConfig{RouterID: "192.0.2.2", ASN: 65002, Neighbors: []frrNeighbor{
		{Remote: "192.0.2.1", ASN: 65001, Password: "secret"},
		{Remote: "2001:db8:f::1", ASN: 65001, Password: "secret"},
	}})
	awaitRoute(host, "203.0.113.0/24", "via 192.0.2.1 dev speaker proto bgp")
	awaitRoute(host, "2001:db8:a::/48", "via fe80:") // BIRD tells its link-local address too
	f.awaitSession("2001:db8:f::1")
	if _, history := f.session("192.0.2.1"); history != "1 times up, 0 times down" {
		t.Errorf("a session that came up once: got %q", history)
	}

	speaker.Kill()
	awaitNoRoute(host, "203.0.113.0/24")
	awaitNoRoute(host, "2001:db8:a::/48")
	if _, history := f.session("192.0.2.1"); history != "1 times up, 1 times down" {
		t.Errorf("a session that has ended: got %q", history)
	}
}

func TestFRR_refuses_a_neighbor_with_another_password(t *testing.T) {
	l := newLab(t, "bird", "birdc", bgpdProgram, zebraProgram, "vtysh")
	_, host := routerBeside(l, "other")
	f := startFRR(host, frrConfig{RouterID: "192.0.2.2", ASN: 65002, Neighbors: []frrNeighbor{{Remote: "192.0.2.1", ASN: 65001, Password: "secret"}}})
	awaitCount(host, "TcpExtTCPMD5Failure")
	if state, _ := f.session("192.0.2.1"); state == "Established" || state == "" {
		t.Errorf("the session is %q", state)
	}
}
