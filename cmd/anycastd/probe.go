package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/anycastd/anycastd/ikefront/ike"
	"github.com/anycastd/anycastd/ikefront/probe"
)

// probeVerb asks an IKE responder as a client would.
func probeVerb(o *options) *cobra.Command {
	var from string
	var plain bool
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "probe ADDRESS[:PORT]",
		Short: "Send one real IKE_SA_INIT and print the answer",
		Long: "probe sends one real IKE_SA_INIT that announces support of redirect, and prints what\n" +
			"comes back. The port is 500 unless given; on 4500 the non-ESP marker is used. ADDRESS\n" +
			"may be a name. It ends with exit code 0 if the answer is a redirect that a client\n" +
			"would follow, or the first half of a real IKE SA; else 1.",
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), timeout)
			defer cancel()
			q := probe.Query{Plain: plain}
			var err error
			if q.Target, err = resolve(ctx, a[0]); err != nil {
				return err
			}
			if from != "" {
				if q.From, err = netip.ParseAddr(from); err != nil {
					return usageError{fmt.Errorf("--redirected-from: %w", err)}
				}
			}
			answer, err := probe.Ask(ctx, q)
			if err != nil {
				return err
			}
			return report(c.OutOrStdout(), o.json, q, answer)
		},
	}
	c.Flags().StringVar(&from, "redirected-from", "", "say that `ADDRESS` redirected us (RFC 5685 section 9.3)")
	c.Flags().BoolVar(&plain, "no-redirect-support", false, "don't announce support of redirect")
	c.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "give up after this time; until then the request is sent again with growing pauses")
	return o.output(c)
}

// resolve reads ADDRESS[:PORT]; a name is looked up.
func resolve(ctx context.Context, s string) (netip.AddrPort, error) {
	if ap, err := netip.ParseAddrPort(s); err == nil && ap.Port() != 0 {
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
	}
	const port = 500
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a.Unmap(), port), nil
	}
	host, service, err := net.SplitHostPort(s)
	if err != nil {
		host, service = s, strconv.Itoa(port)
	}
	n, err := strconv.ParseUint(service, 10, 16)
	if err != nil || n == 0 {
		return netip.AddrPort{}, usageError{fmt.Errorf("port %q is not 1 to 65535", service)}
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(addrs[0].Unmap(), uint16(n)), nil
}

// probeResult is the JSON form of an answer.
type probeResult struct {
	Target         netip.AddrPort `json:"target"`
	From           netip.AddrPort `json:"from"`
	Milliseconds   float64        `json:"rtt_ms"`
	Requests       int            `json:"requests"`
	Cookies        int            `json:"cookies"`
	OctetsSent     int            `json:"octets_sent"`
	OctetsReceived int            `json:"octets_received"`
	Notifies       []string       `json:"notifies"`
	Redirect       string         `json:"redirect,omitempty"`
	NonceEchoed    bool           `json:"nonce_echoed"`
	Accepted       bool           `json:"accepted"`
	Problem        string         `json:"problem,omitempty"`
}

// report prints a, and returns an error if a client could do nothing with it.
func report(w io.Writer, asJSON bool, q probe.Query, a *probe.Answer) error {
	r := probeResult{
		Target: q.Target, From: a.From, Milliseconds: float64(a.RTT.Microseconds()) / 1000, Requests: a.Tries, Cookies: a.Cookies,
		OctetsSent: a.Sent, OctetsReceived: a.Received, Notifies: []string{}, Redirect: a.To.String(), NonceEchoed: a.Redirected(),
	}
	for _, n := range a.Response.Notifies {
		r.Notifies = append(r.Notifies, n.Type.String())
	}
	for _, p := range a.Response.Payloads {
		r.Accepted = r.Accepted || p == ike.PayloadSA
	}
	for _, n := range a.Response.Notifies { // it accepts all but the group of our key share
		r.Accepted = r.Accepted || n.Type == ike.InvalidKEPayload
	}
	r.Problem = problem(q, a, r.Accepted)
	if asJSON {
		if err := printJSON(w, r); err != nil {
			return err
		}
	} else {
		printProbe(w, &r)
	}
	if r.Problem != "" {
		return shown{errors.New(r.Problem)}
	}
	return nil
}

// problem says what a client could not do with a; "" if all is well.
func problem(q probe.Query, a *probe.Answer, accepted bool) string {
	switch {
	case a.From != q.Target:
		return "the answer came from " + a.From.String() + ", which many clients and firewalls drop"
	case a.NonceWrong:
		return "the REDIRECT does not hold our nonce: clients discard it (RFC 5685 section 3)"
	case !a.Redirected() && !accepted:
		return "neither a redirect nor an IKE SA"
	}
	return ""
}

// printProbe prints r for a person.
func printProbe(w io.Writer, r *probeResult) {
	fmt.Fprintf(w, "%s answered in %.2f ms: %d octets for %d, requests sent %d, cookies obeyed %d\n", r.From, r.Milliseconds, r.OctetsReceived, r.OctetsSent, r.Requests, r.Cookies)
	switch {
	case r.Redirect != "":
		fmt.Fprintf(w, "REDIRECT to %s\n", r.Redirect)
	case r.Accepted:
		fmt.Fprintln(w, "it takes part in the exchange: this is a gateway, not a redirecting front-end", r.Notifies)
	default:
		for _, n := range r.Notifies {
			fmt.Fprintln(w, n)
		}
	}
	if r.Problem != "" {
		fmt.Fprintln(w, "problem:", r.Problem)
	}
}
