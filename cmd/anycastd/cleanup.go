package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/anycastd/anycastd/netlink"
)

// cleanupVerb removes what a killed daemon left.
func cleanupVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "cleanup",
		Short: "Remove what a killed daemon left on this host",
		Long: "cleanup removes the addresses, routes, rules, links and nftables tables that a killed daemon\n" +
			"left in this network namespace. The next start and every stop do the same; this is for a host\n" +
			"on which no daemon is to run any more. While one runs it refuses.",
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			lock, err := lock()
			if err != nil {
				return hinted{fmt.Errorf("anycastd runs in this network namespace: %w", err), "it cleans up itself when it is stopped"}
			}
			defer lock.Close()
			return cleanup(c.Context(), c.OutOrStdout())
		},
	}
}

// cleanup removes everything of ours and prints what that was.
func cleanup(ctx context.Context, w io.Writer) error {
	before, err := netlink.Left()
	if err != nil {
		return err
	}
	if len(before) == 0 {
		_, err := fmt.Fprintln(w, "nothing of anycastd is left here")
		return err
	}
	host := netlink.New(netlink.Config{Interface: "lo"}, zerolog.Nop()) // the one link that needs no making
	rewriter := netlink.NewRewriter(netlink.RewriterConfig{}, zerolog.Nop())
	errSet := errors.Join(rewriter.Set(ctx, nil), host.Set(ctx, nil))
	after, err := netlink.Left()
	if err != nil {
		return errors.Join(errSet, err)
	}
	for _, thing := range before {
		if !slices.Contains(after, thing) {
			fmt.Fprintln(w, "removed", thing)
		}
	}
	return errSet
}
