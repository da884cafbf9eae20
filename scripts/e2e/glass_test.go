package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// socket is where serve, started by root, has its control socket.
const socket = "/run/ustack-" + device + "/control.sock"

// ustack runs the command under test to its end and returns what it printed.
func ustack(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, 20*time.Second, os.Getenv(insideEnv), args...)
}

// fields are the words of a line of ss that have a value, of ours or the kernel's: `rtt:0.1/0.05` is rtt.
type fields map[string]string

// parseLine takes a line of ss apart.
func parseLine(line string) fields {
	f := fields{}
	for _, word := range strings.Fields(line)[5:] { // behind state, queues and addresses
		if name, value, ok := strings.Cut(word, ":"); ok {
			f[name] = value
		}
	}
	return f
}

func (f fields) number(t *testing.T, name string) float64 {
	t.Helper()
	value, _, _ := strings.Cut(f[name], "/")
	n, err := strconv.ParseFloat(value, 64)
	if err != nil {
		t.Fatalf("%s is %q in %v", name, f[name], f)
	}
	return n
}

// maybe is number of what ss leaves out when it is 0.
func (f fields) maybe(t *testing.T, name string) float64 {
	t.Helper()
	if f[name] == "" {
		return 0
	}
	return f.number(t, name)
}

// millis is the time in "busy:300ms", or in "cwnd_limited:200ms(66.7%)".
func (f fields) millis(t *testing.T, name string) float64 {
	t.Helper()
	value, _, _ := strings.Cut(f[name], "(")
	d, err := time.ParseDuration(value)
	if err != nil {
		t.Fatalf("%s is %q in %v", name, f[name], f)
	}
	return float64(d.Milliseconds())
}

// oneLine is what a command says of a connection: exactly one line.
func oneLine(t *testing.T, out string) fields {
	t.Helper()
	line := strings.TrimSpace(out)
	if line == "" || strings.Contains(line, "\n") {
		t.Fatalf("want one connection:\n%s", out)
	}
	return parseLine(line)
}

// bothEnds is a connection as ustack ss sees it, and the kernel's ss at its other end.
func bothEnds(t *testing.T, f family, port int) (ours, theirs fields) {
	t.Helper()
	ours = oneLine(t, ustack(t, "ss", "-H", "state", "established", fmt.Sprintf("dport = :%d", port)))
	theirs = oneLine(t, run(t, 10*time.Second, "ss", "-HtinO", "state", "all", "dst", f.host, "sport", "=", fmt.Sprintf(":%d", port)))
	return ours, theirs
}

// TestSSAgainstKernel uploads and downloads over one connection, and then holds what ustack ss says of it against what the
// kernel's ss says of the other end.
func TestSSAgainstKernel(t *testing.T) {
	need(t, "ss")
	serve(t, "--impair", "delay=20ms")
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			c, err := net.DialTimeout("tcp", f.host+":80", 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(time.Minute))
			sent, received := talk(t, c)
			port := c.LocalAddr().(*net.TCPAddr).Port
			compareEnds(t, f, port, sent, received)
		})
	}
}

// talk makes two requests on a connection and counts the octets each way, those of HTTP included.
func talk(t *testing.T, c net.Conn) (sent, received int) {
	t.Helper()
	in := &countingReader{r: c}
	r := bufio.NewReader(in)
	for _, request := range []string{
		"PUT /_/sink HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\n\r\n" + strings.Repeat("u", 400_000),
		"GET /_/bytes/600000 HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		n, err := io.WriteString(c, request)
		sent += n
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s, %v", answer.Status, err)
		}
	}
	return sent, in.n
}

