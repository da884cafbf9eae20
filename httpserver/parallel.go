package httpserver

import (
	"errors"
	"net/http"
)

// maySideBySide reports whether x may be served while others of its connection are: its method is safe (RFC 9110,
// 9.2.1), and nothing of it is left on the connection.
func (x *exchange) maySideBySide() bool {
	switch x.method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return x.length == 0 && len(x.header["Upgrade"]) == 0
	}
	return false
}

// isLast reports whether nothing is served on the connection after x.
func (x *exchange) isLast() bool {
	limit := x.c.srv.MaxRequests
	return x.lastOnly || limit > 0 && x.number >= limit
}

// serveBatch serves first, and at the same time those that follow it, as far as they are received and may be
// (RFC 9112, 9.3.2); then the one that may not, if it was taken.
func (c *conn) serveBatch(first *exchange) {
	batch := []*exchange{first}
	var odd *exchange
	var perr *protocolError
	for last := first; odd == nil && len(batch) < c.srv.MaxParallel && !last.isLast(); {
		p := c.viewedHead()
		if p == nil {
			break
		}
		if last, perr = c.take(p); perr != nil || !last.maySideBySide() {
			odd = last
		} else {
			batch = append(batch, last)
		}
	}
	if len(batch) == 1 {
		c.answer(first)
	} else {
		c.answerAtOnce(batch)
	}
	switch {
	case odd == nil || c.phase != phaseServe:
	case perr != nil:
		c.refuse(odd, perr)
	default:
		c.answer(odd)
	}
}

// answerAtOnce runs the handlers of all of batch and sends their answers in order. They have returned when it does.
func (c *conn) answerAtOnce(batch []*exchange) {
	c.activate()
	lanes := make([]*lane, len(batch))
	for i, x := range batch {
		x.prepare()
		c.stamp(x)
		lanes[i] = newLane(x)
	}
	defer endLanes(lanes)
	for _, l := range lanes {
		go l.run(c.handlerOf(l.x))
	}
	for _, l := range lanes {
		c.complete(l)
		if c.phase != phaseServe {
			return
		}
	}
}

// complete sends the answer of l, whose turn has come.
func (c *conn) complete(l *lane) {
	l.open()
	select {
	case <-l.ended:
	default:
		c.turn.out.armIfNotEmpty() // what is ready does not wait for a slow handler
		<-l.ended
	}
	if !l.returned {
		c.failed(l.x, l.thrown)
		return
	}
	c.conclude(l.x)
	c.recycle(l.x)
}

// endLanes takes their ResponseWriters from those handlers whose turn will not come, and waits for them.
func endLanes(lanes []*lane) {
	for _, l := range lanes {
		l.abandon()
	}
	for _, l := range lanes {
		<-l.ended
	}
}

var errBeside = errors.New("httpserver: a request that is served beside others (Server.MaxParallel) cannot hijack the connection")
