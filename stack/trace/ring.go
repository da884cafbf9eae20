package trace

import (
	"sync"

	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// Record is a kept Event: what it refers to is the keeper's own.
type Record struct {
	Event
	Lost uint64 // events that found no room before this one
	Len  int    // octets of the packet; Pieces has fewer where they were cut

	header   tcpseg.Header
	state    tcb.Snapshot
	exchange keptExchange
	piece    [1][]byte
	data     []byte
}

// keep makes r a copy of e, with at most limit octets of the packet.
func (r *Record) keep(e *Event, limit int) {
	r.Event = *e
	if e.Segment != nil {
		r.header = *e.Segment
		r.Segment = &r.header
	}
	if e.State != nil {
		r.state = *e.State
		r.State = &r.state
	}
	if e.HTTP != nil {
		r.HTTP = r.exchange.keep(e.HTTP)
	}
	r.Len, r.data = 0, r.data[:0]
	for _, p := range e.Pieces {
		r.Len += len(p)
		r.data = append(r.data, p[:min(len(p), limit-len(r.data))]...)
	}
	r.Pieces = nil
	if e.Pieces != nil {
		r.piece[0] = r.data
		r.Pieces = r.piece[:]
	}
}

// Ring keeps events for one reader that may be slow, in memory that is taken once: it never makes the stack wait.
type Ring struct {
	snapLen int

	mu     sync.Mutex
	filled sync.Cond
	slots  []Record
	first  int // the oldest
	n      int
	lost   uint64 // since the newest
	closed bool
}

// NewRing makes a ring for so many events, with at most snapLen octets of each packet; 0: none.
func NewRing(events, snapLen int) *Ring {
	r := &Ring{snapLen: snapLen, slots: make([]Record, max(events, 1))}
	r.filled.L = &r.mu
	data := make([]byte, len(r.slots)*snapLen)
	for i := range r.slots {
		r.slots[i].data = data[i*snapLen : i*snapLen : (i+1)*snapLen]
	}
	return r
}

// Trace keeps e, or counts it as lost. It may be called from any goroutine.
func (r *Ring) Trace(e *Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	if r.n == len(r.slots) {
		r.lost++
		return
	}
	s := &r.slots[(r.first+r.n)%len(r.slots)]
	s.keep(e, r.snapLen)
	s.Lost, r.lost = r.lost, 0
	r.n++
	if r.n == 1 {
		r.filled.Signal()
	}
}

// Next waits for an event and makes rec a copy of it. It returns false when the ring is closed and empty.
func (r *Ring) Next(rec *Record) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.n == 0 {
		if r.closed {
			return false
		}
		r.filled.Wait()
	}
	s := &r.slots[r.first]
	rec.keep(&s.Event, r.snapLen)
	rec.Lost, rec.Len = s.Lost, s.Len
	r.first = (r.first + 1) % len(r.slots)
	r.n--
	return true
}

// Lost returns how many events found no room since the newest one that did.
func (r *Ring) Lost() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}

// Close ends the keeping of events; what is kept can still be read.
func (r *Ring) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.filled.Broadcast()
}
