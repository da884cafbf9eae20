package main

import (
	"context"
	"strings"
	"testing"
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
