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
// when one makes no progress for [Server.StallTimeout]. A wait is numbered, not timed: the timer looks once per time-out
// whether it meets the same wait again, so the connection ends after one to two of them.
type stallGuard struct {
	c     *conn
	waits [2]atomic.Uint32 // of that direction, begun and ended: odd while one lasts
	met   [2]uint32        // waits at the timer's last look; node's owner's
	node  timeoutNode
	timed atomic.Bool // node is in the list
	dead  atomic.Bool // a wait was ended
}

func (g *stallGuard) begin(direction int) {
	s := g.c.srv
	if s.stalls.wait <= 0 {
		return
	}
	g.waits[direction].Add(1)
	if !g.timed.Load() && g.timed.CompareAndSwap(false, true) {
		g.look()
	}
}

func (g *stallGuard) end(direction int) {
	if g.c.srv.stalls.wait > 0 {
		g.waits[direction].Add(1)
	}
}

// look notes the waits that last now, and comes again. The caller has set timed, or it stands since the look before.
func (g *stallGuard) look() {
	for i := range g.waits {
		g.met[i] = g.waits[i].Load()
	}
	g.c.srv.stalls.push(&g.node, time.Now())
}

// expire is the timer's look.
func (g *stallGuard) expire() {
	for i := range g.waits {
		if n := g.waits[i].Load(); n%2 != 0 && n == g.met[i] {
			g.dead.Store(true)
			g.c.nc.SetDeadline(past)
			return
		}
	}
	if g.waiting() {
		g.look()
		return
	}
	g.timed.Store(false)
	if g.waiting() && g.timed.CompareAndSwap(false, true) {
		g.look()
	}
}

func (g *stallGuard) waiting() bool {
	return (g.waits[reading].Load()|g.waits[writing].Load())%2 != 0
}

// past is a deadline that ends a wait at once.
var past = time.Unix(1, 0)
