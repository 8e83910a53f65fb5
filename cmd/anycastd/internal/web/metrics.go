package web

import (
	"context"
	_ "embed"
	"html/template"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/anycastd/anycastd/cmd/anycastd/internal/control"
)

// Public returns the handler of control.http: metrics, health, status page.
func Public(d Daemon) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(newCollector(d), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if _, err := d.Status(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		s, err := d.Status(r.Context())
		switch {
		case err != nil:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		case !s.Ready:
			http.Error(w, s.State+": "+s.Reason, http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { statusPage(w, r, d) })
	return bounded(mux)
}

//go:embed status.html
var statusHTML string

// statusPage shows the status to a person.
func statusPage(w http.ResponseWriter, r *http.Request, d Daemon) {
	s, err := d.Status(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	page, err := template.New("status").Parse(statusHTML)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = page.Execute(w, s) // the client has gone
}

// collector makes metrics of a status.
type collector struct {
	daemon                                                              Daemon
	packets, filtering, cookies, gateway, address, route, record, peers *prometheus.Desc
}

// newCollector returns a collector that asks d at each scrape.
func newCollector(d Daemon) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("anycastd_"+name, help, labels, nil)
	}
	return &collector{
		daemon:    d,
		packets:   desc("packets_total", "Datagrams received, by endpoint and by what became of them.", "endpoint", "disposition"),
		filtering: desc("sockets_filtering", "Sockets that drop a flood of junk by a filter in the kernel.", "endpoint"),
		cookies:   desc("cookies_demanded", "1 while every client is asked for a cookie."),
		gateway:   desc("gateway_usable", "1 if the gateway takes newcomers.", "gateway"),
		address:   desc("address_in_place", "1 if the anycast address is installed, listened on and answers.", "address"),
		route:     desc("route_announced", "1 if the prefix is announced without reserve.", "prefix"),
		record:    desc("record_published", "1 if the DNS server was last seen to answer the record.", "zone", "name", "type", "address"),
		peers:     desc("peer_established", "1 if the BGP session is established.", "neighbor"),
	}
}

// Describe is part of prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.packets, c.filtering, c.cookies, c.gateway, c.address, c.route, c.record, c.peers} {
		ch <- d
	}
}

// Collect is part of prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	s, err := c.daemon.Status(ctx)
	if err != nil {
		return
	}
	for _, e := range s.Endpoints {
		ch <- prometheus.MustNewConstMetric(c.filtering, prometheus.GaugeValue, float64(e.Filtering), e.Endpoint.String())
		for disposition := range s.Packets { // each, also those that have not occurred
			var n uint64
			for _, socket := range e.Sockets {
				n += socket[disposition]
			}
			ch <- prometheus.MustNewConstMetric(c.packets, prometheus.CounterValue, float64(n), e.Endpoint.String(), disposition)
		}
	}
	gauge := func(d *prometheus.Desc, on bool, labels ...string) {
		v := 0.0
		if on {
			v = 1
		}
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	c.gauges(s, gauge)
}

// gauges gives each thing of s that is as wanted or not to gauge.
func (c *collector) gauges(s control.Status, gauge func(*prometheus.Desc, bool, ...string)) {
	gauge(c.cookies, s.Cookies)
	for _, g := range s.Gateways {
		gauge(c.gateway, g.Usable, g.Name)
	}
	for _, a := range s.Addresses {
		gauge(c.address, a.Installed && a.Listening && a.Answers, a.Address.String())
	}
	for _, r := range s.Routes {
		gauge(c.route, r.State == "announced", r.Prefix.String())
	}
	for _, r := range s.Records {
		gauge(c.record, r.Published, r.Zone, r.Name, r.Type, r.Address.String())
	}
	for _, p := range s.Peers {
		gauge(c.peers, p.State == "Established", p.Address.String())
	}
}
