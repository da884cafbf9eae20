package httpserver

import (
	"net"
	"sync"
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
//
// It belongs to a turn and watches one connection after the other. The timer may look while no wait lasts, or at
// another's: it finds out by the number.
type stallGuard struct {
	srv   *Server
	waits [2]atomic.Uint32 // of that direction, begun and ended: odd while one lasts
	met   [2]uint32        // waits at the timer's last look; node's owner's
	node  timeoutNode[stallGuard]
	timed atomic.Bool // node is in the list
	dead  atomic.Bool // a wait was ended
	paces [2]pace     // whoever waits in that direction owns it

	mu sync.Mutex
	nc net.Conn // what is watched; between turns, what was
}

// watch makes nc the connection that is watched from now on. No wait lasts.
func (g *stallGuard) watch(nc net.Conn) {
	g.mu.Lock()
	g.nc = nc
	if g.dead.Load() {
		g.dead.Store(false)
	}
	g.mu.Unlock()
}

// enter begins a wait for the client, unless it has been too slow so far.
func (g *stallGuard) enter(direction int) error {
	if err := g.tooSlow(direction); err != nil {
		return err
	}
	g.begin(direction)
	return nil
}

// leave ends a wait in which n bytes moved.
func (g *stallGuard) leave(direction int, n int64) {
	g.end(direction)
	g.move(direction, n)
}

func (g *stallGuard) begin(direction int) {
	g.paces[direction].begin(g.srv)
	g.waits[direction].Add(1)
	if g.srv.stalls.wait > 0 && !g.timed.Load() && g.timed.CompareAndSwap(false, true) {
		g.look()
	}
}

func (g *stallGuard) end(direction int) {
	g.waits[direction].Add(1)
	g.paces[direction].end(g.srv)
}

// look notes the waits that last now, and comes again. The caller has set timed, or it stands since the look before.
func (g *stallGuard) look() {
	for i := range g.waits {
		g.met[i] = g.waits[i].Load()
	}
	g.srv.stalls.push(&g.node, g.srv.clock())
}

// expire is the timer's look.
func (g *stallGuard) expire() {
	if !g.kill() && g.waiting() {
		g.look()
		return
	}
	g.timed.Store(false)
	if g.waiting() && g.timed.CompareAndSwap(false, true) {
		g.look()
	}
}

// kill ends a wait that the timer meets for the second time, and reports whether there was one. The lock keeps the
// connection from being exchanged meanwhile: a wait that lasts is this connection's.
func (g *stallGuard) kill() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.waits {
		if n := g.waits[i].Load(); n%2 != 0 && n == g.met[i] {
			g.dead.Store(true)
			g.nc.SetDeadline(past)
			return true
		}
	}
	return false
}

func (g *stallGuard) waiting() bool {
	return (g.waits[reading].Load()|g.waits[writing].Load())%2 != 0
}

// writing reports whether a wait for room to send lasts.
func (g *stallGuard) writing() bool { return g.waits[writing].Load()%2 != 0 }

// past is a deadline that ends a wait at once.
var past = time.Unix(1, 0)
