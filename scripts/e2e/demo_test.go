package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDemo takes the tour on each ground.
func TestDemo(t *testing.T) {
	need(t, "curl", "tshark", "ping")
	tests := []struct {
		name, mode string // of /dev/net/tun; "": take it as it is, and be root
		want       []string
	}{
		{"root", "", []string{"network namespace of its own, made by root"}},
		{"ordinary user", "0666", []string{"network namespace inside a user namespace"}},
		{"closed TUN", "0600", []string{"memory link", "sudo chmod 0666 /dev/net/tun"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.mode != "" && !isRoot(t) {
				t.Skip("needs root")
			}
			dir, err := os.MkdirTemp("", "ustack-e2e-demo")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			if err := os.Chmod(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			before := run(t, 5*time.Second, "ip", "-o", "link")
			start := time.Now()
			out := demo(t, dir, tt.mode)
			if d := time.Since(start); d > 30*time.Second {
				t.Errorf("the tour takes %v", d)
			}
			want := append(tt.want, "Hello, World!", "40 objects came over", "16 requests, 0 failed, over 1 connection", "[SYN, ACK]",
				"new data · answer 1: 200 GET /_/hello · carries the ACK of ")
			if !strings.Contains(out, "memory link") {
				want = append(want, "0% packet loss", "[fd90::2]")
			}
			for _, w := range want {
				if !strings.Contains(out, w) {
					t.Errorf("the tour has no %q:\n%s", w, out)
				}
			}
			list := packets(t, filepath.Join(dir, "ustack-demo.pcapng"), "tcp")
			if len(list) < 100 || list[0].flags() != flagSYN {
				t.Errorf("the capture has %d packets, the first %v", len(list), list[0])
			}
			judge(t, list)
			if after := run(t, 5*time.Second, "ip", "-o", "link"); after != before {
				t.Errorf("the tour left something behind:\n%s", after)
			}
		})
	}
}

// demo runs `ustack demo` in dir, as nobody and with a device node of that mode if there is one.
func demo(t *testing.T, dir, mode string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Getenv(insideEnv), "demo")
	if mode != "" {
		const script = `mkdir dev && mount -t tmpfs dev dev && mknod dev/tun c 10 200 && chmod "$1" dev/tun && mount --bind dev/tun /dev/net/tun &&
			exec setpriv --reuid 65534 --regid 65534 --clear-groups "$2" demo`
		cmd = exec.CommandContext(t.Context(), "unshare", "-m", "sh", "-ec", script, "demo", mode, os.Getenv(insideEnv))
	}
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// isRoot reports whether this is root of the whole machine, not only of a user namespace.
func isRoot(t *testing.T) bool {
	t.Helper()
	b, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b))
	return os.Geteuid() == 0 && len(f) == 3 && f[0] == "0" && f[1] == "0" && f[2] == "4294967295"
}
