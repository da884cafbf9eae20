// Package nstest runs the tests of a package in a network namespace of their own, with a TUN
// driver at hand, so that end-to-end tests meet the live kernel and never the machine's network.
//
// A package uses it from TestMain:
//
//	func TestMain(m *testing.M) { nstest.Main(m) }
//
// Main starts the test binary once more inside new namespaces (network and mount; for an
// ordinary user a user namespace on top, in which it is root) with loopback up, and passes on
// flags, output, signals and the result. Tests that need the namespace say so first:
//
//	func TestPing(t *testing.T) {
//		nstest.Require(t)
//		…
//	}
//
// Where no namespace or no TUN can be had, Main runs the tests in place and Require skips with
// the reason; with USTACK_REQUIRE_TUN=1 in the environment, as in CI, it fails instead. All
// other tests of the package run either way.
//
// A test that has to kill, or take the privileges from, a whole process registers that
// process as a helper: a function of the test binary that Helper starts in the same namespace.
//
//	var crash = nstest.Register("crash", func(args []string) { … })
//
//	cmd := nstest.Helper(t, crash, "ustack0")
package nstest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	envInside  = "USTACK_NSTEST_INSIDE" // set in the process that runs in the namespace
	envHelper  = "USTACK_NSTEST_HELPER" // the name of the helper to be
	envRequire = "USTACK_REQUIRE_TUN"   // 1: fail instead of skipping
)

var (
	missing = "TestMain does not call nstest.Main" // "" inside the namespace
	helpers = map[string]func(args []string){}
)

// HelperName identifies a helper process.
type HelperName string

// Register makes run available to Helper. Call it from a package-level variable; the process
// ends with status 0 when run returns.
func Register(name string, run func(args []string)) HelperName {
	if helpers[name] != nil {
		panic("nstest: helper registered twice: " + name)
	}
	helpers[name] = run
	return HelperName(name)
}

// Main is TestMain: it does not return.
func Main(m *testing.M) {
	if name := os.Getenv(envHelper); name != "" {
		helpers[name](os.Args[1:])
		os.Exit(0)
	}
	if os.Getenv(envInside) != "" {
		missing = prepare()
		os.Exit(m.Run())
	}
	reason := probe()
	if reason == "" {
		os.Exit(inside())
	}
	missing = reason
	fmt.Fprintln(os.Stderr, "nstest: no namespace with a TUN, its tests will not run:", reason)
	os.Exit(m.Run())
}

// Require skips, or with USTACK_REQUIRE_TUN=1 fails, a test that runs outside a namespace of its
// own or without a TUN driver.
func Require(t testing.TB) {
	t.Helper()
	switch {
	case missing == "":
	case os.Getenv(envRequire) == "1":
		t.Fatalf("needs a network namespace and a TUN (%s=1): %s", envRequire, missing)
	default:
		t.Skipf("SKIPPED, needs a network namespace and a TUN: %s", missing)
	}
}

// Helper returns a command, not yet started, that runs a registered helper in this namespace.
// The test starts it and waits for it; what still runs when the test ends is killed.
func Helper(t testing.TB, name HelperName, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), envHelper+"="+string(name))
	cmd.Stderr = os.Stderr
	t.Cleanup(func() {
		if cmd.Process != nil {
			cmd.Process.Kill()
		}
	})
	return cmd
}

// probe tells what is missing for a namespace with a TUN; "" if nothing is.
func probe() string {
	cmd := exec.Command("/proc/self/exe", "-test.run=^$")
	cmd.Env = append(os.Environ(), envHelper+"="+probeHelper)
	cmd.SysProcAttr = namespaces()
	out, err := cmd.Output()
	switch {
	case err != nil:
		return fmt.Sprintf("no namespace (%v); it takes root, or user namespaces for ordinary users", err)
	default:
		return string(out)
	}
}

const probeHelper = "nstest-probe"

func init() {
	Register(probeHelper, func([]string) { fmt.Print(prepare()) })
}

// prepare readies the namespace; it returns what is missing.
func prepare() string {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return "making mounts private: " + err.Error()
	}
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return "bringing up loopback: " + err.Error()
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return "/dev/net/tun: " + err.Error()
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("nstest")
	if err == nil {
		ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	}
	if err != nil {
		return "making a TUN: " + err.Error()
	}
	return ""
}

func namespaces() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return attr
}

// inside runs the test binary in the namespace and returns its exit code.
func inside() int {
	runtime.LockOSThread() // Pdeathsig is about the thread
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), envInside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = namespaces()

	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "nstest:", err)
		return 1
	}
	go func() {
		for s := range signals {
			cmd.Process.Signal(s)
		}
	}()
	if err := cmd.Wait(); err != nil {
		code := cmd.ProcessState.ExitCode()
		if code < 0 {
			fmt.Fprintln(os.Stderr, "nstest:", err)
			return 1
		}
		return code
	}
	return 0
}

// HasIPv6 reports whether the namespace can use IPv6.
func HasIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	l.Close()
	return true
}
