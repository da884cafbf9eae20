package httpserver

import (
	"sync"
	"time"
)

// A timeoutList ends waits that are all equally long, in the order they began: a push goes to the tail, and one timer
// watches the head. A connection that waits costs a list node, not a timer.
type timeoutList struct {
	wait time.Duration // 0 or less: no time-out
	fire func(*conn)   // called without the lock
	mu   *sync.Mutex   // one for all lists of a server, since nodes move between them

	head, tail *timeoutNode
	n          int
	timer      *time.Timer
	armed      bool
}

// A timeoutNode is a connection's place in a timeoutList. It stands in one list at a time.
type timeoutNode struct {
	c          *conn
	list       *timeoutList // nil: in none
	prev, next *timeoutNode
	at         time.Time
}

// push starts n's wait at now, or starts it again.
func (l *timeoutList) push(n *timeoutNode, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n.list != nil {
		n.list.unlink(n)
	}
	if l.wait <= 0 {
		return
	}
	n.at = now.Add(l.wait)
	after := l.tail
	for after != nil && after.at.After(n.at) {
		after = after.prev
	}
	l.link(n, after)
	if !l.armed {
		l.arm(time.Until(n.at))
	}
}

// forget ends n's wait, wherever it waits.
func (l *timeoutList) forget(n *timeoutNode) {
	l.mu.Lock()
	if n.list != nil {
		n.list.unlink(n)
	}
	l.mu.Unlock()
}

// oldest returns the connection that has waited longest, and takes it out, if more than limit wait.
func (l *timeoutList) oldest(limit int) *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n <= limit {
		return nil
	}
	n := l.head
	l.unlink(n)
	return n.c
}

func (l *timeoutList) arm(d time.Duration) {
	l.armed = true
	if l.timer == nil {
		l.timer = time.AfterFunc(d, l.expire)
		return
	}
	l.timer.Reset(d)
}

// expire ends the waits that are over and arms the timer for the next. An empty list disarms it lazily: a burst of
// short waits costs at most one timer event per wait's length.
func (l *timeoutList) expire() {
	for {
		l.mu.Lock()
		n := l.head
		if n == nil {
			l.armed = false
			l.mu.Unlock()
			return
		}
		if d := time.Until(n.at); d > 0 {
			l.arm(d)
			l.mu.Unlock()
			return
		}
		l.unlink(n)
		l.mu.Unlock()
		l.fire(n.c)
	}
}

// stop ends all waits without a call.
func (l *timeoutList) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.head != nil {
		l.unlink(l.head)
	}
}

func (l *timeoutList) link(n, after *timeoutNode) {
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

func (l *timeoutList) unlink(n *timeoutNode) {
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
