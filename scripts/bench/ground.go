package main

import (
	"fmt"

	"github.com/vishvananda/netlink"

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

// furnish makes fresh namespaces fit to live in: files go to memory.
func furnish(dir string) error {
	if err := netns.Furnish(); err != nil {
		return err
	}
	if err := netns.FilesIn(dir); err != nil {
		return err
	}
	return netns.OpenFiles(1024 + 256)
}

// newNamespace makes a network namespace that gives clients all the ports there are.
func newNamespace() (*netns.Namespace, error) {
	n, err := netns.New()
	if err != nil {
		return nil, err
	}
	if err := n.Do(netns.AllPorts); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// clientEnd is where the kernel's clients are.
var clientEnd = netns.End{Device: device, Addr: clientAddr + "/24"}

// joinVeth connects two namespaces with a veth pair.
func joinVeth(client, server *netns.Namespace) error {
	return client.Do(func() error {
		return netns.Join(clientEnd, server, netns.End{Device: "server0", Addr: serverAddr + "/24"})
	})
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
