package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ustack/stack/link"
	"ustack/stack/trace"
	"ustack/stack/trace/pcapng"
)

// How many packets, and octets of them, may wait to be written; what comes beyond is lost, and counted in the capture.
const (
	captureEvents = 8192
	captureOctets = 32 << 20
)

// capture writes packets to the file of --pcap. Those of our own stack come from a ring, with what the stack says of them.
type capture struct {
	files  *pcapng.Files
	events *follower // nil: another engine's packets are tapped
}

// openCapture opens the capture of p.
func openCapture(p *nodePlan) (*capture, error) {
	next := func() (io.WriteCloser, error) { return captureFile(p, p.pcap) }
	if p.rotate > 0 {
		next = (&fileSet{plan: p}).next
	}
	files, err := pcapng.NewFiles(next, p.rotate, p.captureOptions())
	if err != nil {
		return nil, fmt.Errorf("--pcap: %w", err)
	}
	return &capture{files: files}, nil
}

// captureFile makes a file that belongs to the user of p.
func captureFile(p *nodePlan, path string) (*os.File, error) {
	if path == toStdout {
		return os.Stdout, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := p.user.Chown(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// fileSet makes the files of --pcap-rotate. They have the names that dumpcap gives to those of its ring buffer: by these
// Wireshark knows what belongs together (File → File Set).
type fileSet struct {
	plan *nodePlan
	made int
	kept []string
}

// next makes a file, and removes the oldest beyond those that are kept.
func (s *fileSet) next() (io.WriteCloser, error) {
	s.made++
	path := s.plan.fileOfSet(fmt.Sprintf("%05d", s.made), time.Now().Format("20060102150405"))
	f, err := captureFile(s.plan, path)
	if err != nil {
		return nil, err
	}
	s.kept = append(s.kept, path)
	if s.plan.keep > 0 && len(s.kept) > s.plan.keep {
		// Somebody may have moved it away: that is as good.
		if err := os.Remove(s.kept[0]); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, errors.Join(err, f.Close())
		}
		s.kept = s.kept[1:]
	}
	return f, nil
}

// fileOfSet returns the name of a file of --pcap-rotate.
func (p *capturePlan) fileOfSet(number, at string) string {
	ext := filepath.Ext(p.pcap)
	return strings.TrimSuffix(p.pcap, ext) + "_" + number + "_" + at + ext
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

// follow returns the ring for a stack: what it keeps is written.
func (c *capture) follow(p *nodePlan) *trace.Ring {
	c.events = follow(captureRing(p.snapLen, append(trace.Answers(), trace.Ended)...), func(r *trace.Ring) {
		pcapng.Follow(r, c.files.Write)
	})
	return c.events.ring
}

// A follower takes the events of a ring, on a goroutine of its own.
type follower struct {
	ring *trace.Ring
	done chan struct{} // closed when the ring is empty
}

func follow(r *trace.Ring, take func(*trace.Ring)) *follower {
	f := &follower{r, make(chan struct{})}
	go func() {
		defer close(f.done)
		take(r)
	}()
	return f
}

// close waits until everything up to now is taken.
func (f *follower) close() {
	f.ring.Close()
	<-f.done
}

// captureRing makes a ring for packets of which snapLen octets are wanted, and for other events of these kinds; 0: all
// octets, of super-segments too.
func captureRing(snapLen int, kinds ...trace.Kind) *trace.Ring {
	octets := captureOctets
	if snapLen == 0 {
		snapLen = link.MaxPacket
	} else {
		octets = min(captureEvents*snapLen, captureOctets)
	}
	r := trace.NewRingSize(captureEvents, snapLen, octets)
	r.Only(append(kinds, trace.PacketIn, trace.PacketOut)...)
	return r
}

// close writes what is left.
func (c *capture) close() error {
	if c.events != nil {
		c.events.close()
	}
	if err := c.files.Close(); err != nil {
		return fmt.Errorf("--pcap: %w", err)
	}
	return nil
}
