package e2e

import (
	"os"
	"strings"
	"testing"
	"time"
)

// TestEngines expects the same site from each engine.
func TestEngines(t *testing.T) {
	need(t, "curl")
	for _, engine := range []string{"kernel", "gvisor"} {
		t.Run(engine, func(t *testing.T) {
			serve(t, "--engine", engine)
			for _, f := range families {
				t.Run(f.name, func(t *testing.T) {
					hello(t, f)
					persistent(t, f)
					parallel(t, f)
					download(t, f)
					upload(t, f)
				})
			}
		})
	}
}

// TestClient lets `ustack get` dial the kernel's TCP from a stack of its own.
func TestClient(t *testing.T) {
	serve(t, "--engine", "kernel", "--listen", ":80", "--listen", ":82?http=h2c")
	for _, engine := range []string{"ustack", "gvisor"} {
		for _, f := range families {
			t.Run(engine+"/"+f.name, func(t *testing.T) {
				get(t, "--engine", engine, "--verify", "-n", "2", f.url("/_/bytes/67108864"))
				get(t, "--engine", engine, "--parallel", "8", "-n", "200", f.url("/_/hello"))
				get(t, "--engine", engine, "--pipeline=16", "-n", "500", f.url("/_/hello"))
				get(t, "--engine", engine, "--multiplexed", "-n", "500", "http://"+f.host+":82/_/hello")
				out, err := try(t, 10*time.Second, os.Getenv(insideEnv), "get", "--engine", engine, "http://"+f.host+":81/")
				if err == nil || !strings.Contains(out, "connection refused") {
					t.Errorf("a closed port: %v\n%s", err, out)
				}
			})
		}
	}
}

// get runs `ustack get`, which fails if any request does, and logs its summary.
func get(t *testing.T, args ...string) {
	t.Helper()
	out := run(t, 2*time.Minute, os.Getenv(insideEnv), append([]string{"get"}, args...)...)
	for line := range strings.Lines(out) {
		if strings.Contains(line, " failed, over ") {
			t.Log(strings.TrimSpace(line))
		}
	}
}
