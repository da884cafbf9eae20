package httpserver

import (
	"net"
	"sync"
)

// EventKind is what an [Event] is about.
type EventKind uint8

const (
	EventRequest     EventKind = iota // a request's head has been received, or has been given up
	EventInterim                      // an informational answer is about to be written (RFC 9110, 15.2)
	EventResponse                     // the first octet of its final answer is about to be written
	EventResponseEnd                  // nothing more of its answer will be written: the exchange is over
)

// An Event is a moment in the life of one request, joined to the octets of its connection. Offsets count the octets of a
// stream from 0: In those that were received, Out those that are sent, up to the end exclusive.
//
// It is lent: it and its strings are valid during the call only.
type Event struct {
	Kind   EventKind
	Conn   net.Conn
	ID     uint64 // of the connection, as Entry.Conn
	Number int    // of the request on its connection, from 1
	Place  int    // in its burst, from 1: 2 or more means that the client pipelined

	Method, Target, Proto string // as received; empty if they could not be read

	// In is where the head begins, and InEnd where it ends; of EventResponseEnd, where what was read of the request ends.
	In, InEnd int64
	// Out is where the final answer begins, behind any informational ones; nothing of EventRequest. OutEnd is where it
	// ends; of EventResponse, where it shall end, -1 if nobody knows yet. Of EventInterim, those of the informational one.
	Out, OutEnd int64

	Status int // of the answer; 0 if there is none
	// Length is the length of the content: the request's in EventRequest, the answer's in EventResponse, -1 if it is not
	// known; in EventResponseEnd what the handler wrote of it, without framing and not for HEAD.
	Length int64

	// Of EventResponseEnd: the answer is not complete, or there is none; and why the connection ends after it, if it does.
	// From OutEnd on a connection that was hijacked belongs to the handler.
	Aborted bool
	Close   CloseReason
}

var eventPool = sync.Pool{New: func() any { return new(Event) }}

// SetTracer makes f be called at each moment of each request whose head is received from now on; nil: nobody is. The
// events of one request come in order, and those of one connection do not overlap. An answer of which nothing has left
// may be taken back, when its handler panics: the one in its place has an EventResponse of its own.
//
// The connection waits for f, which must not use it. A call of the tracer before may still be under way.
func (s *Server) SetTracer(f func(*Event)) {
	if f == nil {
		s.tracer.Store(nil)
		return
	}
	s.tracer.Store(&f)
}

// traced reports whether anybody listens.
func (s *Server) traced() bool { return s.tracer.Load() != nil }

// noteRequest tells of x, whose head of so many octets has been taken, if somebody listens.
func (c *conn) noteRequest(x *exchange, head int) {
	if c.srv.traced() {
		c.tellRequest(x, head)
	}
}

func (c *conn) tellRequest(x *exchange, head int) {
	end := c.taken()
	x.in = end - int64(head) + 1
	c.turn.out.locate(c)
	e := c.event(EventRequest, x)
	e.InEnd, e.Length = end, x.length
	c.srv.tell(e)
}

// tellInterim tells of an informational answer of so many octets. The output's lock is held.
func (w *response) tellInterim(o *output, status, octets int) {
	e := w.c.event(EventInterim, w.x)
	e.InEnd = w.x.headEnd()
	e.Out = o.base + o.sent + int64(len(o.buf))
	e.OutEnd = e.Out + int64(octets)
	e.Status, e.Length = status, -1
	w.c.srv.tell(e)
}

// tellResponse tells that the answer begins that w.start and size describe. The output's lock is held.
func (w *response) tellResponse(o *output) {
	e := w.c.event(EventResponse, w.x)
	e.InEnd = w.x.headEnd()
	e.Out, e.OutEnd = o.base+w.start, -1
	if n := w.size(); n >= 0 {
		e.OutEnd = e.Out + n
	}
	e.Status, e.Length = w.status, w.length
	w.c.srv.tell(e)
}

// noteEnd tells that x is over, if its request was told.
func (c *conn) noteEnd(x *exchange) {
	if x.in > 0 {
		c.tellEnd(x)
	}
}

func (c *conn) tellEnd(x *exchange) {
	w := &x.w
	e := c.event(EventResponseEnd, x)
	e.InEnd = c.requestEnd(x)
	e.Out, e.OutEnd = c.turn.out.extent(w)
	e.Status, e.Length, e.Close = w.status, w.written, c.ending()
	if w.head {
		e.Length = 0
	}
	e.Aborted = !w.hijacked && (c.turn.out.failed() || !w.complete(e.OutEnd-e.Out))
	c.srv.tell(e)
}

// event makes an event of x, for tell.
func (c *conn) event(kind EventKind, x *exchange) *Event {
	e := eventPool.Get().(*Event)
	*e = Event{
		Kind: kind, Conn: c.nc, ID: c.id, Number: x.number, Place: x.place,
		Method: x.method, Target: x.target, Proto: x.proto, In: x.in - 1,
	}
	return e
}

// tell tells the tracer, if there still is one, and ends the use of e.
func (s *Server) tell(e *Event) {
	if f := s.tracer.Load(); f != nil {
		(*f)(e)
	}
	*e = Event{} // it keeps no connection
	eventPool.Put(e)
}

// size returns how many octets the answer has, head and all; -1: its end is told otherwise than by its length.
func (w *response) size() int64 {
	switch {
	case w.head || w.noBody:
		return w.headSize
	case w.chunked || w.length < 0:
		return -1
	}
	return w.headSize + w.length
}

// complete reports whether so many octets are all of the answer, as far as its length says so.
func (w *response) complete(octets int64) bool {
	n := w.size()
	return w.status != 0 && (n < 0 || n == octets)
}

// taken returns how many octets of what was received have been taken, as requests or parts of them.
func (c *conn) taken() int64 {
	n := int64(c.turn.eaten)
	if b := c.buffer(); b != nil {
		return n + b.taken()
	}
	read, _ := c.events().Octets()
	return n + read
}

func (x *exchange) headEnd() int64 { return x.in - 1 + int64(len(x.text)) }

// requestEnd returns where what was read of x ends. Requests behind one without a body may have been taken already.
func (c *conn) requestEnd(x *exchange) int64 {
	if x.body == nil || c.turn.discarded != nil {
		return x.headEnd()
	}
	return c.taken()
}

// locate finds out where in what is sent the turn began, unless that is known.
func (o *output) locate(c *conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.base >= 0 {
		return
	}
	if b := c.buffer(); b != nil {
		o.base = b.sent
		return
	}
	_, written := c.events().Octets()
	o.base = written - o.sent
}

// extent returns where in what is sent w's answer begins, and where the last of it that was written ends: at the same
// place, if there is none.
func (o *output) extent(w *response) (from, to int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	to = o.base + o.sent + int64(len(o.buf))
	if !w.begun {
		return to, to
	}
	return o.base + w.start, to
}
