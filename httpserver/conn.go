package httpserver

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Phases of a connection.
const (
	phaseServe  = iota // requests are read and answered
	phaseLinger        // the output is half-closed, input is discarded
	phaseOver          // closed, or hijacked
)

// Reasons to wake a connection that waits for input.
const (
	wakeNone = iota
	wakeHead
	wakeCrowd // another connection of the client waits for its place
	wakeIdle
	wakeLinger
	wakeShutdown
	wakeClose
)

// A conn serves one connection. One goroutine at a time owns it, the one that has set busy: a worker of the stack in
// the callback, the connection's own goroutine, or one that a time-out started. Everything but what mu guards belongs
// to the owner.
//
// It is all that an idle connection costs, and kept small: three cache lines, of which a request needs two. What is
// needed only while something is served stands in its turn.
type conn struct {
	srv  *Server
	nc   net.Conn
	src  source // nc itself if it is an eventConn; else a *bufSource, and a goroutine is the connection's own
	turn *turn  // nil: at rest

	mu        sync.Mutex
	waitStart time.Duration // on the server's clock
	woken     atomic.Int32  // why the owner is to look, wakeNone to wakeClose; written under mu
	waiting   uint8         // what the connection waits for while not busy: wakeHead, wakeIdle or wakeLinger
	listed    uint8         // the kind of wait whose list node stands in; it may stand there for an earlier wait of that kind
	phase     uint8         // written by the owner
	busy      bool
	again     bool // news came while busy
	active    bool // last state told was StateActive
	tracked   bool // in Server.conns; as prev and next
	counted   bool // in Server.clients, as served; the owner's
	yielding  bool // ends because others wait for its place; the owner's

	requests int
	residue  *residue // nil: nothing is left from the turn before
	remote   string   // the client's address, unless remoteAddr makes it anew in each turn
	id       uint64
	ctx      context.Context // the listener's, or what ConnContext made of it

	node       timeoutNode[conn]
	prev, next *conn // in Server.conns; the server's lock guards them
}

// A residue is what some connections keep between turns: the start of a head, or the account of a lingering close.
type residue struct {
	partial   []byte        // the start of a head that is not complete, and was taken off the source
	checked   int           // how much of partial checkPartial has seen
	blank     int           // empty lines before the request
	blankCR   bool          // the CR of one more was read
	headStart time.Duration // when partial began, on the server's clock

	lingerStart time.Duration // on the server's clock
	lingered    int64         // bytes discarded
	reason      CloseReason   // of the close
}

// serveConn starts serving nc.
func (s *Server) serveConn(ctx context.Context, nc net.Conn) {
	c := &conn{srv: s, nc: nc, ctx: ctx, id: s.lastID.Add(1), busy: true}
	c.node.owner = c
	if s.ConnContext != nil {
		if c.ctx = s.ConnContext(&localContext{ctx, c}, nc); c.ctx == nil {
			panic("httpserver: ConnContext returned nil")
		}
	}
	ev, ok := nc.(eventConn)
	if c.src = ev; !ok {
		c.src = newBufSource(nc)
	}
	if !s.track(c) {
		nc.Close()
		return
	}
	s.state(c, http.StateNew)
	switch s.clients.enter(c) {
	case placeServed:
		c.start()
	case placeNone:
		go c.turnAway()
	}
}

// start begins to serve c, or, if it was refused, to end it.
func (c *conn) start() {
	ev := c.events()
	if ev == nil {
		go c.loop()
		return
	}
	for !c.release() { // the server was stopped meanwhile
		c.work()
	}
	if c.phase != phaseOver {
		ev.SetReader(c)
	}
}

// buffer returns the buffer of a connection with a goroutine of its own; for others nil.
func (c *conn) buffer() *bufSource {
	b, _ := c.src.(*bufSource)
	return b
}

// events returns what the connection is if it tells when it is readable; else nil.
func (c *conn) events() eventConn {
	ev, _ := c.src.(eventConn)
	return ev
}

// Touch is called by the stack's reader. What it reads does not change any more.
func (c *conn) Touch() uint64 {
	x := c.id
	if c.srv == nil || c.ctx == nil || c.node.owner == nil {
		x++
	}
	return x
}

// Readable is called by a worker of the stack when there is news.
func (c *conn) Readable() {
	if c.acquire(true) {
		c.own()
	}
}

// own runs the connection until nothing is left to do, then lets it go. If a handler ends the goroutine, or a hook of
// the server's panics, the connection ends with it.
func (c *conn) own() {
	ended := true
	defer func() {
		if ended {
			c.logPanic(recover())
			if c.phase == phaseServe {
				c.abort()
			}
			for !c.release() {
				c.work()
			}
		}
	}()
	for {
		c.work()
		if c.release() {
			break
		}
		if s, ok := c.nc.(soonWriter); ok { // what rest has written does not wait for another request
			s.Flush()
		}
	}
	ended = false
}

