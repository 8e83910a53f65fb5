package web

import (
	"context"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/anycastd/anycastd/cmd/anycastd/internal/control"
	"github.com/anycastd/anycastd/policy"
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
	page, err := template.New("status").Funcs(template.FuncMap{"percent": percent}).Parse(statusHTML)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = page.Execute(w, s) // the client has gone
}

// percent is a share in words.
func percent(share *float64) string { return fmt.Sprintf("%.0f %%", 100**share) }

// collector makes metrics of a status.
type collector struct {
	daemon Daemon
	descs  map[string]*prometheus.Desc
}

// newCollector returns a collector that asks d at each scrape.
func newCollector(d Daemon) *collector {
	c := &collector{daemon: d, descs: map[string]*prometheus.Desc{}}
	for _, m := range []struct {
		name, help string
		labels     []string
	}{
		{"packets_total", "Datagrams received, by endpoint and by what became of them.", []string{"endpoint", "disposition"}},
		{"sockets_filtering", "Sockets that drop a flood of junk by a filter in the kernel.", []string{"endpoint"}},
		{"cookies_demanded", "1 while every client is asked for a cookie.", nil},
		{"gateway_usable", "1 if the gateway takes newcomers.", []string{"gateway"}},
		{"gateway_drained", "1 if an operator drained the gateway.", []string{"gateway"}},
		{"gateway_overloaded", "1 if the gateway gets newcomers only while no other does.", []string{"gateway"}},
		{"gateway_load_ratio", "Share of the gateway's capacity in use; absent while unknown.", []string{"gateway"}},
		{"gateway_sessions", "IKE SAs of the gateway by its last figure; absent while unknown.", []string{"gateway"}},
		{"gateway_weight_ratio", "Share of its weight that the gateway takes part with.", []string{"gateway"}},
		{"gateway_sent_total", "Clients counted as sent to the gateway, as far as loads count.", []string{"gateway"}},
		{"gateway_address_up", "1 if the gateway's address was proved alive.", []string{"gateway", "address"}},
		{"probes_total", "Probes of gateways and of our own addresses, by what became of them.", []string{"outcome"}},
		{"loads_total", "Figures of gateways' loads that came in, by what became of them.", []string{"outcome"}},
		{"node_drained", "1 if an operator drained this node.", nil},
		{"site_fit", "1 if the site is fit to be sent clients.", nil},
		{"site_usable_gateways", "Gateways that take newcomers.", nil},
		{"site_load_ratio", "Mean load of the usable gateways by weight; absent while unknown.", nil},
		{"address_in_place", "1 if the anycast address is installed, listened on and answers.", []string{"address"}},
		{"route_announced", "1 if the prefix is announced without reserve.", []string{"prefix"}},
		{"record_published", "1 if the DNS server was last seen to answer the record.", []string{"zone", "name", "type", "address"}},
		{"peer_established", "1 if the BGP session is established.", []string{"neighbor"}},
		{"bgp_sessions_total", "Times that the BGP session was established.", []string{"neighbor"}},
		{"bgp_messages_total", "BGP messages sent and received, by type.", []string{"neighbor", "direction", "type"}},
		{"bgp_announced_routes", "Routes that the neighbor has been told.", []string{"neighbor"}},
		{"bgp_received_prefixes", "Prefixes that the neighbor has told us, if they are counted; none is taken over.", []string{"neighbor"}},
	} {
		c.descs[m.name] = prometheus.NewDesc("anycastd_"+m.name, m.help, m.labels, nil)
	}
	return c
}

// Describe is part of prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
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
	r := recorder{c.descs, ch}
	r.endpoints(&s)
	r.loads(&s)
	for i := range s.Gateways {
		r.gateway(&s.Gateways[i])
	}
	r.states(&s)
}

// recorder records metrics by their names.
type recorder struct {
	descs map[string]*prometheus.Desc
	ch    chan<- prometheus.Metric
}

