package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"ustack/scripts/netns"
	"ustack/stack"
	"ustack/stack/link"
)

// Names of the senders.
const (
	kernelName = "kernel"
	gvisorName = "gvisor"
	ustackName = "ustack"
)

// sender is a TCP that is attached to a wire.
type sender struct {
	port *port
	dial func(ctx context.Context) (net.Conn, error)
	// detail says in a line what the sender itself knows of a connection.
	detail func(net.Conn) string
	close  func() // its connections have been closed
}

// senders makes a sender by name.
var senders = map[string]func(*wire) (*sender, error){
	kernelName: newKernel,
	gvisorName: newGVisor,
	ustackName: newUStack,
}

const (
	receiverPort = 5001
	// bigBuffer is the size of socket buffers where it shall not matter: many times what is under way.
	bigBuffer = 16 << 20
)

// receiverEndpoint is where all senders send to.
var receiverEndpoint = netip.AddrPortFrom(receiverAddr.Addr(), receiverPort).String()

// control lets f set up a socket before it is used.
func control(f func(fd int) error) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = f(int(fd)) }), err)
	}
}

// newKernel attaches the kernel's TCP with CUBIC, in a namespace of its own: no memory of earlier
// connections, no other traffic.
func newKernel(w *wire) (*sender, error) {
	n, err := netns.New()
	if err != nil {
		return nil, err
	}
	p, err := w.kernelPort(n)
	if err != nil {
		n.Close()
		return nil, err
	}
	dialer := net.Dialer{Control: control(func(fd int) error {
		return errors.Join(
			unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, "cubic"),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, bigBuffer))
	})}
	return &sender{
		port: p,
		dial: func(ctx context.Context) (c net.Conn, err error) {
			err = n.Do(func() error {
				c, err = dialer.DialContext(ctx, "tcp4", receiverEndpoint)
				return err
			})
			return c, err
		},
		detail: kernelDetail,
		close:  n.Close,
	}, nil
}

// kernelDetail is what TCP_INFO says.
func kernelDetail(c net.Conn) string {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return ""
	}
	info, err := tcpInfo(t)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("cwnd %d ssthresh %d segments, RTT %dus, least RTT %dus, rexmits %d, lost %d, reordering %d",
		info.Snd_cwnd, info.Snd_ssthresh, info.Rtt, info.Min_rtt, info.Total_retrans, info.Lost, info.Reordering)
}

// newUStack attaches ustack with its default options.
func newUStack(w *wire) (*sender, error) {
	p, near := w.memoryPort()
	s, err := stack.New(stack.Config{Links: []link.Link{near}, Addrs: []netip.Prefix{p.addr}})
	if err != nil {
		return nil, err
	}
	return &sender{
		port: p,
		dial: func(ctx context.Context) (net.Conn, error) {
			return s.DialContext(ctx, "tcp4", receiverEndpoint)
		},
		detail: ustackDetail,
		close:  func() { s.Close() },
	}, nil
}

func ustackDetail(c net.Conn) string {
	t, ok := c.(*stack.Conn)
	if !ok {
		return ""
	}
	i := t.Info()
	return fmt.Sprintf("cwnd %d ssthresh %d segments, RTT %dus, least RTT %dus, rexmits %d, recoveries %d, RTOs %d, phase %v",
		i.Cwnd/i.MSS, i.SSThresh/i.MSS, int64(i.SRTT)/1000, int64(i.MinRTT)/1000, i.Retransmits, i.FastRecoveries, i.RTOs, i.Phase)
}
