package main

import (
	"context"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestMetrics asks a server for its metrics, on an engine that tells of itself and on one that does not.
func TestMetrics(t *testing.T) {
	for engine, ours := range map[string]bool{"ustack": true, "gvisor": false} {
		t.Run(engine, func(t *testing.T) {
			s, c, _ := memoryServer(t, "--engine", engine, "--listen", ":80", "--listen", ":82?http=h2c")
			fetchText(t, c, "http://10.90.0.2/_/hello")
			page := fetchText(t, c, "http://10.90.0.2/_/metrics")
			if !strings.Contains(page, `ustack_http_connections_accepted_total{listener=":80"} 1`) || strings.Contains(page, ":82") {
				t.Errorf("HTTP: %s", page)
			}
			if got := strings.Contains(page, `ustack_tcp_connections{state="ESTABLISHED"} 1`); got != ours {
				t.Errorf("the stack is there: %v, want %v in\n%s", got, ours, page)
			}
			c.CloseIdleConnections()
			if err := s.shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	s, c, _ := memoryServer(t, "--builtin=false")
	if page := fetchText(t, c, "http://10.90.0.2/_/metrics"); !strings.Contains(page, "404") {
		t.Errorf("without the endpoints: %s", page)
	}
	c.CloseIdleConnections()
	if err := s.shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestServerTiming: who asks for it finds in each answer what TCP has done, on both kinds of server; others do not.
func TestServerTiming(t *testing.T) {
	s, c, _ := memoryServer(t, "--listen", ":80?server-timing=on", "--listen", ":81", "--listen", ":82?http=h2c&server-timing=on")
	timing := func(port string) string {
		t.Helper()
		for range 2 { // the first answer of a connection may come before a round trip was measured
			r, err := c.Get("http://10.90.0.2:" + port + "/_/hello")
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				t.Fatal(err)
			}
			if port == "81" || strings.Contains(r.Header.Get("Server-Timing"), "tcp-rtt;") {
				return r.Header.Get("Server-Timing")
			}
		}
		return ""
	}
	form := regexp.MustCompile(`^(tcp-handshake;dur=[\d.]+, )?tcp-rtt;dur=[\d.]+, tcp-rtt-min;dur=[\d.]+, tcp-rto;dur=[2-9]\d\d[\d.]*, tcp-cwnd;desc="\d{5}", ` +
		`tcp-peer-window;desc="\d+", tcp-cwnd-limited;dur=[\d.]+, tcp-peer-window-limited;dur=0, tcp-recovery;dur=[\d.]+, tcp-sent-again;desc="\d+", tcp-timeouts;desc="\d+", tcp-phase;desc=[a-z-]+$`)
	for _, port := range []string{"80", "82"} {
		if got := timing(port); !form.MatchString(got) {
			t.Errorf("port %s: %q", port, got)
		}
	}
	if got := timing("81"); got != "" {
		t.Errorf("nobody asked for it: %q", got)
	}
	c.CloseIdleConnections()
	if err := s.shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestPanelEnds: an open stream of the panel does not keep the server from ending.
func TestPanelEnds(t *testing.T) {
	s, c, _ := memoryServer(t)
	r, err := c.Get("http://10.90.0.2/_/events")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if _, err := r.Body.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, r.Body)
		ended <- err
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := s.shutdown(ctx); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the stream does not end in order: %v", err)
	}
}
