package main

import (
	"io"
	"path/filepath"

	"ustack/cmd/ustack/internal/postmortem"
	"ustack/stack/trace"
)

// deadSnapLen is how many octets of each packet are kept for --pcap-dead, unless --pcap-snaplen says it.
const deadSnapLen = 256

// graves is --pcap-dead: it writes what connections did last that have died.
type graves struct {
	ring *trace.Ring
	done chan struct{} // closed when the ring is empty
}

// openGraves begins to keep packets for p.
func openGraves(p *nodePlan, c *console) (*graves, error) {
	if err := p.checkDirectories(); err != nil {
		return nil, err
	}
	o := p.captureOptions()
	if o.SnapLen == 0 {
		o.SnapLen = deadSnapLen
	}
	keeper := postmortem.New(postmortem.Config{
		Packets: p.last,
		Options: o,
		Create:  func(name string) (io.WriteCloser, error) { return captureFile(p, filepath.Join(p.dead, name)) },
		Note:    func(format string, args ...any) { c.note("--pcap-dead: "+format, args...) },
	})
	g := &graves{ring: captureRing(o.SnapLen, trace.Ended), done: make(chan struct{})}
	go func() {
		defer close(g.done)
		keeper.Follow(g.ring)
	}()
	return g, nil
}

// close writes of whom has died so far.
func (g *graves) close() {
	g.ring.Close()
	<-g.done
}
