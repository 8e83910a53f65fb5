package main

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/cmd/anycastd/internal/config"
	"github.com/anycastd/anycastd/cmd/anycastd/internal/load"
	"github.com/anycastd/anycastd/policy"
)

// loads learns the gateways' loads: it asks some, and takes the reports of
// others.
type loads struct {
	*load.Poller
	receiver load.ReceiverConfig // but for what the configuration says
	log      zerolog.Logger
	taking   atomic.Pointer[taking]
}

// taking is how reports are taken under one configuration.
type taking struct {
	cfg      config.Report
	receiver *load.Receiver
	handler  http.Handler
	tls      *tls.Config // nil: there is no certificate
}

// newLoads returns what learns the loads for l, which is called from several
// goroutines.
func newLoads(cfg *config.Config, loaded func(string, policy.Load), known func(string) bool, log zerolog.Logger) *loads {
	l := &loads{
		Poller:   load.NewPoller(load.PollerConfig{Notify: loaded, Failed: func(string, error) {}}, log), // it has been logged
		receiver: load.ReceiverConfig{StaleAfter: cfg.Policy.StaleAfter, Known: known, Notify: loaded}, log: log,
	}
	l.configure(cfg)
	return l
}

// configure takes reports as cfg says from now on.
func (l *loads) configure(cfg *config.Config) {
	old := l.taking.Load()
	if old != nil && old.cfg.Equal(&cfg.Report) && l.receiver.StaleAfter == cfg.Policy.StaleAfter {
		return
	}
	l.receiver.Secret, l.receiver.StaleAfter = cfg.Report.Secret, cfg.Policy.StaleAfter
	t := &taking{cfg: cfg.Report, receiver: load.NewReceiver(l.receiver, l.log)}
	t.handler = t.receiver.Handler()
	if cert := cfg.Report.Certificate; cert != nil {
		t.tls = load.ServerTLS(*cert, cfg.Report.ClientCAs, len(cfg.Report.Secret) > 0)
	}
	l.taking.Store(t)
}

// ServeHTTP takes a report by the present configuration.
func (l *loads) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.taking.Load().handler.ServeHTTP(w, r)
}

// listen opens the address that reports come to.
func (l *loads) listen() (net.Listener, error) {
	t := l.taking.Load()
	at, err := net.Listen("tcp", t.cfg.Listen)
	if err != nil || t.tls == nil {
		return at, err
	}
	return tls.NewListener(at, &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return l.taking.Load().tls, nil // of now, for a reload may have changed it
	}}), nil
}

// Counts is part of control.Loads.
func (l *loads) Counts() map[string]uint64 {
	out := map[string]uint64{"vici_answered": 0, "vici_failed": 0}
	for _, polls := range l.Poller.Counts() {
		out["vici_answered"] += polls.Answered
		out["vici_failed"] += polls.Failed
	}
	for outcome, n := range l.taking.Load().receiver.Counts() {
		out["report_"+outcome] = n
	}
	return out
}
