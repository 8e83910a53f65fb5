package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/anycastd/anycastd/cmd/anycastd/internal/config"
	"github.com/anycastd/anycastd/policy"
)

// checkVerb says whether a configuration is sound.
func checkVerb(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Say what is wrong with the configuration, without starting anything",
		Args:  args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := o.load(c.InOrStdin())
			if err != nil {
				return err
			}
			if len(cfg.Warnings) > 0 {
				fmt.Fprintln(c.ErrOrStderr(), strings.TrimRight(config.Faults(cfg.Warnings).Error(), "\n"))
			}
			name := o.file
			if name == "-" {
				name = "standard input"
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s: good: %s, %s, %s, %s, %s\n", name,
				count(len(cfg.Policy.Gateways), "gateway"), count(len(cfg.Policy.Addresses), "anycast address"),
				count(len(cfg.BGP.Neighbors), "neighbor"), count(len(cfg.Zones), "zone"), count(len(cfg.Warnings), "warning"))
			return err
		},
	}
}

// defaultVerb prints the reference configuration.
func defaultVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "default",
		Short: "Print a commented configuration with every key and its default",
		Args:  args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := io.WriteString(c.OutOrStdout(), config.Reference())
			return err
		},
	}
}

// versionVerb prints what was built.
func versionVerb(o *options) *cobra.Command {
	return o.output(&cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			v := buildVersion()
			if o.json {
				return printJSON(c.OutOrStdout(), v)
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "anycastd %s (revision %s, %s)\n", v.Version, v.Revision, v.Go)
			return err
		},
	})
}

// versionInfo is what the linker knows of the build.
type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Go       string `json:"go"`
}

// buildVersion reads the build's own information.
func buildVersion() versionInfo {
	v := versionInfo{Version: "unknown", Revision: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Version, v.Go = info.Main.Version, info.GoVersion
	dirty := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			v.Revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = ", modified"
		}
	}
	v.Revision += dirty
	return v
}

// reloadVerb makes the daemon read its configuration again.
func reloadVerb(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Make the daemon read its configuration again; with faults it keeps what it had",
		Args:  args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := o.client(c)
			if err != nil {
				return err
			}
			if err := client.Do(c.Context(), "POST", "/v1/reload", nil, &struct{}{}); err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), "reloaded")
			return err
		},
	}
}

// explainVerb says where a client goes.
func explainVerb(o *options) *cobra.Command {
	var spi, from, identity string
	c := &cobra.Command{
		Use:   "explain CLIENT",
		Short: "Say where this client goes, why, and what would change it",
		Args:  args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			client, err := o.client(c)
			if err != nil {
				return err
			}
			if _, err := netip.ParseAddr(a[0]); err != nil {
				return usageError{hinted{fmt.Errorf("%q is no IP address", a[0]), "usage: " + c.UseLine()}}
			}
			var e policy.Explanation
			query := url.Values{"client": {a[0]}, "spi": {strings.TrimPrefix(spi, "0x")}, "from": {from}, "identity": {identity}}
			if err := client.Do(c.Context(), "GET", "/v1/explain", query, &e); err != nil {
				return err
			}
			if o.json {
				return printJSON(c.OutOrStdout(), e)
			}
			printExplanation(c.OutOrStdout(), &e)
			return nil
		},
	}
	c.Flags().StringVar(&spi, "spi", "", "the client's initiator SPI in hexadecimal, which matters with policy.key = \"source+spi\"")
	c.Flags().StringVar(&from, "redirected-from", "", "the address that the client says it was redirected by")
	c.Flags().StringVar(&identity, "identity", "", "who the client would say it is in IKE_AUTH: tells which pool claims that")
	return o.output(c)
}

// printExplanation prints e for a person.
func printExplanation(w io.Writer, e *policy.Explanation) {
	if e.Target == nil {
		fmt.Fprintf(w, "%s gets no answer\n", e.Client.Source)
	} else {
		fmt.Fprintf(w, "%s goes to %s (%s)\n", e.Client.Source, e.Target.Gateway, e.Target)
	}
	fmt.Fprintf(w, "  known by  %s\n", e.Key)
	if e.Pool != "" {
		fmt.Fprintf(w, "  pool      %s\n", e.Pool)
	}
	fmt.Fprintf(w, "  because   %s\n", e.Why)
	if len(e.Candidates) > 0 {
		fmt.Fprintln(w, "candidates:")
		t := newTable(w, "  GATEWAY", "POOL", "USABLE", "RANK", "WEIGHT", "SHARE", "LOAD", "REASON")
		for _, c := range e.Candidates {
			t.row("  "+c.Gateway, c.Pool, yes(c.Usable), rank(c.Rank), weight(c.Weight, c.Level), fmt.Sprintf("%.1f %%", 100*c.Share), percent(c.Load), c.Reason)
		}
		t.flush()
	}
	fmt.Fprintln(w, "what would change it:")
	for _, s := range e.Change {
		fmt.Fprintln(w, "  "+s)
	}
	for _, s := range e.Notes {
		fmt.Fprintln(w, "note:", s)
	}
}

// rank is a rank, "-" if there is none.
func rank(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

// weight is a weight with the part of it that counts.
func weight(n, level int) string {
	if level == policy.FullShare {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%d × %d/%d", n, level, policy.FullShare)
}

// percent is a load in per cent, "-" if it is unknown.
func percent(l *float64) string {
	if l == nil {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", 100**l)
}

// printJSON prints v, indented.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
