package test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anycastd/anycastd/test/lab"
)

// witnessed is a front-end whose two sessions end at ExaBGP, on a wire of their
// own: one of IPv4 and one of IPv6, each of which carries both families.
type witnessed struct {
	host           *lab.Host
	addr4, addr6   string // of the front-end
	there4, there6 string // of ExaBGP
	own            bool   // IPv4 routes have an IPv4 next hop over IPv6, too
	daemon         *anycastd
}

// witnessedFronts joins two front-ends to ExaBGP, in an AS of its own.
func witnessedFronts(l *lab.Lab, asn uint32) (*exabgp, []*witnessed) {
	fronts := []*witnessed{
		{host: l.Host("front1"), addr4: "192.0.2.10", addr6: "2001:db8:f1::10", there4: "192.0.2.9", there6: "2001:db8:f1::1"},
		{host: l.Host("front2"), addr4: "192.0.2.14", addr6: "2001:db8:f2::10", there4: "192.0.2.13", there6: "2001:db8:f2::1"},
	}
	host := l.Host("witness")
	c := exabgpConfig{RouterID: "192.0.2.9"}
	for _, w := range fronts {
		l.Link(w.host, w.addr4+"/30 "+w.addr6+"/64", host, w.there4+"/30 "+w.there6+"/64")
		c.Neighbors = append(c.Neighbors,
			exabgpNeighbor{Local: w.there4, Remote: w.addr4, LocalASN: asn, RemoteASN: frontASN},
			exabgpNeighbor{Local: w.there6, Remote: w.addr6, LocalASN: asn, RemoteASN: frontASN})
	}
	return startExaBGP(host, c), fronts
}

// config is a front-end's configuration; the routes say of the site what worse
// and prepend are, and announce says more in every state.
func (w *witnessed) config(asn uint32, minGateways int, announce, worse string) string {
	nextHop := strconv.Quote(w.addr6)
	if w.own {
		nextHop += ", " + strconv.Quote(w.addr4)
	}
	return fmt.Sprintf(`[node]
name      = %q
state_dir = %q
[anycast]
prefixes  = [%q, %q]
addresses = [%q, %q]
interface = "lo"
[[gateway]]
name      = "gw1"
addresses = [%q, %q]
probe     = { every = "0s" }
[policy.site]
min_gateways = %d
when_short   = "worse"
[bgp]
asn        = %d
router_id  = %q
next_hop   = [%s]
drain_wait = "1s"
settle     = "1s"
[bgp.announce]
communities          = ["64500:1", "64500:2"]
large_communities    = ["64500:1:2"]
extended_communities = ["rt:64500:100"]
med                  = 5
%s
[bgp.worse]
communities          = ["64500:80"]
large_communities    = ["64500:80:0"]
extended_communities = ["soo:192.0.2.99:7"]
med                  = 50
%s
[bgp.defaults]
asn      = %d
families = ["ipv4", "ipv6"]
[[bgp.neighbor]]
address  = %q
[[bgp.neighbor]]
address  = %q
`, w.host.Name, filepath.Join(w.host.Lab.Dir(), w.host.Name, "state"), prefix4, prefix6, anycast4, anycast6, gw14, gw16,
		minGateways, frontASN, w.addr4, nextHop, announce, worse, asn, w.there4, w.there6)
}

// hop4 is the next hop of IPv4 routes over IPv6: our end's address (RFC 8950).
func (w *witnessed) hop4() string {
	if w.own {
		return w.addr4
	}
	return w.addr6
}

// mustHear waits until ExaBGP has been told exactly that of both prefixes on
// both sessions, one after the other, next hops aside, which are the front-end's.
func (w *witnessed) mustHear(t *testing.T, e *exabgp, want ...string) {
	t.Helper()
	for _, c := range []struct{ local, remote, prefix, hop string }{
		{w.there4, w.addr4, prefix4, w.addr4},
		{w.there4, w.addr4, prefix6, w.addr6},
		{w.there6, w.addr6, prefix4, w.hop4()},
		{w.there6, w.addr6, prefix6, w.addr6},
	} {
		var wanted []any
		for _, route := range want {
			wanted = append(wanted, decoded(strings.Replace(route, "{", fmt.Sprintf(`{"next-hop": %q, `, c.hop), 1)))
		}
		w.host.Lab.Eventually(fmt.Sprintf("%s has told %s of %s", c.remote, c.local, c.prefix), patience, func() error {
			said, err := e.said(c.local, c.remote, c.prefix)
			var got []any
			for _, route := range said {
				got = append(got, decoded(route))
			}
			if diff := cmp.Diff(wanted, got); err != nil || diff != "" {
				return fmt.Errorf("%v (-want +got):\n%s", err, diff)
			}
			return nil
		})
	}
}

// decoded is what a JSON says, its numbers to the last digit; of what is none,
// the text itself.
func decoded(text string) any {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return text
	}
	return v
}

// What ExaBGP must hear, beside next hops: paths and preferences come first. It
// prints the parts of an IPv4 address's community in the wrong order; the value
// is what was on the wire (RFC 4360 section 3.2).
const (
	announced = `"origin": "igp", "med": 5, "community": [[64500,1],[64500,2]], "large-community": [[64500,1,2]],
		"extended-community": [{"value": 839975344013412, "string": "target:64500:100"}]}`
	madeWorse = `"origin": "igp", "med": 50, "community": [[64500,1],[64500,2],[64500,80]],
		"large-community": [[64500,1,2],[64500,80,0]], "extended-community": [
		{"value": 839975344013412, "string": "target:64500:100"}, {"value": 73113125240635399, "string": "origin:7:192.0.2.99"}]}`
)

// TestEachFrontEndSaysExactlyWhatItsConfigurationSays, in each state, to
// external and to internal neighbors; two front-ends say the same.
func TestEachFrontEndSaysExactlyWhatItsConfigurationSays(t *testing.T) {
	for name, c := range map[string]struct {
		asn                  uint32
		announce, worse      string // more of these sections
		inService, lessWorth string // what only such neighbors are told
	}{
		"to an external neighbor": {
			coreASN, "prepend = 1", "prepend = 2",
			`{"as-path": [64512,64512], "confederation-path": [], `, `{"as-path": [64512,64512,64512,64512], "confederation-path": [], `,
		},
		"to an internal neighbor": {
			frontASN, "local_pref = 200", "local_pref = 50",
			`{"local-preference": 200, `, `{"local-preference": 50, `,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, "exabgp")
			witness, fronts := witnessedFronts(l, c.asn)
			for _, w := range fronts {
				w.own = c.asn == frontASN
				w.daemon = startAnycastd(w.host, w.config(c.asn, 0, c.announce, c.worse))
			}
			inService, worse := c.inService+announced, c.lessWorth+madeWorse
			aboutToGo := strings.Replace(worse, "[64500,80]],", "[64500,80],[65535,0]],", 1)
			for _, w := range fronts {
				w.mustHear(t, witness, inService)
				w.host.File("anycastd.toml", w.config(c.asn, 2, c.announce, c.worse))
				w.daemon.mustDo("reload")
				w.mustHear(t, witness, inService, worse)
				w.daemon.Stop()
				w.mustHear(t, witness, inService, worse, aboutToGo, "null")
			}
		})
	}
}
