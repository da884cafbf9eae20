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

	"github.com/vishvananda/netlink"
)

// node is a TCP/IP on its device.
type node struct {
	dev    *tun.Device  // nil on a memory link
	stack  *stack.Stack // of engine ustack
	other  engine.Engine
	closer func() error // what is left to close after the engine
}

// openNode opens the device and the engine that p asks for.
func openNode(p *plan, c *console) (*node, error) {
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
	n.dev = dev
	return n, nil
}

// sizePackets settles whether super-segments go through the device.
func sizePackets(dev *tun.Device, p *plan, c *console) error {
	switch {
	case !dev.Virtio() || p.device.Offload != tun.Auto || p.engine == "kernel":
		return nil
	case p.pcap != "":
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
func newNode(l link.Link, p *plan, c *console) (n *node, err error) {
	n = &node{closer: func() error { return nil }}
	if p.engine == "kernel" {
		n.other, n.closer = engine.Kernel(), l.Close
		return n, addKernelAddrs(p)
	}
	if p.pcap != "" {
		tapped, closeCapture, err := tapTo(l, p)
		if err != nil {
			return nil, err
		}
		l, n.closer = tapped, closeCapture
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
	n.stack, err = stack.New(stack.Config{
		Links:          []link.Link{l},
		Addrs:          p.addrs,
		Options:        p.switches.tcp,
		Logger:         slog.New(slog.NewTextHandler(c.err, nil)),
		EphemeralPorts: [2]uint16{p.ports.lo, p.ports.hi},
	})
	return n, err
}

// addKernelAddrs gives the kernel the addresses that otherwise are the stack's, so that the same URLs
// work with --engine kernel. They live on the device and go with it.
func addKernelAddrs(p *plan) error {
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

// listen opens one of the listeners.
func (n *node) listen(l listener) (net.Listener, error) {
	var ln net.Listener
	var err error
	if n.stack != nil {
		ln, err = (&stack.ListenConfig{Stack: n.stack, Options: &l.tcp}).Listen(context.Background(), "tcp", l.address)
	} else {
		ln, err = n.other.Listen("tcp", l.address)
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, &hintError{err, fmt.Sprintf("port %d is in use already: choose another with --listen :PORT", l.port)}
	}
	if err != nil {
		return nil, err
	}
	return ln, nil
}

// drainTime is how long connections may take to deliver their last octets and the FIN.
const drainTime = 5 * time.Second

// shutdown delivers what is queued and closes everything.
func (n *node) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	var err error
	if n.stack != nil {
		if err = n.stack.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
			err = nil // a peer that is gone keeps nobody waiting
		}
	} else {
		err = n.other.Close()
	}
	return errors.Join(err, n.closer())
}

// run blocks until ctx is done or, where that can be told, the device ends by itself.
func (n *node) run(ctx context.Context) error {
	if n.stack != nil {
		return n.stack.Run(ctx)
	}
	<-ctx.Done()
	return nil
}
