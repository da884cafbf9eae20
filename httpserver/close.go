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
	err := c.turn.out.flush()
	c.stopDiscard()
	if err != nil {
		c.close(ReasonWriteError)
		return
	}
	_, _, err = c.peek()
	hc, ok := c.nc.(interface{ CloseWrite() error })
	switch {
	case c.srv.CloseMode == CloseAbort:
		c.turn.reason = reason
		c.abort()
		return
	case c.srv.CloseMode == CloseFull || !ok || err != nil || hc.CloseWrite() != nil:
		c.close(reason)
		return
	}
	c.residue = &residue{lingerStart: c.srv.clock(), reason: reason}
	c.setPhase(phaseLinger)
	if c.buffer() == nil {
		if old := c.srv.lingers.oldest(maxLingers); old != nil {
			old.wake(wakeClose)
		}
		c.linger()
	}
}

// linger discards what was received after the output was closed.
func (c *conn) linger() {
	r := c.residue
	why := c.clearWoken()
	if why == wakeLinger || why == wakeClose || c.srv.clock()-r.lingerStart > lingerTotal {
		c.close(r.reason)
		return
	}
	for r.lingered < lingerBytes {
		a, b, err := c.peek()
		n := len(a) + len(b)
		if n == 0 {
			if err != nil {
				c.close(r.reason)
			}
			return
		}
		r.lingered += int64(n)
		c.src.Discard(n)
	}
}

// lingerBlocking is linger on the connection's own goroutine.
func (c *conn) lingerBlocking() {
	r := c.residue
	defer c.close(r.reason)
	defer c.srv.lingering.Add(-1)
	if c.srv.lingering.Add(1) > maxLingers {
		return
	}
	end := c.srv.started.Add(r.lingerStart + lingerTotal)
	for r.lingered < lingerBytes {
		now := time.Now()
		deadline := now.Add(lingerIdle)
		if deadline.After(end) {
			deadline = end
		}
		c.nc.SetReadDeadline(deadline)
		if c.clearWoken() == wakeClose {
			return
		}
		r.lingered += int64(len(c.buffer().take()))
		if err := c.buffer().fill(); err != nil {
			return
		}
	}
}

// startDiscard discards input on a goroutine of its own, while an answer is written.
func (c *conn) startDiscard() {
	ended := make(chan struct{})
	c.turn.discarded = ended
	go func() {
		defer close(ended)
		buf := outputPool.Get().(*[outputSize]byte)
		defer outputPool.Put(buf)
		for left := lingerBytes; left > 0; {
			n, err := c.src.Read(buf[:])
			if err != nil {
				return
			}
			left -= n
		}
	}()
}

func (c *conn) stopDiscard() {
	t := c.turn
	if t == nil || t.discarded == nil {
		return
	}
	c.nc.SetReadDeadline(past)
	<-t.discarded
	t.discarded = nil
	c.nc.SetReadDeadline(time.Time{})
}

// close ends the connection at once.
func (c *conn) close(reason CloseReason) {
	if c.phase == phaseOver {
		return
	}
	if t := c.turn; t != nil {
		t.reason = reason
		t.out.discard()
	}
	c.srv.stats.ended(reason)
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
	reason := ReasonAbort
	if t := c.turn; t != nil && t.reason != "" {
		reason = t.reason
	}
	c.close(reason)
}

// leave takes the connection out of the server's books.
func (c *conn) leave(state http.ConnState) {
	c.residue = nil
	if t := c.turn; t != nil {
		t.view, t.eaten = nil, 0
	}
	c.srv.untrack(c)
	c.srv.state(c, state)
}

func (c *conn) setPhase(phase uint8) {
	c.mu.Lock()
	c.phase = phase
	c.mu.Unlock()
	c.srv.clients.leave(c) // who lingers is not served any more
}

// discard drops what was gathered and not sent.
func (o *output) discard() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.fail(io.ErrClosedPipe)
	}
	o.flushLocked(false)
}
