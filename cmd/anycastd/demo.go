package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/anycastd/anycastd/cmd/anycastd/internal/demo"
	"github.com/anycastd/anycastd/test/lab"
)

// demoVerb shows the daemon at work in a network of its own. Its hidden verbs
// are the other parts of that network, run on its hosts.
func demoVerb() *cobra.Command {
	var verbose bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show the daemon at work in network namespaces of its own",
		Long: "demo runs the real daemon among network namespaces that it makes and removes again:\n" +
			"with a BGP router, a name server, two stand-ins for VPN gateways, and a client. It\n" +
			"tells step by step what happens, takes some 20 seconds, and needs root and iproute2. It\n" +
			"ends with exit code 0 if every step was observed, else 1.",
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if reason := lab.Available(); reason != "" {
				return hinted{errors.New("no demo here: " + reason), demoHint()}
			}
			program, err := os.Executable()
			if err != nil {
				return err
			}
			return untilSignal(c, func(ctx context.Context) error {
				return demo.Play(ctx, demo.Config{Program: program, Out: c.OutOrStdout(), Verbose: verbose})
			})
		},
	}
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "print the daemon's own log as well")
	c.AddCommand(demoRouter(), demoDNS(), demoGateway(), demoLookup())
	return c
}

// demoHint is advice for those who cannot run the demo.
func demoHint() string {
	if os.Geteuid() != 0 {
		return "sudo anycastd demo; it touches nothing but namespaces that it makes itself"
	}
	return "it takes iproute2 and util-linux, and in a container the right to make namespaces (--privileged)"
}

// untilSignal calls f with a context that ends at a signal to end. A second
// signal ends the process. That nobody reads any more counts as one, so that
// `anycastd demo | head` cleans up too.
func untilSignal(c *cobra.Command, f func(context.Context) error) error {
	ctx, stopPipe := signal.NotifyContext(c.Context(), unix.SIGPIPE)
	defer stopPipe()
	ctx, stop := signal.NotifyContext(ctx, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	defer context.AfterFunc(ctx, stop)()
	return f(ctx)
}

// demoRouter is the fabric's router.
func demoRouter() *cobra.Command {
	var cfg demo.RouterConfig
	var id string
	var neighbors []string
	c := hiddenVerb("router", func(ctx context.Context, c *cobra.Command) (err error) {
		if cfg.RouterID, err = netip.ParseAddr(id); err != nil {
			return usageError{err}
		}
		for _, s := range neighbors {
			p, err := netip.ParsePrefix(s)
			if err != nil {
				return usageError{err}
			}
			cfg.Neighbors = append(cfg.Neighbors, p)
		}
		return demo.NewRouter(cfg, c.OutOrStdout()).Run(ctx)
	})
	c.Flags().Uint32Var(&cfg.ASN, "asn", 0, "our AS number")
	c.Flags().StringVar(&id, "router-id", "", "our BGP identifier, an IPv4 address")
	c.Flags().Uint32Var(&cfg.NeighborASN, "neighbor-asn", 0, "the AS number of all neighbors")
	c.Flags().StringSliceVar(&neighbors, "neighbors", nil, "prefixes from which neighbors may connect")
	return c
}

// demoDNS is the name server.
func demoDNS() *cobra.Command {
	var cfg demo.NameServerConfig
	var addrs []string
	var secretFile string
	c := hiddenVerb("dns", func(ctx context.Context, c *cobra.Command) error {
		for _, s := range addrs {
			a, err := netip.ParseAddrPort(s)
			if err != nil {
				return usageError{err}
			}
			cfg.Addresses = append(cfg.Addresses, a)
		}
		secret, err := os.ReadFile(secretFile)
		if err != nil {
			return err
		}
		cfg.Secret = string(secret)
		return demo.NewNameServer(cfg, c.OutOrStdout()).Run(ctx)
	})
	c.Flags().StringVar(&cfg.Zone, "zone", "", "the zone, such as example.test.")
	c.Flags().StringSliceVar(&addrs, "listen", nil, "addresses with ports to answer on")
	c.Flags().StringVar(&cfg.Key, "key", "", "name of the TSIG key")
	c.Flags().StringVar(&secretFile, "secret-file", "", "file with the key's secret in base64")
	return c
}

// demoGateway stands in for a VPN gateway.
func demoGateway() *cobra.Command {
	return hiddenVerb("gateway", func(ctx context.Context, c *cobra.Command) error {
		return demo.NewGateway(c.OutOrStdout()).Run(ctx)
	})
}

// demoLookup resolves a name as a program on this host would.
func demoLookup() *cobra.Command {
	var name string
	c := hiddenVerb("lookup", func(ctx context.Context, c *cobra.Command) error {
		addrs, err := demo.Lookup(ctx, name)
		for _, a := range addrs {
			fmt.Fprintln(c.OutOrStdout(), a)
		}
		return err
	})
	c.Flags().StringVar(&name, "name", "", "the name, absolute")
	return c
}

// hiddenVerb is a part of the demo's network.
func hiddenVerb(use string, run func(context.Context, *cobra.Command) error) *cobra.Command {
	return &cobra.Command{
		Use:    use,
		Hidden: true,
		Args:   args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			return untilSignal(c, func(ctx context.Context) error { return run(ctx, c) })
		},
	}
}
