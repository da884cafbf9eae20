package httpserver

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
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
	wakeIdle
	wakeLinger
	wakeShutdown
	wakeClose
)

// A conn serves one connection. One goroutine at a time owns it, the one that has set busy: a worker of the stack in
// the callback, the connection's own goroutine, or one that a time-out started. Everything but what mu guards belongs
// to the owner.
type conn struct {
	srv    *Server
	nc     net.Conn
	ev     eventConn  // nil: goroutine per connection
	buffer *bufSource // nil with ev
	src    source
	id     uint64
	remote string
	ctx    context.Context

	mu        sync.Mutex
	busy      bool
	again     bool          // news came while busy
	waiting   int           // what the connection waits for while not busy: wakeHead, wakeIdle or wakeLinger
	waitStart time.Duration // on the server's clock
	listed    int           // the kind of wait whose list node stands in; it may stand there for an earlier wait of that kind
	phase     int           // written by the owner
	node      timeoutNode
	woken     atomic.Int32 // why the owner is to look, wakeNone to wakeClose; written under mu

	view        []byte        // received, not discarded, to be parsed next; nil: peek
	eaten       int           // what was parsed in front of view and is not discarded yet
	partial     []byte        // the start of a head that is not complete, and was taken off the source
	checked     int           // how much of partial checkPartial has seen
	blank       int           // empty lines before the request
	blankCR     bool          // the CR of one more was read
	headStart   time.Duration // when partial began, on the server's clock
	spare       *exchange     // with ReuseRequests, for the next request of the burst
	requests    int
	burst       int  // requests since there was nothing to read
	active      bool // last state told was StateActive
	out         output
	flushNode   timeoutNode
	stall       stallGuard
	lingerStart time.Time
	lingered    int64         // bytes discarded
	discarded   chan struct{} // closed when what startDiscard began has ended; nil: nothing began
	reason      CloseReason
}

// serveConn starts serving nc.
func (s *Server) serveConn(ctx context.Context, nc net.Conn) {
	c := &conn{srv: s, nc: nc, id: s.lastID.Add(1)}
	c.node.c, c.flushNode.c, c.stall.node.c = c, c, c
	c.out.c, c.stall.c = c, c
	if a := nc.RemoteAddr(); a != nil {
		c.remote = a.String()
	}
	c.ctx = context.WithValue(ctx, http.LocalAddrContextKey, nc.LocalAddr())
	if s.ConnContext != nil {
		if c.ctx = s.ConnContext(c.ctx, nc); c.ctx == nil {
			panic("httpserver: ConnContext returned nil")
		}
	}
	c.busy = true
	if ev, ok := nc.(eventConn); ok {
		c.ev, c.src = ev, ev
	} else {
		c.buffer = newBufSource(nc)
		c.src = c.buffer
	}
	if !s.track(c) {
		nc.Close()
		return
	}
	s.state(c, http.StateNew)
	if c.ev == nil {
		go c.loop()
		return
	}
	for !c.release() { // the server was stopped meanwhile
		c.work()
	}
	c.ev.OnReadable(c.onReadable)
}

// onReadable is called by a worker of the stack when there is news.
func (c *conn) onReadable() {
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
	}
	ended = false
}

// loop serves a connection that cannot tell when it is readable.
func (c *conn) loop() {
	defer func() { // also after runtime.Goexit in a handler
		c.logPanic(recover())
		if c.phase == phaseLinger {
			c.lingerBlocking()
		}
		c.abort()
		c.buffer.release()
	}()
	for {
		c.work()
		if c.phase != phaseServe {
			return
		}
		if !c.release() {
			continue
		}
		c.buffer.fill()
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
	if c.woken.Load() != wakeNone && c.ev == nil {
		c.nc.SetReadDeadline(time.Time{})
	}
	return true
}

// release lets the connection go and starts its wait. It returns false if the owner has to look again first.
func (c *conn) release() bool {
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
	case len(c.partial) > 0:
		c.wait(wakeHead, c.headStart)
	default:
		c.wait(wakeIdle, s.clock())
	}
	c.busy = false
	return true
}

// wait notes that a wait began at start. A connection that stands in the right list for an earlier wait stays there:
// expire finds out. So waits that end in time cost no list operation.
func (c *conn) wait(kind int, start time.Duration) {
	c.waiting, c.waitStart = kind, start
	if c.listed != kind {
		c.enlist(kind)
	}
}

