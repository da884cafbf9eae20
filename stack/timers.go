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
// back is a store into its timer and nothing else, and only a deadline that comes before the timer's
// next look is listed, under the lock: its number is appended to the bucket of its tick (see calendar).
// When the tick begins, the bucket's numbers are looked through. What has no deadline any more is
// forgotten, what has a later one is listed again, and what is due within the tick goes to a heap,
// which fires it at its exact time. A look costs one cache line of 16 octets; a connection that has
// nothing due is not touched.
//
// A timer is looked at in one place only: a number that stands where its timer's look says it does
// not, because an earlier deadline came or somebody else has the number now, is passed over.
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
	when atomic.Int64  // a tcb.Time; 0: nothing is due
	look atomic.Uint32 // a moment, written under mu
	id   uint32
}

// moment is when a timer is looked at next, in units of 256 ns. It wraps around after 18 minutes, and
// no look is more than a quarter of that ahead.
type moment uint32

const never moment = 0

func momentOf(at tcb.Time) moment { return max(moment(at>>8), never+1) }

// before reports that m is at least a unit before n. It may fail to for an n that is minutes after m.
func (m moment) before(n moment) bool { return int32(n-m) > 0 }

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
	// This look comes after the store, and take's after t.look is cleared: one of the two sees the other.
	if when == 0 || t.looksBefore(when) || old != 0 && old <= when && t.listed() {
		return
	}
	ts.mu.Lock()
	ts.list(t, when)
	ts.arm()
	ts.mu.Unlock()
}

func (t *timer) listed() bool { return moment(t.look.Load()) != never }

// looksBefore reports that t is looked at before when.
func (t *timer) looksBefore(when tcb.Time) bool {
	m := moment(t.look.Load())
	return m != never && m.before(momentOf(when))
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

// list has t looked at in time for when. mu is held.
func (ts *timers) list(t *timer, when tcb.Time) {
	if t.looksBefore(when) {
		return
	}
	tick := tickOf(when)
	if ts.calendar.far(tick) {
		ts.calendar.begin(tickOf(ts.s.now())) // it may have been idle for long
	}
	look := when
	if ts.calendar.begun(tick) {
		ts.near.push(nearTimer{when, t.id})
	} else {
		look = tickStart(ts.calendar.add(tick, t.id))
	}
	t.look.Store(uint32(momentOf(look)))
}

// take forgets where t is listed and lists it again if it has a deadline after now; it reports whether it is due.
func (ts *timers) take(t *timer, now tcb.Time) bool {
	t.look.Store(uint32(never))
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
	for range maxLooks {
		id, at, ok := ts.next(now)
		if !ok {
			return len(ts.due) > 0
		}
		t := ts.nodes.at(id)
		if t == nil || moment(t.look.Load()) != momentOf(at) || !ts.take(t, now) {
			continue
		}
		ts.due = append(ts.due, dueTimer{ts.nodes.owner(id), t})
		if len(ts.due) == maxDue {
			return true
		}
	}
	return true
}

// next takes the next number to look at, and says when that was to be. False: there is none until now.
func (ts *timers) next(now tcb.Time) (id uint32, at tcb.Time, ok bool) {
	if id, tick, ok := ts.calendar.take(tickOf(now)); ok {
		return id, tickStart(tick), true
	}
	if len(ts.near) == 0 || ts.near[0].when > now {
		return 0, 0, false
	}
	n := ts.near.pop()
	return n.id, n.when, true
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
