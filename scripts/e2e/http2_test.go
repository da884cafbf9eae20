package e2e

import (
	"strings"
	"testing"
	"time"
)

// TestHTTP2 serves HTTP/2 in clear text on each engine.
func TestHTTP2(t *testing.T) {
	need(t, "curl", "h2load")
	for _, engine := range []string{"ustack", "gvisor", "kernel"} {
		t.Run(engine, func(t *testing.T) {
			serve(t, "--engine", engine, "--listen", ":80", "--listen", ":82?http=h2c")
			for _, f := range families {
				t.Run(f.name, func(t *testing.T) { multiplexed(t, f) })
			}
		})
	}
}

// multiplexed keeps a hundred requests under way on one connection, then asks as curl does, in either version. It takes a
// curl of its own for each request: curl 7.88.1, which is Debian's, cannot use a connection of HTTP/2 in clear text twice
// (its issue 10634).
func multiplexed(t *testing.T, f family) {
	at := "http://" + f.host + ":82/_/"
	n := pick("2000", "200000")
	out := run(t, time.Minute, "h2load", "-n", n, "-c", "1", "-m", "100", at+"objects/40/7?size=4000")
	if !strings.Contains(out, n+" succeeded, 0 failed") || !strings.Contains(out, n+" 2xx, 0 3xx, 0 4xx, 0 5xx") {
		t.Error(out)
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "finished in ") {
			t.Log(strings.TrimSpace(line))
		}
	}
	for flag, version := range map[string]string{"--http2-prior-knowledge": "2", "--http1.1": "1.1"} {
		if got := curl(t, 10*time.Second, flag, "-w", " %{http_version}", at+"hello"); got != "Hello, World! "+version {
			t.Errorf("curl %s: %q", flag, got)
		}
	}
}
