package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/anycastd/anycastd/cmd/anycastd/internal/config"
	"github.com/anycastd/anycastd/cmd/anycastd/internal/control"
	"github.com/anycastd/anycastd/cmd/anycastd/internal/web"
	"github.com/anycastd/anycastd/ikefront"
	"github.com/anycastd/anycastd/netlink"
	"github.com/anycastd/anycastd/policy"
)

// secondSignal is how much later than the first a signal to stop must come to
// mean "at once": supervisors that signal whole process groups send two.
const secondSignal = time.Second

// cleanTime is for taking what is ours off the host at the very end.
const cleanTime = time.Second

// runVerb runs the daemon.
func runVerb(o *options) *cobra.Command {
	level := "info"
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the daemon in the foreground",
		Long: "run runs the daemon until SIGTERM or SIGINT, which take it out of service in order;\n" +
			"a second one skips the waits. SIGHUP reads the configuration again. The log goes to\n" +
			"standard error: JSON, or readable lines if that is a terminal.",
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			parsed, err := zerolog.ParseLevel(level)
			if err != nil || parsed == zerolog.NoLevel {
				return usageError{fmt.Errorf("unknown log level %q: trace, debug, info, warn or error", level)}
			}
			cfg, err := o.load(c.InOrStdin())
			if err != nil {
				return err
			}
			if err := nextHops(cfg, ownAddresses()); err != nil {
				return err
			}
			return newDaemon(o, cfg, newLogger(parsed)).run(c.Context())
		},
	}
	c.Flags().StringVar(&level, "log-level", level, "least important `LEVEL` logged: trace, debug, info, warn or error")
	return c
}

// newLogger logs to standard error.
func newLogger(level zerolog.Level) zerolog.Logger {
	zerolog.TimeFieldFormat = time.RFC3339Nano
	log := zerolog.New(os.Stderr)
	if _, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS); err == nil {
		log = zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: "15:04:05.000"})
	}
	return log.Level(level).With().Timestamp().Logger()
}

// lock takes the place of the one daemon that a network namespace can have. An
// abstract socket belongs to the namespace: the kernel drops it with the
// process, whatever files are left.
func lock() (net.Listener, error) { return net.Listen("unix", "@anycastd") }

// run runs the daemon until it has been told to stop and has.
func (d *daemon) run(ctx context.Context) error {
	lock, err := lock()
	if err != nil {
		return hinted{fmt.Errorf("another anycastd runs in this network namespace: %w", err), "two would take each other's addresses off the host"}
	}
	defer lock.Close()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	defer signal.Stop(signals)
	sockets, err := d.listen()
	if err != nil {
		return err
	}
	d.log.Info().Str("node", d.cfg.Name).Str("version", buildVersion().Version).Str("config", d.options.file).Int("pid", os.Getpid()).Msg("anycastd starts")
	d.warn(d.cfg)
	d.forget(ctx)
	parts, endParts := context.WithCancel(context.WithoutCancel(ctx))
	defer endParts()
	d.start(parts, sockets)
	speaker, endSpeaker := context.WithCancel(parts)
	defer endSpeaker()
	spoken := d.speak(speaker)
	loop, endLoop := context.WithCancel(parts)
	defer endLoop()
	go d.obey(loop, endLoop, signals)
	err = d.loop.Run(loop)
	endSpeaker() // first, for after a forced end there may be routes left
	<-spoken
	endParts()
	d.tasks.Wait()
	d.clean()
	if err != nil {
		return err
	}
	d.log.Info().Msg("anycastd has stopped")
	return nil
}

// speak runs the speaker, if there is one; the channel is closed when it has ended.
func (d *daemon) speak(ctx context.Context) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if d.speaker != nil {
			d.carry(ctx, "bgp", d.speaker.Run)
		}
	}()
	return ended
}

// start starts all parts but the speaker and the loop.
func (d *daemon) start(ctx context.Context, sockets map[net.Listener]http.Handler) {
	d.task(ctx, "ikefront", d.front.Run)
	d.task(ctx, "netlink", d.host.Run)
	if d.rewriter != nil {
		d.task(ctx, "netlink", d.rewriter.Run)
	}
	if d.uplinks != nil {
		d.task(ctx, "netlink", d.uplinks.Run)
	}
	d.task(ctx, "probe", d.prober.Run)
	d.tasks.Go(func() { d.supervisor.run(ctx) })
	d.task(ctx, "load", d.loads.Run)
	for l, handler := range sockets {
		d.tasks.Go(func() { web.Serve(ctx, l, handler, d.part("web")) })
	}
}

// task runs a part beside the others.
func (d *daemon) task(ctx context.Context, name string, run func(context.Context) error) {
	d.tasks.Go(func() { d.carry(ctx, name, run) })
}

// carry runs a part; one that ends by itself takes the node down in order.
func (d *daemon) carry(ctx context.Context, name string, run func(context.Context) error) {
	if err := run(ctx); err != nil && ctx.Err() == nil {
		d.log.Error().Err(err).Str("part", name).Msg("a part failed; the node goes out of service")
		d.stop(fmt.Errorf("%s: %w", name, err))
	}
}

// stop begins the tear-down.
func (d *daemon) stop(why error) {
	d.supervisor.stopping()
	d.loop.Stop(why)
}

