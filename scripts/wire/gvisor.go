package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"ustack/stack/link"
)

// newGVisor attaches gVisor's netstack with CUBIC and SACK. All else is as it ships: RACK finds
// losses, send buffers grow by themselves up to 4 MiB.
func newGVisor(w *wire) (*sender, error) {
	p, near := w.memoryPort()
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocolCUBIC},
	})
	g := &gvisorLink{ep: channel.New(portQueue, mtu, ""), queue: near.Queues()[0]}
	g.ep.AddNotify(g)
	sack := tcpip.TCPSACKEnabled(true)
	if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, &sack); err != nil {
		return nil, fmt.Errorf("gvisor: SACK: %v", err)
	}
	const nic = 1
	if err := s.CreateNIC(nic, g.ep); err != nil {
		return nil, fmt.Errorf("gvisor: NIC: %v", err)
	}
	own := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddressWithPrefix{
		Address: tcpip.AddrFrom4(p.addr.Addr().As4()), PrefixLen: p.addr.Bits()}}
	if err := s.AddProtocolAddress(nic, own, stack.AddressProperties{}); err != nil {
		return nil, fmt.Errorf("gvisor: address: %v", err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}})
	go g.receive()
	to := tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFrom4(receiverAddr.Addr().As4()), Port: receiverPort}
	return &sender{
		port: p,
		dial: func(ctx context.Context) (net.Conn, error) {
			return gonet.DialContextTCP(ctx, s, to, ipv4.ProtocolNumber)
		},
		detail: func(net.Conn) string { return gvisorDetail(s) },
		close:  s.Close,
	}, nil
}

// gvisorLink carries packets between gVisor and a queue.
type gvisorLink struct {
	ep    *channel.Endpoint
	queue link.Queue
	order sync.Mutex
}

// WriteNotify is called by gVisor when it has written a packet.
func (g *gvisorLink) WriteNotify() {
	g.order.Lock()
	defer g.order.Unlock()
	for {
		p := g.ep.Read()
		if p == nil {
			return
		}
		v := p.ToView()
		g.queue.Write(link.Offload{}, v.AsSlice(), [4][]byte{}) // a refusal is counted there
		v.Release()
		p.DecRef()
	}
}

// receive hands packets to gVisor until the queue is closed.
func (g *gvisorLink) receive() {
	f := link.NewFrame()
	for {
		ok, err := g.queue.Read(f)
		if err == nil && !ok {
			err = g.queue.Wait()
		}
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case ok:
			p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(f.Packet)})
			g.ep.InjectInbound(ipv4.ProtocolNumber, p)
			p.DecRef()
		}
	}
}

func gvisorDetail(s *stack.Stack) string {
	t := s.Stats().TCP
	return fmt.Sprintf("rexmits %d, fast %d, recoveries %d, SACK recoveries %d, TLP recoveries %d, RTOs %d",
		t.Retransmits.Value(), t.FastRetransmit.Value(), t.FastRecovery.Value(), t.SACKRecovery.Value(), t.TLPRecovery.Value(), t.Timeouts.Value())
}
