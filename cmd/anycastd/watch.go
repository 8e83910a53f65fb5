package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/anycastd/anycastd/cmd/anycastd/internal/web"
)

// watchVerb shows datagrams as they come.
func watchVerb(o *options) *cobra.Command {
	var clients string
	var rate int
	c := &cobra.Command{
		Use:   "watch",
		Short: "Show live what comes from clients and what becomes of it",
		Long: "watch shows datagrams as they come, and what becomes of each, until it is interrupted.\n" +
			"It shows a sample, so that it slows nobody: at most --rate a second. What the kernel\n" +
			"drops in a flood before the daemon reads it can't be shown; status counts it as\n" +
			"filtered or queue_full. With -o json, one object a line.",
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := o.client(c)
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			see := func(d web.Datagram) error { return printDatagram(out, &d) }
			if o.json {
				see = func(d web.Datagram) error { return json.NewEncoder(out).Encode(d) }
			}
			return untilSignal(c, func(ctx context.Context) error { return client.Watch(ctx, clients, rate, see) })
		},
	}
	c.Flags().StringVar(&clients, "client", "", "only what comes from this `ADDRESS or PREFIX`")
	c.Flags().IntVar(&rate, "rate", 100, "at most so many a second, 1 to 1000")
	return o.output(c)
}

// printDatagram prints d on a line for a person.
func printDatagram(w io.Writer, d *web.Datagram) error {
	var s strings.Builder
	fmt.Fprintf(&s, "%s  %s > %s  %d octets", d.Time.Local().Format("15:04:05.000"), d.Source, d.Endpoint, d.Octets)
	if d.SPI != "" {
		fmt.Fprintf(&s, "  spi %s", d.SPI)
	}
	if d.RedirectedFrom != "" {
		fmt.Fprintf(&s, "  redirected from %s", d.RedirectedFrom)
	}
	fmt.Fprintf(&s, "  %s", d.Disposition)
	if d.Gateway != "" {
		fmt.Fprintf(&s, " to %s (%s)", d.Gateway, d.Target)
	}
	_, err := fmt.Fprintln(w, s.String())
	return err
}
