package main

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"ustack/cmd/ustack/internal/control"
)

// output gathers what a command prints, and tells what has come so far.
type output struct {
	mu sync.Mutex
	b  strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// observed starts a server on a memory link, with a control socket, and an HTTP client of it.
func observed(t *testing.T, args ...string) (s *server, c *http.Client, socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s")
	s, c, _ = memoryServer(t, append(args, "--control", socket)...)
	if err := s.openControl(); err != nil {
		t.Fatal(err)
	}
	s.control.start(s)
	return s, c, socket
}

// command runs a command to its end, and expects an exit code.
func command(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs output
	if got := run(args, &out, &errs); got != code {
		t.Errorf("ustack %s: exit code %d, want %d: %s", strings.Join(args, " "), got, code, errs.String())
	}
	return out.String(), errs.String()
}

func TestSS(t *testing.T) {
	s, c, socket := observed(t)
	fetchText(t, c, "http://10.90.0.2/_/bytes/100000")
	fetchText(t, c, "http://[fd90::2]/_/hello")
	line := regexp.MustCompile(`^ESTAB +0 +0 +10\.90\.0\.2:80 +10\.90\.0\.1:\d+ ts sack cubic wscale:\d+,\d+ rto:\S+ rtt:\S+/\S+ ato:40 mss:1448 pmtu:1500 .*cwnd:\d+ .*bytes_sent:10\d{4} bytes_acked:10\d{4} bytes_received:\d+ `)
	var lines []string
	for range 200 { // until the last octets are acknowledged
		out, _ := command(t, exitOK, "ss", "-tinO", "--control", socket)
		lines = strings.Split(strings.TrimSpace(out), "\n")
		if len(lines) != 3 || !strings.HasPrefix(lines[0], "State") {
			t.Fatalf("want a title and two connections:\n%s", out)
		}
		if line.MatchString(lines[1]) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if !line.MatchString(lines[1]) {
		t.Errorf("%q is not %v", lines[1], line)
	}
	if out, _ := command(t, exitOK, "ss", "-H6", "--control", socket, "state", "established", "sport = :80"); strings.Count(out, "\n") != 1 || !strings.Contains(out, "[fd90::2]:80") {
		t.Errorf("IPv6 only:\n%s", out)
	}
	if out, _ := command(t, exitOK, "ss", "-H", "--control", socket, "dport = :80"); out != "" {
		t.Errorf("nobody, but:\n%s", out)
	}
	out, _ := command(t, exitOK, "ss", "--json", "--control", socket, "--watch", "60ms", "--count", "2", "state", "established")
	pages := json.NewDecoder(strings.NewReader(out))
	for range 2 {
		var list control.Conns
		if err := pages.Decode(&list); err != nil || len(list.Conns) != 2 || list.Conns[0].MSS != 1448 {
			t.Errorf("%+v, %v", list, err)
		}
	}
	listSockets(t, c, socket)
	if out, _ := command(t, exitOK, "ss", "-s", "--control", socket); !strings.HasPrefix(out, "TCP: connections 2") || !strings.Contains(out, "packets-in") {
		t.Errorf("summary:\n%s", out)
	}
	if err := s.shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
	if _, errs := command(t, exitFailed, "ss", "--control", socket); !strings.Contains(errs, "no server runs here") || !strings.Contains(errs, socket) || !strings.Contains(errs, "sudo ustack serve") {
		t.Errorf("without a server: %s", errs)
	}
}

// listSockets expects listeners with -l, those and all else with -a, and what states are asked for. One connection has
// gone to TIME-WAIT.
func listSockets(t *testing.T, c *http.Client, socket string) {
	t.Helper()
	other, err := c.Transport.(*http.Transport).DialContext(t.Context(), "tcp", "10.90.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(other, "GET /_/hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(other); err != nil { // the server closes first, and so is the one that waits
		t.Fatal(err)
	}
	other.Close()
	const listener = `LISTEN +0 +\d+ +\*:80 +\*:\* syncookies:auto\n`
	const wait = `TIME-WAIT +0 +0 +10\.90\.0\.2:80 +10\.90\.0\.1:\d+ timer:\(timewait,(5\dsec|1min),0\)\n`
	for words, want := range map[string]string{
		"-l":              `^` + listener + `$`,
		"-a":              `^` + listener + `ESTAB .*\nESTAB .*\n` + wait + `$`,
		"state time-wait": `^` + wait + `$`,
		"-l6 src :80":     `^` + listener + `$`,
		"-l sport = :81":  `^$`,
		"state listening --json": `^\{"time":"[^"]+","listeners":\[\{"local":"\[::\]:80","both_families":true,"waiting":0,"half_open":0,"backlog":\d+,` +
			`"syn_cookies":"auto"\}\]\}\n$`,
		"state time-wait --json": `^\{"time":"[^"]+","time_wait":\[\{"local":"10\.90\.0\.2:80","remote":"10\.90\.0\.1:\d+","remaining_us":\d+\}\]\}\n$`,
		"-a --json exclude all":  `^\{"time":"[^"]+"\}\n$`,
	} {
		out := ""
		for range 200 { // until it is in TIME-WAIT
			if out, _ = command(t, exitOK, append([]string{"ss", "-H", "--control", socket}, strings.Fields(words)...)...); regexp.MustCompile(want).MatchString(out) {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("%s: %q, want %s", words, out, want)
		}
	}
}

// TestSSWatchEnds: a watch ends in order when its server does.
func TestSSWatchEnds(t *testing.T) {
	s, c, socket := observed(t)
	fetchText(t, c, "http://10.90.0.2/_/hello")
	c.CloseIdleConnections()
	var out, errs output
	done := make(chan int)
	go func() { done <- run([]string{"ss", "--watch=50ms", "--control", socket}, &out, &errs) }()
	for strings.Count(out.String(), "State") < 3 {
		time.Sleep(10 * time.Millisecond)
	}
	if err := s.shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if code := <-done; code != exitOK || !strings.Contains(errs.String(), "the server has ended") {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
}

// tracing starts a trace and waits until the server tells of something: of a request that is made again and again.
func tracing(t *testing.T, c *http.Client, args ...string) (wait func() (code int, stdout, stderr string)) {
	t.Helper()
	var out, errs output
	done := make(chan int, 1)
	go func() { done <- run(append([]string{"trace"}, args...), &out, &errs) }()
	for range 500 {
		fetchText(t, c, "http://10.90.0.2/_/hello")
		c.CloseIdleConnections()
		if len(done) > 0 || out.String() != "" {
			return func() (int, string, string) { return <-done, out.String(), errs.String() }
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("nothing is traced")
	return nil
}

func TestTraceCommand(t *testing.T) {
	pcap := filepath.Join(t.TempDir(), "p.pcapng")
	s, c, socket := observed(t, "--pcap", pcap)
	code, out, _ := tracing(t, c, "--control", socket, "--held=false", "--port", "80", "--count", "5")()
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if code != exitOK || len(lines) != 5 || strings.Contains(out, "nothing to send") {
		t.Errorf("code %d: want five lines:\n%s", code, out)
	}
	for _, l := range lines {
		if !regexp.MustCompile(`^ *\d+\.\d{6} 10\.90\.0\.2:80 [←→×•↔⇐⇒] 10\.90\.0\.1:\d+ .+`).MatchString(l) {
			t.Errorf("%q", l)
		}
	}
	code, out, _ = tracing(t, c, "--control", socket, "--json", "--count", "3", "--in=false", "--held=false", "--state=false", "--rtt=false", "--request=false", "--response=false")()
	for line := range strings.Lines(out) {
		var e control.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Event != "out" && e.Event != "ended" && e.Event != "response-end" || e.Comment != "" {
			t.Errorf("%s: %v", line, err)
		}
	}
	if code != exitOK || strings.Count(out, "\n") != 3 {
		t.Errorf("code %d: want three events:\n%s", code, out)
	}
	code, out, _ = tracing(t, c, "--control", socket, "--mermaid")()
	if code != exitOK || !strings.HasPrefix(out, "sequenceDiagram\n    participant R as 10.90.0.1:") || !strings.Contains(out, "Note over L: ended") {
		t.Errorf("code %d:\n%s", code, out)
	}
	wait := tracing(t, c, "--control", socket)
	if err := s.shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if code, _, errs := wait(); code != exitOK || !strings.Contains(errs, "the server has ended") {
		t.Errorf("after the server: code %d, %s", code, errs)
	}
	// Whoever else listens takes nothing from the capture.
	if packets, _, err := countPackets(pcap); err != nil || packets < 4*9 {
		t.Errorf("%d packets in the capture, %v", packets, err)
	}
}

func TestTopOnce(t *testing.T) {
	_, c, socket := observed(t)
	fetchText(t, c, "http://10.90.0.2/_/bytes/100000")
	out, _ := command(t, exitOK, "top", "--once", "--ascii", "--interval", "50ms", "--control", socket)
	if !strings.HasPrefix(out, "ustack: connections 1, half-open 0") || !regexp.MustCompile(`(?m)^10\.90\.0\.1:\d+ +80 ESTAB `).MatchString(out) {
		t.Errorf("%s", out)
	}
	if _, errs := command(t, exitUsage, "top", "--control", socket); !strings.Contains(errs, "--once") {
		t.Errorf("without a terminal: %s", errs)
	}
}

// TestObserveOtherEngines: an engine that is not ours tells nothing, and says so.
func TestObserveOtherEngines(t *testing.T) {
	_, _, socket := observed(t, "--engine", "gvisor")
	for _, args := range [][]string{{"ss"}, {"ss", "-s"}, {"trace"}, {"top", "--once"}} {
		if _, errs := command(t, exitFailed, append(args, "--control", socket)...); !strings.Contains(errs, "engine gvisor") {
			t.Errorf("%v: %s", args, errs)
		}
	}
}

func TestObserveRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"ss state open":          "no state",
		"ss --watch=1ms":         "want 50ms or more",
		"ss --count 2":           "and --watch",
		"ss -s state all":        "takes no filter",
		"trace --json --mermaid": "want one of them",
		"trace --peer x":         "want an address",
		"trace --port 0":         "want a port",
		"trace --count=-1":       "want 1 or more",
		"trace --in=0 --out=0 --held=0 --ended=0 --state=0 --rtt=0 --request=0 --interim=0 --response=0 --response-end=0": "nothing is left",
		"trace me":           "unknown argument",
		"top --interval 1ms": "want 50ms or more",
	} {
		if _, errs := command(t, exitUsage, strings.Fields(line)...); !strings.Contains(errs, want) {
			t.Errorf("%s: %s, want %q", line, errs, want)
		}
	}
}

// TestControlSwitch: no socket for who wants none, and no server for who wants one where it cannot be.
func TestControlSwitch(t *testing.T) {
	s, _, _ := memoryServer(t, "--control", "off")
	if err := s.openControl(); err != nil || s.control != nil {
		t.Errorf("off: %v, %v", s.control, err)
	}
	_, _, socket := observed(t)
	other, _, _ := memoryServer(t, "--control", socket)
	if err := other.openControl(); err == nil || !strings.Contains(err.Error(), "--control") || !strings.Contains(err.Error(), "another server") {
		t.Errorf("a socket in use: %v", err)
	}
}
