package httpserver

import (
	"sync/atomic"
	"time"
)

const (
	reading = iota
	writing
)

// A stallGuard watches the waits of a running request, for body bytes and for room to send, and ends the connection
// when one makes no progress for [Server.StallTimeout]. A wait is stamped, not timed: the timer looks at the stamps
// once per time-out, so the connection ends after one to two of them.
type stallGuard struct {
	c     *conn
	since [2]atomic.Int64 // when a wait of that direction began, in ns since the server started; 0: none
	node  timeoutNode
	timed atomic.Bool // node is in the list
	dead  atomic.Bool // a wait was ended
}

func (g *stallGuard) begin(direction int) {
	s := g.c.srv
	if s.stalls.wait <= 0 {
		return
	}
	now := time.Now()
	g.since[direction].Store(max(1, int64(now.Sub(s.started))))
	if g.timed.CompareAndSwap(false, true) {
		s.stalls.push(&g.node, now)
	}
}

func (g *stallGuard) end(direction int) { g.since[direction].Store(0) }

// expire is the timer's look.
func (g *stallGuard) expire() {
	s := g.c.srv
	now := time.Now()
	waits := false
	for i := range g.since {
		since := g.since[i].Load()
		if since == 0 {
			continue
		}
		waits = true
		if now.Sub(s.started)-time.Duration(since) >= s.stalls.wait {
			g.dead.Store(true)
			g.c.nc.SetDeadline(past)
			return
		}
	}
	if waits {
		s.stalls.push(&g.node, now)
		return
	}
	g.timed.Store(false)
	if g.since[reading].Load()|g.since[writing].Load() != 0 && g.timed.CompareAndSwap(false, true) {
		s.stalls.push(&g.node, now)
	}
}

// past is a deadline that ends a wait at once.
var past = time.Unix(1, 0)