// listen opens what HTTP is served on: the control socket, the public address
// and that of the load reports.
func (d *daemon) listen() (map[net.Listener]http.Handler, error) {
	sockets := map[net.Listener]http.Handler{}
	for _, at := range []struct {
		key, addr, hint string
		handler         http.Handler
		listen          func() (net.Listener, error)
	}{
		{"control.socket", d.cfg.Socket, "", web.API(d), func() (net.Listener, error) { return web.ListenControl(d.cfg.Socket) }},
		{"control.http", d.cfg.HTTP, `choose another address, or "" for none`, web.Public(d), func() (net.Listener, error) { return net.Listen("tcp", d.cfg.HTTP) }},
		{"report.listen", d.cfg.Report.Listen, "it must be an address of this very host", d.loads, d.loads.listen},
	} {
		if at.addr == "" {
			continue
		}
		l, err := at.listen()
		if err != nil {
			for open := range sockets {
				open.Close()
			}
			return nil, hinted{fmt.Errorf("%s: %w", at.key, err), at.hint}
		}
		sockets[l] = at.handler
	}
	return sockets, nil
}

// obey carries out signals until ctx ends. A second signal to stop ends the
// loop by force.
func (d *daemon) obey(ctx context.Context, force func(), signals <-chan os.Signal) {
	var first time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-signals:
			switch {
			case s == syscall.SIGHUP:
				_ = d.Reload(ctx) // has been logged
			case first.IsZero():
				first = time.Now()
				d.log.Info().Stringer("signal", s).Msg("told to stop")
				d.stop(nil)
			case time.Since(first) >= secondSignal:
				d.log.Warn().Stringer("signal", s).Msg("told to stop again; ending at once")
				force()
			}
		}
	}
}

// forget removes the rewrites of a killed daemon that had another
// port_conflict. One that may not look for them can't have made any.
func (d *daemon) forget(ctx context.Context) {
	if d.rewriter != nil {
		return // its first Set does so
	}
	if err := netlink.NewRewriter(netlink.RewriterConfig{}, d.part("netlink")).Set(ctx, nil); err != nil {
		d.log.Info().Err(err).Msg("what an earlier run may have left in nftables can't be looked for")
	}
}

// clean takes our rewrites and addresses off the host, also after a forced end.
func (d *daemon) clean() {
	ctx, cancel := context.WithTimeout(context.Background(), cleanTime)
	defer cancel()
	var err error
	if d.rewriter != nil {
		err = d.rewriter.Set(ctx, nil)
	}
	if err = errors.Join(err, d.host.Set(ctx, nil)); err != nil {
		d.log.Error().Err(err).Msg("something may be left on the host; the next start removes it, and so does anycastd cleanup")
	}
}

// Status is part of web.Daemon.
func (d *daemon) Status(ctx context.Context) (control.Status, error) {
	s, err := d.loop.Status(ctx)
	if links, e := net.Interfaces(); e == nil {
		s.Warnings = append(s.Warnings, reversePath(sysctls, links)...)
	}
	return s, err
}

// Explain is part of web.Daemon.
func (d *daemon) Explain(ctx context.Context, c policy.Client, identity string) (policy.Explanation, error) {
	return d.loop.Explain(ctx, c, identity)
}

// Drain is part of web.Daemon.
func (d *daemon) Drain(ctx context.Context, gateway, reason string, lasting time.Duration) error {
	return d.loop.Drain(ctx, gateway, reason, lasting)
}

// Undrain is part of web.Daemon.
func (d *daemon) Undrain(ctx context.Context, gateway string) error {
	return d.loop.Undrain(ctx, gateway)
}

// Watch is part of web.Daemon. No prefix: everybody.
func (d *daemon) Watch(clients netip.Prefix, perSecond int) (seen <-chan ikefront.Seen, stop func()) {
	return d.front.Watch(clients, perSecond)
}

// Reload reads the configuration again. With faults the running one stays.
func (d *daemon) Reload(ctx context.Context) error {
	d.reloads.Lock() // a signal and a verb may come together
	defer d.reloads.Unlock()
	d.supervisor.reloading()
	err := d.reload(ctx)
	if err != nil {
		d.supervisor.ready("running; a reload was refused")
		d.log.Error().Err(err).Msg("reload refused; the running configuration stays")
		return err
	}
	d.supervisor.ready("running")
	d.log.Info().Str("config", d.options.file).Msg("reloaded")
	return nil
}

// reload is Reload without its log lines.
func (d *daemon) reload(ctx context.Context) error {
	if d.options.file == "-" {
		return errors.New("the configuration came from standard input and can't be read again")
	}
	cfg, err := d.options.load(nil)
	if err != nil {
		return err
	}
	if err := nextHops(cfg, ownAddresses()); err != nil {
		return err
	}
	d.warn(cfg)
	if err := d.loop.Reload(ctx, cfg); err != nil {
		return err
	}
	d.loads.configure(cfg)
	return nil
}

// warn logs cfg's warnings, and what of this host is against it.
func (d *daemon) warn(cfg *config.Config) {
	for _, w := range cfg.Warnings {
		d.log.Warn().Str("hint", w.Hint).Msg(w.Error())
	}
	links, err := net.Interfaces()
	if err != nil {
		d.log.Warn().Err(err).Msg("the host's links can't be looked at")
	}
	for _, w := range slices.Concat(reversePath(sysctls, links), announcing(sysctls, links), refused(cfg, ownAddresses())) {
		d.log.Warn().Msg(w)
	}
}
