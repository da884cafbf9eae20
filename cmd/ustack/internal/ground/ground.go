// Package ground finds a place to run where the host's network stays untouched: a network namespace of
// its own where that can be had, else memory.
package ground

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"ustack/stack/link/tun"

	"golang.org/x/sys/unix"
)

// Kind is a sort of ground, the best first.
type Kind int

const (
	// RootNamespace is a network namespace made by root.
	RootNamespace Kind = iota + 1
	// UserNamespace is a network namespace inside a user namespace: an ordinary user is root there, and only there.
	UserNamespace
	// Memory has no device and no namespace: the peer is a second stack in the same process.
	Memory
)

var kindNames = map[Kind]string{
	RootNamespace: "a network namespace of its own, made by root",
	UserNamespace: "a network namespace inside a user namespace, made by an ordinary user",
	Memory:        "a memory link between two stacks in this process, with a loopback relay",
}

// String says what the ground is, for people.
func (k Kind) String() string { return kindNames[k] }

// Ground is where to run, and why not on something better.
type Ground struct {
	Kind Kind
	// Why tells of each better ground what is missing, and in lines of its own what to do about it.
	Why []string
}

const (
	probeEnv  = "USTACK_GROUND_PROBE" // set: try the ground, say what is wrong, exit
	groundEnv = "USTACK_GROUND"       // set: the process runs on the ground of that number
	// probeTime bounds one try.
	probeTime = 5 * time.Second
)

// Init must be the first thing that main does: in a process that Find started it tries the ground and exits.
func Init() {
	if os.Getenv(probeEnv) == "" {
		return
	}
	if err := probe(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Here returns the ground that Command put this process on; false when it was started otherwise.
func Here() (Kind, bool) {
	for k := range kindNames {
		if os.Getenv(groundEnv) == fmt.Sprint(int(k)) {
			return k, true
		}
	}
	return 0, false
}

// Find tries the grounds, best first, each in a child process, and returns the first that holds.
func Find(ctx context.Context) Ground {
	var g Ground
	for _, k := range []Kind{RootNamespace, UserNamespace} {
		if k == RootNamespace && os.Geteuid() != 0 {
			continue
		}
		err := try(ctx, k)
		if err == nil {
			g.Kind = k
			return g
		}
		g.Why = append(g.Why, fmt.Sprintf("not in a %s: %v", short(k), err))
	}
	g.Kind = Memory
	return g
}

func short(k Kind) string {
	if k == RootNamespace {
		return "network namespace"
	}
	return "user namespace"
}

func try(ctx context.Context, k Kind) error {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	cmd, err := Ground{Kind: k}.Command(ctx)
	if err != nil {
		return err
	}
	cmd.Env = append(cmd.Env, probeEnv+"=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && out.Len() > 0 {
		return errors.New(strings.TrimSpace(out.String()))
	}
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) {
		return fmt.Errorf("this machine does not let this user make one (%w)", errno(err))
	}
	return err
}

func errno(err error) error {
	var e syscall.Errno
	if errors.As(err, &e) {
		return e
	}
	return err
}

// Command prepares this very program, with args, to run on the ground.
func (g Ground) Command(ctx context.Context, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", groundEnv, g.Kind))
	switch g.Kind {
	case RootNamespace:
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	case UserNamespace:
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		}
	}
	return cmd, nil
}

// probe makes a device with addresses and takes it away again.
func probe() error {
	dev, err := tun.Open(tun.Config{
		Name:     "probe0",
		HostAddr: netip.MustParsePrefix("192.0.2.1/24"),
	})
	if explained := (*tun.Error)(nil); errors.As(err, &explained) && explained.Hint != "" {
		return fmt.Errorf("%w\n%s", err, explained.Hint)
	}
	if err != nil {
		return err
	}
	return dev.Close()
}

// LoopbackUp brings up the loopback interface of a fresh network namespace.
func LoopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		return fmt.Errorf("bring up loopback: %w", err)
	}
	return nil
}
