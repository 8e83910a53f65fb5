package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/ikefront"
	"github.com/anycastd/anycastd/policy"
)

// TestWatchShowsWhatBecomesOfDatagramsUntilTheDaemonEnds: two watchers, one of
// whom looks for somebody else.
func TestWatchShowsWhatBecomesOfDatagramsUntilTheDaemonEnds(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate"))
	standIns(t, f)
	daemon := startAnycastd(f.front, f.config(`drain_wait = "1s"`, `drain_wait = "0s"`, `settle     = "2s"`, `settle = "0s"`))
	daemon.awaitState("in service")
	watch := f.front.Start("watch", program(), "-C", daemon.config, "watch", "--client", client4, "-o", "json")
	other := f.front.Start("watch-other", program(), "-C", daemon.config, "watch", "--client", "198.51.100.0/24")
	var seen struct {
		Source                            netip.AddrPort
		Endpoint                          string
		SPI, Disposition, Gateway, Target string
		RedirectedFrom                    string `json:"redirected_from"`
	}
	f.Eventually("the watcher sees the client", patience, func() error {
		if out, err := f.client.Try(program(), "probe", anycast4, "--redirected-from", anycast4); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		lines := watch.Lines("redirected")
		if len(lines) == 0 {
			return errors.New(watch.Output())
		}
		return json.Unmarshal([]byte(lines[0]), &seen)
	})
	if seen.Source.Addr().String() != client4 || seen.Endpoint != anycast4+":500" || seen.Disposition != "redirected" || len(seen.SPI) != 16 ||
		seen.RedirectedFrom != anycast4 || !strings.HasPrefix(seen.Gateway, "gw") || (seen.Target != gw14 && seen.Target != gw24) {
		t.Errorf("got %+v", seen)
	}
	daemon.Stop()
	if got := watch.Wait(patience); got != 3 {
		t.Errorf("when the daemon ends: want exit code 3, got %d\n%s", got, watch.Output())
	}
	if got := other.Lines("redirected"); len(got) > 0 {
		t.Errorf("want nothing of other clients, got %q", got)
	}
}

// TestAWholePrefixThatIsLocalCanBeAnsweredFrom: any address of it, though none
// is on an interface (AnyIP).
func TestAWholePrefixThatIsLocalCanBeAnsweredFrom(t *testing.T) {
	l := newLab(t)
	front, client := l.Host("front"), l.Host("client")
	l.Uplink(client, "192.0.2.2/24 2001:db8:2::2/64", front, "192.0.2.1/24 2001:db8:2::1/64")
	front.Route("local " + prefix4 + " dev lo")
	front.Route("local " + prefix6 + " dev lo")
	up := policy.Health{State: policy.Up}
	gateway := policy.Gateway{Name: "gw1", Weight: 1, RedirectBy: policy.ByAddress, Addresses: []netip.Addr{netip.MustParseAddr(gw14), netip.MustParseAddr(gw16)}}
	view := &policy.View{Health: map[netip.Addr]policy.Health{gateway.Addresses[0]: up, gateway.Addresses[1]: up}}
	f := ikefront.New(ikefront.Config{Cookie: ikefront.CookieNever}, zerolog.Nop())
	f.Set(policy.Decide(&policy.Config{Gateways: []policy.Gateway{gateway}}, view, time.Now()).Table)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- f.Run(ctx) }()
	defer func() { stop(); <-ended }()
	addresses := map[string]string{"203.0.113.77": gw14, "2001:db8:a:5::77": gw16}
	var want []netip.AddrPort
	for a := range addresses {
		want = append(want, netip.AddrPortFrom(netip.MustParseAddr(a), 500))
	}
	if err := front.Do(func() error {
		for at, err := range f.Listen(want) {
			return fmt.Errorf("%v: %w", at, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for a, gateway := range addresses {
		if out := client.Run(program(), "probe", a); !strings.Contains(out, "REDIRECT to "+gateway) {
			t.Errorf("%s: got %s", a, out)
		}
	}
}
