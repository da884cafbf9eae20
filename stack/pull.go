package stack

import (
	"errors"
	"io"
)

const (
	pullChunk = 256 << 10 // most that ReadFrom asks of its source at once
	pullIdle  = 100       // empty reads in a row before the source is given up
)

// ReadFrom writes everything r has, reading it straight into the send queue. The source is read
// whenever there is room, without a lock held. It ends at r's EOF or first error.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	c.lock()
	defer c.unlock()
	if err := c.beginWrite(); err != nil {
		return 0, c.opError("write", err)
	}
	defer c.endWrite()
	var total int64
	for idle := 0; idle < pullIdle; idle++ {
		room, err := c.reserve()
		if err != nil {
			return total, c.opError("write", err)
		}
		n, err := c.pull(r, room)
		total += int64(n)
		if n > 0 {
			idle = 0
			c.flushSelf()
		}
		if werr := c.writeEnded(); werr != nil {
			return total, c.opError("write", werr)
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
	return total, io.ErrNoProgress
}

// reserve waits for room in the send queue.
func (c *Conn) reserve() ([2][]byte, error) {
	for {
		if err := c.writeEnded(); err != nil {
			return [2][]byte{}, err
		}
		if room := c.t.Reserve(pullChunk); len(room[0]) > 0 {
			return room, nil
		}
		c.t.Commit(c.clock(), 0)
		c.waitWrite()
	}
}

// errBadRead is a source that says it read more than it could.
var errBadRead = errors.New("stack: source read more than there was room for")

// pull fills room from r, with the lock let go, and commits what came. A source that panics or
// ends its goroutine leaves the connection in order.
func (c *Conn) pull(r io.Reader, room [2][]byte) (n int, err error) {
	c.pins++
	c.unlock()
	defer func() {
		c.lock()
		c.pins--
		c.t.Commit(c.clock(), n)
		c.release()
	}()
	for _, b := range room {
		if len(b) == 0 {
			break
		}
		var m int
		m, err = r.Read(b)
		if m < 0 || m > len(b) {
			return n, errBadRead
		}
		n += m
		if err != nil || m < len(b) {
			break
		}
	}
	return n, err
}

// WriteTo reads until EOF and writes everything to w, from where it stands in the receive queue.
func (c *Conn) WriteTo(w io.Writer) (int64, error) {
	c.lock()
	defer c.unlock()
	var total int64
	if err := c.beginRead(); err != nil {
		return 0, c.readError(err)
	}
	defer c.endRead()
	for {
		a, b, err := c.await()
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, c.readError(err)
		}
		n, err := c.push(w, a, b)
		total += int64(n)
		if err != nil {
			return total, err
		}
		c.flushSelf()
	}
}

// beginRead waits for the WriteTo before us.
func (c *Conn) beginRead() error {
	for {
		if err := c.readEnded(); err != nil && err != io.EOF {
			return err
		}
		if !c.reading {
			c.reading = true
			return nil
		}
		c.waitRead()
	}
}

func (c *Conn) endRead() {
	c.reading = false
	if c.rdShut && !c.dead && !c.closed {
		c.throwAway()
		c.flushSelf()
	}
	c.wakeReaders()
}

// await waits for something to read.
func (c *Conn) await() (a, b []byte, err error) {
	for {
		if err := c.readEnded(); err != nil {
			return nil, nil, err
		}
		if a, b = c.t.Peek(); len(a) > 0 {
			return a, b, nil
		}
		if err := c.readErr(); err != nil {
			return nil, nil, err
		}
		c.waitRead()
	}
}

// push writes views to w, with the lock let go, and consumes what w took.
func (c *Conn) push(w io.Writer, views ...[]byte) (n int, err error) {
	c.pins++
	c.unlock()
	defer func() {
		c.lock()
		c.pins--
		if !c.closed && !c.rdShut {
			c.t.Discard(c.clock(), n)
		}
		c.release()
	}()
	for _, v := range views {
		if len(v) == 0 {
			continue
		}
		m, err := w.Write(v)
		if m < 0 || m > len(v) {
			return n, errBadWrite
		}
		n += m
		if err != nil {
			return n, err
		}
		if m < len(v) {
			return n, io.ErrShortWrite
		}
	}
	return n, nil
}

var errBadWrite = errors.New("stack: writer took more than it was given")

var (
	_ io.ReaderFrom = (*Conn)(nil)
	_ io.WriterTo   = (*Conn)(nil)
)
