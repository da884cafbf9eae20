package httpserver

import (
	"io"
	"net/http"
	"time"
)

// Bounds of a lingering close.
const (
	lingerIdle  = 2 * time.Second  // of silence
	lingerTotal = 10 * time.Second // in all
	lingerBytes = 256 << 20        // discarded; then what still comes stays unread, and the window closes
	maxLingers  = 4096             // connections of a server; then the oldest, or the newest plain one, is closed
)

// shut ends the connection so that the client gets every byte that was written (RFC 9112, 9.6).
func (c *conn) shut(reason CloseReason) {
	err := c.out.flush()
	c.stopDiscard()
	if err != nil {
		c.close(ReasonWriteError)
		return
	}
	_, _, err = c.peek()
	hc, ok := c.nc.(interface{ CloseWrite() error })
	switch {
	case c.srv.CloseMode == CloseAbort:
		c.reason = reason
		c.abort()
		return
	case c.srv.CloseMode == CloseFull || !ok || err != nil || hc.CloseWrite() != nil:
		c.close(reason)
		return
	}
	c.reason = reason
	c.lingerStart = time.Now()
	c.setPhase(phaseLinger)
	c.dropPartial()
	if c.ev != nil {
		if old := c.srv.lingers.oldest(maxLingers); old != nil {
			old.wake(wakeClose)
		}
		c.linger()
	}
}

// linger discards what was received after the output was closed.
func (c *conn) linger() {
	why := c.clearWoken()
	if why == wakeLinger || why == wakeClose || time.Since(c.lingerStart) > lingerTotal {
		c.close(c.reason)
		return
	}
	for c.lingered < lingerBytes {
		a, b, err := c.peek()
		n := len(a) + len(b)
		if n == 0 {
			if err != nil {
				c.close(c.reason)
			}
			return
		}
		c.lingered += int64(n)
		c.src.Discard(n)
	}
}

// lingerBlocking is linger on the connection's own goroutine.
func (c *conn) lingerBlocking() {
	defer func() { c.close(c.reason) }()
	defer c.srv.lingering.Add(-1)
	if c.srv.lingering.Add(1) > maxLingers {
		return
	}
	end := c.lingerStart.Add(lingerTotal)
	for c.lingered < lingerBytes {
		now := time.Now()
		deadline := now.Add(lingerIdle)
		if deadline.After(end) {
			deadline = end
		}
		c.nc.SetReadDeadline(deadline)
		if c.clearWoken() == wakeClose {
			return
		}
		c.lingered += int64(len(c.buffer.take()))
		if err := c.buffer.fill(); err != nil {
			return
		}
	}
}

// startDiscard discards input on a goroutine of its own, while an answer is written.
func (c *conn) startDiscard() {
	c.discarded = make(chan struct{})
	go func() {
		defer close(c.discarded)
		buf := outputPool.Get().(*[outputSize]byte)
		defer outputPool.Put(buf)
		for range lingerBytes / outputSize {
			if _, err := c.src.Read(buf[:]); err != nil {
				return
			}
		}
	}()
}

func (c *conn) stopDiscard() {
	if c.discarded == nil {
		return
	}
	c.nc.SetReadDeadline(past)
	<-c.discarded
	c.discarded = nil
	c.nc.SetReadDeadline(time.Time{})
}

// close ends the connection at once.
func (c *conn) close(reason CloseReason) {
	if c.phase == phaseOver {
		return
	}
	c.reason = reason
	c.out.discard()
	c.setPhase(phaseOver)
	c.nc.Close()
	c.stopDiscard()
	c.leave(http.StateClosed)
}

// abort ends the connection with a reset, so that the client cannot take what it got for the whole.
func (c *conn) abort() {
	if c.phase == phaseOver {
		return
	}
	if l, ok := c.nc.(interface{ SetLinger(sec int) error }); ok {
		l.SetLinger(0)
	}
	if c.reason == "" {
		c.reason = ReasonAbort
	}
	c.close(c.reason)
}

// leave takes the connection out of the server's books.
func (c *conn) leave(state http.ConnState) {
	c.dropPartial()
	c.releaseSpare()
	c.view, c.eaten = nil, 0
	c.srv.flushes.forget(&c.flushNode)
	c.srv.stalls.forget(&c.stall.node)
	c.srv.untrack(c)
	c.srv.state(c, state)
}

func (c *conn) dropPartial() { c.partial, c.checked = nil, 0 }

func (c *conn) setPhase(phase int) {
	c.mu.Lock()
	c.phase = phase
	c.mu.Unlock()
}

// discard drops what was gathered and not sent.
func (o *output) discard() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.fail(io.ErrClosedPipe)
	}
	o.flushLocked()
}
