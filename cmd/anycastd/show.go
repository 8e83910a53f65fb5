package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/anycastd/anycastd/cmd/anycastd/internal/control"
)

// showVerbs are the nouns: status shows all of it, the others one part.
func showVerbs(o *options) []*cobra.Command {
	return []*cobra.Command{
		showVerb(o, "status", "Show everything that the daemon knows of itself", printStatus, func(s *control.Status) any { return s }),
		showVerb(o, "gateways", "Show the gateways and whether they take newcomers", printGateways, func(s *control.Status) any { return s.Gateways }),
		showVerb(o, "routes", "Show the prefixes and what is announced", printRoutes, func(s *control.Status) any { return s.Routes }),
		showVerb(o, "records", "Show the DNS records and whether they stand", printRecords, func(s *control.Status) any { return s.Records }),
		showVerb(o, "peers", "Show the BGP neighbors", printPeers, func(s *control.Status) any { return s.Peers }),
	}
}

// showVerb is a verb that prints a part of the status.
func showVerb(o *options, use, short string, text func(io.Writer, *control.Status), part func(*control.Status) any) *cobra.Command {
	return o.output(&cobra.Command{
		Use:   use,
		Short: short,
		Args:  args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := o.client(c)
			if err != nil {
				return err
			}
			var s control.Status
			if err := client.Do(c.Context(), "GET", "/v1/status", nil, &s); err != nil {
				return err
			}
			if o.json {
				return printJSON(c.OutOrStdout(), part(&s))
			}
			text(c.OutOrStdout(), &s)
			return nil
		},
	})
}

// printStatus prints all of s.
func printStatus(w io.Writer, s *control.Status) {
	fmt.Fprintf(w, "%s is %s: %s (running for %s)\n", s.Node, s.State, s.Reason, since(s.Started))
	for _, warning := range s.Warnings {
		fmt.Fprintln(w, "warning:", warning)
	}
	if s.Drained != nil {
		fmt.Fprintf(w, "drained: %s (%s)\n", s.Drained.Reason, lasting(s.Drained))
	}
	fmt.Fprintf(w, "site is %s: %s\n", cmp.Or(s.Site.State, "not fit yet"), s.Site.Reason)
	for _, part := range []struct {
		title string
		n     int
		print func(io.Writer, *control.Status)
	}{
		{"GATEWAYS", len(s.Gateways), printGateways},
		{"ADDRESSES", len(s.Addresses), printAddresses},
		{"ROUTES", len(s.Routes), printRoutes},
		{"RECORDS", len(s.Records), printRecords},
		{"PEERS", len(s.Peers), printPeers},
	} {
		fmt.Fprintf(w, "\n%s\n", part.title)
		if part.n == 0 {
			fmt.Fprintln(w, "none configured")
			continue
		}
		part.print(w, s)
	}
	fmt.Fprintf(w, "\nENDPOINTS\n")
	printEndpoints(w, s)
	fmt.Fprintf(w, "\nPACKETS\n")
	printPackets(w, s)
}

func printGateways(w io.Writer, s *control.Status) {
	t := newTable(w, "NAME", "USABLE", "WEIGHT", "LOAD", "SESSIONS", "ADDRESSES", "POOLS", "REASON")
	for _, g := range s.Gateways {
		var addrs []string
		for _, a := range g.Addresses {
			addrs = append(addrs, a.String())
		}
		if g.FQDN != "" && g.RedirectBy == "fqdn" {
			addrs = append(addrs, g.FQDN)
		}
		t.row(g.Name, yes(g.Usable), weight(g.Weight, g.Level), percent(g.Load), sessions(&g), strings.Join(addrs, ","), strings.Join(g.Pools, ","), g.Reason)
	}
	t.flush()
}

// sessions is how many sessions a gateway has, of how many it can have.
func sessions(g *control.Gateway) string {
	switch {
	case g.Sessions == nil:
		return "-"
	case g.Capacity == 0:
		return strconv.Itoa(*g.Sessions)
	}
	return fmt.Sprintf("%d/%d", *g.Sessions, g.Capacity)
}

