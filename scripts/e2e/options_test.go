package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestListeners serves on two ports that differ in their switches.
func TestListeners(t *testing.T) {
	need(t, "curl", "tshark")
	s := serve(t, "--offload", "off", "--listen", ":80", "--listen", ":81?timestamps=off&sack=off&mss=1000&max-requests=1", "--access-log", "-")
	done := capture(t)
	for _, f := range families {
		hello(t, f)
		if got := curl(t, 10*time.Second, "http://"+f.host+":81/_/hello"); got != "Hello, World!" {
			t.Errorf("port 81: %q", got)
		}
		out := curl(t, 10*time.Second, "-w", "%{num_connects}\n", "-o", "/dev/null", "http://"+f.host+":81/_/hello", "-o", "/dev/null", "http://"+f.host+":81/_/hello")
		if out != "1\n1\n" {
			t.Errorf("connections a request with max-requests=1: %q", out)
		}
	}
	synACKs := map[string]int{}
	for _, p := range packets(t, done(), "tcp.flags.syn == 1 && tcp.flags.ack == 1") {
		switch {
		case strings.HasPrefix(p["_ws.col.Info"], "80 "):
			if p["tcp.options.timestamp.tsecr"] == "" || p["tcp.options.sack_perm"] == "" {
				t.Errorf("port 80 leaves options out: %v", p)
			}
			synACKs["80"]++
		case strings.HasPrefix(p["_ws.col.Info"], "81 "):
			if p["tcp.options.timestamp.tsecr"] != "" || p["tcp.options.sack_perm"] != "" || p["tcp.options.mss_val"] != "1000" {
				t.Errorf("port 81 does not heed its switches: %v", p)
			}
			synACKs["81"]++
		}
	}
	if synACKs["80"] != 2 || synACKs["81"] != 6 {
		t.Errorf("handshakes by port: %v", synACKs)
	}
	select {
	case <-s.log.seen(`"GET /_/hello HTTP/1.1" 200 13`):
	case <-time.After(2 * time.Second):
		t.Error("no access log on the terminal")
	}
}

// TestQueues serves over two queues with two threads, both offloads on.
func TestQueues(t *testing.T) {
	need(t, "curl", "wrk")
	serve(t, "--queues", "2", "--procs", "2", "--offload", "on")
	for _, f := range families {
		wrk(t, f, "/_/hello", "-c64", "-d"+pick("1s", "10s"))
		download(t, f)
		upload(t, f)
	}
}

// TestRoot serves files of one's own, and nothing beside them.
func TestRoot(t *testing.T) {
	need(t, "curl")
	dir := t.TempDir()
	for path, text := range map[string]string{"secret": "no", "www/index.html": "<h1>mine</h1>", "www/sub/a.txt": "a file"} {
		name := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "secret"), filepath.Join(dir, "www/link")); err != nil {
		t.Fatal(err)
	}
	serve(t, "--root", filepath.Join(dir, "www"), "--builtin=false")
	f := families[0]
	for path, want := range map[string]string{"/": "<h1>mine</h1>200", "/sub/a.txt": "a file200"} {
		if got := curl(t, 5*time.Second, "-w", "%{http_code}", f.url(path)); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	for _, path := range []string{"/../secret", "/link", "/_/hello", "/%2e%2e/secret", "/nothing"} {
		out := curl(t, 5*time.Second, "--path-as-is", "-o", "/dev/null", "-w", "%{http_code}", f.url(path))
		if out < "300" {
			t.Errorf("%s: %s", path, out)
		}
	}
}
