package tcb

import "ustack/tcpseg"

// inputText is the seventh and eighth check of RFC 9293 §3.10.7.4: the text and the FIN.
func (t *TCB) inputText(now Time, seg *tcpseg.Segment) Drop {
	p, fin := seg.Payload, seg.Flags.Has(tcpseg.FIN)
	if len(p) == 0 && !fin {
		return DropNone
	}
	if !t.receiving() {
		if len(p) > 0 && t.rcv.adv == t.rcv.nxt { // no window, no acceptable text (RFC 9293 §3.10.7.4, first check)
			t.answer(now, seg, CauseReply)
		}
		return DropAfterFIN
	}
	t.takeMark(seg)
	seq := seg.Seq
	if old := t.rcv.nxt.Sub(seq); old > 0 { // trim what has come before (U-08)
		old = min(old, len(p))
		t.tellDuplicate(seq, seq.Add(old))
		p, seq = p[old:], t.rcv.nxt
	}
	drop := DropNone
	if most := max(t.rcv.adv.Sub(seq), 0); len(p) > most { // and what lies beyond the window
		p, fin, drop = p[:most], false, DropZeroWindow
		t.ackNow(CauseReply)
	}
	if t.rcv.finSeen && t.rcv.finSeq.Less(seq.Add(len(p))) {
		p, fin, drop = p[:max(t.rcv.finSeq.Sub(seq), 0)], false, DropAfterFIN
	}
	if len(p) > 0 && t.appClosed { // RFC 9293 §3.6.1: nobody is there to read it
		t.rst = pendingReset{due: true}
		t.die(endOrderly)
		return DropAfterClose
	}
	if fin && !t.rcv.finSeen {
		t.rcv.finSeen, t.rcv.finSeq = true, seq.Add(len(p))
	}
	if len(p) > 0 {
		if d := t.store(now, seq, p, seg); d != DropNone {
			drop = d
		}
	}
	if t.rcv.finSeen && !t.rcv.finDone {
		t.reachFIN(now)
	}
	return drop
}

// store puts text into the receive queue, in order or not.
func (t *TCB) store(now Time, seq tcpseg.Seq, p []byte, seg *tcpseg.Segment) Drop {
	t.sizeUp(len(p), seg.GSOSize)
	t.tellDuplicate(t.rcv.outOfOrder.overlap(seq, seq.Add(len(p))))
	if seq != t.rcv.nxt {
		return t.storeAhead(seq, p)
	}
	n := t.rcv.queue.write(t.rcv.queue.ready, p)
	if n < len(p) && !t.rcv.outOfOrder.empty() {
		// Memory is short: what lies beyond the hole gives way, as RFC 2018 §8 allows.
		t.rcv.outOfOrder = nil
		t.rcv.queue.prune(int64(n))
		n += t.rcv.queue.write(t.rcv.queue.ready+int64(n), p[n:])
	}
	t.timeEcho(now, seg)
	t.rcv.nxt = seq.Add(n)
	if !t.rcv.outOfOrder.empty() {
		t.rcv.nxt = t.rcv.outOfOrder.take(t.rcv.nxt)
		t.ackNow(CauseACK) // a gap was filled, wholly or in part (RFC 5681 §4.2)
	}
	t.stats.bytesIn += uint64(t.rcv.nxt.Sub(seq))
	t.stats.heardData = tsClock(now)
	t.rcv.queue.ready += int64(t.rcv.nxt.Sub(seq))
	t.rcv.adv = tcpseg.Max(t.rcv.adv, t.rcv.nxt)
	if n > 0 {
		t.ackData(now, n, seg.Flags.Has(tcpseg.PSH))
		t.events |= EventReadable
	}
	if n < len(p) {
		t.ackNow(CauseACK)
		return DropMemory
	}
	return DropNone
}

// storeAhead queues text beyond a hole and owes a duplicate ACK at once (RFC 5681 §4.2).
func (t *TCB) storeAhead(seq tcpseg.Seq, p []byte) Drop {
	t.ackNow(CauseDupACK)
	t.needSeldom().ahead++
	t.ack.quick = 0
	if !t.sackOK {
		t.ack.dups++
	}
	if t.rcv.budget < t.rcv.size && t.Readable()+t.rcv.outOfOrder.octets() > int(t.rcv.budget) {
		return DropMemory
	}
	off := t.rcv.queue.ready + int64(seq.Sub(t.rcv.nxt))
	n := t.rcv.queue.write(off, p)
	if n > 0 {
		if t.rcv.outOfOrder == nil {
			t.rcv.outOfOrder = new(ranges)
		}
		if !t.rcv.outOfOrder.add(seq, seq.Add(n)) {
			return DropOutOfOrderFull
		}
	}
	if n < len(p) {
		return DropMemory
	}
	return DropNone
}

// sizeUp follows the size of the peer's full segments; a super-segment tells it outright.
func (t *TCB) sizeUp(n, gso int) {
	if gso > 0 && gso < n {
		n = gso
	}
	t.rcv.segSize = max(t.rcv.segSize, min(int32(n), t.rcv.mss))
}

// reachFIN acts on the peer's FIN once everything before it has arrived.
func (t *TCB) reachFIN(now Time) {
	if t.rcv.nxt != t.rcv.finSeq {
		t.ackNow(CauseDupACK)
		return
	}
	t.rcv.finDone = true
	t.rcv.nxt = t.rcv.nxt.Add(1)
	t.rcv.adv = tcpseg.Max(t.rcv.adv, t.rcv.nxt)
	t.ackNow(CauseACK)
	t.events |= EventReadable
	switch {
	case t.state == Established:
		t.state = CloseWait
	case t.state == FinWait1 && !t.finAcked():
		t.state = Closing
	default:
		t.enterTimeWait(now)
	}
}
