// Package e2e runs `ustack serve` in a network namespace of its own and holds it against the real
// kernel, curl, wrk, ab, ping, tshark and Chromium. `make test` runs a quick selection, `make e2e` all of it.
package e2e

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

var full = flag.Bool("full", false, "run everything at full length: about ten minutes")

const (
	// insideEnv holds the path of the command under test in the process that runs inside the namespaces.
	insideEnv = "USTACK_E2E_COMMAND"
	// requireEnv turns a skip for want of a namespace, a TUN or a tool into a failure.
	requireEnv = "USTACK_REQUIRE_TUN"
)

func TestMain(m *testing.M) {
	flag.Parse()
	switch {
	case os.Getenv(insideEnv) != "":
		if err := furnish(); err != nil {
			fmt.Println("e2e:", err)
			os.Exit(noGround)
		}
		os.Exit(m.Run())
	case testing.Short():
		fmt.Println("e2e: skipped by -short")
	default:
		os.Exit(outside())
	}
}

// noGround is the exit code of an inner process that cannot run here.
const noGround = 75

// outside builds the command and runs this test again in namespaces of its own. The inner process
// is the first of its process namespace: when it ends, every server it left behind ends with it.
func outside() int {
	dir, err := os.MkdirTemp("", "ustack-e2e")
	if err != nil {
		return complain(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // the server is going to be somebody else
		return complain(err)
	}
	command := filepath.Join(dir, "ustack")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", command, "../../cmd/ustack")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return complain(fmt.Errorf("build: %w\n%s", err, out))
	}
	// Without a log of what it read, the test is never taken from the cache: what it tests is not what it reads.
	args := slices.DeleteFunc(slices.Clone(os.Args[1:]), func(a string) bool { return strings.HasPrefix(a, "-test.testlogfile=") })
	inner := exec.Command(os.Args[0], args...)
	inner.Env = append(os.Environ(), insideEnv+"="+command)
	inner.Stdout, inner.Stderr = os.Stdout, os.Stderr
	inner.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	if os.Geteuid() != 0 {
		inner.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		inner.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		inner.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	err = inner.Run()
	exit := (*exec.ExitError)(nil)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() != noGround:
		return exit.ExitCode()
	case os.Getenv(requireEnv) != "":
		return complain(fmt.Errorf("%s is set, but there is no ground to test on: %w", requireEnv, err))
	default:
		fmt.Println("e2e: skipped, no network namespace with a TUN can be had here:", err)
		return 0
	}
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, "e2e:", err)
	return 1
}

// furnish makes the fresh namespaces fit to live in.
func furnish() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := unix.Mount("run", "/run", "tmpfs", 0, "mode=755"); err != nil { // where servers elsewhere have their sockets
		return fmt.Errorf("mount /run: %w", err)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("bring up loopback: %w: %s", err, out)
	}
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// need skips the test where a tool is missing, or fails it where everything has to be there.
func need(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err == nil {
			continue
		}
		if os.Getenv(requireEnv) != "" {
			t.Fatalf("%s is not installed", tool)
		}
		t.Skipf("%s is not installed", tool)
	}
}

// pick returns the value for a full or a quick run.
func pick[T any](quick, all T) T {
	if *full {
		return all
	}
	return quick
}
