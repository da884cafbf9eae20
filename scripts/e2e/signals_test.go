package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"ustack/scripts/sequence"
)

// slowFetch starts a download that takes some seconds and returns a function that waits for its end, at
// most for the given time.
func slowFetch(t *testing.T, url string, size int64) (wait func(time.Duration) error) {
	t.Helper()
	cmd := exec.Command("curl", "-sS", "--noproxy", "*", "--limit-rate", fmt.Sprint(size/3), url)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() {
		n, err := sequence.Read(out)
		if waitErr := cmd.Wait(); err == nil {
			err = waitErr
		}
		if err == nil && n != size {
			err = fmt.Errorf("%d of %d octets", n, size)
		}
		result <- err
	}()
	return func(limit time.Duration) error {
		select {
		case err := <-result:
			return err
		case <-time.After(limit):
			cmd.Process.Kill()
			return fmt.Errorf("the download hangs: %w", <-result)
		}
	}
}

// TestTerm expects SIGTERM to let a download finish, to take nobody new, and to leave nothing behind.
func TestTerm(t *testing.T) {
	need(t, "curl")
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			s := serve(t)
			const size = 64 << 20
			wait := slowFetch(t, f.url(fmt.Sprintf("/_/bytes/%d", size)), size)
			time.Sleep(time.Second)
			s.signal(syscall.SIGTERM)
			time.Sleep(300 * time.Millisecond)
			if c, err := net.DialTimeout("tcp", f.host+":80", time.Second); err == nil {
				c.Close()
				t.Error("a new connection was taken after SIGTERM")
			}
			if err := wait(30 * time.Second); err != nil {
				t.Errorf("the download did not finish: %v", err)
			}
			s.wait(5 * time.Second)
			if s.err != nil {
				t.Errorf("serve ended with %v\n%s", s.err, s.log)
			}
			s.gone()
		})
	}
}

// TestTermTwice expects the second signal to end the server at once.
func TestTermTwice(t *testing.T) {
	need(t, "curl")
	s := serve(t)
	const size = 64 << 20
	wait := slowFetch(t, families[0].url(fmt.Sprintf("/_/bytes/%d", size)), size)
	time.Sleep(500 * time.Millisecond)
	s.signal(syscall.SIGTERM)
	time.Sleep(300 * time.Millisecond)
	start := time.Now()
	s.signal(syscall.SIGTERM)
	s.wait(2 * time.Second)
	t.Logf("ended %v after the second signal", time.Since(start).Round(time.Millisecond))
	s.gone()
	if err := wait(0); err == nil {
		t.Error("the download finished although the server was cut off: it was too short to tell")
	}
}

// TestKill expects a killed server to leave no device behind, and its successor to start at once.
func TestKill(t *testing.T) {
	s := serve(t)
	s.signal(syscall.SIGKILL)
	<-s.exited
	s.gone()
	serve(t)
	hello(t, families[0])
}

// TestDeviceRemoved takes the device away under a running server, and expects it to end and say so.
func TestDeviceRemoved(t *testing.T) {
	s := serve(t)
	run(t, 5*time.Second, "ip", "link", "del", "dev", device)
	s.wait(5 * time.Second)
	if s.err == nil || !strings.Contains(s.log.String(), "ustack: stack: ") {
		t.Errorf("serve ended with %v\n%s", s.err, s.log)
	}
	serve(t)
	hello(t, families[0])
}

// TestPrivileges expects every thread of a running server to be nobody, without capabilities.
func TestPrivileges(t *testing.T) {
	if os.Getuid() != 0 || os.Getenv("SUDO_UID") != "" {
		t.Skip("needs root without sudo")
	}
	inUserNamespace := !isRoot(t)
	pcap := filepath.Join(t.TempDir(), "p.pcapng")
	access := filepath.Join(t.TempDir(), "access.log")
	s := serve(t, "--pcap", pcap, "--access-log", access)
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", s.cmd.Process.Pid))
	if err != nil || len(threads) < 3 {
		t.Fatalf("%d threads, %v", len(threads), err)
	}
	want := []string{`CapPrm:\s+0+\n`, `CapEff:\s+0+\n`, `CapBnd:\s+0+\n`, `CapAmb:\s+0+\n`, `NoNewPrivs:\s+1\n`}
	if !inUserNamespace {
		want = append(want, `Uid:\s+65534\s+65534\s+65534\s+65534\n`, `Gid:\s+65534\s+65534\s+65534\s+65534\n`)
	}
	for _, name := range threads {
		status, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !regexp.MustCompile(w).Match(status) {
				t.Errorf("%s has no %s:\n%s", name, w, status)
			}
		}
	}
	if inUserNamespace {
		return
	}
	hello(t, families[0])
	s.stop()
	for _, file := range []string{pcap, access} {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); st.Uid != 65534 {
			t.Errorf("%s belongs to user %d", filepath.Base(file), st.Uid)
		}
	}
	log, err := os.ReadFile(access)
	if err != nil || !strings.Contains(string(log), "/_/hello") {
		t.Errorf("the access log has %q, %v", log, err)
	}
}

// TestComplaints expects one clear line, and what to do, for what goes wrong at the start.
func TestComplaints(t *testing.T) {
	run(t, 5*time.Second, "ip", "tuntap", "add", "dev", "inuse", "mode", "tap")
	run(t, 5*time.Second, "ip", "addr", "add", "10.91.0.1/24", "dev", "inuse")
	run(t, 5*time.Second, "ip", "addr", "add", "10.92.0.2/32", "dev", "inuse")
	run(t, 5*time.Second, "ip", "link", "set", "inuse", "up")
	t.Cleanup(func() { run(t, 5*time.Second, "ip", "link", "del", "inuse") })
	serve(t)
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"device busy", nil, "busy"},
		{"route in use", []string{"--tun", "u1", "--host-addr", "10.91.0.9/24", "--addr", "10.91.0.2", "--host-addr6", "", "--addr6", ""}, "in use"},
		{"address in use", []string{"--tun", "u1", "--host-addr", "10.92.0.1/24", "--addr", "10.92.0.2", "--host-addr6", "", "--addr6", ""}, "in use"},
		{"not a TUN", []string{"--tun", "inuse"}, "not a TUN"},
		{"no such directory", []string{"--tun", "u1", "--root", "/nowhere"}, "/nowhere"},
		{"no such user", []string{"--user", "no-such-user"}, "no-such-user"},
		{"a bad address", []string{"--addr", "10.90.0.300"}, "10.90.0.300"},
		{"a bad flag value", []string{"--nagle", "sometimes"}, "want off, minshall or classic"},
		{"a bad impairment", []string{"--impair", "loss=200%"}, "loss"},
		{"a bad engine", []string{"--engine", "steam"}, "engine"},
		{"an unknown flag", []string{"--frobnicate"}, "frobnicate"},
		{"an argument too many", []string{"now"}, "now"},
		{"the same port twice", []string{"--tun", "u1", "--host-addr", "10.93.0.1/24", "--addr", "10.93.0.2", "--host-addr6", "", "--addr6", "", "--listen", ":80", "--listen", ":80"}, "in use"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := try(t, 5*time.Second, os.Getenv(insideEnv), append([]string{"serve"}, tt.args...)...)
			if err == nil || !strings.Contains(out, tt.want) || !strings.HasPrefix(out, "ustack: ") || strings.Contains(out, "panic") {
				t.Errorf("%v, want a line with %q:\n%s", err, tt.want, out)
			}
			t.Log(strings.TrimSpace(out))
		})
	}
}
