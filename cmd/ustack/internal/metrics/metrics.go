// Package metrics shows what a stack and its web servers count, on a page for Prometheus. Nothing is collected before
// somebody asks for the page.
package metrics

import (
	"net/http"

	"ustack/httpserver"
	"ustack/stack"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Source is what the page is about.
type Source struct {
	// Stack is the TCP/IP; nil if it is not ours, which then tells nothing of itself.
	Stack *stack.Stack
	// Servers are the web servers by the address that they listen on. One that is not ours tells nothing of itself.
	Servers map[string]*httpserver.Server
}

// Handler returns the page.
func Handler(s Source) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	r.MustRegister(s.collectors()...)
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

// collectors are those of the stack and of the servers.
func (s Source) collectors() []prometheus.Collector {
	var list []prometheus.Collector
	if s.Stack != nil {
		list = append(list, stackCollector{s.Stack})
	}
	if len(s.Servers) > 0 {
		list = append(list, httpCollector(s.Servers))
	}
	return list
}

// A metric is the description of one, with what its values are.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

// counterOf and gaugeOf describe a metric.
func counterOf(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc(name, help, labels, nil), prometheus.CounterValue}
}
func gaugeOf(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue}
}

// send sends one value of m.
func (m metric) send(ch chan<- prometheus.Metric, value float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(m.desc, m.kind, value, labels...)
}

// sendAll sends what is counted under names.
func (m metric) sendAll(ch chan<- prometheus.Metric, counts map[string]uint64) {
	for name, n := range counts {
		m.send(ch, float64(n), name)
	}
}
