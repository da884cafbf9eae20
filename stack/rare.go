package stack

import "sync"

// rare is what few connections need, and those that a callback serves never: blocked calls,
// deadlines, SetLinger, Done, ICMP errors. The lock of the connection guards it.
type rare struct {
	rcond, wcond         sync.Cond
	rwait, wwait         int // goroutines in rcond.Wait, wcond.Wait
	rdeadline, wdeadline deadline
	linger               int // seconds; below 0: not set
	done                 chan struct{}
	urgent               chan struct{} // see UrgentNotify; nil: nobody asked
	stalled              bool          // R1 was reached, and the peer not heard since
	softNews             chan struct{} // see SoftErrorNotify; nil: nobody asked
	fastOf               *Listener     // which counts the connection as not proved (RFC 7413); nil: none
	fastDial             bool          // our SYN had the Fast Open option, and is not answered yet
	soft                 error         // the last ICMP error, until the peer is heard again
}

// needRare returns c.rare, making it if there is none.
func (c *Conn) needRare() *rare {
	if c.rare == nil {
		c.rare = &rare{linger: -1}
		c.rare.rcond.L, c.rare.wcond.L = &c.mu, &c.mu
	}
	return c.rare
}

// waitRead waits for news for readers, or the end of the read deadline.
func (c *Conn) waitRead() {
	r := c.needRare()
	r.rdeadline.wait(c.s, &r.rcond, &r.rwait)
}

// waitWrite waits for news for writers, or the end of the write deadline.
func (c *Conn) waitWrite() {
	r := c.needRare()
	r.wdeadline.wait(c.s, &r.wcond, &r.wwait)
}

// wakeReaders wakes who is in waitRead and reports whether there was anybody.
func (c *Conn) wakeReaders() bool {
	if c.rare == nil || c.rare.rwait == 0 {
		return false
	}
	c.rare.rcond.Broadcast()
	return true
}

// wakeWriters wakes who is in waitWrite and reports whether there was anybody.
func (c *Conn) wakeWriters() bool {
	if c.rare == nil || c.rare.wwait == 0 {
		return false
	}
	c.rare.wcond.Broadcast()
	return true
}

func (c *Conn) wakeAll() {
	c.wakeReaders()
	c.wakeWriters()
}

func (c *Conn) anyoneWaits() bool { return c.rare != nil && c.rare.rwait+c.rare.wwait > 0 }

func (c *Conn) readExpired() bool  { return c.rare != nil && c.rare.rdeadline.expired(c.s) }
func (c *Conn) writeExpired() bool { return c.rare != nil && c.rare.wdeadline.expired(c.s) }

func (c *Conn) stopDeadlines() {
	if c.rare != nil {
		c.rare.rdeadline.stop()
		c.rare.wdeadline.stop()
	}
}

func (c *Conn) softError() error {
	if c.rare == nil {
		return nil
	}
	return c.rare.soft
}

var closedChan = func() chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return ch
}()

// Done is closed when the connection is over: reset, timed out, closed on both sides or by
// Close. Data may still be there to be read.
func (c *Conn) Done() <-chan struct{} {
	c.lock()
	defer c.unlock()
	if c.dead || c.closed {
		return closedChan
	}
	r := c.needRare()
	if r.done == nil {
		r.done = make(chan struct{})
	}
	return r.done
}

// tellDone closes what Done has returned. The connection is dead or closed by now.
func (c *Conn) tellDone() {
	if c.rare != nil && c.rare.done != nil {
		close(c.rare.done)
		c.rare.done = nil
	}
}
