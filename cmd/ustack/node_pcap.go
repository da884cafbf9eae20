package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"ustack/stack/link"
	"ustack/stack/trace"
	"ustack/stack/trace/pcapng"
)

// How many events, and octets of packets, may wait to be written; what comes beyond is lost, and counted in the capture.
const (
	captureEvents = 8192
	captureOctets = 32 << 20
)

// capture writes packets to the file of --pcap. Those of our own stack come from a ring, with what the stack says of them.
type capture struct {
	file   *os.File
	writer *pcapng.Writer
	ring   *trace.Ring
	done   chan struct{} // closed when the ring is written
}

// openCapture opens the capture file of p.
func openCapture(p *nodePlan) (*capture, error) {
	f, err := captureFile(p)
	if err != nil {
		return nil, fmt.Errorf("--pcap: %w", err)
	}
	w, err := pcapng.NewWriter(f, p.captureOptions())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("--pcap: %w", err), f.Close())
	}
	return &capture{file: f, writer: w}, nil
}

// captureOptions returns what a capture says of itself.
func (p *nodePlan) captureOptions() pcapng.Options {
	o := pcapng.Options{Interface: p.device.Name, SnapLen: p.snapLen}
	for _, a := range p.addrs {
		o.Names = append(o.Names, pcapng.Name{Addr: a.Addr(), Name: "ustack"})
	}
	for _, a := range []netip.Prefix{p.device.HostAddr, p.device.HostAddr6} {
		if a.IsValid() {
			o.Names = append(o.Names, pcapng.Name{Addr: a.Addr(), Name: "host"})
		}
	}
	return o
}

func captureFile(p *nodePlan) (*os.File, error) {
	if p.pcap == toStdout {
		return os.Stdout, nil
	}
	f, err := os.Create(p.pcap)
	if err != nil {
		return nil, err
	}
	if err := p.user.Chown(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// follow returns the ring for a stack: what it keeps is written.
func (c *capture) follow(p *nodePlan) *trace.Ring {
	c.ring, c.done = captureRing(p.snapLen), make(chan struct{})
	go func() {
		defer close(c.done)
		c.writer.Follow(c.ring)
	}()
	return c.ring
}

// captureRing makes a ring for packets of which snapLen octets are wanted; 0: all, of super-segments too.
func captureRing(snapLen int) *trace.Ring {
	if snapLen == 0 {
		return trace.NewRingSize(captureEvents, link.MaxPacket, captureOctets)
	}
	return trace.NewRingSize(captureEvents, snapLen, min(captureEvents*snapLen, captureOctets))
}

// close writes what is left.
func (c *capture) close() error {
	if c.ring != nil {
		c.ring.Close()
		<-c.done
	}
	if err := errors.Join(c.writer.Close(), c.file.Close()); err != nil {
		return fmt.Errorf("--pcap: %w", err)
	}
	return nil
}
