// TCP MD5 fails silently on a multipath TCP socket, which Go listens on unless
// told otherwise.
//
//go:debug multipathtcp=0

// Command anycastd redirects IKEv2 clients from one anycast address to many
// VPN gateways. This package holds the verbs and the wiring; it never parses a
// packet and never decides where a client goes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/anycastd/anycastd/cmd/anycastd/internal/config"
	"github.com/anycastd/anycastd/cmd/anycastd/internal/web"
)

// Exit codes.
const (
	exitProblem     = 1
	exitUsage       = 2
	exitUnreachable = 3
)

func main() {
	os.Exit(command(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// usageError is an error of the command line itself.
type usageError struct{ error }

// Unwrap returns what is wrong.
func (e usageError) Unwrap() error { return e.error }

// hinted is an error with advice.
type hinted struct {
	error
	hint string
}

// Unwrap returns what is wrong.
func (e hinted) Unwrap() error { return e.error }

// shown is an error that has been printed already.
type shown struct{ error }

// command runs one command line and returns its exit code.
func command(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	tell(stderr, err)
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, web.ErrUnreachable):
		return exitUnreachable
	}
	return exitProblem
}

// tell prints err for a person.
func tell(w io.Writer, err error) {
	var quiet shown
	if err == nil || errors.As(err, &quiet) {
		return
	}
	var faults config.Faults
	if errors.As(err, &faults) {
		fmt.Fprintln(w, strings.TrimRight(faults.Error(), "\n"))
		fmt.Fprintln(w, "anycastd:", count(len(faults), "fault"), "in the configuration")
		return
	}
	fmt.Fprintln(w, "anycastd:", err)
	var h hinted
	if errors.As(err, &h) && h.hint != "" {
		fmt.Fprintln(w, "hint:", h.hint)
	}
}

// count is "1 fault", "2 faults" and so on.
func count(n int, thing string) string {
	switch {
	case n == 1:
		return "1 " + thing
	case strings.HasSuffix(thing, "s"):
		return fmt.Sprintf("%d %ses", n, thing)
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// options are the flags that verbs share.
type options struct {
	file string // -C
	json bool   // -o json
}

// newRoot returns the tree of commands.
func newRoot() *cobra.Command {
	o := &options{}
	root := &cobra.Command{
		Use:           "anycastd",
		Short:         "One anycast address in front of many IKEv2 gateways",
		Long:          "anycastd announces an anycast prefix over BGP, owns its address, publishes it in the\nDNS, and answers each IKE_SA_INIT there with a REDIRECT to a VPN gateway (RFC 5685).",
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{hinted{fmt.Errorf("unknown verb %q", args[0]), "anycastd help lists the verbs"}}
			}
			return c.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	root.PersistentFlags().StringVarP(&o.file, "config", "C", "/etc/anycastd/anycastd.toml", "configuration `FILE`; - is standard input")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{hinted{err, "anycastd help " + c.Name()}}
	})
	root.AddCommand(runVerb(o), checkVerb(o), defaultVerb(), versionVerb(o), demoVerb(), probeVerb(o), explainVerb(o), watchVerb(o), reloadVerb(o), drainVerb(o), undrainVerb(o), reportVerb(), cleanupVerb())
	root.AddCommand(showVerbs(o)...)
	return root
}

// args wraps a check of positional arguments, so that its error is one of usage.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, a []string) error {
		if err := check(c, a); err != nil {
			return usageError{hinted{err, "usage: " + c.UseLine()}}
		}
		return nil
	}
}

// output adds the flag -o to c.
func (o *options) output(c *cobra.Command) *cobra.Command {
	format := ""
	c.Flags().StringVarP(&format, "output", "o", "text", "output `FORMAT`: text or json")
	c.PreRunE = func(*cobra.Command, []string) error {
		if format != "text" && format != "json" {
			return usageError{hinted{fmt.Errorf("unknown output format %q", format), "text or json"}}
		}
		o.json = format == "json"
		return nil
	}
	return c
}

// load reads the configuration that -C names.
func (o *options) load(stdin io.Reader) (*config.Config, error) {
	if o.file == "-" {
		return config.Load("-", stdin)
	}
	f, err := os.Open(o.file)
	if err != nil {
		return nil, hinted{err, "anycastd default > FILE writes one to start from; -C FILE names another"}
	}
	defer f.Close()
	return config.Load(o.file, f)
}

// client returns a client of the daemon that the configuration names. A file
// with faults, or none at the usual place, must not keep anybody from asking a daemon that
// runs: of the file only the socket's path matters.
func (o *options) client(c *cobra.Command) (*web.Client, error) {
	if o.file == "-" {
		return web.NewClient(config.Socket(c.InOrStdin())), nil
	}
	f, err := os.Open(o.file)
	switch {
	case err == nil:
		defer f.Close()
		return web.NewClient(config.Socket(f)), nil
	case c.Flags().Changed("config"): // a slip here would show another daemon
		return nil, err
	}
	return web.NewClient(config.DefaultSocket), nil
}
