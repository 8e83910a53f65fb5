package config

import (
	"strings"
	"testing"
)

func TestTheSocketIsFoundInAFaultyConfiguration(t *testing.T) {
	for text, want := range map[string]string{
		"":                         DefaultSocket,
		"not TOML":                 DefaultSocket,
		"[control]\nsocket = 5":    DefaultSocket,
		"[control]\nsocket = \"\"": DefaultSocket,
		"[contrl]\nx = 1\n[control]\nsocket = \"/run/x.sock\"\n[bgp]\nasn = \"seven\"": "/run/x.sock",
	} {
		if got := Socket(strings.NewReader(text)); got != want {
			t.Errorf("%q: want %s, got %s", text, want, got)
		}
	}
	cfg, err := Load("-", strings.NewReader(Reference()))
	if err != nil || cfg.Socket != DefaultSocket {
		t.Errorf("want the default of the schema to be %s, got %v, %v", DefaultSocket, cfg, err)
	}
}
