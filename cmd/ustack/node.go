package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"syscall"
	"time"

	"ustack/cmd/ustack/internal/engine"
	"ustack/stack"
	"ustack/stack/link"
	"ustack/stack/link/tun"
	"ustack/stack/trace"

	"github.com/vishvananda/netlink"
)

// node is a TCP/IP on its device: the engine of that name.
type node struct {
	stack  *stack.Stack  // of engine ustack, else nil
	hub    *trace.Hub    // where events of the stack come from; nil without one
	other  engine.Engine // any other
	closer func() error  // what is left to close after the engine
}

var _ engine.Engine = (*node)(nil)

// openNode opens the device and the engine that p asks for.
func openNode(p *nodePlan, c *console) (*node, error) {
	dev, err := tun.Open(p.device)
	if err != nil {
		return nil, err
	}
	for _, note := range dev.Notes() {
		c.note("%s", note)
	}
	if err := sizePackets(dev, p, c); err != nil {
		dev.Close()
		return nil, err
	}
	n, err := newNode(dev, p, c)
	if err != nil {
		dev.Close()
		return nil, err
	}
	return n, nil
}

// sizePackets settles whether super-segments go through the device.
func sizePackets(dev *tun.Device, p *nodePlan, c *console) error {
	switch {
	case !dev.Virtio() || p.device.Offload != tun.Auto || p.engine == "kernel":
		return nil
	case p.pcap != "" && p.engine == "gvisor": // its packets are captured at the device
		c.note("--pcap: packets are wire-sized")
		return dev.SetGSO(false)
	}
	return dev.WatchCaptures(func(captured bool, err error) {
		switch {
		case err != nil:
			c.note("offload: the device does not switch: %v", err)
		case captured:
			c.note("somebody captures on %s: packets are wire-sized until that ends (--offload on keeps super-segments)", dev.Name())
		default:
			c.note("nobody captures on %s any more: super-segments again", dev.Name())
		}
	})
}

// newNode starts the engine of p on a link, behind its tap and its impairments.
func newNode(l link.Link, p *nodePlan, c *console) (n *node, err error) {
	n = &node{closer: func() error { return nil }}
	if p.engine == "kernel" {
		n.other, n.closer = engine.Kernel(), l.Close
		return n, addKernelAddrs(p)
	}
	rings, tap, err := n.openCaptures(p, c)
	if err != nil {
		return nil, errors.Join(err, n.closer())
	}
	if p.engine == "gvisor" && tap != nil {
		l = link.Tap(l, tap)
	}
	if p.impaired {
		l = link.Impair(l, p.impair)
	}
	if p.engine == "gvisor" {
		n.other, err = engine.GVisor(engine.GVisorConfig{Link: l, Addrs: p.addrs})
		finish := n.closer
		n.closer = func() error { return errors.Join(l.Close(), finish()) }
		return n, err
	}
	return n, n.startStack(l, p, c, rings)
}

// openCaptures opens what is to be captured: rings for the events of our own stack, or a tap for another engine.
func (n *node) openCaptures(p *nodePlan, c *console) (rings []*trace.Ring, tap link.TapFunc, err error) {
	if err := p.checkDirectories(); err != nil {
		return nil, nil, err
	}
	if p.pcap != "" {
		capture, err := openCapture(p)
		if err != nil {
			return nil, nil, err
		}
		n.closer = capture.close
		if p.engine == "gvisor" {
			return nil, capture.files.Tap, nil
		}
		rings = append(rings, capture.follow(p))
	}
	if p.dead != "" {
		dead, finish := followDead(p, c), n.closer
		n.closer = func() error {
			dead.close()
			return finish()
		}
		rings = append(rings, dead.ring)
	}
	return rings, nil, nil
}

// startStack starts our own stack on a link. Rings get its events, from the first one on.
func (n *node) startStack(l link.Link, p *nodePlan, c *console, rings []*trace.Ring) (err error) {
	config := stack.Config{
		Links:          []link.Link{l},
		Addrs:          p.addrs,
		Options:        p.switches.tcp,
		Logger:         slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: slog.LevelWarn})),
		EphemeralPorts: [2]uint16{p.ports.lo, p.ports.hi},
	}
	n.hub = trace.NewHub(func(f func(*trace.Event)) {
		if n.stack == nil { // not yet: it will be born with it
			config.Tracer = f
			return
		}
		n.stack.SetTracer(f)
	})
	for _, r := range rings {
		n.hub.Add(r)
	}
	n.stack, err = stack.New(config)
	return err
}

// addKernelAddrs gives the kernel the addresses that otherwise are the stack's, so that the same URLs
// work with --engine kernel. They live on the device and go with it.
func addKernelAddrs(p *nodePlan) error {
	dev, err := netlink.LinkByName(p.device.Name)
	if err != nil {
		return fmt.Errorf("find %s: %w", p.device.Name, err)
	}
	for _, a := range p.addrs {
		one := netip.PrefixFrom(a.Addr(), a.Addr().BitLen())
		addr, err := netlink.ParseAddr(one.String())
		if err != nil {
			return err
		}
		if a.Addr().Is6() {
			addr.Flags = syscall.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(dev, addr); err != nil {
			return fmt.Errorf("give %v to the kernel: %w", a.Addr(), err)
		}
	}
	return nil
}

// failure returns a channel that tells when the device has ended by itself. An engine other than ustack
// never tells.
func (n *node) failure() <-chan error {
	if n.stack == nil {
		return nil
	}
	failed := make(chan error, 1)
	go func() {
		if err := n.stack.Run(context.Background()); !errors.Is(err, net.ErrClosed) {
			failed <- err
		}
	}()
	return failed
}

// Name returns what --engine calls the node's TCP.
func (n *node) Name() string {
	if n.stack != nil {
		return "ustack"
	}
	return n.other.Name()
}

// Listen listens with the switches of the node.
func (n *node) Listen(network, addr string) (net.Listener, error) {
	return n.listen(network, addr, &stack.ListenConfig{})
}

// listen listens with settings of its own, which the engines other than ustack do not know.
func (n *node) listen(network, addr string, lc *stack.ListenConfig) (net.Listener, error) {
	if n.stack == nil {
		return n.other.Listen(network, addr)
	}
	lc.Stack = n.stack
	ln, err := lc.Listen(context.Background(), network, addr)
	if err != nil {
		return nil, err
	}
	return ln, nil
}

// DialContext connects from the node.
func (n *node) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if n.stack == nil {
		return n.other.DialContext(ctx, network, addr)
	}
	return n.stack.DialContext(ctx, network, addr)
}

// drainTime is how long connections may take to deliver their last octets and the FIN.
const drainTime = 5 * time.Second

// Close delivers what is queued and closes everything.
func (n *node) Close() error {
	if n.stack == nil {
		return errors.Join(n.other.Close(), n.closer())
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	err := n.stack.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil // a peer that is gone keeps nobody waiting
	}
	return errors.Join(err, n.closer())
}