type countingReader struct {
	r io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// compareEnds waits until the last ACKs have crossed, then compares what has to agree.
func compareEnds(t *testing.T, f family, port, sent, received int) {
	t.Helper()
	var ours, theirs fields
	var apart time.Duration
	for range 50 {
		time.Sleep(100 * time.Millisecond)
		start := time.Now()
		ours, theirs = bothEnds(t, f, port)
		if apart = time.Since(start); ours["inflight"] == "0" && theirs["unacked"] == "" {
			break
		}
	}
	t.Logf("ours   %v", ours)
	t.Logf("theirs %v", theirs)
	equal := func(what string, a, b float64) {
		if a != b {
			t.Errorf("%s: %v and %v", what, a, b)
		}
	}
	equal("octets we received, and were sent", ours.number(t, "bytes_received"), float64(sent))
	// The kernel counts its SYN as an octet acknowledged.
	equal("octets we received, and the kernel has had acknowledged", ours.number(t, "bytes_received"), theirs.number(t, "bytes_acked")-1)
	equal("octets the kernel received, and the reader", theirs.number(t, "bytes_received"), float64(received))
	equal("octets we have had acknowledged, and the kernel received", ours.number(t, "bytes_acked"), theirs.number(t, "bytes_received"))
	equal("octets we sent for the first time, and have had acknowledged", ours.number(t, "bytes_sent")-ours.maybe(t, "bytes_retrans"), ours.number(t, "bytes_acked"))
	equal("octets the kernel sent for the first time, and we received", theirs.number(t, "bytes_sent")-theirs.maybe(t, "bytes_retrans"), ours.number(t, "bytes_received"))
	if (ours["retransmits"] == "") != (ours["bytes_retrans"] == "") {
		t.Errorf("sent again: %q segments, %q octets", ours["retransmits"], ours["bytes_retrans"])
	}
	equal("mss", ours.number(t, "mss"), theirs.number(t, "mss"))
	equal("path MTU", ours.number(t, "pmtu"), theirs.number(t, "pmtu"))
	compareTimes(t, ours, theirs, apart)
	peerScale, ourScale, _ := strings.Cut(ours["wscale"], ",")
	if theirs["wscale"] != ourScale+","+peerScale {
		t.Errorf("wscale %q and %q are not mirrored", ours["wscale"], theirs["wscale"])
	}
	// A window is rounded down to its scale, while a right edge that was promised once stays.
	scale, err := strconv.Atoi(ourScale)
	if offered, seen := ours.number(t, "rcv_wnd"), theirs.number(t, "snd_wnd"); err != nil || seen > offered || offered-seen >= float64(int(1)<<scale) {
		t.Errorf("we offer a window of %v, the kernel sees %v; %v", offered, seen, err)
	}
}

// compareTimes compares what cannot agree to the millisecond: the ends are asked one after the other, so far apart at most,
// on a machine that may be busy.
func compareTimes(t *testing.T, ours, theirs fields, apart time.Duration) {
	t.Helper()
	for _, end := range []fields{ours, theirs} {
		// Twice 20 ms of delay, and what a busy machine adds.
		if rtt, least := end.number(t, "rtt"), end.number(t, "minrtt"); rtt < 39 || rtt > 120 || least < 39 || least > rtt+30 {
			t.Errorf("rtt %v ms, at least %v ms, want 40 and a little", rtt, least)
		}
	}
	if rtt := ours.number(t, "handshake_rtt"); rtt < 39 || rtt > 120 {
		t.Errorf("the handshake took %v ms, want 40 and a little", rtt)
	}
	most := float64(apart.Milliseconds()) + 60 // the delay of the link, and what the kernel's clock leaves out
	for name, other := range map[string]string{"lastsnd": "lastrcv", "lastrcv": "lastsnd"} {
		if a, b := ours.number(t, name), theirs.number(t, other); a-b > most || b-a > most {
			t.Errorf("our %s is %v ms ago, the kernel's %s %v ms, they were asked within %v", name, a, other, b, apart)
		}
	}
	busy := ours.millis(t, "busy")
	if limited := ours.millis(t, "cwnd_limited"); busy < 40 || busy > 5000 || limited <= 0 || limited > busy {
		t.Errorf("busy for %v ms, limited by cwnd for %v ms", busy, limited)
	}
}

// TestSSWaits: a reader that rests makes the server wait for its window, and ss says for how long.
func TestSSWaits(t *testing.T) {
	need(t, "ss")
	serve(t)
	c, err := net.DialTimeout("tcp", addr4+":80", 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /_/bytes/1000000000 HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	time.Sleep(time.Second)
	ours, theirs := bothEnds(t, families[0], c.LocalAddr().(*net.TCPAddr).Port)
	t.Logf("ours   %v", ours)
	t.Logf("theirs %v", theirs)
	if ms := ours.millis(t, "rwnd_limited"); ms < 700 || ms > float64(time.Since(start).Milliseconds()) {
		t.Errorf("it has waited for the peer's window for %v ms, want a second", ms)
	}
	if a, b := ours.number(t, "bytes_acked"), theirs.number(t, "bytes_received"); a != b || a < 10_000 {
		t.Errorf("%v octets acknowledged, %v received", a, b)
	}
}

// TestGlass watches a slow download with every command, as root and as nobody else may.
func TestGlass(t *testing.T) {
	need(t, "curl", "ss")
	s := serve(t, "--impair", "loss=1%,delay=5ms")
	checkSocket(t)
	slow := exec.Command("curl", "-sS", "--noproxy", "*", "--limit-rate", "500k", "-o", "/dev/null", "http://"+addr4+"/_/bytes/1000000000")
	if err := slow.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { slow.Process.Kill(); slow.Wait() }() // for a failure on the way
	trace := ustack(t, "trace", "--peer", host4, "--count", "400")
	for _, want := range []string{"new data · cwnd ", " ← " + host4 + ":", "ACK · acknowledges ", "waits for the "} {
		if !strings.Contains(trace, want) {
			t.Errorf("the trace does not say %q:\n%s", want, trace)
		}
	}
	diagram := ustack(t, "trace", "--mermaid", "--count", "50")
	if !strings.HasPrefix(diagram, "sequenceDiagram\n    participant R as "+host4) || !strings.HasSuffix(diagram, "    Note over L,R: … and so on\n") {
		t.Errorf("no diagram of 50 events:\n%s", diagram)
	}
	checkEvents(t, ustack(t, "trace", "--json", "--count", "50"))
	line := oneLine(t, ustack(t, "ss", "-H", "sport = :80"))
	if line.number(t, "cwnd") < 1 || line.number(t, "bytes_sent") < 100_000 {
		t.Errorf("ss: %v", line)
	}
	page := ustack(t, "top", "--once", "--ascii", "--interval", "500ms")
	if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(host4) + `:\d+ +80 ESTAB +\d\S* +[1-9]\S*[kM] `).MatchString(page) {
		t.Errorf("top shows no download:\n%s", page)
	}
	t.Logf("\n%s", page)
	endsWithServer(t, s, slow.Process)
}

// checkEvents expects lines of JSON with an event each.
func checkEvents(t *testing.T, out string) {
	t.Helper()
	n := 0
	for line := range strings.Lines(out) {
		var e struct{ Event, Time string }
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Event == "" {
			t.Errorf("%q: %v", line, err)
		}
		if e.Event != "lost" {
			n++
		}
	}
	if n != 50 {
		t.Errorf("%d events, want 50", n)
	}
}

// checkSocket expects a socket that is root's alone.
func checkSocket(t *testing.T) {
	t.Helper()
	info, err := os.Lstat(socket)
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; info.Mode() != os.ModeSocket|0o600 || owner != 0 {
		t.Errorf("the socket is %v and belongs to %d: want mode 0600, and root", info.Mode(), owner)
	}
}

// endsWithServer expects a trace to end in order when the server does, and the socket to be gone.
func endsWithServer(t *testing.T, s *server, download *os.Process) {
	t.Helper()
	watch := exec.Command(os.Getenv(insideEnv), "trace", "--held=false")
	log := newLogBuffer()
	watch.Stdout, watch.Stderr = log, log
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-log.seen("new data"):
	case <-time.After(10 * time.Second):
		t.Errorf("nothing is traced:\n%s", log)
	}
	download.Kill() // a server finishes what has begun
	s.stop()
	if err := watch.Wait(); err != nil || !strings.Contains(log.String(), "the server has ended") {
		t.Errorf("the trace ends with %v", err)
	}
	if _, err := os.Lstat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
	if out, err := try(t, 10*time.Second, os.Getenv(insideEnv), "ss"); err == nil || !strings.Contains(out, "no server runs here") || !strings.Contains(out, socket) {
		t.Errorf("without a server: %v, %s", err, out)
	}
}

// TestGlassForSudo: who has called sudo may look, and nobody else but root.
func TestGlassForSudo(t *testing.T) {
	if b, err := os.ReadFile("/proc/self/uid_map"); err != nil || os.Geteuid() != 0 || !strings.Contains(string(b), "4294967295") {
		t.Skip("needs root: other users mean nothing in this user namespace")
	}
	const caller, other = 12345, 12346
	t.Setenv("SUDO_UID", strconv.Itoa(caller))
	s := serve(t)
	as := func(uid uint32) (string, error) {
		cmd := exec.Command(os.Getenv(insideEnv), "ss")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, uid := range []uint32{caller, 0} {
		if out, err := as(uid); err != nil || !strings.HasPrefix(out, "State") {
			t.Errorf("user %d: %v\n%s", uid, err, out)
		}
	}
	if out, err := as(other); err == nil || !strings.Contains(out, "belongs to "+strconv.Itoa(caller)) || !strings.Contains(out, "sudo") {
		t.Errorf("user %d: %v\n%s", other, err, out)
	}
	s.stop()
	if _, err := os.Lstat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
}
