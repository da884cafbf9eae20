package differential

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const nic = 1

// gvisor is gVisor's netstack as it ships, with a channel for its packets.
type gvisor struct {
	s  *stack.Stack
	ep *channel.Endpoint
}

func newGVisor(t *testing.T) *gvisor {
	t.Helper()
	g := &gvisor{ep: channel.New(1<<14, 1500, "")}
	g.s = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	if err := g.s.CreateNIC(nic, g.ep); err != nil {
		t.Fatal(err)
	}
	for _, v6 := range []bool{false, true} {
		a := tcpip.ProtocolAddress{Protocol: network(v6), AddressWithPrefix: gvisorAddr("gVisor", v6, 0).Addr.WithPrefix()}
		if err := g.s.AddProtocolAddress(nic, a, stack.AddressProperties{}); err != nil {
			t.Fatal(err)
		}
	}
	g.s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}, {Destination: header.IPv6EmptySubnet, NIC: nic}})
	t.Cleanup(func() {
		g.s.Destroy()
		g.ep.Close()
	})
	return g
}

func network(v6 bool) tcpip.NetworkProtocolNumber {
	if v6 {
		return ipv6.ProtocolNumber
	}
	return ipv4.ProtocolNumber
}

func gvisorAddr(name string, v6 bool, port int) tcpip.FullAddress {
	ip := net.ParseIP(address(name, v6))
	if !v6 {
		ip = ip.To4()
	}
	return tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFromSlice(ip), Port: uint16(port)}
}

// in delivers a packet.
func (g *gvisor) in(packet []byte) {
	proto := network(packet[0]>>4 == 6)
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(packet)})
	g.ep.InjectInbound(proto, p)
	p.DecRef()
}

// out calls f with every packet that is sent, until the stack ends.
func (g *gvisor) out(ctx context.Context, f func([]byte)) {
	for {
		p := g.ep.ReadContext(ctx)
		if p == nil {
			return
		}
		v := p.ToView()
		f(append([]byte(nil), v.AsSlice()...))
		v.Release()
		p.DecRef()
	}
}

// endpoint makes an endpoint with its options set.
func (g *gvisor) endpoint(v6 bool, o options) (tcpip.Endpoint, *waiter.Queue, error) {
	wq := new(waiter.Queue)
	ep, err := g.s.NewEndpoint(tcp.ProtocolNumber, network(v6), wq)
	if err != nil {
		return nil, nil, gvisorError(err)
	}
	ep.SocketOptions().SetReuseAddress(true)
	if o.rcvBuf != 0 {
		ep.SocketOptions().SetReceiveBufferSize(int64(o.rcvBuf), true)
	}
	if o.userTimeout != 0 {
		timeout := tcpip.TCPUserTimeoutOption(o.userTimeout)
		err = ep.SetSockOpt(&timeout)
	}
	return ep, wq, gvisorError(err)
}

// gvisorError makes a Go error of one of gVisor's, which have no Error method.
func gvisorError(err tcpip.Error) error {
	if err == nil {
		return nil
	}
	return errors.New(err.String())
}

func (g *gvisor) listen(v6 bool, port int, o options) (acceptor, error) {
	ep, wq, err := g.endpoint(v6, o)
	if err != nil {
		return nil, err
	}
	if err := ep.Bind(gvisorAddr("gVisor", v6, port)); err != nil {
		return nil, gvisorError(err)
	}
	if err := ep.Listen(10); err != nil {
		return nil, gvisorError(err)
	}
	return &gvisorListener{ep, wq}, nil
}

type gvisorListener struct {
	ep tcpip.Endpoint
	wq *waiter.Queue
}

func (l *gvisorListener) Close() error {
	l.ep.Close()
	return nil
}

func (l *gvisorListener) accept() (conn, error) {
	entry, ready := waiter.NewChannelEntry(waiter.ReadableEvents)
	l.wq.EventRegister(&entry)
	defer l.wq.EventUnregister(&entry)
	late := time.After(stuck)
	for {
		ep, wq, err := l.ep.Accept(nil)
		if _, ok := err.(*tcpip.ErrWouldBlock); !ok {
			return newGVisorConn(wq, ep, err)
		}
		select {
		case <-ready:
		case <-late:
			return nil, context.DeadlineExceeded
		}
	}
}

func (g *gvisor) dial(ctx context.Context, v6 bool, local int, to string, port int, o options) (conn, error) {
	ep, wq, err := g.endpoint(v6, o)
	if err != nil {
		return nil, err
	}
	entry, ready := waiter.NewChannelEntry(waiter.WritableEvents)
	wq.EventRegister(&entry)
	defer wq.EventUnregister(&entry)
	if local != 0 {
		if err := ep.Bind(gvisorAddr("gVisor", v6, local)); err != nil {
			return nil, gvisorError(err)
		}
	}
	res := ep.Connect(gvisorAddr(to, v6, port))
	if _, ok := res.(*tcpip.ErrConnectStarted); ok {
		select {
		case <-ready:
			res = ep.LastError()
		case <-ctx.Done():
			ep.Close()
			return nil, ctx.Err()
		}
	}
	return newGVisorConn(wq, ep, res)
}

// gvisorConn is gVisor's adapter with the endpoint at hand, for what the adapter does not offer.
type gvisorConn struct {
	*gonet.TCPConn
	ep tcpip.Endpoint
}

func newGVisorConn(wq *waiter.Queue, ep tcpip.Endpoint, err tcpip.Error) (conn, error) {
	if err != nil {
		return nil, gvisorError(err)
	}
	ep.SocketOptions().SetDelayOption(false) // as Go has it
	return gvisorConn{gonet.NewTCPConn(wq, ep), ep}, nil
}

func (c gvisorConn) abort() error {
	c.ep.SocketOptions().SetLinger(tcpip.LingerOption{Enabled: true})
	return c.Close()
}

func (c gvisorConn) urgent([]byte) error { return errors.ErrUnsupported }
