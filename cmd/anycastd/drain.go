package main

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/anycastd/anycastd/cmd/anycastd/internal/control"
)

// drainVerb takes a gateway, or this node, out for newcomers.
func drainVerb(o *options) *cobra.Command {
	var lasting time.Duration
	var reason string
	c := &cobra.Command{
		Use:   "drain [GATEWAY]",
		Short: "Send no more newcomers to a gateway; without one, take this node out of service in order",
		Long: "drain GATEWAY takes a gateway out for newcomers at once; clients that are there stay.\n" +
			"drain alone withdraws this node's prefixes in order (graceful-shutdown community, wait,\n" +
			"withdraw) while it goes on answering. Both survive a restart of the daemon, until\n" +
			"undrain, or for as long as --for says.",
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			if c.Flags().Changed("for") && lasting <= 0 {
				return usageError{hinted{fmt.Errorf("--for %v: a drain lasts longer than that", lasting), "--for 30m"}}
			}
			query := url.Values{"gateway": a, "reason": {reason}, "for": {lasting.String()}}
			if err := o.change(c, "/v1/drain", query); err != nil {
				return err
			}
			until := "until undrain"
			if lasting > 0 {
				until = "for " + lasting.String()
			}
			fmt.Fprintf(c.OutOrStdout(), "%s is drained %s\n", drained(a), until)
			o.warnOfNobody(c)
			return nil
		},
	}
	c.Flags().DurationVar(&lasting, "for", 0, "undo it by itself after this `TIME`, such as 30m")
	c.Flags().StringVar(&reason, "reason", "by an operator", "why, for whoever asks; shown by status and explain")
	return c
}

// undrainVerb undoes drainVerb.
func undrainVerb(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "undrain [GATEWAY]",
		Short: "Undo drain",
		Args:  args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			if err := o.change(c, "/v1/undrain", url.Values{"gateway": a}); err != nil {
				return err
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "%s is no longer drained\n", drained(a))
			return err
		},
	}
}

// change asks the daemon to change something.
func (o *options) change(c *cobra.Command, path string, query url.Values) error {
	for _, name := range query["gateway"] {
		if name == "" {
			return usageError{hinted{errors.New("the gateway's name is empty"), "usage: " + c.UseLine()}}
		}
	}
	client, err := o.client(c)
	if err != nil {
		return err
	}
	return client.Do(c.Context(), "POST", path, query, &struct{}{})
}

// warnOfNobody says so if no gateway is left that takes newcomers.
func (o *options) warnOfNobody(c *cobra.Command) {
	var s control.Status
	client, err := o.client(c)
	if err == nil {
		err = client.Do(c.Context(), "GET", "/v1/status", nil, &s)
	}
	switch {
	case err != nil: // the drain itself is done
		fmt.Fprintln(c.ErrOrStderr(), "warning: what it comes to is not known:", err)
	case s.Site.Usable == 0:
		fmt.Fprintln(c.ErrOrStderr(), "warning: no gateway takes newcomers now:", s.Reason)
	}
}

// drained says what the arguments of a drain name.
func drained(args []string) string {
	if len(args) == 0 {
		return "this node"
	}
	return "gateway " + args[0]
}
