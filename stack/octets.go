package stack

// Octets returns how many octets of what the peer has sent were read or discarded, and how many were written to it.
func (c *Conn) Octets() (read, written int64) {
	c.lock()
	defer c.unlock()
	return c.t.Octets()
}
