package main

import (
	"sync/atomic"

	"ustack/tcpseg"
)

// meter counts what one flow sends, as the relay sees it before anything is lost. One goroutine
// calls see, any read the counters.
type meter struct {
	sent  atomic.Int64 // octets of payload
	again atomic.Int64 // those of them that had been sent before

	next  tcpseg.Seq // the first number not sent yet
	begun bool
}

// see counts a segment.
func (m *meter) see(seg *tcpseg.Segment) {
	n, from := len(seg.Payload), seg.Seq
	if seg.Flags.Has(tcpseg.SYN) {
		from++ // the SYN comes before the data
	}
	if !m.begun {
		m.begun, m.next = true, from
	}
	if n == 0 {
		return
	}
	m.sent.Add(int64(n))
	end := from.Add(n)
	if from.Less(m.next) {
		m.again.Add(int64(min(n, m.next.Sub(from))))
	}
	m.next = tcpseg.Max(m.next, end)
}