// loop serves a connection that cannot tell when it is readable.
func (c *conn) loop() {
	defer func() { // also after runtime.Goexit in a handler
		c.logPanic(recover())
		c.endTurn()
		if c.phase == phaseLinger {
			c.lingerBlocking()
		}
		c.abort()
		c.buffer().release()
	}()
	for {
		c.work()
		if c.phase != phaseServe {
			return
		}
		b := c.buffer()
		b.sent += c.turn.out.sent
		if !c.release() {
			continue
		}
		b.fill()
		c.acquire(false)
	}
}

// acquire makes the caller the owner. It returns false if there is one, who will look again if news is true, or
// nothing to do any more.
func (c *conn) acquire(news bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy || c.phase == phaseOver {
		c.again = c.again || news
		return false
	}
	c.busy = true
	if c.woken.Load() != wakeNone && c.buffer() != nil {
		c.nc.SetReadDeadline(time.Time{})
	}
	return true
}

// release lets the connection go and starts its wait. It returns false if the owner has to look again first.
func (c *conn) release() bool {
	c.endTurn()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.again && c.phase != phaseOver {
		c.again = false
		return false
	}
	s := c.srv
	switch {
	case c.phase == phaseLinger:
		c.wait(wakeLinger, s.clock())
	case c.phase == phaseOver:
		c.waiting = wakeNone
		s.idles.forget(&c.node)
	case c.hasPartial():
		c.wait(wakeHead, c.residue.headStart)
	default:
		c.wait(wakeIdle, s.clock())
	}
	c.busy = false
	return true
}

// wait notes that a wait began at start. A connection that stands in the right list for an earlier wait stays there:
// expire finds out. So waits that end in time cost no list operation.
func (c *conn) wait(kind uint8, start time.Duration) {
	c.waiting, c.waitStart = kind, start
	if c.listed != kind {
		c.enlist(kind)
	}
}

func (c *conn) enlist(kind uint8) {
	c.listed = kind
	c.srv.list(kind).push(&c.node, c.waitStart)
}

// expire is called when a wait for kind that began when c was listed has lasted its time.
func (c *conn) expire(kind uint8) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listed == kind {
		c.listed = wakeNone
	}
	if c.busy || c.waiting != kind {
		return // release starts the next wait
	}
	if c.srv.clock()-c.waitStart < c.srv.list(kind).wait {
		c.enlist(kind) // this wait is a later one
		return
	}
	c.wakeLocked(int(kind))
}

// wake makes the owner, or a goroutine that becomes the owner, look at why.
func (c *conn) wake(why int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wakeLocked(why)
}

func (c *conn) wakeLocked(why int) {
	c.woken.Store(max(c.woken.Load(), int32(why)))
	if why == wakeClose {
		c.nc.Close()
	}
	switch {
	case c.busy:
		c.again = true
	case c.buffer() != nil:
		c.nc.SetReadDeadline(past)
	default:
		go c.Readable()
	}
}

// work serves what is received, until nothing complete is left or the connection ends.
func (c *conn) work() {
	if c.phase == phaseLinger {
		c.linger()
		return
	}
	c.beginTurn()
	for c.phase == phaseServe {
		p, err := c.nextHead()
		if p != nil {
			c.clearWoken()
			c.serve(p)
			continue
		}
		if err == nil {
			c.rest()
			return
		}
		var perr *protocolError
		switch {
		case errors.As(err, &perr):
			c.refusePartial(perr)
		case err == io.EOF:
			c.turn.out.flush()
			c.close(ReasonClientFIN)
		case c.srv.closing.Load() && errors.Is(err, net.ErrClosed):
			c.close(ReasonServerClosed)
		default:
			c.close(ReasonReset)
		}
	}
}

// rest is called when no complete request is received: it sends what is ready, and deals with why the connection was
// woken.
func (c *conn) rest() {
	c.turn.burst = 0
	if c.turn.out.flushSoon() != nil {
		c.close(ReasonWriteError)
		return
	}
	switch why := c.clearWoken(); {
	case why == wakeClose:
		c.close(ReasonServerClosed)
	case why == wakeHead && c.hasPartial():
		c.refusePartial(refuse(http.StatusRequestTimeout, "the request took too long"))
	case c.hasPartial():
	case c.srv.closing.Load():
		c.shut(ReasonShutdown)
	case why == wakeCrowd && c.srv.clients.yield(c):
		c.shut(ReasonCrowded)
	case why == wakeIdle:
		c.shut(ReasonIdle)
	case c.active:
		c.active = false
		c.srv.state(c, http.StateIdle)
	}
}

func (c *conn) clearWoken() int {
	if c.woken.Load() == wakeNone {
		return wakeNone
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return int(c.woken.Swap(wakeNone))
}