func (c *conn) enlist(kind int) {
	c.listed = kind
	c.srv.list(kind).push(&c.node, c.srv.started.Add(c.waitStart))
}

// expire is called when a wait for kind that began when c was listed has lasted its time.
func (c *conn) expire(kind int) {
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
	c.wakeLocked(kind)
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
	case c.ev == nil:
		c.nc.SetReadDeadline(past)
	default:
		go c.onReadable()
	}
}

// work serves what is received, until nothing complete is left or the connection ends.
func (c *conn) work() {
	if c.phase == phaseLinger {
		c.linger()
		return
	}
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
			c.requests++
			c.refuse(&exchange{c: c}, perr)
		case err == io.EOF:
			c.out.flush()
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
	c.burst = 0
	c.releaseSpare()
	if c.out.flush() != nil {
		c.close(ReasonWriteError)
		return
	}
	switch why := c.clearWoken(); {
	case why == wakeClose:
		c.close(ReasonServerClosed)
	case why == wakeHead && len(c.partial) > 0:
		c.requests++
		c.refuse(&exchange{c: c}, refuse(http.StatusRequestTimeout, "the request took too long"))
	case len(c.partial) > 0:
	case c.srv.closing.Load():
		c.shut(ReasonShutdown)
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

// peek is the source's Peek with the first piece never empty unless both are.
func (c *conn) peek() (a, b []byte, err error) {
	c.settle()
	a, b, err = c.src.Peek()
	if len(a) == 0 {
		a, b = b, nil
	}
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	return a, b, err
}

// settle discards what was parsed of a view. It goes before any other use of the source; a request with a body has
// settled before its handler runs, one without does not touch the source.
func (c *conn) settle() {
	if c.eaten > 0 {
		c.src.Discard(c.eaten)
		c.eaten = 0
	}
	c.view = nil
}

// nextHead returns the next request's head if it is complete: in place if it lies in one piece, which consumeHead then
// ends. Otherwise what is there of it is taken off the source, so that the source never fills up with it.
func (c *conn) nextHead() ([]byte, error) {
	if n := headEnd(c.view, 0); n > 0 && n <= c.srv.maxHeader() && c.view[0] != '\r' {
		return c.view[:n], nil // the burst goes on
	}
	for {
		a, _, err := c.peek()
		if len(a) == 0 {
			if err == io.EOF && len(c.partial) > 0 {
				err = errTruncated
			}
			return nil, err
		}
		if len(c.partial) == 0 {
			if skipped, perr := c.skipBlank(a); perr != nil {
				return nil, perr
			} else if skipped {
				continue
			}
			if n := headEnd(a, 0); n > 0 && n <= c.srv.maxHeader() {
				c.view = a
				return a[:n], nil
			}
			c.headStart = c.srv.clock()
		}
		if done, perr := c.carry(a); perr != nil {
			return nil, perr
		} else if done {
			return c.partial, nil
		}
	}
}

// skipBlank discards what a begins with of an empty line before the request line (RFC 9112, 2.2), and reports whether
// there was any.
func (c *conn) skipBlank(a []byte) (bool, *protocolError) {
	switch {
	case c.blankCR:
		if a[0] != '\n' {
			return false, bad("carriage return without line feed")
		}
		c.blankCR = false
	case a[0] == '\r':
		if c.blank++; c.blank > maxBlankLines {
			return false, bad("too many empty lines before the request")
		}
		c.blankCR = true
	default:
		return false, nil
	}
	c.src.Discard(1)
	return true, nil
}

// carry takes the head's bytes in p over to partial and reports whether it is complete now.
func (c *conn) carry(p []byte) (bool, *protocolError) {
	limit := c.srv.maxHeader()
	had := len(c.partial)
	c.partial = append(c.partial, p[:min(len(p), limit+1-had)]...)
	n := headEnd(c.partial, had)
	if n > 0 && n <= limit {
		c.partial = c.partial[:n]
		c.src.Discard(n - had)
		return true, nil
	}
	c.src.Discard(len(c.partial) - had)
	err := checkPartial(c.partial, c.checked, limit+1)
	c.checked = len(c.partial)
	return false, err
}

// consumeHead ends the use of p, which nextHead returned. The heads of a burst are discarded together.
func (c *conn) consumeHead(p []byte) {
	if len(c.partial) == 0 {
		c.eaten += len(p)
		c.view = c.view[len(p):]
		if len(c.view) == 0 {
			c.settle()
		}
	}
	c.partial, c.checked, c.blank = nil, 0, 0
}
