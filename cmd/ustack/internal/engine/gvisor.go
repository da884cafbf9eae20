package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"ustack/stack/link"
)

// GVisorConfig is what a gVisor stack runs on.
type GVisorConfig struct {
	Link  link.Link      // stays the caller's
	Addrs []netip.Prefix // addresses of the stack; everything is reached through the link
	// CC is the congestion control, cubic or reno; "" is cubic.
	CC string
}

const nicID = 1

// gvisor is gVisor's netstack on a link.
type gvisor struct {
	stack *stack.Stack
	ep    *endpoint
}

// GVisor starts a gVisor stack. Like ours it keeps quiet: no duplicate address detection, no
// router solicitation, no multicast reports.
func GVisor(c GVisorConfig) (Engine, error) {
	s := stack.New(stack.Options{
		NetworkProtocols: []stack.NetworkProtocolFactory{
			ipv4.NewProtocol,
			ipv6.NewProtocolWithOptions(ipv6.Options{}),
		},
		TransportProtocols: []stack.TransportProtocolFactory{
			tcp.NewProtocolCUBIC, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6,
		},
	})
	g := &gvisor{stack: s, ep: newEndpoint(c.Link)}
	if err := g.setUp(&c); err != nil {
		g.Close()
		return nil, fmt.Errorf("gvisor: %w", err)
	}
	return g, nil
}

func (g *gvisor) setUp(c *GVisorConfig) error {
	if len(c.Addrs) == 0 {
		return errors.New("no address given")
	}
	if err := g.options(c.CC); err != nil {
		return err
	}
	if err := g.stack.CreateNIC(nicID, g.ep); err != nil {
		return tcpipError(err)
	}
	for _, p := range c.Addrs {
		a := tcpip.ProtocolAddress{
			Protocol:          protocolOf(p.Addr()),
			AddressWithPrefix: tcpip.AddressWithPrefix{Address: tcpip.AddrFromSlice(p.Addr().AsSlice()), PrefixLen: p.Bits()},
		}
		if err := g.stack.AddProtocolAddress(nicID, a, stack.AddressProperties{}); err != nil {
			return fmt.Errorf("address %v: %w", p, tcpipError(err))
		}
	}
	g.stack.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: nicID},
		{Destination: header.IPv6EmptySubnet, NIC: nicID},
	})
	return nil
}

func (g *gvisor) options(cc string) error {
	sack := tcpip.TCPSACKEnabled(true)
	moderate := tcpip.TCPModerateReceiveBufferOption(true)
	rcv := tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: tcp.DefaultReceiveBufferSize, Max: tcp.MaxBufferSize}
	snd := tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: tcp.DefaultSendBufferSize, Max: tcp.MaxBufferSize}
	// Without RACK: gVisor's keeps the window at one segment once a few retransmissions were lost,
	// and moves 20 KB a minute at 5 % of loss.
	recovery := tcpip.TCPRecovery(0)
	list := []tcpip.SettableTransportProtocolOption{&sack, &recovery, &moderate, &rcv, &snd}
	if cc != "" {
		control := tcpip.CongestionControlOption(cc)
		list = append(list, &control)
	}
	for _, o := range list {
		if err := g.stack.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return fmt.Errorf("option %T %v: %w", o, o, tcpipError(err))
		}
	}
	return nil
}

func protocolOf(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Is4() {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}

func (g *gvisor) Name() string { return "gvisor" }

func (g *gvisor) Listen(network, addr string) (net.Listener, error) {
	a, err := resolve(context.Background(), network, addr)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	full := tcpip.FullAddress{Port: a.Port()}
	proto := protocolOf(a.Addr())
	switch {
	case !a.Addr().IsValid() && network == "tcp4":
		proto = ipv4.ProtocolNumber
	case !a.Addr().IsValid():
		proto = ipv6.ProtocolNumber // takes IPv4 as well
	case !a.Addr().IsUnspecified():
		full.Addr = tcpip.AddrFromSlice(a.Addr().AsSlice())
	}
	l, err := gonet.ListenTCP(g.stack, full, proto)
	if err != nil {
		return nil, mapError(err)
	}
	return &listener{TCPListener: l}, nil
}

func (g *gvisor) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	a, err := resolve(ctx, network, addr)
	if err == nil && (!a.Addr().IsValid() || a.Port() == 0) {
		err = errors.New("address needs a host and a port: " + strconv.Quote(addr))
	}
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	full := tcpip.FullAddress{Addr: tcpip.AddrFromSlice(a.Addr().AsSlice()), Port: a.Port()}
	c, err := gonet.DialContextTCP(ctx, g.stack, full, protocolOf(a.Addr()))
	if err != nil {
		return nil, mapError(err)
	}
	return &conn{c}, nil
}

// Close gives closed connections the time to deliver what was written, aborts the rest, ends the
// readers and waits for them.
func (g *gvisor) Close() error {
	for end := time.Now().Add(drainTime); g.delivering() && time.Now().Before(end); {
		time.Sleep(2 * time.Millisecond)
	}
	g.stack.Close()
	g.ep.stop()
	g.stack.Wait()
	return nil
}

// delivering reports whether a connection waits for its FIN to be acknowledged.
func (g *gvisor) delivering() bool {
	for _, e := range g.stack.RegisteredEndpoints() {
		t, ok := e.(*tcp.Endpoint)
		if !ok {
			continue
		}
		switch t.EndpointState() {
		case tcp.StateFinWait1, tcp.StateClosing, tcp.StateLastAck:
			return true
		}
	}
	return false
}

// resolve reads host:port. An empty host gives an invalid address.
func resolve(ctx context.Context, network, addr string) (netip.AddrPort, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return netip.AddrPort{}, net.UnknownNetworkError(network)
	}
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, network, service)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if host == "" {
		return netip.AddrPortFrom(netip.Addr{}, uint16(port)), nil
	}
	list, err := net.DefaultResolver.LookupNetIP(ctx, "ip"+network[3:], host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(list[0].Unmap().WithZone(""), uint16(port)), nil
}
