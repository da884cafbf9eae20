package metrics

import (
	"strconv"

	"ustack/httpserver"

	"github.com/prometheus/client_golang/prometheus"
)

// What a web server counts.
var (
	httpRequests = counterOf("ustack_http_requests_total",
		"Requests that are over, by the first digit of the status; 0xx: the handler failed or took the connection before it chose one.", "listener", "status")
	httpHeadBytes = counterOf("ustack_http_response_head_bytes_total", "Octets of status lines and fields.", "listener")
	httpBodyBytes = counterOf("ustack_http_response_body_bytes_total", "Octets of content, without chunked framing.", "listener")
	httpAccepted  = counterOf("ustack_http_connections_accepted_total", "Connections so far.", "listener")
	httpClosed    = counterOf("ustack_http_connections_closed_total", "Connections that have ended.", "listener", "reason")
	httpOpen      = gaugeOf("ustack_http_connections",
		"Connections of the moment. An active one has a request in flight, a partial one waits for the rest of a head.", "listener", "activity")
	httpDuration = prometheus.NewDesc("ustack_http_request_duration_seconds",
		"From the parsed head to the complete answer, of the first request of each connection and every sixteenth after it.", []string{"listener"}, nil)
)

// httpCollector collects what web servers count, by their listeners.
type httpCollector map[string]*httpserver.Server

// Describe describes each metric.
func (c httpCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range []metric{httpRequests, httpHeadBytes, httpBodyBytes, httpAccepted, httpClosed, httpOpen} {
		ch <- m.desc
	}
	ch <- httpDuration
}

// Collect looks at the servers.
func (c httpCollector) Collect(ch chan<- prometheus.Metric) {
	for listener, server := range c {
		st := server.Stats()
		for class, n := range st.Requests {
			httpRequests.send(ch, float64(n), listener, strconv.Itoa(class)+"xx")
		}
		httpHeadBytes.send(ch, float64(st.HeadBytes), listener)
		httpBodyBytes.send(ch, float64(st.BodyBytes), listener)
		httpAccepted.send(ch, float64(st.Accepted), listener)
		for reason, n := range st.Closed {
			httpClosed.send(ch, float64(n), listener, string(reason))
		}
		for activity, n := range map[string]int{
			"active": st.Connections.Active, "idle": st.Connections.Idle,
			"partial": st.Connections.Partial, "lingering": st.Connections.Lingering,
		} {
			httpOpen.send(ch, float64(n), listener, activity)
		}
		ch <- histogram(&st.Durations, listener)
	}
}

// histogram makes of d, whose counts are each of one bucket, one whose buckets hold those below them as well.
func histogram(d *httpserver.Durations, listener string) prometheus.Metric {
	buckets := make(map[float64]uint64, len(d.Bounds))
	total := uint64(0)
	for i, n := range d.Counts {
		total += n
		if i < len(d.Bounds) {
			buckets[d.Bounds[i].Seconds()] = total
		}
	}
	return prometheus.MustNewConstHistogram(httpDuration, total, d.Sum.Seconds(), buckets, listener)
}
