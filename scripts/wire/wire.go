package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"ustack/ippkt"
	"ustack/scripts/netns"
	"ustack/stack/link"
	"ustack/stack/link/tun"
	"ustack/tcpseg"
)

// mtu is the largest packet on the wire, octets.
const mtu = 1500

// portQueue is how many packets may wait on their way to the relay and back: nothing may be lost
// outside the bottleneck.
const portQueue = 20_000

// The addresses on every wire; sender i is lastByte i further on.
var (
	receiverAddr = netip.MustParsePrefix("10.90.0.1/24")
	senderAddr   = netip.MustParsePrefix("10.90.0.2/24")
)

// wire is a relay: senders at ports on the one side, one receiver behind a bottleneck on the other.
// Packets from all senders go through the same queue.
type wire struct {
	home      *netns.Namespace // the receiver's
	metronome *metronome
	device    *tun.Device    // to the receiver's kernel
	far       *link.Impaired // the device behind the bottleneck
	relays    sync.WaitGroup
	made      int // ports, plugged or not

	mu     sync.Mutex
	ports  []*port
	faults []error
}

// port is where one sender is attached, whatever it is.
type port struct {
	addr  netip.Prefix
	queue link.Queue // its other end is the sender's
	drops func() uint64
	meter meter
	undo  []func() // what close has to do for the sender
}

// newWire makes a bottleneck of rate bits per second, one bandwidth-delay product of queue in octets,
// and half of the round trip in each direction. Only packets to the receiver are lost at random:
// seed and a packet's place in the sequence decide, so that all senders meet the same luck.
func newWire(c cell, seed int, m *metronome) (*wire, error) {
	home, err := netns.New()
	if err != nil {
		return nil, err
	}
	w := &wire{home: home, metronome: m}
	err = home.Do(func() (err error) {
		w.device, err = openDevice(receiverAddr)
		return err
	})
	if err != nil {
		home.Close()
		return nil, fmt.Errorf("the receiver's device: %w", err)
	}
	half := c.RTT / 2
	w.far = link.Impair(m.time(w.device), link.Spec{
		Out:  link.Faults{Loss: c.Loss, Delay: half, Rate: c.Rate, Queue: c.bdp()},
		In:   link.Faults{Delay: half},
		Seed: uint64(seed),
	})
	w.relays.Go(func() { w.carry(w.far.Queues()[0], w.back) })
	return w, nil
}

// openDevice opens a TUN without any offload in the namespace of this thread: packets have wire size.
func openDevice(host netip.Prefix) (*tun.Device, error) {
	return tun.Open(tun.Config{Name: "wire0", MTU: mtu, Offload: tun.Off, HostAddr: host})
}

// address is that of the sender at port i.
func address(i int) netip.Prefix {
	a := senderAddr.Addr().As4()
	a[3] += byte(i)
	return netip.PrefixFrom(netip.AddrFrom4(a), senderAddr.Bits())
}

// newPort prepares the place of the next sender; plug completes it.
func (w *wire) newPort() *port {
	w.made++
	return &port{addr: address(w.made - 1)}
}

// kernelPort attaches a kernel by a device in namespace n.
func (w *wire) kernelPort(n *netns.Namespace) (*port, error) {
	p := w.newPort()
	var d *tun.Device
	err := n.Do(func() (err error) {
		d, err = openDevice(p.addr)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("the sender's device: %w", err)
	}
	p.undo = append(p.undo, func() { d.Close() })
	p.drops = func() uint64 { return d.Stats().QueueDrops }
	w.plug(p, d)
	return p, nil
}

// memoryPort attaches a stack in this process. What it returns is the stack's end.
func (w *wire) memoryPort() (*port, *link.Memory) {
	p := w.newPort()
	near, far := link.Pair(link.PairConfig{MTU: mtu, QueueLen: portQueue})
	p.undo = append(p.undo, func() { near.Close(); far.Close() })
	p.drops = func() uint64 { return near.Stats().QueueDrops + far.Stats().QueueDrops }
	w.plug(p, far)
	return p, near
}

// plug starts to carry what comes out of l to the bottleneck.
func (w *wire) plug(p *port, l link.Link) {
	p.queue = w.metronome.time(l).Queues()[0]
	w.mu.Lock()
	w.ports = append(w.ports, p)
	w.mu.Unlock()
	w.relays.Go(func() {
		w.carry(p.queue, func(packet []byte) { w.forward(p, packet) })
	})
}

// forward takes a packet from a sender to the bottleneck.
func (w *wire) forward(p *port, packet []byte) {
	if len(packet) > mtu {
		w.fault(fmt.Errorf("a packet of %d octets from %v", len(packet), p.addr.Addr()))
		return
	}
	if ip, reason := ippkt.Parse(packet); reason == 0 && ip.Proto == ippkt.ProtoTCP {
		if seg, err := tcpseg.Parse(ip.Payload); err == nil {
			p.meter.see(&seg)
		}
	}
	if err := w.far.Queues()[0].Write(link.Offload{}, packet, [4][]byte{}); err != nil && !errors.Is(err, net.ErrClosed) {
		w.fault(err)
	}
}

// back takes a packet from the receiver to the sender it is for.
func (w *wire) back(packet []byte) {
	ip, reason := ippkt.Parse(packet)
	if reason != 0 {
		return
	}
	if p := w.portOf(ip.Dst.Netip()); p != nil {
		p.queue.Write(link.Offload{}, packet, [4][]byte{}) // closed at the end
	}
}

func (w *wire) portOf(a netip.Addr) *port {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.ports {
		if p.addr.Addr() == a {
			return p
		}
	}
	return nil
}

// carry hands each packet of q to f until q is closed.
func (w *wire) carry(q link.Queue, f func(packet []byte)) {
	frame := link.NewFrame()
	for {
		ok, err := q.Read(frame)
		if err == nil && !ok {
			err = q.Wait()
		}
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				w.fault(err)
			}
			return
		}
		if ok {
			f(frame.Packet)
		}
	}
}

func (w *wire) fault(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	const most = 10
	if len(w.faults) < most {
		w.faults = append(w.faults, err)
	}
}

// check reports what makes a measurement void: packets lost elsewhere than in the bottleneck.
func (w *wire) check() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	errs := w.faults
	for _, p := range w.ports {
		if n := p.drops(); n > 0 {
			errs = append(errs, fmt.Errorf("%d packets of %v were lost outside the bottleneck", n, p.addr.Addr()))
		}
	}
	if n := w.far.Stats().QueueDrops; n > 0 {
		errs = append(errs, fmt.Errorf("%d packets of the receiver were lost", n))
	}
	return errors.Join(errs...)
}

// listen starts the receiver's listener.
func (w *wire) listen(ctx context.Context) (net.Listener, error) {
	var ln net.Listener
	err := w.home.Do(func() (err error) {
		ln, err = listen(ctx)
		return err
	})
	return ln, err
}

// close ends the relay. Senders have been closed before.
func (w *wire) close() {
	for _, p := range w.ports {
		for _, f := range p.undo {
			f()
		}
	}
	w.far.Close()
	w.relays.Wait()
	w.home.Close()
}

// wait sleeps, or returns early when ctx is done.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
