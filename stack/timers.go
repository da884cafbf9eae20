package stack

import (
	"sync"
	"sync/atomic"
	"time"

	"ustack/stack/tcb"
)

// timers wakes whoever has a deadline, with one time.Timer for the whole stack.
//
// Nearly every deadline of a connection is moved or taken back before it is due: a retransmission
// timer starts with every answer and stops with its ACK. So moving one to a later time or taking it
// back is a store into its timer and nothing else, and only a deadline that is earlier than before
// is listed, under the lock: its number is appended to the bucket of its tick (see calendar). When
// the tick begins, the bucket's numbers are looked through. What has no deadline any more is
// forgotten, what has a later one is listed again, and what is due within the tick goes to a heap,
// which fires it at its exact time. A look costs one cache line of 16 octets; a connection that has
// nothing due is not touched.
//
// An idle stack sleeps as soon as the numbers that it has left behind have been looked at once.
//
// mu comes after a connection's and a shard's lock; it is not held while an owner is called.
type timers struct {
	s        *Stack
	mu       sync.Mutex
	nodes    timerSlab
	calendar calendar
	near     timerHeap // due within the ticks that have begun
	timer    *time.Timer
	at       tcb.Time // when timer goes off; 0: it is stopped
	firing   bool     // fire is at work and arms the timer when it is done
	closed   bool
	due      []dueTimer // fire's own
}

// timer is one owner's deadline. It has no pointer, so that the collector need not look at it.
type timer struct {
	when   atomic.Int64  // a tcb.Time; 0: nothing is due
	listed atomic.Uint32 // the tick whose bucket its number stands in, or inHeap, or notListed; written under mu
	id     uint32
}

// Values of timer.listed that are no ticks: those begin with firstTick.
const (
	notListed = 0
	inHeap    = 1
	firstTick = 2
)

// timerOwner says whom to call: a Conn, the half-open record in a slot of a shard, the TIME-WAIT
// records of a shard, or the fragments.
type timerOwner struct {
	c     *Conn
	slot  uint32
	shard uint8
	kind  ownerKind
}

type ownerKind uint8

const (
	ownerConn ownerKind = iota
	ownerHalfOpen
	ownerTimeWait
	ownerFragments
)

type dueTimer struct {
	timerOwner
	t *timer
}

func (ts *timers) init(s *Stack) {
	ts.s = s
	ts.calendar.next = firstTick
}

// set makes sure that t's owner is called at when, or never if that is 0. Calls for one timer do not overlap.
func (ts *timers) set(t *timer, when tcb.Time) {
	old := tcb.Time(t.when.Swap(int64(when)))
	if when == 0 {
		return
	}
	// This look comes after the store, and takes after listed is cleared: one of the two sees the other.
	switch l := t.listed.Load(); {
	case l >= firstTick && tickOf(when) >= l:
		return
	case l == inHeap && old != 0 && old <= when:
		return
	}
	ts.mu.Lock()
	ts.list(t, when)
	ts.arm()
	ts.mu.Unlock()
}

// add returns a timer for an owner; nothing is due yet.
func (ts *timers) add(o timerOwner) *timer {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return ts.nodes.take(o)
}

// drop ends a timer; nil is none. Its number may still be listed; whoever gets it next is looked at once more than needed.
func (ts *timers) drop(t *timer) {
	if t == nil {
		return
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t.when.Store(0)
	if ts.nodes.give(t) {
		ts.calendar.clear()
		ts.near = nil
	}
}

// list puts t where it is found at when. mu is held.
func (ts *timers) list(t *timer, when tcb.Time) {
	tick := tickOf(when)
	if ts.calendar.begun(tick) {
		t.listed.Store(inHeap)
		ts.near.push(nearTimer{when, t.id})
		return
	}
	if l := t.listed.Load(); l >= firstTick && l <= tick {
		return
	}
	t.listed.Store(ts.calendar.add(tick, t.id))
}

// take forgets where t is listed and lists it again if it has a deadline after now; it reports whether it is due.
func (ts *timers) take(t *timer, now tcb.Time) bool {
	t.listed.Store(notListed)
	when := t.when.Load()
	switch {
	case when == 0:
		return false
	case tcb.Time(when) > now:
		ts.list(t, tcb.Time(when))
		return false
	}
	return t.when.CompareAndSwap(when, 0)
}

// arm sets the timer for the first moment at which something is to be looked at.
func (ts *timers) arm() {
	if ts.firing || ts.closed {
		return
	}
	first := ts.calendar.first()
	if len(ts.near) > 0 && (first == 0 || ts.near[0].when < first) {
		first = ts.near[0].when
	}
	if first == 0 || ts.at != 0 && ts.at <= first {
		return
	}
	ts.at = first
	wait := time.Duration(max(first-ts.s.now(), 0))
	if ts.timer == nil {
		ts.timer = time.AfterFunc(wait, ts.fire)
	} else {
		ts.timer.Reset(wait)
	}
}

// fire looks at all timers whose time has come.
func (ts *timers) fire() {
	ts.mu.Lock()
	if ts.firing || ts.closed {
		ts.mu.Unlock()
		return
	}
	ts.firing, ts.at = true, 0
	sc := getScratch()
	defer putScratch(sc)
	for ts.collect() {
		ts.mu.Unlock()
		for i := range ts.due {
			ts.s.expire(&ts.due[i], sc)
			ts.due[i] = dueTimer{}
		}
		ts.mu.Lock()
	}
	ts.firing = false
	ts.arm()
	ts.mu.Unlock()
}

// Limits of what fire does while it holds the lock.
const (
	maxLooks = 1024
	maxDue   = 64
)

// collect moves timers that are due to ts.due. It returns false when nothing is left to look at.
func (ts *timers) collect() bool {
	ts.due = ts.due[:0]
	if ts.closed {
		return false
	}
	now := ts.s.now()
	looks := 0
	for ; looks < maxLooks; looks++ {
		id, tick, ok := ts.calendar.take(tickOf(now))
		if !ok {
			break
		}
		if t := ts.nodes.at(id); t != nil && t.listed.Load() == tick {
			ts.collectOne(t, now)
		}
	}
	for len(ts.near) > 0 && ts.near[0].when <= now && len(ts.due) < maxDue {
		if t := ts.nodes.at(ts.near.pop().id); t != nil && t.listed.Load() == inHeap {
			ts.collectOne(t, now)
		}
	}
	return len(ts.due) > 0 || looks == maxLooks
}

func (ts *timers) collectOne(t *timer, now tcb.Time) {
	if ts.take(t, now) {
		ts.due = append(ts.due, dueTimer{ts.nodes.owner(t.id), t})
	}
}

func (ts *timers) close() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.closed = true
	if ts.timer != nil {
		ts.timer.Stop()
	}
}

// expire runs the timers of one owner. It may have gone, or have nothing due, by now: each of
// them checks.
func (s *Stack) expire(d *dueTimer, sc *scratch) {
	switch d.kind {
	case ownerConn:
		d.c.expire(sc)
	case ownerHalfOpen:
		s.expireHalfOpen(d, sc)
	case ownerTimeWait:
		s.expireTimeWaits(&s.table.shards[d.shard])
	case ownerFragments:
		s.fragments.fired(s)
	}
}
