package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"ustack/scripts/netns"
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

// goInside runs this program again in private namespaces, with a directory to put files in.
func goInside(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "ustack-bench")
	if err != nil {
		return err
	}
	defer os.Remove(dir) // what is mounted on it inside is gone by then
	return netns.Again(ctx, insideEnv+"="+dir)
}

// furnish makes fresh namespaces fit to live in: files go to memory.
func furnish(dir string) error {
	if err := netns.Furnish(); err != nil {
		return err
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

// newNamespace makes a network namespace that gives clients all the ports there are.
func newNamespace() (*netns.Namespace, error) {
	n, err := netns.New()
	if err != nil {
		return nil, err
	}
	err = n.Do(func() error {
		return os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("1024 65535"), 0)
	})
	if err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// joinVeth connects two namespaces with a veth pair, as containers are.
func joinVeth(client, server *netns.Namespace) error {
	const far = "server0"
	err := client.Do(func() error {
		pair := &netlink.Veth{
			LinkAttrs:     netlink.LinkAttrs{Name: device},
			PeerName:      far,
			PeerNamespace: netlink.NsFd(server.Fd()),
		}
		if err := netlink.LinkAdd(pair); err != nil {
			return fmt.Errorf("make a veth pair: %w", err)
		}
		return giveAddr(device, clientAddr)
	})
	if err != nil {
		return err
	}
	return server.Do(func() error { return giveAddr(far, serverAddr) })
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

// lostTo returns how many packets the client's device has lost on their way to the server.
func lostTo(n *netns.Namespace) (int, error) {
	count := 0
	err := n.Do(func() error {
		l, err := netlink.LinkByName(device)
		if err == nil && l.Attrs().Statistics != nil {
			count = int(l.Attrs().Statistics.TxDropped)
		}
		return err
	})
	return count, err
}
