package test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/anycastd/anycastd/test/lab"
)

// newLab returns a lab, or skips the test where there is none. That one of the
// programs it needs is missing is a failure.
func newLab(t *testing.T, programs ...string) *lab.Lab {
	t.Helper()
	if reason := lab.Available(); reason != "" {
		t.Skip(reason)
	}
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%v: run make peers", err)
		}
	}
	return lab.New(t)
}

// twoRouters joins two hosts that run BIRD; speaker tells its static routes.
func twoRouters(l *lab.Lab, speakersPassword, learnersPassword string) (speaker, learner *bird) {
	a, b := l.Host("speaker"), l.Host("learner")
	l.Link(a, "192.0.2.1/30 2001:db8:f::1/64", b, "192.0.2.2/30 2001:db8:f::2/64")
	speaker = startBIRD(a, birdConfig{
		RouterID: "192.0.2.1", ASN: 65001,
		Static: []string{"203.0.113.0/24", "2001:db8:a::/48"},
		Neighbors: []birdNeighbor{
			{Name: "v4", Local: "192.0.2.1", Remote: "192.0.2.2", ASN: 4200000002, Password: speakersPassword, Export: true},
			{Name: "v6", Local: "2001:db8:f::1", Remote: "2001:db8:f::2", ASN: 4200000002, Password: speakersPassword, Export: true},
		},
	})
	learner = startBIRD(b, birdConfig{
		RouterID: "192.0.2.2", ASN: 4200000002,
		Neighbors: []birdNeighbor{
			{Name: "v4", Local: "192.0.2.2", Remote: "192.0.2.1", ASN: 65001, Password: learnersPassword},
			{Name: "v6", Local: "2001:db8:f::2", Remote: "2001:db8:f::1", ASN: 65001, Password: learnersPassword},
		},
	})
	return speaker, learner
}

func TestBIRD_learns_installs_and_loses_routes_of_both_families(t *testing.T) {
	l := newLab(t, "bird", "birdc")
	speaker, learner := twoRouters(l, "secret", "secret")
	awaitRoute(learner.host, "203.0.113.0/24", "via 192.0.2.1 dev speaker proto bird")
	awaitRoute(learner.host, "2001:db8:a::/48", "via 2001:db8:f::1 dev speaker proto bird")
	learner.awaitSession("v4")
	learner.awaitSession("v6")
	if answer := learner.ask("show route all 203.0.113.0/24"); !strings.Contains(answer, "BGP.as_path: 65001\n") {
		t.Errorf("got %s, want an AS path of 65001", answer)
	}
	if route := kernelRoute(speaker.host, "192.0.2.0/24"); route != "" {
		t.Errorf("speaker learned %s, want nothing exported to it", route)
	}

	speaker.Kill()
	awaitNoRoute(learner.host, "203.0.113.0/24")
	awaitNoRoute(learner.host, "2001:db8:a::/48")
}

func TestBIRD_refuses_a_neighbour_with_another_password(t *testing.T) {
	l := newLab(t, "bird", "birdc")
	speaker, learner := twoRouters(l, "secret", "other")
	awaitCount(learner.host, "TcpExtTCPMD5Failure")
	for _, b := range []*bird{speaker, learner} {
		if answer := b.ask("show protocols v4"); strings.Contains(answer, "Established") {
			t.Errorf("%s: got %s", b.Name, answer)
		}
	}
}