// count records a counter.
func (r recorder) count(name string, n uint64, labels ...string) {
	r.ch <- prometheus.MustNewConstMetric(r.descs[name], prometheus.CounterValue, float64(n), labels...)
}

// gauge records a value.
func (r recorder) gauge(name string, v float64, labels ...string) {
	r.ch <- prometheus.MustNewConstMetric(r.descs[name], prometheus.GaugeValue, v, labels...)
}

// known records a value unless it is unknown.
func (r recorder) known(name string, v *float64, labels ...string) {
	if v != nil {
		r.gauge(name, *v, labels...)
	}
}

// is records whether something is so.
func (r recorder) is(name string, so bool, labels ...string) {
	v := 0.0
	if so {
		v = 1
	}
	r.gauge(name, v, labels...)
}

// endpoints records what became of datagrams.
func (r recorder) endpoints(s *control.Status) {
	for _, e := range s.Endpoints {
		r.gauge("sockets_filtering", float64(e.Filtering), e.Endpoint.String())
		for disposition := range s.Packets { // each, also those that have not occurred
			var n uint64
			for _, socket := range e.Sockets {
				n += socket[disposition]
			}
			r.count("packets_total", n, e.Endpoint.String(), disposition)
		}
	}
	r.is("cookies_demanded", s.Cookies)
}

// loads records what is known of the site, and by what.
func (r recorder) loads(s *control.Status) {
	for outcome, n := range map[string]uint64{"sent": s.Probes.Sent, "answered": s.Probes.Answered, "silent": s.Probes.Silent, "late": s.Probes.Late, "strange": s.Probes.Strange} {
		r.count("probes_total", n, outcome)
	}
	for outcome, n := range s.Reports {
		r.count("loads_total", n, outcome)
	}
	r.is("node_drained", s.Drained != nil)
	r.is("site_fit", s.Site.State == "fit")
	r.gauge("site_usable_gateways", float64(s.Site.Usable))
	r.known("site_load_ratio", s.Site.Load)
}

// gateway records what is known of a gateway.
func (r recorder) gateway(g *control.Gateway) {
	r.is("gateway_usable", g.Usable, g.Name)
	r.is("gateway_drained", g.Drained != nil, g.Name)
	r.is("gateway_overloaded", g.Overloaded, g.Name)
	r.known("gateway_load_ratio", g.Load, g.Name)
	if g.Sessions != nil {
		r.gauge("gateway_sessions", float64(*g.Sessions), g.Name)
	}
	r.gauge("gateway_weight_ratio", float64(g.Level)/policy.FullShare, g.Name)
	r.count("gateway_sent_total", g.Sent, g.Name)
	for _, h := range g.Health {
		r.is("gateway_address_up", h.State == "up", g.Name, h.Address.String())
	}
}

// states records what is as wanted or not.
func (r recorder) states(s *control.Status) {
	for _, a := range s.Addresses {
		r.is("address_in_place", a.Installed && a.Listening && a.Answers, a.Address.String())
	}
	for _, route := range s.Routes {
		r.is("route_announced", route.State == "announced", route.Prefix.String())
	}
	for _, rec := range s.Records {
		r.is("record_published", rec.Published, rec.Zone, rec.Name, rec.Type, rec.Address.String())
	}
	for i := range s.Peers {
		r.peer(&s.Peers[i])
	}
}

// peer records what is known of a BGP neighbor.
func (r recorder) peer(p *control.Peer) {
	neighbor := p.Address.String()
	r.is("peer_established", p.State == "Established", neighbor)
	r.count("bgp_sessions_total", uint64(p.Established), neighbor)
	r.gauge("bgp_announced_routes", float64(p.Announced), neighbor)
	r.gauge("bgp_received_prefixes", float64(p.Prefixes), neighbor)
	for direction, counts := range map[string]map[string]uint64{"sent": p.Sent, "received": p.Received} {
		for kind, n := range counts {
			r.count("bgp_messages_total", n, neighbor, direction, kind)
		}
	}
}
