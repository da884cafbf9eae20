package netsim

import (
	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// Stats are what one direction of a connection has come to at a moment: what this end sends and the
// other delivers. The difference of two is what happened between them.
type Stats struct {
	At        Time  // since the connection was made
	Delivered int64 // octets that the application at the other end has read
	Sent      int64 // octets of payload sent, copies included
	Resent    int64 // of those, octets that had been sent before
	Segments  int64 // segments with payload, as they pass the wire
	RTOs      int64 // retransmission time-outs
	Losses    int64 // fast recoveries
}

// Stats returns what has happened so far.
func (c *Conn) Stats() Stats {
	c.tcb.Snapshot(&c.snap)
	s := Stats{At: c.host.sim.now - c.madeAt, Sent: c.watch.tally.octets, Resent: c.watch.tally.again,
		Segments: c.watch.tally.segments, RTOs: int64(c.snap.RTOs), Losses: int64(c.snap.FastRecoveries)}
	if o := c.other(); o != nil {
		s.Delivered = o.app.read
	}
	return s
}

// Since returns what has happened since an earlier moment; At is the time between.
func (s Stats) Since(earlier Stats) Stats {
	return Stats{At: s.At - earlier.At, Delivered: s.Delivered - earlier.Delivered, Sent: s.Sent - earlier.Sent,
		Resent: s.Resent - earlier.Resent, Segments: s.Segments - earlier.Segments,
		RTOs: s.RTOs - earlier.RTOs, Losses: s.Losses - earlier.Losses}
}

// Goodput returns the octets delivered per second: since the beginning, or between two moments if called on what Since
// returns.
func (s Stats) Goodput() float64 {
	if s.At <= 0 {
		return 0
	}
	return float64(s.Delivered) / (float64(s.At) / float64(Second))
}

// ResentRatio returns which part of the payload sent had been sent before.
func (s Stats) ResentRatio() float64 {
	if s.Sent == 0 {
		return 0
	}
	return float64(s.Resent) / float64(s.Sent)
}

// Jain returns Jain's index of fairness: 1 when all shares are equal, 1/n when one of n has everything.
func Jain(shares ...float64) float64 {
	var sum, squares float64
	for _, x := range shares {
		sum += x
		squares += x * x
	}
	if squares == 0 {
		return 1
	}
	return sum * sum / (float64(len(shares)) * squares)
}

// tally counts what one end has sent.
type tally struct {
	segments, octets int64 // with payload, as they pass the wire
	again            int64 // octets that had been sent before
}

// count takes a segment; nxt is where what had been sent before ends.
func (t *tally) count(o *tcb.Out, nxt tcpseg.Seq) {
	n := o.PayloadLen()
	if n == 0 {
		return
	}
	t.segments++
	if o.GSOSize > 0 {
		t.segments += int64((n - 1) / o.GSOSize)
	}
	t.octets += int64(n)
	t.again += int64(min(max(nxt.Sub(o.Seq), 0), n))
}
