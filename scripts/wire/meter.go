package main

import (
	"sync/atomic"
	"time"

	"ustack/tcpseg"
)

// meter counts what one flow sends, as the relay sees it before anything is lost. One goroutine
// calls see, any read the counters.
type meter struct {
	sent  atomic.Int64 // octets of payload
	again atomic.Int64 // those of them that had been sent before

	began atomic.Int64 // when the first segment came, Unix ns; 0: not yet

	next tcpseg.Seq // the first number not sent yet
}

// start returns when the first segment came.
func (m *meter) start() time.Time { return time.Unix(0, m.began.Load()) }

// see counts a segment.
func (m *meter) see(seg *tcpseg.Segment) {
	n, from := len(seg.Payload), seg.Seq
	if seg.Flags.Has(tcpseg.SYN) {
		from++ // the SYN comes before the data
	}
	if m.began.Load() == 0 {
		m.next = from
		m.began.Store(time.Now().UnixNano())
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
