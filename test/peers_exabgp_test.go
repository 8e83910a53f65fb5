package test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExaBGP_tells_what_it_was_told_of_a_route(t *testing.T) {
	l := newLab(t, "bird", "birdc", "exabgp")
	speaker, witness := l.Host("speaker"), l.Host("witness")
	l.Link(speaker, "192.0.2.1/30 2001:db8:f::1/64", witness, "192.0.2.2/30 2001:db8:f::2/64")
	e := startExaBGP(witness, exabgpConfig{RouterID: "192.0.2.2", Neighbors: []exabgpNeighbor{
		{Local: "192.0.2.2", Remote: "192.0.2.1", LocalASN: 64501, RemoteASN: 65001},
		{Local: "2001:db8:f::2", Remote: "2001:db8:f::1", LocalASN: 65001, RemoteASN: 65001},
	}})
	b := startBIRD(speaker, birdConfig{RouterID: "192.0.2.1", ASN: 65001,
		Static: []string{"203.0.113.0/24", "2001:db8:a::/48"},
		Neighbors: []birdNeighbor{
			{Name: "v4", Local: "192.0.2.1", Remote: "192.0.2.2", ASN: 64501, Export: true},
			{Name: "v6", Local: "2001:db8:f::1", Remote: "2001:db8:f::2", ASN: 65001, Export: true},
		}})
	want := func(local, remote, prefix string, want ...string) {
		t.Helper()
		l.Eventually("ExaBGP was told of "+prefix, patience, func() error {
			got, err := e.said(local, remote, prefix)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				return fmt.Errorf("%v (-want +got):\n%s", err, diff)
			}
			return nil
		})
	}
	route4 := `{"as-path":[65001],"confederation-path":[],"next-hop":"192.0.2.1","origin":"igp"}`
	want("192.0.2.2", "192.0.2.1", "203.0.113.0/24", route4)
	want("2001:db8:f::2", "2001:db8:f::1", "2001:db8:a::/48", `{"local-preference":100,"next-hop":"2001:db8:f::1","origin":"igp"}`)
	want("192.0.2.2", "192.0.2.1", "2001:db8:a::/48")
	b.ask("disable static1")
	want("192.0.2.2", "192.0.2.1", "203.0.113.0/24", route4, "null")
}
