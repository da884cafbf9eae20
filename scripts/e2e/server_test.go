package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The addresses that serve takes by default.
const (
	addr4  = "10.90.0.2"
	addr6  = "fd90::2"
	host4  = "10.90.0.1"
	host6  = "fd90::1"
	device = "ustack0"
)

// families are both ways to the server.
var families = []family{{"v4", addr4, addr4, host4}, {"v6", addr6, "[" + addr6 + "]", "[" + host6 + "]"}}

// family names an IP version; host is the server's address as in a URL, peer the kernel's.
type family struct{ name, addr, host, peer string }

func (f family) url(path string) string { return "http://" + f.host + path }

// server is a running `ustack serve`.
type server struct {
	t      *testing.T
	cmd    *exec.Cmd
	log    *logBuffer
	exited chan struct{}
	err    error // of the process, once exited is closed
}

// serve starts the command and waits until it says that it serves. The end of the test stops it, and
// expects it to have gone in good order.
func serve(t *testing.T, args ...string) *server {
	t.Helper()
	s := &server{t: t, log: newLogBuffer(), exited: make(chan struct{})}
	s.cmd = exec.Command(os.Getenv(insideEnv), append([]string{"serve"}, args...)...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.exited)
	}()
	t.Cleanup(s.stop)
	select {
	case <-s.log.seen("http://" + addr4):
	case <-s.exited:
		t.Fatalf("serve %s ended: %v\n%s", strings.Join(args, " "), s.err, s.log)
	case <-time.After(10 * time.Second):
		t.Fatalf("serve %s does not get ready:\n%s", strings.Join(args, " "), s.log)
	}
	return s
}

// stop ends the server with SIGTERM, if it has not ended yet.
func (s *server) stop() {
	select {
	case <-s.exited:
		return
	default:
	}
	s.signal(syscall.SIGTERM)
	s.wait(10 * time.Second)
	if s.err != nil {
		s.t.Errorf("serve ended with %v", s.err)
	}
	s.gone()
	if s.t.Failed() {
		s.t.Logf("the server said:\n%s", s.log)
	}
}

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Errorf("%v: %v", sig, err)
	}
}

// wait expects the server to end in time.
func (s *server) wait(d time.Duration) {
	s.t.Helper()
	select {
	case <-s.exited:
	case <-time.After(d):
		s.signal(syscall.SIGQUIT)
		time.Sleep(time.Second)
		s.signal(syscall.SIGKILL)
		<-s.exited
		s.t.Errorf("the server did not end within %v:\n%s", d, s.log)
	}
}

// gone expects the device to have been removed.
func (s *server) gone() {
	s.t.Helper()
	for range 20 {
		if exec.Command("ip", "link", "show", "dev", device).Run() != nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.t.Errorf("%s is still there", device)
}

// logBuffer gathers output and tells when a text has come.
type logBuffer struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	waiting map[string]chan struct{}
}

func newLogBuffer() *logBuffer { return &logBuffer{waiting: map[string]chan struct{}{}} }

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Write(p)
	l.tell()
	return len(p), nil
}

func (l *logBuffer) tell() {
	for text, ch := range l.waiting {
		if bytes.Contains(l.buf.Bytes(), []byte(text)) {
			close(ch)
			delete(l.waiting, text)
		}
	}
}

// seen returns a channel that is closed once text is in the log. One wait per text at a time.
func (l *logBuffer) seen(text string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	ch := make(chan struct{})
	l.waiting[text] = ch
	l.tell()
	return ch
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// run runs a tool to its end and returns what it printed.
func run(t *testing.T, limit time.Duration, name string, args ...string) string {
	t.Helper()
	out, err := try(t, limit, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func try(t *testing.T, limit time.Duration, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = fmt.Errorf("not done within %v", limit)
	}
	return string(out), err
}

// curl runs curl quietly, without proxies, and returns what it printed.
func curl(t *testing.T, limit time.Duration, args ...string) string {
	t.Helper()
	return run(t, limit, "curl", append([]string{"-sS", "--noproxy", "*"}, args...)...)
}

// deviceCounts are what the kernel has counted at its end of the device: RX is what the server sent.
type deviceCounts struct {
	RX, TX struct{ Packets, Bytes, Dropped int }
}

// countDevice asks the kernel.
func countDevice(t *testing.T) deviceCounts {
	t.Helper()
	var links []struct{ Stats64 deviceCounts }
	out := run(t, 5*time.Second, "ip", "-j", "-s", "link", "show", "dev", device)
	if err := json.Unmarshal([]byte(out), &links); err != nil || len(links) != 1 {
		t.Fatalf("ip: %v: %s", err, out)
	}
	return links[0].Stats64
}

// queueDrops returns how many packets the device lost because the stack did not fetch them.
func queueDrops(t *testing.T) int {
	t.Helper()
	return countDevice(t).TX.Dropped
}

// timeWaits returns how many connections the kernel has in TIME-WAIT towards the server.
func timeWaits(t *testing.T) int {
	t.Helper()
	out := run(t, 10*time.Second, "ss", "-Htan", "state", "time-wait")
	return strings.Count(out, addr4+":") + strings.Count(out, "["+addr6+"]:")
}
