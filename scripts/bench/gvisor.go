package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// listenGVisor listens with gVisor's netstack as it ships, on a plain TUN through its own fdbased link
// endpoint: what one gets by following its examples. It belongs to the process until that ends.
func listenGVisor() (net.Listener, error) {
	fd, err := openTUN()
	if err != nil {
		return nil, err
	}
	ep, err := fdbased.New(&fdbased.Options{FDs: []int{fd}, MTU: 1500, PacketDispatchMode: fdbased.Readv})
	if err != nil {
		return nil, fmt.Errorf("fdbased: %w", err)
	}
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	const nic = 1
	if err := s.CreateNIC(nic, ep); err != nil {
		return nil, fmt.Errorf("NIC: %v", err)
	}
	addr := tcpip.AddrFrom4([4]byte{10, 90, 0, 2})
	own := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddressWithPrefix{Address: addr, PrefixLen: 24}}
	if err := s.AddProtocolAddress(nic, own, stack.AddressProperties{}); err != nil {
		return nil, fmt.Errorf("address: %v", err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}})
	return gonet.ListenTCP(s, tcpip.FullAddress{NIC: nic, Addr: addr, Port: 80}, ipv4.ProtocolNumber)
}

// openTUN makes a plain device with the client's address on it, as long a queue as ustack's.
func openTUN() (int, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	req, err := unix.NewIfreq(device)
	if err == nil {
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err = errors.Join(err, lengthenQueue(device), clientEnd.Up()); err != nil {
		unix.Close(fd)
		return 0, fmt.Errorf("make a TUN: %w", err)
	}
	return fd, nil
}

func serveGVisor(ctx context.Context) error {
	ln, err := listenGVisor()
	if err != nil {
		return err
	}
	return serveNetHTTP(ctx, ln)
}