// lasting says how long a drain lasts.
func lasting(d *control.Drained) string {
	if d.Until == nil {
		return "for " + since(d.Since) + ", until undrain"
	}
	return "for " + since(d.Since) + ", until " + d.Until.Format(time.RFC3339)
}

func printAddresses(w io.Writer, s *control.Status) {
	t := newTable(w, "ADDRESS", "INTERFACE", "INSTALLED", "LISTENING", "ANSWERS", "REASON")
	for _, a := range s.Addresses {
		t.row(a.Address, a.Interface, yes(a.Installed), yes(a.Listening), yes(a.Answers), a.Reason)
	}
	t.flush()
}

func printRoutes(w io.Writer, s *control.Status) {
	t := newTable(w, "PREFIX", "STATE", "FOR", "REASON")
	for _, r := range s.Routes {
		t.row(r.Prefix, r.State, since(r.Since), r.Reason)
	}
	t.flush()
}

func printRecords(w io.Writer, s *control.Status) {
	t := newTable(w, "NAME", "TYPE", "ADDRESS", "TTL", "PUBLISHED", "REASON")
	for _, r := range s.Records {
		t.row(r.Name, r.Type, r.Address, r.TTL, yes(r.Published), r.Reason)
	}
	t.flush()
}

func printPeers(w io.Writer, s *control.Status) {
	t := newTable(w, "NEIGHBOR", "AS", "STATE", "FOR", "LOCAL", "HOLD", "ROUTES", "SENT", "RECEIVED", "REASON")
	for _, p := range s.Peers {
		local, hold := "-", "-"
		if p.LocalAddress.IsValid() {
			local = p.LocalAddress.String()
		}
		if p.HoldTime > 0 {
			hold = strconv.Itoa(p.HoldTime) + "s"
		}
		t.row(p.Address, p.ASN, p.State, since(p.Since), local, hold, p.Announced, total(p.Sent), total(p.Received), peerReason(&p))
	}
	t.flush()
}

// total is the sum of all counts.
func total(counts map[string]uint64) (sum uint64) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

// peerReason says why the session is up or not, and how old its last error is.
func peerReason(p *control.Peer) string {
	switch {
	case p.LastErrorAt == nil:
		return p.Reason
	case p.Reason == p.LastError:
		return fmt.Sprintf("%s (%s ago)", p.Reason, since(*p.LastErrorAt))
	}
	return fmt.Sprintf("%s (%s ago: %s)", p.Reason, since(*p.LastErrorAt), p.LastError)
}

func printEndpoints(w io.Writer, s *control.Status) {
	t := newTable(w, "ENDPOINT", "SOCKETS", "FILTERING", "RECEIVED", "REDIRECTED", "QUEUE_FULL", "FILTERED")
	for _, e := range s.Endpoints {
		sum := map[string]uint64{}
		for _, socket := range e.Sockets {
			for d, n := range socket {
				sum[d] += n
				sum["received"] += n
			}
		}
		t.row(e.Endpoint, len(e.Sockets), e.Filtering, sum["received"], sum["redirected"], sum["queue_full"], sum["filtered"])
	}
	t.flush()
	if s.Cookies {
		fmt.Fprintln(w, "every client is asked for a cookie")
	}
}

func printPackets(w io.Writer, s *control.Status) {
	t := newTable(w, "DISPOSITION", "COUNT")
	for _, d := range slices.Sorted(maps.Keys(s.Packets)) {
		if n := s.Packets[d]; n > 0 || d == "redirected" {
			t.row(d, n)
		}
	}
	t.flush()
}

// table prints aligned columns.
type table struct{ *tabwriter.Writer }

// newTable returns a table with the given heads.
func newTable(w io.Writer, heads ...any) table {
	t := table{tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)}
	t.row(heads...)
	return t
}

// row adds a row.
func (t table) row(cells ...any) {
	for i, c := range cells {
		if i > 0 {
			fmt.Fprint(t, "\t")
		}
		fmt.Fprint(t, strings.ReplaceAll(fmt.Sprint(c), "\n", "; "))
	}
	fmt.Fprintln(t)
}

// flush writes what is still held back.
func (t table) flush() { _ = t.Flush() }

// yes is "yes" or "no".
func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// since says how long ago t was, "-" if never.
func since(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return time.Since(t).Round(time.Second).String()
}
