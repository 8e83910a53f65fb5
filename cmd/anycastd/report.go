package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/anycastd/anycastd/cmd/anycastd/internal/load"
)

// cpuSample is over how long the CPUs are watched for a single report.
const cpuSample = 500 * time.Millisecond

// reportFlags are the flags of the verb report.
type reportFlags struct {
	load.ReporterConfig
	vici                  string
	secret, cert, key, ca string // files
	once                  bool
	cpu                   bool // tell how busy the CPUs are
}

// reportVerb tells front-ends how full a gateway is.
func reportVerb() *cobra.Command {
	f := &reportFlags{}
	c := &cobra.Command{
		Use:   "report --gateway NAME --to URL",
		Short: "Run beside a gateway and tell front-ends how full it is",
		Long: "report runs beside a gateway: it asks its charon over VICI how many IKE SAs there are,\n" +
			"and the kernel how busy the CPUs are, and posts that to front-ends, which know from it\n" +
			"whether the gateway takes more clients. A front-end must be able to tell who reports:\n" +
			"by a secret that both have, or by a client certificate that names the gateway. It\n" +
			"needs no configuration file. Without an answer of charon it reports nothing.",
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			return untilSignal(c, f.run)
		},
	}
	c.Flags().StringVar(&f.Gateway, "gateway", "", "`NAME` of this gateway in the front-ends' configuration")
	c.Flags().StringArrayVar(&f.To, "to", nil, "`URL` of a front-end, such as https://192.0.2.10:9651; may be repeated")
	c.Flags().StringVar(&f.vici, "vici", "unix:/run/charon.vici", "charon's VICI socket, `ADDRESS` unix:PATH or tcp:HOST:PORT")
	c.Flags().DurationVar(&f.Every, "every", 5*time.Second, "from one report to the next, 1s to 1h")
	c.Flags().IntVar(&f.Capacity, "capacity", 0, "sessions that this gateway can hold; 0: what the front-ends' configuration says")
	c.Flags().BoolVar(&f.cpu, "cpu", true, "tell how busy the CPUs are; =false where other work on the host makes that meaningless")
	c.Flags().BoolVar(&f.Draining, "draining", false, "say that this gateway wants no newcomers")
	c.Flags().StringVar(&f.secret, "secret-file", "", "sign with the secret in `FILE`, without the white space around it")
	c.Flags().StringVar(&f.cert, "cert", "", "show the client certificate in `FILE` (PEM), with https")
	c.Flags().StringVar(&f.key, "key", "", "its private key is in `FILE` (PEM)")
	c.Flags().StringVar(&f.ca, "ca", "", "hold front-ends' certificates to the authorities in `FILE` (PEM), not to the system's")
	c.Flags().BoolVar(&f.once, "once", false, "send one report; the exit code is 1 if a front-end did not take it")
	return c
}

// run reports until ctx ends, or once.
func (f *reportFlags) run(ctx context.Context) error {
	network, address, err := load.ParseAddress(f.vici)
	if err != nil {
		return usageError{err}
	}
	if err := f.check(); err != nil {
		return usageError{hinted{err, "anycastd help report"}}
	}
	if err := f.identify(); err != nil {
		return err
	}
	charon := load.NewVICI(network, address)
	defer charon.Close()
	f.Sessions, f.CPU = charon.Sessions, cpuMeter()
	if !f.cpu {
		f.CPU = func() float64 { return -1 }
	}
	reporter, err := load.NewReporter(f.ReporterConfig, newLogger(zerolog.InfoLevel))
	if err != nil {
		return usageError{err}
	}
	f.CPU() // what is told is the share since the last reading
	if !f.once {
		return reporter.Run(ctx)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(cpuSample):
		return reporter.Once(ctx)
	}
}

// check says what is wrong with the flags.
func (f *reportFlags) check() error {
	switch {
	case f.Gateway == "":
		return errors.New("--gateway is missing")
	case len(f.To) == 0:
		return errors.New("--to is missing")
	case f.Every < time.Second || f.Every > time.Hour:
		return fmt.Errorf("--every: %v is not 1s to 1h", f.Every)
	case f.Capacity < 0 || f.Capacity > math.MaxInt32:
		return fmt.Errorf("--capacity: %d is not 0 to %d", f.Capacity, math.MaxInt32)
	case (f.cert == "") != (f.key == ""):
		return errors.New("--cert and --key go together")
	case f.secret == "" && f.cert == "":
		return errors.New("neither --secret-file nor --cert: no front-end would believe the reports")
	}
	for _, to := range f.To {
		u, err := url.Parse(to)
		if f.secret == "" && err == nil && u.Scheme == "http" {
			return fmt.Errorf("--to %q shows no certificate: use https, or --secret-file", to)
		}
	}
	return nil
}

// identify reads the secret and the certificates.
func (f *reportFlags) identify() error {
	if f.secret != "" {
		text, err := os.ReadFile(f.secret)
		if err != nil {
			return err
		}
		f.Secret = []byte(strings.TrimSpace(string(text)))
		if len(f.Secret) == 0 {
			return hinted{fmt.Errorf("%s is empty", f.secret), "openssl rand -hex 32 > " + f.secret + ", and the same on each front-end"}
		}
	}
	f.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return fmt.Errorf("%s and %s: %w", f.cert, f.key, err)
		}
		f.TLS.Certificates = []tls.Certificate{pair}
	}
	if f.ca == "" {
		return nil
	}
	text, err := os.ReadFile(f.ca)
	if err != nil {
		return err
	}
	f.TLS.RootCAs = x509.NewCertPool()
	if !f.TLS.RootCAs.AppendCertsFromPEM(text) {
		return fmt.Errorf("%s holds no certificate in PEM form", f.ca)
	}
	return nil
}

// cpuMeter returns what tells the share of this host's CPUs in use.
func cpuMeter() func() float64 {
	var meter load.Meter
	return func() float64 {
		stat, _ := os.ReadFile("/proc/stat") // unreadable: unknown
		return meter.Share(string(stat))
	}
}
