package tcb

// Touch reads a word of each cache line of t that a segment needs, and returns something made of them so that
// nobody can leave a read out. The reads do not depend on each other: the lines of a connection that has
// been idle come from memory at the same time, where Input and Output would wait for one after the other.
func (t *TCB) Touch() uint64 {
	return uint64(t.state) ^ uint64(t.snd.queue.len) ^ uint64(t.snd.una) ^ uint64(t.snd.progress) ^
		uint64(t.rcv.queue.read) ^ uint64(t.rcv.nxt) ^ uint64(t.runs.head) ^ uint64(t.rtt.srtt) ^
		uint64(t.rec.phase) ^ uint64(t.timers[rexmit]) ^ t.stats.bytesIn ^ t.cubic.Touch()
}
