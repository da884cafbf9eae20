package tcb

import "ustack/tcpseg"

// TCP Fast Open (RFC 7413): data on the SYN, for a server that knows the client by a cookie it gave before. A SYN that
// comes twice may deliver its data twice: both applications must have agreed to that.

// AcceptFast makes a connection of a SYN whose cookie was good: what it carries can be read and answered at once, before
// the handshake is complete (RFC 7413 §4.2). The TCB is in SYN-RECEIVED; Output has the SYN,ACK. Whoever calls it has
// checked the cookie, and bounds how many connections are in this state: the client's address may be forged.
func (t *TCB) AcceptFast(now Time, c *Config, mem Blocks, h *Handshake, syn *tcpseg.Segment) Events {
	t.beginPassive(now, c, mem, h, h.ISS)
	t.state, t.early = SynReceived, true
	if h.FastOpen.Present {
		t.needSeldom().fastOpen = h.FastOpen
	}
	t.setController(t.mss(), t.initialWindow())
	t.rcv.tuneAt = micros(now)
	text := *syn
	text.Seq, text.Flags = t.rcv.nxt, 0 // a FIN waits: it comes again
	t.inputText(now, &text)
	t.events |= EventConnected | EventWritable
	return t.takeEvents()
}

// SynTimeouts returns how often our SYN, or SYN,ACK, has timed out.
func (t *TCB) SynTimeouts() int { return int(t.synTimeouts) }

// fastOpenOption returns the Fast Open option of our SYN or SYN,ACK. A SYN that timed out may have fallen to a middlebox
// that does not like the option, or the data, so the next one does without (§4.1.3.1).
func (t *TCB) fastOpenOption() tcpseg.FastOpen {
	if t.seldom == nil || t.state == SynSent && t.synTimeouts > 0 {
		return tcpseg.FastOpen{}
	}
	return t.seldom.fastOpen
}

// synText points o at the data that rides on our first SYN and returns its octets: as much as is queued and fits beside
// the options into a segment that the peer is known to take.
func (t *TCB) synText(o *Out, opt *tcpseg.Options) int {
	if t.state != SynSent || opt.FastOpen.Len == 0 {
		return 0
	}
	n := min(t.snd.queue.len, min(int(t.snd.mss), int(t.seldom.fastMSS))-opt.Len())
	if n <= 0 {
		return 0
	}
	return t.payload(o, t.snd.iss.Add(1), n)
}

// outputEarly sends data before the handshake is complete, until the SYN,ACK proves lost.
func (t *TCB) outputEarly(now Time, o *Out) bool {
	return t.early && t.synTimeouts == 0 && t.runs.lost == 0 && t.outputNew(now, o)
}

// markSYN holds our SYN or SYN,ACK for lost, without the data behind it.
func (t *TCB) markSYN() {
	if i := t.runs.head; i != none && t.runs.slab[i].start == t.snd.iss {
		t.runs.setLost(t.runs.cut(i, 1), true)
	}
}
