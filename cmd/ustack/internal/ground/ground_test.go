package ground

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	tunPath = "/dev/net/tun"
	// reportEnv makes a child say where it stands.
	reportEnv = "USTACK_GROUND_TEST_REPORT"
	// findEnv makes a child print what Find finds, on a machine shaped by its value.
	findEnv = "USTACK_GROUND_TEST_FIND"
)

func TestMain(m *testing.M) {
	Init()
	switch {
	case os.Getenv(reportEnv) != "":
		report()
	case os.Getenv(findEnv) == "as-is":
		printFound()
	case os.Getenv(findEnv) != "":
		find(os.Getenv(findEnv))
	default:
		os.Exit(m.Run())
	}
}

func report() {
	k, ok := Here()
	ifs, err := net.Interfaces()
	fmt.Println(int(k), ok, os.Geteuid(), len(ifs), err, LoopbackUp())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		c, err := net.DialTimeout("tcp", ln.Addr().String(), time.Second)
		fmt.Println("loopback", c != nil, err)
	}
}

// find runs in a mount namespace of its own: it lays a device node of its own over /dev/net/tun,
// becomes an ordinary user and looks for ground.
func find(shape string) {
	fail := func(err error) {
		if err != nil {
			fmt.Println("setup:", err)
			os.Exit(1)
		}
	}
	mode, uid, _ := strings.Cut(shape, ":")
	// A private tmpfs, since the file system at hand may be mounted nodev.
	dir, err := os.Getwd()
	fail(err)
	fail(unix.Mount("tmpfs", dir, "tmpfs", 0, ""))
	node := filepath.Join(dir, "tun")
	if mode == "none" {
		fail(unix.Mount(dir, filepath.Dir(tunPath), "", unix.MS_BIND, ""))
	} else {
		var bits uint32
		_, err := fmt.Sscanf(mode, "%o", &bits)
		fail(err)
		fail(unix.Mknod(node, unix.S_IFCHR|bits, int(unix.Mkdev(10, 200))))
		fail(os.Chmod(node, os.FileMode(bits)))
		fail(unix.Mount(node, tunPath, "", unix.MS_BIND, ""))
	}
	if uid != "" {
		fail(syscall.Setgroups(nil))
		fail(syscall.Setgid(65534))
		fail(syscall.Setuid(65534))
		// A process that changed its user may not map users: a program that it starts may.
		exe, err := os.Executable()
		fail(err)
		fail(os.Setenv(findEnv, "as-is"))
		fail(syscall.Exec(exe, os.Args, os.Environ()))
	}
	printFound()
}

func printFound() {
	g := Find(context.Background())
	fmt.Println("found", int(g.Kind))
	for _, w := range g.Why {
		fmt.Println("why", w)
	}
}

func needRootAndTUN(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 && try(t.Context(), RootNamespace) == nil {
		return
	}
	if os.Getenv("USTACK_REQUIRE_TUN") != "" {
		t.Fatal("USTACK_REQUIRE_TUN is set, but root, a network namespace and a TUN are not to be had")
	}
	t.Skip("needs root, a network namespace and a TUN")
}

// self copies the test binary to where an ordinary user can run it.
func self(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "ground")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "ground.test")
	if err := os.WriteFile(path, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestFind shapes machines by "mode of /dev/net/tun:user".
func TestFind(t *testing.T) {
	needRootAndTUN(t)
	exe := self(t)
	tests := []struct {
		shape string
		want  Kind
		why   string
	}{
		{"0600:", RootNamespace, ""},
		{"0666:nobody", UserNamespace, ""},
		{"0600:nobody", Memory, "sudo chmod 0666 /dev/net/tun"},
		{"none:nobody", Memory, "modprobe tun"},
		{"none:", Memory, "not in a network namespace: no TUN driver: /dev/net/tun is not there"},
	}
	for _, tt := range tests {
		t.Run(tt.shape, func(t *testing.T) {
			cmd := exec.Command(exe)
			cmd.Dir = t.TempDir()
			cmd.Env = append(os.Environ(), findEnv+"="+tt.shape)
			cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if want := fmt.Sprintf("found %d\n", tt.want); !strings.Contains(string(out), want) {
				t.Errorf("got %s, want %s", out, want)
			}
			if !strings.Contains(string(out), tt.why) {
				t.Errorf("got %s, want a line with %q", out, tt.why)
			}
		})
	}
}

func TestCommand(t *testing.T) {
	needRootAndTUN(t)
	for _, k := range []Kind{RootNamespace, UserNamespace} {
		cmd, err := Ground{Kind: k}.Command(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(cmd.Env, reportEnv+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v: %s", k, err, out)
		}
		want := fmt.Sprintf("%d true 0 1 <nil> <nil>\nloopback true <nil>\n", k)
		if string(out) != want {
			t.Errorf("%v: got %q, want %q", k, out, want)
		}
	}
}

func TestHereUnset(t *testing.T) {
	if k, ok := Here(); ok {
		t.Errorf("on ground %v that nobody chose", k)
	}
}

// TestRelay sends a request, ends it with a half close, and expects an answer that depends on all of it.
func TestRelay(t *testing.T) {
	far, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	go func() {
		for {
			c, err := far.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b, _ := io.ReadAll(c)
				c.Write(bytes.ToUpper(b))
			}()
		}
	}()
	dialled := make(chan string, 1)
	r, err := NewRelay(func(ctx context.Context, network, address string) (net.Conn, error) {
		dialled <- address
		var d net.Dialer
		return d.DialContext(ctx, network, far.Addr().String())
	}, "10.90.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c, err := net.Dial("tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	msg := strings.Repeat("through the relay ", 50_000)
	if _, err := io.WriteString(c, msg); err != nil {
		t.Fatal(err)
	}
	c.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != strings.ToUpper(msg) {
		t.Errorf("%d octets came back, want %d in upper case", len(got), len(msg))
	}
	if a := <-dialled; a != "10.90.0.2:80" {
		t.Errorf("dialled %s", a)
	}
}

// TestRelayClose expects Close to end connections that nobody else ends.
func TestRelayClose(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	r, err := NewRelay(func(context.Context, string, string) (net.Conn, error) { return a, nil }, "x")
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go c.Write([]byte("x"))
	if _, err := b.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Read(make([]byte, 1)); err == nil {
		t.Error("the far side is still open")
	}
}
