package test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// siteState is what status tells of the site.
type siteState struct {
	State  string
	Since  time.Time
	Usable int
	Reason string
}

// awaitSite waits until the site is as said, and returns what status tells of it.
func (a *anycastd) awaitSite(state string) siteState {
	var s struct{ Site siteState }
	a.host.Lab.Eventually("the site is "+state, patience, func() error {
		if err := a.ask(&s, "status"); err != nil {
			return err
		}
		if s.Site.State != state {
			return fmt.Errorf("%+v", s.Site)
		}
		return nil
	})
	return s.Site
}

// TestASiteShortOfGatewaysIsMadeWorseOrWithdrawnAndHeldDownWhenItRelapses: as
// the fabric's own router sees it.
func TestASiteShortOfGatewaysIsMadeWorseOrWithdrawnAndHeldDownWhenItRelapses(t *testing.T) {
	f, crowd := drainWorld(t)
	site := func(whenShort string) string {
		return f.config("[bgp]\n", "[policy.site]\nmin_gateways = 2\nhold = \"3s\"\nwhen_short = \""+whenShort+"\"\n[bgp.worse]\n"+
			"communities = [\"64500:80\"]\nlarge_communities = [\"64500:80:1\"]\nmed = 50\nprepend = 2\n[bgp]\n")
	}
	daemon := f.daemon(t, site("worse"))
	daemon.awaitState("in service")
	f.awaitBIRD("both prefixes", "64512")
	daemon.mustDo("drain", "gw2")
	for _, text := range []string{"BGP.as_path: 64512 64512 64512", "BGP.med: 50", "BGP.community: (64500,80)", "BGP.large_community: (64500, 80, 1)"} {
		f.awaitBIRD(text, text)
	}
	daemon.awaitState("in service, made worse")
	if s := daemon.awaitSite("short"); s.Usable != 1 || !strings.Contains(s.Reason, "fewer than 2 usable gateways: 1 usable") {
		t.Errorf("got %+v", s)
	}
	if got := crowd.among(clients(0, 20)); got["gw1"] != 40 {
		t.Errorf("a site made worse must go on answering, got %v", got)
	}
	begin := time.Now()
	daemon.mustDo("undrain", "gw2")
	daemon.awaitSite("fit")
	f.awaitPlain()
	t.Logf("the first time it came back after %v", time.Since(begin))

	for relapse, least := range []time.Duration{3 * time.Second * 4 / 5, 6 * time.Second * 4 / 5} {
		whenShort := []string{"worse", "withdraw"}[relapse]
		f.front.File("anycastd.toml", site(whenShort))
		daemon.mustDo("reload")
		daemon.mustDo("drain", "gw2")
		daemon.awaitSite("short")
		if whenShort == "worse" {
			f.awaitBIRD("the worse prefixes", "BGP.med: 50")
		} else {
			f.awaitBIRD("65535:0 at both prefixes", "(65535,0)")
			f.awaitBIRD("the withdrawal", "")
		}
		begin := time.Now()
		daemon.mustDo("undrain", "gw2")
		s := daemon.awaitSite("fit")
		f.awaitPlain()
		if held := s.Since.Sub(begin); held < least {
			t.Errorf("relapse %d: it came back after %v, want %v at least", relapse+1, held, least)
		}
		if told := len(daemon.Lines("is held down for a while")); told < relapse+1 {
			t.Errorf("relapse %d: the log tells of a hold-down %d times", relapse+1, told)
		}
		t.Logf("relapse %d: held down for %v", relapse+1, s.Since.Sub(begin))
	}
}

// awaitPlain waits until BIRD has both prefixes without anything of [bgp.worse].
func (f *fabric) awaitPlain() {
	f.awaitBIRD("both prefixes", "BGP.as_path: 64512\n")
	f.Eventually("BIRD sees nothing worse", patience, func() error {
		out := f.bird.ask("show route all")
		for _, text := range []string{"BGP.med", "BGP.community", "BGP.large_community"} {
			if strings.Contains(out, text) {
				return fmt.Errorf("%s in\n%s", text, out)
			}
		}
		return nil
	})
}
