package main

import (
	"io"
	"path/filepath"

	"ustack/cmd/ustack/internal/postmortem"
	"ustack/stack/trace"
)

// deadSnapLen is how many octets of each packet are kept for --pcap-dead, unless --pcap-snaplen says it.
const deadSnapLen = 256

// followDead begins --pcap-dead: it writes what connections did last that have died.
func followDead(p *nodePlan, c *console) *follower {
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
	return follow(captureRing(o.SnapLen, append(trace.Answers(), trace.Ended)...), keeper.Follow)
}
