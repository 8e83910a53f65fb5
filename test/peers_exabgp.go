package test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/anycastd/anycastd/test/lab"
)

// exabgpConfig describes a speaker that tells nothing and writes down what it
// is told. It is dialed, and dials nobody.
type exabgpConfig struct {
	RouterID  string
	Neighbors []exabgpNeighbor
}

// exabgpNeighbor is one session, of both families, with an AS of our own for
// each. Over IPv6 it takes IPv4 routes with a next hop of IPv6 too (RFC 8950).
type exabgpNeighbor struct {
	Local, Remote       string
	LocalASN, RemoteASN uint32
}

// exabgp is a running ExaBGP.
type exabgp struct {
	*lab.Process
	host *lab.Host
	seen string // path of what it wrote down, one JSON each
}

// startExaBGP runs ExaBGP on port 179, and returns when it can be dialed.
func startExaBGP(h *lab.Host, c exabgpConfig) *exabgp {
	e := &exabgp{host: h, seen: filepath.Join(h.Lab.Dir(), h.Name, "exabgp.json")}
	// The shell keeps the pipe open whose end ExaBGP would take for its witness's.
	script := h.File("exabgp.sh", "cat > "+e.seen+"\n:\n")
	var listen []string
	for _, n := range c.Neighbors {
		listen = append(listen, n.Local)
	}
	conf := h.File("exabgp.conf", "process witness { run /bin/sh "+script+"; encoder json; }\n"+c.text())
	e.Process = h.Start("exabgp", "env", "exabgp.daemon.user=root", "exabgp.api.cli=false", "exabgp.api.ack=false",
		"exabgp.tcp.bind="+strings.Join(listen, " "), "exabgp.tcp.port=179", "exabgp", conf)
	e.Await("loaded new configuration successfully")
	return e
}

func (c exabgpConfig) text() string {
	var s strings.Builder
	for _, n := range c.Neighbors {
		nexthop := ""
		if family(n.Remote) == "ipv6" {
			nexthop = "capability { nexthop enable; } nexthop { ipv4 unicast ipv6; }"
		}
		fmt.Fprintf(&s, `neighbor %s {
	router-id %s; local-address %s; local-as %d; peer-as %d; hold-time 90; passive true;
	family { ipv4 unicast; ipv6 unicast; }
	%s
	api { processes [ witness ]; receive { parsed; update; } }
}
`, n.Remote, c.RouterID, n.Local, n.LocalASN, n.RemoteASN, nexthop)
	}
	return s.String()
}

// exabgpUpdate is one UPDATE as ExaBGP tells it: next hops and the prefixes
// that they are for, by family ("ipv4 unicast").
type exabgpUpdate struct {
	Attribute map[string]any                                `json:"attribute,omitempty"`
	Announce  map[string]map[string][]struct{ NLRI string } `json:"announce,omitempty"`
	Withdraw  map[string][]struct{ NLRI string }            `json:"withdraw,omitempty"`
}

// updates returns the routes that a neighbor told or took back at a local
// address, in their order. End-of-RIB markers (RFC 4724 section 2) are left out.
func (e *exabgp) updates(local, remote string) ([]exabgpUpdate, error) {
	text, err := os.ReadFile(e.seen)
	if err != nil {
		return nil, err
	}
	var all []exabgpUpdate
	for line := range strings.Lines(string(text)) {
		var said struct {
			Type     string
			Neighbor struct {
				Address struct{ Local, Peer string }
				Message struct{ Update *exabgpUpdate }
			}
		}
		if !strings.HasSuffix(line, "\n") {
			break // it is being written
		}
		decoder := json.NewDecoder(strings.NewReader(line))
		decoder.UseNumber() // a community of 64 bits fits in no float
		if err := decoder.Decode(&said); err != nil {
			return nil, fmt.Errorf("%w: %s", err, line)
		}
		n := said.Neighbor
		if said.Type == "update" && n.Message.Update != nil && n.Address.Local == local && n.Address.Peer == remote {
			all = append(all, *n.Message.Update)
		}
	}
	return all, nil
}

// said returns all that a neighbor said of a prefix at a local address, each as
// JSON: its attributes with the next hop put among them as "next-hop", or null
// where it took it back. What only repeats the one before is left out.
func (e *exabgp) said(local, remote, prefix string) ([]string, error) {
	updates, err := e.updates(local, remote)
	var all []string
	for _, u := range updates {
		hop := u.nextHop(prefix)
		if hop == "" && !u.withdraws(prefix) {
			continue
		}
		route := maps.Clone(u.Attribute)
		if hop != "" {
			route["next-hop"] = hop
		}
		text, err := json.Marshal(route)
		if err != nil {
			return nil, err
		}
		all = append(all, string(text))
	}
	return slices.Compact(all), err
}

// nextHop is the next hop that u tells for a prefix, or "".
func (u exabgpUpdate) nextHop(prefix string) string {
	for hop, routes := range u.Announce[family(prefix)+" unicast"] {
		for _, r := range routes {
			if r.NLRI == prefix {
				return hop
			}
		}
	}
	return ""
}

// withdraws reports whether u takes a prefix back.
func (u exabgpUpdate) withdraws(prefix string) bool {
	for _, r := range u.Withdraw[family(prefix)+" unicast"] {
		if r.NLRI == prefix {
			return true
		}
	}
	return false
}
