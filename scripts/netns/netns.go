// Package netns gives programs of scripts network namespaces of their own, so that what they do to
// devices and addresses never reaches the machine's own network. It needs root.
package netns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Main runs a program of that name until SIGINT or SIGTERM. It exits with the status of the process that Again has
// started, which has said why, or prints the error and exits with 1.
func Main(name string, run func(ctx context.Context, args []string) error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	stop()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() > 0 {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
}

// Again runs this program again, with the same arguments and env on top of the environment, in
// network, mount and process namespaces of its own: when it ends, by whatever signal, everything it
// started ends with it. By env the program has to know itself the second time; it then calls Furnish.
// When ctx is done it has half a minute to stop what it began and to print what there is.
func Again(ctx context.Context, env ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	runtime.LockOSThread() // Pdeathsig is about the thread
	defer runtime.UnlockOSThread()
	return cmd.Run()
}

// AgainIn is Again with a directory that it makes for the time: env names the variable that holds it, and FilesIn mounts
// memory on it.
func AgainIn(ctx context.Context, name, env string) error {
	dir, err := os.MkdirTemp("", name)
	if err != nil {
		return err
	}
	defer os.Remove(dir) // what is mounted on it inside is gone by then
	return Again(ctx, env+"="+dir)
}

// FilesIn puts the files of dir into memory, for the processes of this namespace.
func FilesIn(dir string) error {
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount tmpfs: %w", err)
	}
	return nil
}

// AllPorts gives clients in the namespace of this thread all the ports there are.
func AllPorts() error {
	return os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("1024 65535"), 0)
}

// Furnish makes fresh namespaces fit to live in: mounts stay in here, /proc tells of this namespace.
func Furnish() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	return nil
}

// OpenFiles lets this process and those that it starts have as many open files as the machine allows, which must be want
// or more. Set by hand, the limit holds for child processes as well.
func OpenFiles(want uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	if limit.Max < want {
		return fmt.Errorf("at most %d open files: want %d (ulimit -n)", limit.Max, want)
	}
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// Namespace is a network namespace.
type Namespace struct{ file *os.File }

// New makes a namespace with loopback up. Close lets go of it.
func New() (*Namespace, error) {
	n := new(Namespace)
	err := away(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		var err error
		if n.file, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return err
		}
		return Loopback()
	})
	if err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// Loopback brings loopback up in the namespace of this thread.
func Loopback() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// Do runs f on a thread inside the namespace: processes it starts and sockets it makes belong there.
func (n *Namespace) Do(f func() error) error {
	return away(func() error {
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter a network namespace: %w", err)
		}
		return f()
	})
}

// away runs f, which may change the namespace of its thread, and brings the thread home.
func away(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer home.Close()
	err = f()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		panic(back) // this thread is of no use any more
	}
	return err
}

// Fd is the descriptor by which other system calls know the namespace.
func (n *Namespace) Fd() int { return int(n.file.Fd()) }

// Close lets go of the namespace, which ends when nothing else is in it.
func (n *Namespace) Close() {
	if n.file != nil {
		n.file.Close()
	}
}
