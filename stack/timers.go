package stack

import (
	"sync"
	"time"

	"ustack/stack/tcb"
)

// timers wakes whoever has a deadline: one heap and one time.Timer for the whole stack. A
// deadline that moves to a later time, as a retransmission timer does at every ACK, leaves the
// heap alone: it is looked at when the old one is due. mu comes after a connection's and a
// shard's lock.
type timers struct {
	s      *Stack
	mu     sync.Mutex
	heap   []timerItem
	nodes  slab[timerNode]
	timer  *time.Timer
	at     tcb.Time // when timer goes off; 0: it is stopped
	firing bool     // fire is at work and arms the timer when it is done
	closed bool
	due    []timerNode // fire's own
}

type timerItem struct {
	when tcb.Time
	id   uint32
}

// timerNode says whose timer it is: a Conn's, that of the record in an entry of a shard, or, with
// neither, that of the fragments.
type timerNode struct {
	c     *Conn
	shard *shard
	entry uint32
	id    uint32
	pos   int32 // in heap, plus one; 0: not in it
}

// timerID names a node, plus one; 0 is no timer.
type timerID uint32

func (t *timers) init(s *Stack) { t.s = s }

// set makes sure that the owner n describes is looked at by when at the latest. Id is what an
// earlier call returned, or 0.
func (t *timers) set(id timerID, n timerNode, when tcb.Time) timerID {
	t.mu.Lock()
	defer t.mu.Unlock()
	if id == 0 {
		slot := t.nodes.take()
		id = timerID(slot + 1)
		n.id = slot
		*t.nodes.at(slot) = n
	}
	slot := uint32(id - 1)
	node := t.nodes.at(slot)
	switch {
	case node.pos == 0:
		t.heap = append(t.heap, timerItem{when, slot})
		t.up(len(t.heap) - 1)
	case when < t.heap[node.pos-1].when:
		t.heap[node.pos-1].when = when
		t.up(int(node.pos - 1))
	}
	t.arm()
	return id
}

// drop forgets a timer.
func (t *timers) drop(id timerID) {
	if id == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if pos := t.nodes.at(uint32(id - 1)).pos; pos != 0 {
		t.cut(int(pos - 1))
	}
	t.nodes.give(uint32(id - 1))
}

// arm sets the timer for the first deadline. A timer that goes off too early only looks.
func (t *timers) arm() {
	if t.firing || t.closed || len(t.heap) == 0 {
		return
	}
	first := t.heap[0].when
	if t.at != 0 && t.at <= first {
		return
	}
	t.at = first
	wait := time.Duration(max(first-t.s.now(), 0))
	if t.timer == nil {
		t.timer = time.AfterFunc(wait, t.fire)
	} else {
		t.timer.Reset(wait)
	}
}

// fire looks at all owners whose time has come.
func (t *timers) fire() {
	t.mu.Lock()
	if t.firing || t.closed {
		t.mu.Unlock()
		return
	}
	t.firing, t.at = true, 0
	sc := getScratch()
	defer putScratch(sc)
	for t.collect() {
		t.mu.Unlock()
		for i := range t.due {
			t.s.expire(&t.due[i], sc)
			t.due[i] = timerNode{}
		}
		t.mu.Lock()
	}
	t.firing = false
	t.arm()
	t.mu.Unlock()
}

// collect moves up to 64 nodes that are due from the heap to t.due.
func (t *timers) collect() bool {
	t.due = t.due[:0]
	if t.closed {
		return false
	}
	now := t.s.now()
	for len(t.heap) > 0 && t.heap[0].when <= now && len(t.due) < 64 {
		t.due = append(t.due, *t.nodes.at(t.heap[0].id))
		t.cut(0)
	}
	return len(t.due) > 0
}

func (t *timers) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.timer != nil {
		t.timer.Stop()
	}
}

// expire runs the timers of one owner. It may have gone, or have nothing due, by now: each of
// them checks.
func (s *Stack) expire(n *timerNode, sc *scratch) {
	switch {
	case n.c != nil:
		n.c.expire(sc)
	case n.shard != nil:
		s.expireRecord(n, sc)
	default:
		s.fragments.fired(s)
	}
}

// cut takes the item at position i out of the heap.
func (t *timers) cut(i int) {
	t.nodes.at(t.heap[i].id).pos = 0
	last := len(t.heap) - 1
	moved := t.heap[last]
	t.heap = t.heap[:last]
	if i == last {
		return
	}
	t.heap[i] = moved
	t.nodes.at(moved.id).pos = int32(i + 1)
	t.down(i)
	t.up(int(t.nodes.at(moved.id).pos - 1))
}

func (t *timers) up(i int) {
	it := t.heap[i]
	for i > 0 {
		parent := (i - 1) / 2
		if t.heap[parent].when <= it.when {
			break
		}
		t.put(i, t.heap[parent])
		i = parent
	}
	t.put(i, it)
}

func (t *timers) down(i int) {
	it := t.heap[i]
	for {
		child := 2*i + 1
		if child >= len(t.heap) {
			break
		}
		if child+1 < len(t.heap) && t.heap[child+1].when < t.heap[child].when {
			child++
		}
		if t.heap[child].when >= it.when {
			break
		}
		t.put(i, t.heap[child])
		i = child
	}
	t.put(i, it)
}

func (t *timers) put(i int, it timerItem) {
	t.heap[i] = it
	t.nodes.at(it.id).pos = int32(i + 1)
}
