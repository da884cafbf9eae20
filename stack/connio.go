package stack

import (
	"io"
	"net"
	"os"
	"syscall"
)

// Read reads what has arrived, waiting for the first octet. It returns io.EOF after the peer's
// FIN, and an error of the connection only after the data that came before it.
func (c *Conn) Read(p []byte) (int, error) {
	c.lock()
	defer c.unlock()
	for {
		if err := c.readEnded(); err != nil {
			return 0, c.readError(err)
		}
		if len(p) == 0 {
			return 0, nil
		}
		if !c.reading {
			n := c.t.Read(c.clock(), p)
			if n > 0 {
				c.took = true
				c.flushSelf()
				return n, nil
			}
			if err := c.readErr(); err != nil {
				return 0, c.readError(err)
			}
		}
		c.waitRead()
	}
}

// readEnded says why no Read may go on, whatever has arrived.
func (c *Conn) readEnded() error {
	switch {
	case c.closed:
		return net.ErrClosed
	case c.rdShut:
		return io.EOF
	case c.readExpired():
		return os.ErrDeadlineExceeded
	}
	return nil
}

// readErr says why nothing more will arrive. The TCB's word on EOF and on its queue is law; for
// an end that the shell brought about, the shell's reason counts.
func (c *Conn) readErr() error {
	err := c.t.ReadErr()
	if err != nil && err != io.EOF && c.err != nil {
		return c.err
	}
	return c.explain(err)
}

func (c *Conn) readError(err error) error {
	if err == io.EOF {
		return err
	}
	return c.opError("read", err)
}

// flushSelf flushes for a caller that has no scratch of its own.
func (c *Conn) flushSelf() {
	if c.dead {
		return
	}
	sc := getScratch()
	c.flush(sc)
	putScratch(sc)
}

// Peek returns what has arrived, in order and in up to two pieces, without waiting and without
// consuming it: there may be more than it shows. Both views are true until Discard, without a
// lock. Both empty and no error: nothing yet. After the last octet: io.EOF, or the
// connection's error.
func (c *Conn) Peek() (a, b []byte, err error) {
	c.lock()
	defer c.unlock()
	if c.closed {
		return nil, nil, c.opError("read", net.ErrClosed)
	}
	if c.rdShut {
		return nil, nil, io.EOF
	}
	a, b = c.t.Peek()
	if len(a)+len(b) > 0 {
		return a, b, nil
	}
	if err := c.readErr(); err != nil {
		return nil, nil, c.readError(err)
	}
	return nil, nil, nil
}

// Discard consumes n octets of what Peek showed; more is an error and consumes nothing.
func (c *Conn) Discard(n int) error {
	c.lock()
	defer c.unlock()
	switch {
	case c.closed:
		return c.opError("read", net.ErrClosed)
	case n < 0 || n > c.t.Readable():
		return c.opError("read", syscall.EINVAL)
	}
	c.took = c.took || n > 0
	if c.serve == serveRunning || c.serve == serveAgain {
		c.t.Discard(c.last, n) // a callback's turn has just begun, and ends with a flush
		return nil
	}
	c.t.Discard(c.clock(), n)
	c.flushSelf()
	return nil
}

// Write queues p and sends what may be sent; it waits for room in the send queue. It does not
// wait for delivery. Several Writes at the same time do not mix their data.
func (c *Conn) Write(p []byte) (int, error) { return c.WriteGather(p, nil) }

// WriteShared is Write without copying: the send queue refers to p until it is acknowledged,
// so p must never change again. Meant for data that outlives the connection.
func (c *Conn) WriteShared(p []byte) (int, error) { return c.WriteGather(nil, p) }

// WriteGather is Write(head) and WriteShared(shared) in one: the head of an answer and its body
// share their first segment.
func (c *Conn) WriteGather(head, shared []byte) (int, error) {
	c.lock()
	defer c.unlock()
	if err := c.beginWrite(); err != nil {
		return 0, c.opError("write", err)
	}
	defer c.endWrite()
	n := 0
	for {
		m := c.put(head, shared, n)
		n += m
		if m > 0 {
			c.flushSelf()
		}
		if n == len(head)+len(shared) {
			return n, nil
		}
		if m == 0 { // else try again: a long flush lets the lock go, and what happened meanwhile wakes nobody
			c.waitWrite()
		}
		if err := c.writeEnded(); err != nil {
			return n, c.opError("write", err)
		}
	}
}

// WriteSoon is Write for the end of a callback: what there is room for leaves when the callback returns, with
// those of other connections whose callbacks return just then. Until Flush or that, nobody may count on it.
// Outside of a callback it is Write.
func (c *Conn) WriteSoon(p []byte) (int, error) {
	if n := c.putSoon(p); n < len(p) {
		m, err := c.Write(p[n:])
		return n + m, err
	}
	return len(p), nil
}

// putSoon queues what of p will be flushed at the end of the running callback.
func (c *Conn) putSoon(p []byte) int {
	c.lock()
	defer c.unlock()
	if c.serve != serveRunning && c.serve != serveAgain || c.writing || c.writeEnded() != nil {
		return 0
	}
	return c.t.Write(c.last, p)
}

// Flush sends what WriteSoon has taken.
func (c *Conn) Flush() error {
	c.lock()
	defer c.unlock()
	if c.closed {
		return c.opError("write", net.ErrClosed)
	}
	c.flushSelf()
	return nil
}

// put queues what comes after the first n octets of head and shared, as far as there is room.
func (c *Conn) put(head, shared []byte, n int) int {
	m := 0
	if n < len(head) {
		if m = c.t.Write(c.last, head[n:]); n+m < len(head) {
			return m
		}
	}
	if n += m; n < len(head)+len(shared) {
		m += c.t.WriteShared(c.last, shared[n-len(head):])
	}
	return m
}

// beginWrite waits for the writers before us.
func (c *Conn) beginWrite() error {
	for {
		if err := c.writeEnded(); err != nil {
			return err
		}
		if !c.writing {
			c.writing = true
			return nil
		}
		c.waitWrite()
	}
}

func (c *Conn) endWrite() {
	c.writing = false
	c.wakeWriters()
}

// writeEnded says why no Write may go on.
func (c *Conn) writeEnded() error {
	switch {
	case c.closed:
		return net.ErrClosed
	case c.writeExpired():
		return os.ErrDeadlineExceeded
	}
	err := c.t.WriteErr()
	switch {
	case err == nil && c.dead:
		return syscall.EPIPE
	case err != nil && c.err != nil:
		return c.err
	}
	return c.explain(err)
}

// CloseWrite sends a FIN after what was written; reading goes on. A second call does nothing.
func (c *Conn) CloseWrite() error {
	c.lock()
	defer c.unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	if !c.dead {
		c.t.CloseWrite(c.clock())
		c.flushSelf()
	}
	c.wakeWriters()
	return nil
}

// CloseRead ends reading: every Read returns io.EOF, and what arrives is acknowledged and
// thrown away. TCP has no way to tell the peer.
func (c *Conn) CloseRead() error {
	c.lock()
	defer c.unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	c.rdShut = true
	if !c.dead {
		c.throwAway()
		c.flushSelf()
	}
	c.wakeReaders()
	return nil
}
