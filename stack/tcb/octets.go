package tcb

// Octets returns how many octets of what has arrived in order the application has read, and how many it has written.
// They stay what they are when the connection ends.
func (t *TCB) Octets() (read, written int64) {
	// Sequence numbers count modulo 2^32; what the peer has of us is near enough to tell which round this is.
	n := uint32(t.snd.queue.end().Sub(t.snd.iss.Add(1)))
	return t.rcv.queue.read, t.snd.delivered + int64(int32(n-uint32(t.snd.delivered)))
}
