package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/anycastd/anycastd/ikefront/ike"
)

// answer is what `anycastd probe -o json` prints.
type answer struct {
	From           string   `json:"from"`
	Milliseconds   float64  `json:"rtt_ms"`
	OctetsSent     int      `json:"octets_sent"`
	OctetsReceived int      `json:"octets_received"`
	Notifies       []string `json:"notifies"`
	Redirect       string   `json:"redirect"`
	Problem        string   `json:"problem"`
}

// String says what came back.
func (a *answer) String() string {
	s := fmt.Sprintf("%s answers %d octets with %d in %.2f ms: %s", a.From, a.OctetsSent, a.OctetsReceived, a.Milliseconds, strings.Join(a.Notifies, ", "))
	if a.Redirect != "" {
		s += " to " + a.Redirect
	}
	return s
}

// probe asks a responder from the client's host with the probe verb.
func (n *network) probe(target string, flags ...string) (*answer, error) {
	out, err := n.verb(n.client, append([]string{"probe", target, "-o", "json", "--timeout", "1500ms"}, flags...)...)
	a := new(answer)
	switch {
	case json.Unmarshal([]byte(out), a) == nil:
		return a, nil
	case strings.HasPrefix(out, "anycastd: "):
		return nil, errors.New(strings.TrimPrefix(out, "anycastd: "))
	}
	return nil, fmt.Errorf("%w: %s", err, out)
}

// redirect asks an anycast address, and returns the gateway that it sends the
// client to.
func (n *network) redirect(anycast string) (*gatewayHost, *answer, error) {
	a, err := n.probe(anycast)
	if err != nil {
		return nil, nil, err
	}
	if a.From != net.JoinHostPort(anycast, "500") || a.Problem != "" || !slices.Contains(a.Notifies, ike.Redirect.String()) {
		return nil, nil, fmt.Errorf("%v; %s", a, a.Problem)
	}
	for _, g := range n.gateways {
		if a.Redirect == g.addr4 || a.Redirect == g.addr6 {
			return g, a, nil
		}
	}
	return nil, nil, fmt.Errorf("%v, which is no gateway", a)
}

// redirected is a client's first contact, by both families.
func (t *tale) redirected() {
	t.await("the client resolves "+service, func() error {
		out, err := t.verb(t.client, "demo", "lookup", "--name", service)
		if want := anycast4 + "\n" + anycast6; out != want {
			return errors.Join(fmt.Errorf("it gets %q", out), err)
		}
		return nil
	})
	t.seen("it asks the DNS for %s: %s and %s", service, anycast4, anycast6)
	t.chosen = t.sent(anycast4)
	t.other = t.gateways[0]
	if t.other == t.chosen {
		t.other = t.gateways[1]
	}
	if again := t.sent(anycast4); again != t.chosen {
		t.Fatalf("asked again, the daemon names %s, not %s", again.name, t.chosen.name)
	}
	t.seen("which is %s, and the same when asked again", t.chosen.name)
	t.seen("by IPv6 it is sent to %s", t.sent(anycast6).name)
}

// sent asks an anycast address, tells the answer, and returns the gateway.
func (t *tale) sent(anycast string) *gatewayHost {
	var to *gatewayHost
	t.await("the client is redirected by "+anycast, func() error {
		g, a, err := t.redirect(anycast)
		if err == nil {
			to = g
			t.seen("it asks %s by IKE: %v", anycast, a)
		}
		return err
	})
	return to
}

// follows is the client's way on from the redirect.
func (t *tale) follows() {
	for _, c := range []struct{ anycast, client string }{{anycast4, client4}, {anycast6, client6}} {
		g, _, err := t.redirect(c.anycast)
		if err != nil {
			t.Fatalf("%v", err)
		}
		to := g.addr4
		if strings.Contains(c.anycast, ":") {
			to = g.addr6
		}
		a, err := t.probe(to, "--redirected-from", c.anycast)
		if err != nil {
			t.Fatalf("the client goes to %s: %v", g.name, err)
		}
		t.says(g.Process, "client "+c.client+" comes with REDIRECTED_FROM "+c.anycast)
		t.seen("the client: %v", a)
	}
	t.aside("a real gateway would begin a tunnel now; a stand-in can honestly say no more than this")
}
