package e2e

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"ustack/scripts/sequence"
)

// TestServe is what a newcomer does, and then more of it: both offloads, both families.
func TestServe(t *testing.T) {
	need(t, "curl", "wrk", "ab", "ping")
	for _, offload := range []string{"auto", "off"} {
		t.Run("offload="+offload, func(t *testing.T) {
			serve(t, "--offload", offload)
			for _, f := range families {
				t.Run(f.name, func(t *testing.T) { testFamily(t, f) })
			}
		})
	}
}

func testFamily(t *testing.T, f family) {
	steps := []struct {
		name string
		test func(*testing.T, family)
	}{
		{"ping", ping},
		{"hello", hello},
		{"persistent", persistent},
		{"parallel", parallel},
		{"download", download},
		{"upload", upload},
		{"echo", echo},
		{"wrk", wrkPlain},
		{"wrk pipelined", wrkPipelined},
		{"ab", abClosing},
		{"wrk 1024", wrkMany},
		{"refused", refused},
	}
	for _, s := range steps {
		if !t.Run(s.name, func(t *testing.T) { s.test(t, f) }) {
			break // what follows a broken step would only repeat it
		}
	}
}

func ping(t *testing.T, f family) {
	args := []string{"-q", "-i", "0.01", "-c", pick("20", "200")}
	if f.name == "v6" {
		args = append(args, "-6")
	}
	out := run(t, 20*time.Second, "ping", append(args, f.addr)...)
	if !strings.Contains(out, " 0% packet loss") {
		t.Error(out)
	}
	t.Log(lastLine(out))
}

func hello(t *testing.T, f family) {
	start := time.Now()
	if got := curl(t, 10*time.Second, f.url("/_/hello")); got != "Hello, World!" {
		t.Errorf("got %q", got)
	}
	t.Logf("curl and all: %v", time.Since(start).Round(time.Millisecond))
}

func persistent(t *testing.T, f family) {
	got := curl(t, 10*time.Second, "-w", "%{num_connects}\n", "-o", "/dev/null", f.url("/_/hello"), "-o", "/dev/null", f.url("/_/bytes/100000"))
	if got != "1\n0\n" {
		t.Errorf("connections a request: %q, want 1 and 0", got)
	}
}

func parallel(t *testing.T, f family) {
	const objects = 200
	var config bytes.Buffer
	for i := range objects {
		fmt.Fprintf(&config, "url = %q\noutput = /dev/null\n", f.url(fmt.Sprintf("/_/objects/%d/%d?size=4000", objects, i)))
	}
	path := filepath.Join(t.TempDir(), "curl.conf")
	if err := os.WriteFile(path, config.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	out := curl(t, 30*time.Second, "-Z", "--parallel-max", "8", "-w", "%{http_code} %{size_download} %{num_connects}\n", "-K", path)
	conns, good := 0, 0
	for line := range strings.Lines(out) {
		var code, size, opened int
		if n, _ := fmt.Sscan(line, &code, &size, &opened); n == 3 && code == 200 && size == 4000 {
			good++
		}
		conns += opened
	}
	if good != objects {
		t.Errorf("%d of %d objects are right", good, objects)
	}
	if conns > objects/2 {
		t.Errorf("%d connections: they are not reused", conns)
	}
	t.Logf("%d objects over %d connections", good, conns)
}

func download(t *testing.T, f family) {
	size := pick[int64](64<<20, 1<<30)
	start := time.Now()
	fetch(t, f.url(fmt.Sprintf("/_/bytes/%d", size)), size, 2*time.Minute)
	t.Log(rate(size, start))
}

// fetch downloads a URL with curl and checks every octet against the sequence of /_/bytes.
func fetch(t *testing.T, url string, size int64, limit time.Duration) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "curl", "-sS", "--noproxy", "*", "-m", strconv.Itoa(int(limit.Seconds())), url)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n, seqErr := sequence.Read(out)
	if seqErr != nil {
		cmd.Process.Kill()
	}
	err = cmd.Wait()
	if seqErr != nil || err != nil || n != size {
		t.Fatalf("%s: %d of %d octets: %v, %v %s", url, n, size, seqErr, err, stderr.Bytes())
	}
}

func upload(t *testing.T, f family) {
	size := pick[int64](64<<20, 1<<30)
	file := filepath.Join(t.TempDir(), "upload")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, size); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if got := curl(t, 2*time.Minute, "-T", file, f.url("/_/sink")); got != fmt.Sprintf("%d\n", size) {
		t.Errorf("the sink counted %q, want %d", got, size)
	}
	t.Log(rate(size, start))
}

