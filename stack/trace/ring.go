package trace

import (
	"math"
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
}

// Set makes r a copy of rec, but for the octets of the packet, which it shares.
func (r *Record) Set(rec *Record) {
	r.keep(&rec.Event)
	r.Lost, r.Len = rec.Lost, rec.Len
	if rec.Pieces != nil {
		r.hold(rec.Pieces[0])
	}
}

// keep makes r a copy of e without the octets of the packet.
func (r *Record) keep(e *Event) {
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
	r.Len, r.Pieces = 0, nil
}

// hold makes b the octets of the packet.
func (r *Record) hold(b []byte) {
	r.piece[0] = b
	r.Pieces = r.piece[:]
}

// Ring keeps events for one reader that may be slow, in memory that is taken once: it never makes the stack wait.
type Ring struct {
	snapLen int
	kinds   uint64 // bits: those that are kept

	mu     sync.Mutex
	filled sync.Cond
	slots  []Record
	first  int // the oldest
	n      int
	octets arena
	lost   uint64 // since the newest
	closed bool
}

// NewRing makes a ring for so many events, with at most snapLen octets of each packet; 0: none.
func NewRing(events, snapLen int) *Ring {
	// The reader holds the octets of one more, and of one there may not be enough left at the end.
	return NewRingSize(events, snapLen, (max(events, 1)+2)*snapLen)
}

// NewRingSize makes a ring for so many events and so many octets of packets in all: a few large packets, or many small
// ones. Of each it keeps snapLen octets at most.
func NewRingSize(events, snapLen, octets int) *Ring {
	r := &Ring{snapLen: snapLen, kinds: math.MaxUint64, slots: make([]Record, max(events, 1)), octets: arena{b: make([]byte, octets)}}
	r.filled.L = &r.mu
	return r
}

// Only makes r keep events of these kinds alone, which leaves more room for them. It is for before the first Trace.
func (r *Ring) Only(kinds ...Kind) {
	r.kinds = 0
	for _, k := range kinds {
		r.kinds |= 1 << k
	}
}

// Except makes r not keep events of these kinds. It is for before the first Trace, too.
func (r *Ring) Except(kinds ...Kind) {
	for _, k := range kinds {
		r.kinds &^= 1 << k
	}
}

// Trace keeps e, or counts it as lost. It may be called from any goroutine.
func (r *Ring) Trace(e *Event) {
	if r.kinds>>e.Kind&1 == 0 {
		return
	}
	size := 0
	for _, p := range e.Pieces {
		size += len(p)
	}
	kept := min(size, r.snapLen)

	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	if r.n == len(r.slots) || !r.octets.fits(kept) {
		r.lost++
		return
	}
	s := &r.slots[(r.first+r.n)%len(r.slots)]
	s.keep(e)
	s.Len = size
	if e.Pieces != nil {
		data := r.octets.take(kept)
		s.hold(data)
		for _, p := range e.Pieces {
			data = data[copy(data, p):]
		}
	}
	s.Lost, r.lost = r.lost, 0
	r.n++
	if r.n == 1 {
		r.filled.Signal()
	}
}

// Next waits for an event and makes rec a copy of it. The octets of its packet are lent until Next is called again. It
// returns false when the ring is closed and empty.
func (r *Ring) Next(rec *Record) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.octets.giveBack()
	for r.n == 0 {
		if r.closed {
			return false
		}
		r.filled.Wait()
	}
	s := &r.slots[r.first]
	rec.Set(s)
	if s.Pieces != nil {
		r.octets.lend(s.Pieces[0])
	}
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
