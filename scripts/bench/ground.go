package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Every engine lives in network namespaces of its own, all with the same addresses.
const (
	clientAddr = "10.90.0.1"
	serverAddr = "10.90.0.2"
	device     = "ustack0"
	baseURL    = "http://" + serverAddr
)

// insideEnv holds a directory for files, in the process that runs in private namespaces.
const insideEnv = "USTACK_BENCH_INSIDE"

// goInside runs this program again, with the same arguments, in network, mount and process namespaces
// of its own: when it ends, by whatever signal, everything it started ends with it.
func goInside(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "ustack-bench")
	if err != nil {
		return err
	}
	defer os.Remove(dir) // what is mounted on it inside is gone by then
	cmd := exec.CommandContext(ctx, self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideEnv+"="+dir)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second // to stop the servers and to print what there is
	runtime.LockOSThread()           // Pdeathsig is about the thread
	defer runtime.UnlockOSThread()
	return cmd.Run()
}

// furnish makes fresh namespaces fit to live in: files go to memory.
func furnish(dir string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount tmpfs: %w", err)
	}
	return openFiles()
}

// openFiles lets clients have as many connections as the machine allows. Set by hand, the limit holds
// for child processes as well.
func openFiles() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	const want = 1024 + 256
	if limit.Max < want {
		return fmt.Errorf("at most %d open files: want %d (ulimit -n)", limit.Max, want)
	}
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// namespace is a network namespace.
type namespace struct{ file *os.File }

func newNamespace() (*namespace, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	defer home.Close()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("make a network namespace: %w", err)
	}
	file, err := os.Open("/proc/thread-self/ns/net")
	if err == nil {
		err = furnishNet()
	}
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		panic(back) // this thread is of no use any more
	}
	return &namespace{file}, err
}

// furnishNet brings up loopback and gives clients all the ports there are.
func furnishNet() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("1024 65535"), 0)
}

// do runs f on a thread inside the namespace: processes it starts and sockets it makes belong there.
func (n *namespace) do(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer home.Close()
	if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter a network namespace: %w", err)
	}
	err = f()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		panic(back)
	}
	return err
}

func (n *namespace) close() { n.file.Close() }

// joinVeth connects two namespaces with a veth pair, as containers are.
func joinVeth(client, server *namespace) error {
	const far = "server0"
	err := client.do(func() error {
		pair := &netlink.Veth{
			LinkAttrs:     netlink.LinkAttrs{Name: device},
			PeerName:      far,
			PeerNamespace: netlink.NsFd(server.file.Fd()),
		}
		if err := netlink.LinkAdd(pair); err != nil {
			return fmt.Errorf("make a veth pair: %w", err)
		}
		return giveAddr(device, clientAddr)
	})
	if err != nil {
		return err
	}
	return server.do(func() error { return giveAddr(far, serverAddr) })
}

func giveAddr(name, addr string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	a := &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(addr).To4(), Mask: net.CIDRMask(24, 32)}}
	if err := netlink.AddrAdd(l, a); err != nil {
		return fmt.Errorf("give %s to %s: %w", addr, name, err)
	}
	return netlink.LinkSetUp(l)
}

// sendWith sets the congestion control of what is sent to the server from now on; "": the default.
func sendWith(congctl string) error {
	l, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	routes, err := netlink.RouteList(l, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	for _, r := range routes {
		r.Congctl = congctl
		if err := netlink.RouteReplace(&r); err != nil {
			return fmt.Errorf("have the kernel send with %q: %w", congctl, err)
		}
	}
	return nil
}

// lengthenQueue gives a device the transmit queue that ustack gives its own: drops are no way to win.
func lengthenQueue(name string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetTxQLen(l, 10_000)
}

// drops returns how many packets the client's device has lost on their way to the server.
func (n *namespace) drops() (int, error) {
	count := 0
	err := n.do(func() error {
		l, err := netlink.LinkByName(device)
		if err == nil && l.Attrs().Statistics != nil {
			count = int(l.Attrs().Statistics.TxDropped)
		}
		return err
	})
	return count, err
}