func echo(t *testing.T, f family) {
	size := pick[int64](4<<20, 64<<20)
	start := time.Now()
	echoBack(t, f.url("/_/echo"), size, time.Minute)
	t.Log(rate(2*size, start))
}

// echoBack sends random octets and expects them back, after the head that /_/echo puts before them.
func echoBack(t *testing.T, url string, size int64, limit time.Duration) {
	t.Helper()
	sent := make([]byte, size)
	rand.Read(sent)
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	if err := os.WriteFile(in, sent, 0o644); err != nil {
		t.Fatal(err)
	}
	curl(t, limit, "-X", "POST", "--data-binary", "@"+in, "-H", "Content-Type: application/octet-stream", "-o", out, url)
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	_, body, ok := bytes.Cut(got, []byte("\r\n\r\n"))
	if !ok || !bytes.Equal(body, sent) {
		t.Fatalf("%d octets came back of %d, and they differ", len(body), len(sent))
	}
}

func wrkPlain(t *testing.T, f family) {
	wrk(t, f, "/_/hello", "-c64", "-d"+pick("1s", "10s"))
}

func wrkPipelined(t *testing.T, f family) {
	script := filepath.Join(t.TempDir(), "pipeline.lua")
	const lua = `
init = function(args)
  local r = {}
  for i = 1, 16 do r[i] = wrk.format("GET", "/_/hello") end
  batch = table.concat(r)
end
request = function() return batch end
`
	if err := os.WriteFile(script, []byte(lua), 0o644); err != nil {
		t.Fatal(err)
	}
	wrk(t, f, "/", "-c16", "-d"+pick("1s", "10s"), "-s", script)
}

// wrkMany expects a thousand connections to lose nothing on their way through the device.
func wrkMany(t *testing.T, f family) {
	before := queueDrops(t)
	wrk(t, f, "/_/hello", "-c1024", "-d"+pick("1s", "10s"))
	if lost := queueDrops(t) - before; lost != 0 {
		t.Errorf("the device dropped %d packets", lost)
	}
}

var wrkRate = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)

func wrk(t *testing.T, f family, path string, args ...string) {
	t.Helper()
	out := run(t, time.Minute, "wrk", append(append([]string{"-t2", "--timeout", "10s"}, args...), f.url(path))...)
	m := wrkRate.FindStringSubmatch(out)
	if m == nil || m[1] == "0.00" || strings.Contains(out, "Socket errors") || strings.Contains(out, "Non-2xx") {
		t.Error(out)
		return
	}
	t.Logf("%s requests a second", m[1])
}

// abClosing makes a connection for every request. The server closes them (HTTP/1.0), so TIME-WAIT is the
// server's, but for the connections that ab has open beyond its last request and closes itself. Where
// curl closes, it is the kernel's.
func abClosing(t *testing.T, f family) {
	const concurrency = 32
	n := pick("5000", "50000")
	before := timeWaits(t)
	out := run(t, 2*time.Minute, "ab", "-q", "-n", n, "-c", strconv.Itoa(concurrency), f.url("/_/hello"))
	for _, want := range []string{`Complete requests:\s+` + n, `Failed requests:\s+0\n`} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("no %s in:\n%s", want, out)
		}
	}
	if strings.Contains(out, "Non-2xx") {
		t.Error(out)
	}
	if left := timeWaits(t) - before; left >= concurrency {
		t.Errorf("%d connections in TIME-WAIT at the client, which closed second", left)
	}
	before = timeWaits(t)
	curl(t, 10*time.Second, f.url("/_/hello"))
	left := timeWaits(t) - before
	for n := 0; left == 0 && n < 100; n++ { // the server's FIN is on its way
		time.Sleep(20 * time.Millisecond)
		left = timeWaits(t) - before
	}
	if left != 1 {
		t.Errorf("%d connections in TIME-WAIT at the client, which closed first; want 1", left)
	}
	if m := regexp.MustCompile(`Requests per second:\s+([0-9.]+)`).FindStringSubmatch(out); m != nil {
		t.Logf("%s connections a second", m[1])
	}
}

// refused expects a RST from a closed port, at once. req: ST-CL2
func refused(t *testing.T, f family) {
	start := time.Now()
	c, err := net.DialTimeout("tcp", f.host+":81", 5*time.Second)
	if err == nil {
		c.Close()
		t.Fatal("connected to a closed port")
	}
	if !strings.Contains(err.Error(), "connection refused") || time.Since(start) > time.Second {
		t.Errorf("after %v: %v", time.Since(start), err)
	}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

func rate(n int64, start time.Time) string {
	d := time.Since(start)
	return fmt.Sprintf("%d MiB in %v: %.1f Gbit/s", n>>20, d.Round(time.Millisecond), float64(n)*8/d.Seconds()/1e9)
}
