package tcb

import "ustack/tcpseg"

// urgent is the urgent mechanism (RFC 9293 §3.8.5), both ways. New applications should not use it (SHLD-13).
type urgent struct {
	snd, rcv         tcpseg.Seq // SND.UP, RCV.UP: behind the last urgent octet
	sending, hearing bool       // snd, rcv are set
}

// Urge declares everything written so far, and the next n octets, urgent. The peer is told at once, even if its window
// is shut (MUST-30). Where Write may take nothing (see WriteErr), it does nothing.
func (t *TCB) Urge(n int) {
	if t.WriteErr() != nil {
		return
	}
	u := &t.needSeldom().urgent
	u.snd, u.sending = t.snd.queue.end().Add(n), true
	if t.synchronized() {
		t.ackNow(CauseUrgent)
	}
}

// Urgent returns how many of the octets that have come or will come, from the next to be read on, are urgent;
// EventUrgent tells when that grows (MUST-32, MUST-33).
func (t *TCB) Urgent() int {
	if t.seldom == nil || !t.seldom.urgent.hearing {
		return 0
	}
	return max(t.seldom.urgent.rcv.Sub(t.readSeq()), 0)
}

// readSeq is the number of the next octet to be read.
func (t *TCB) readSeq() tcpseg.Seq {
	seq := t.rcv.nxt.Add(-t.Readable())
	if t.rcv.finDone {
		seq--
	}
	return seq
}

// urging reports whether the peer is to be told of urgent data.
func (t *TCB) urging() bool {
	return t.seldom != nil && t.seldom.urgent.sending && t.snd.una.Less(t.seldom.urgent.snd)
}

// urge sets the urgent pointer of a segment that begins before the end of urgent data. What is too far away for the
// field is told as far as it goes; later segments tell the rest (MUST-31).
func (t *TCB) urge(o *Out) {
	if !t.urging() {
		return
	}
	if n := t.seldom.urgent.snd.Sub(o.Seq); n > 0 {
		o.Flags |= tcpseg.URG
		o.Urgent = uint16(min(n, 65535))
	}
}

// takeUrgent is the sixth check of RFC 9293 §3.10.7.4. The pointer points behind the urgent data (MUST-62).
func (t *TCB) takeUrgent(seg *tcpseg.Segment) {
	if !seg.Flags.Has(tcpseg.URG) || !t.receiving() {
		return
	}
	up := seg.Seq.Add(int(seg.Urgent))
	if up.LessEq(t.readSeq()) {
		return // read already, or pointing nowhere
	}
	u := &t.needSeldom().urgent
	if !u.hearing || u.rcv.Less(up) {
		u.rcv, u.hearing = up, true
		t.events |= EventUrgent
	}
}
