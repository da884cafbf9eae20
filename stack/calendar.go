package stack

import (
	"math/bits"

	"ustack/stack/tcb"
)

// Time is cut into ticks of 2^24 ns, 16.8 ms. A span is 256 ticks, 4.3 s.
const (
	tickBits   = 24
	spanTicks  = 256
	spansAhead = 64
	firstTick  = 1 // that is not over from the beginning
)

// tickOf returns the tick that when lies in.
func tickOf(when tcb.Time) uint64 { return uint64(when >> tickBits) }

// tickStart returns when a tick begins.
func tickStart(tick uint64) tcb.Time { return tcb.Time(tick) << tickBits }

// calendar holds the numbers of timers in buckets, by the tick in which they are to be looked at. Each of
// the next 254 ticks has a bucket of its own. What lies further ahead stands in the bucket of its span and
// is to be looked at when that begins; what lies even further, in that of the last span ahead.
type calendar struct {
	next  uint64 // the first tick that has not begun
	ticks ring
	spans ring
	spare *page // for use again
}

// clear empties the calendar and lets its memory go.
func (c *calendar) clear() { *c = calendar{next: c.next} }

// begun reports whether a tick has begun: nothing is added to its bucket any more.
func (c *calendar) begun(tick uint64) bool { return tick < c.next }

// far reports whether a tick is too far ahead for a bucket of its own.
func (c *calendar) far(tick uint64) bool {
	return !c.begun(tick) && tick-c.next >= spanTicks-1 // the bucket before may not be empty yet
}

// add notes a number for a tick that has not begun. It returns the tick in which it will be looked at: that
// one, or one before.
func (c *calendar) add(tick uint64, id uint32) uint64 {
	if !c.far(tick) {
		c.ticks.put(spanTicks, tick, id, &c.spare)
		return tick
	}
	span := min(tick/spanTicks, c.next/spanTicks+spansAhead-2)
	c.spans.put(spansAhead, span, id, &c.spare)
	return span * spanTicks
}

// begin begins the ticks up to last, unless there is something to look at in them.
func (c *calendar) begin(last uint64) {
	if _, _, tick := c.earliest(); tick == 0 || tick > last {
		c.next = max(c.next, last+1)
	}
}

// take begins the ticks up to last, in order, and returns the next number in their buckets and the tick that
// add gave it. False: there is none left.
func (c *calendar) take(last uint64) (id uint32, tick uint64, ok bool) {
	r, at, tick := c.earliest()
	if tick == 0 || tick > last {
		c.next = max(c.next, last+1)
		return 0, 0, false
	}
	c.next = max(c.next, tick+1)
	return r.get(at, &c.spare), tick, true
}

// earliest returns the first bucket that is not empty and the tick in which it is to be looked at; 0: all are. A
// span comes before its first tick, because it adds to the buckets of its ticks.
func (c *calendar) earliest() (r *ring, at, tick uint64) {
	last := c.next - 1 // its bucket may be half empty
	at, ok := c.ticks.first(last)
	span, far := c.spans.first(last / spanTicks)
	switch {
	case far && (!ok || span*spanTicks <= at):
		return &c.spans, span, span * spanTicks
	case ok:
		return &c.ticks, at, at
	}
	return nil, 0, 0
}

// first returns when the first look is due; 0: never.
func (c *calendar) first() tcb.Time {
	_, _, tick := c.earliest()
	return tickStart(tick)
}

// ring is a circle of buckets for consecutive ticks or spans. It is made when the first number comes.
type ring struct {
	buckets []*page
	full    []uint64 // a bit for each bucket that is not empty
}

// page is a part of a bucket. A bucket is a list of them: what grows and shrinks all the time is neither
// copied nor left to the collector.
type page struct {
	next *page
	n    int
	ids  [252]uint32
}

// put adds a number to the bucket of tick or span at.
func (r *ring) put(size int, at uint64, id uint32, spare **page) {
	if r.buckets == nil {
		r.buckets, r.full = make([]*page, size), make([]uint64, size/64)
	}
	slot := at % uint64(size)
	p := r.buckets[slot]
	if p == nil || p.n == len(p.ids) {
		q := *spare
		if q == nil {
			q = new(page)
		} else {
			*spare = q.next
		}
		q.next = p
		r.buckets[slot], p = q, q
	}
	p.ids[p.n] = id
	p.n++
	r.full[slot/64] |= 1 << (slot % 64)
}

// get takes a number out of the bucket of at, which is not empty.
func (r *ring) get(at uint64, spare **page) uint32 {
	slot := at % uint64(len(r.buckets))
	p := r.buckets[slot]
	p.n--
	id := p.ids[p.n]
	if p.n == 0 {
		r.buckets[slot] = p.next
		if p.next == nil {
			r.full[slot/64] &^= 1 << (slot % 64)
		}
		p.next, *spare = *spare, p
	}
	return id
}

// first returns the first tick or span, from from on, whose bucket is not empty.
func (r *ring) first(from uint64) (uint64, bool) {
	size := uint64(len(r.buckets))
	for n := uint64(0); n < size; {
		slot := (from + n) % size
		if word := r.full[slot/64] >> (slot % 64); word != 0 {
			n += uint64(bits.TrailingZeros64(word))
			return from + n, n < size
		}
		n += 64 - slot%64
	}
	return 0, false
}
