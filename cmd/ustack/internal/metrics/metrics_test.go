package metrics

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"ustack/httpserver"
	"ustack/stack"
	"ustack/stack/link"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// source is a web server on a stack at the end of a link that loses packets, after a download from it.
func source(t *testing.T) Source {
	t.Helper()
	near, far := link.Pair(link.PairConfig{QueueLen: 10_000})
	host := func(l link.Link, addr string) *stack.Stack {
		s, err := stack.New(stack.Config{Links: []link.Link{l}, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	own := host(link.Impair(near, link.Spec{Out: link.Faults{Loss: 3}, Seed: 7}), "192.0.2.1/24")
	client := host(far, "192.0.2.2/24")
	l, err := own.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	server := &httpserver.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write(make([]byte, 1<<20))
	})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	web := http.Client{Transport: &http.Transport{DialContext: client.DialContext}}
	r, err := web.Get("http://192.0.2.1/")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if n, err := io.Copy(io.Discard, r.Body); n != 1<<20 || err != nil {
		t.Fatalf("%d octets, %v", n, err)
	}
	for range 500 { // the answer is counted once the server has nothing left to do
		if server.Stats().Connections.Idle == 1 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return Source{Stack: own, Servers: map[string]*httpserver.Server{":80": server}}
}

// TestLint holds names and help texts against the conventions, by the client library's own linter.
func TestLint(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(source(t).collectors()...)
	problems, err := testutil.GatherAndLint(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if n, err := testutil.GatherAndCount(r); err != nil || n < 30 {
		t.Errorf("%d values, %v", n, err)
	}
}

// TestPage reads the page after a download that lost packets.
func TestPage(t *testing.T) {
	s := source(t)
	page := func() string {
		w := httptest.NewRecorder()
		Handler(s).ServeHTTP(w, httptest.NewRequest("GET", "/_/metrics", nil))
		if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
			t.Fatalf("%d %v", w.Code, w.Header())
		}
		return w.Body.String()
	}
	text := page()
	for name, least := range map[string]float64{
		`ustack_tcp_segments_sent_total{cause="data"}`:                          500,
		`ustack_tcp_segments_sent_total{cause="fast-retransmit"}`:               1,
		`ustack_tcp_retransmissions_total`:                                      1,
		`ustack_tcp_segments_received_total`:                                    10,
		`ustack_packets_received_total`:                                         10,
		`ustack_tcp_connections{state="ESTABLISHED"}`:                           1,
		`ustack_memory_budget_bytes`:                                            256 << 20,
		`ustack_link_sent_bytes_total{link="0"}`:                                1 << 20,
		`ustack_http_requests_total{listener=":80",status="2xx"}`:               1,
		`ustack_http_response_body_bytes_total{listener=":80"}`:                 1 << 20,
		`ustack_http_connections{activity="idle",listener=":80"}`:               1,
		`ustack_http_request_duration_seconds_count{listener=":80"}`:            1,
		`ustack_http_request_duration_seconds_bucket{listener=":80",le="+Inf"}`: 1,
		`go_goroutines`: 1,
	} {
		if got := value(t, text, name); got < least {
			t.Errorf("%s is %v, want %v or more", name, got, least)
		}
	}
	if n := strings.Count(text, "\nustack_http_request_duration_seconds_bucket"); n != 17 {
		t.Errorf("%d buckets", n)
	}
	s.Stack = nil
	if text := page(); strings.Contains(text, "ustack_tcp") || !strings.Contains(text, "ustack_http_requests_total") {
		t.Errorf("without a stack of ours:\n%s", text)
	}
}

func value(t *testing.T, text, name string) float64 {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindStringSubmatch(text)
	if m == nil {
		t.Errorf("no %s in\n%s", name, text)
		return 0
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Error(err)
	}
	return v
}
