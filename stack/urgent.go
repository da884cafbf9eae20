package stack

// WriteUrgent is Write for data that the peer is told is urgent, at once and even if its window is shut (RFC 9293
// §3.8.5). It stays part of the stream. The mechanism is there for old protocols as Telnet; new ones should not use it
// (SHLD-13), for stacks have never agreed on what the pointer points to. This one follows RFC 9293: behind the last
// urgent octet.
func (c *Conn) WriteUrgent(p []byte) (int, error) {
	if err := c.urge(len(p)); err != nil {
		return 0, err
	}
	return c.Write(p)
}

// urge announces n urgent octets.
func (c *Conn) urge(n int) error {
	c.lock()
	defer c.unlock()
	if err := c.writeEnded(); err != nil {
		return c.opError("write", err)
	}
	c.t.Urge(n)
	c.flushSelf()
	return nil
}

// Urgent returns how many octets, from the next to be read on, are urgent; some of them may still have to come. 0: none.
func (c *Conn) Urgent() int {
	c.lock()
	defer c.unlock()
	return c.t.Urgent()
}

// UrgentNotify returns a channel that gets a value whenever the peer declares more data urgent than before. News that
// nobody has taken yet become one.
func (c *Conn) UrgentNotify() <-chan struct{} {
	c.lock()
	defer c.unlock()
	r := c.needRare()
	if r.urgent == nil {
		r.urgent = make(chan struct{}, 1)
		if c.t.Urgent() > 0 {
			r.urgent <- struct{}{}
		}
	}
	return r.urgent
}

// tellUrgent passes the TCB's event on. c.mu is held.
func (c *Conn) tellUrgent() {
	if c.rare != nil {
		signal(c.rare.urgent)
	}
}
