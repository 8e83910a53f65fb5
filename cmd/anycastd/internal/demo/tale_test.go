package demo

import (
	"strings"
	"testing"

	"github.com/anycastd/anycastd/cmd/anycastd/internal/config"
	"github.com/anycastd/anycastd/test/lab"
)

func TestTale_shows_addresses_that_the_network_has(t *testing.T) {
	for _, addr := range []string{client4, dns4, front4, anycast4} {
		if !strings.Contains(opening, addr) {
			t.Errorf("%s is not in the opening", addr)
		}
	}
	for _, g := range newGateways() {
		if !strings.Contains(opening, g.name+" "+g.addr4) {
			t.Errorf("%s %s is not in the opening", g.name, g.addr4)
		}
	}
}

func TestNetwork_gives_the_daemon_a_configuration_without_faults(t *testing.T) {
	if reason := lab.Available(); reason != "" {
		t.Skip(reason)
	}
	n := &network{lab: lab.New(t), gateways: newGateways()}
	n.lab.File("tsig.key", keyText)
	cfg, err := config.Load(n.lab.File("anycastd.toml", n.settings()), strings.NewReader(n.settings()))
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Warnings) > 0 {
		t.Errorf("got warnings %v", cfg.Warnings)
	}
	if got, want := cfg.BGP.Neighbors[0].HoldTime, holdTime; got != want {
		t.Errorf("hold time: got %v, want %v", got, want)
	}
}

func TestSections_of_a_status_are_found(t *testing.T) {
	const status = "front is up\n\nGATEWAYS\nNAME USABLE\ngw1  no 100\ngw10 yes\n\nROUTES\nnone\n"
	for title, want := range map[string]string{"": "front is up", "GATEWAYS": "GATEWAYS\nNAME USABLE\ngw1  no 100\ngw10 yes", "PEERS": ""} {
		if got := section(status, title); got != want {
			t.Errorf("%q: got %q, want %q", title, got, want)
		}
	}
	if got, want := row(status, "gw1"), " no 100\n"; got != want {
		t.Errorf("row: got %q, want %q", got, want)
	}
}
