package httpserver

import (
	"sync"
	"time"
)

// A timeoutList ends waits that are all equally long, in the order they began: a push goes to the tail, and one timer
// watches the head. What waits costs a list node, not a timer.
type timeoutList[T any] struct {
	wait  time.Duration // 0 or less: no time-out
	fire  func(*T)      // called without the lock
	clock func() time.Duration
	mu    *sync.Mutex // one for all lists of a server, since nodes move between them

	head, tail *timeoutNode[T]
	n          int
	timer      *time.Timer
	armed      bool
}

// A timeoutNode is its owner's place in a timeoutList. It stands in one list at a time.
type timeoutNode[T any] struct {
	owner      *T
	list       *timeoutList[T] // nil: in none
	prev, next *timeoutNode[T]
	at         time.Duration
}

// newTimeoutList returns a list of s for waits that last def, unless wait says otherwise.
func newTimeoutList[T any](s *Server, wait, def time.Duration, fire func(*T)) timeoutList[T] {
	if wait == 0 {
		wait = def
	}
	return timeoutList[T]{wait: wait, fire: fire, clock: s.clock, mu: &s.timeouts}
}

// push starts n's wait at now, or starts it again.
func (l *timeoutList[T]) push(n *timeoutNode[T], now time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n.list != nil {
		n.list.unlink(n)
	}
	if l.wait <= 0 {
		return
	}
	n.at = now + l.wait
	after := l.tail
	for after != nil && after.at > n.at {
		after = after.prev
	}
	l.link(n, after)
	if !l.armed {
		l.arm(n.at - l.clock())
	}
}

// forget ends n's wait, wherever it waits.
func (l *timeoutList[T]) forget(n *timeoutNode[T]) {
	l.mu.Lock()
	if n.list != nil {
		n.list.unlink(n)
	}
	l.mu.Unlock()
}

// oldest returns what has waited longest, and takes it out, if more than limit wait.
func (l *timeoutList[T]) oldest(limit int) *T {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n <= limit {
		return nil
	}
	n := l.head
	l.unlink(n)
	return n.owner
}

func (l *timeoutList[T]) arm(d time.Duration) {
	l.armed = true
	if l.timer == nil {
		l.timer = time.AfterFunc(d, l.expire)
		return
	}
	l.timer.Reset(d)
}

// expire ends the waits that are over and arms the timer for the next. An empty list disarms it lazily: a burst of
// short waits costs at most one timer event per wait's length.
func (l *timeoutList[T]) expire() {
	for {
		l.mu.Lock()
		n := l.head
		if n == nil {
			l.armed = false
			l.mu.Unlock()
			return
		}
		if d := n.at - l.clock(); d > 0 {
			l.arm(d)
			l.mu.Unlock()
			return
		}
		l.unlink(n)
		l.mu.Unlock()
		l.fire(n.owner)
	}
}

// stop ends all waits without a call.
func (l *timeoutList[T]) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.head != nil {
		l.unlink(l.head)
	}
}

func (l *timeoutList[T]) link(n, after *timeoutNode[T]) {
	n.list, n.prev = l, after
	if after == nil {
		n.next, l.head = l.head, n
	} else {
		n.next, after.next = after.next, n
	}
	if n.next == nil {
		l.tail = n
	} else {
		n.next.prev = n
	}
	l.n++
}

func (l *timeoutList[T]) unlink(n *timeoutNode[T]) {
	if n.prev == nil {
		l.head = n.next
	} else {
		n.prev.next = n.next
	}
	if n.next == nil {
		l.tail = n.prev
	} else {
		n.next.prev = n.prev
	}
	n.list, n.prev, n.next = nil, nil, nil
	l.n--
}
