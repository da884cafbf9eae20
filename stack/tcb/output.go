package tcb

import "ustack/tcpseg"

// Lengths of options as the codec lays them out, octets.
const (
	timestampsLen = 12
	sackLen       = 4 // plus 8 a block
)

// mss returns the payload octets of a full-sized segment, timestamps taken off (MUST-16).
func (t *TCB) mss() int {
	if t.stamped {
		return int(t.snd.mss) - timestampsLen
	}
	return int(t.snd.mss)
}

// sackBlocks returns how many SACK blocks go with the next segment.
func (t *TCB) sackBlocks() int {
	if !t.sackOK {
		return 0
	}
	n := 0
	if !t.rcv.outOfOrder.empty() {
		n = len(t.rcv.outOfOrder.list)
	}
	if t.owesDuplicate() {
		n++
	}
	if t.stamped {
		return min(n, 3) // what 40 octets hold beside timestamps
	}
	return min(n, tcpseg.MaxSACKBlocks)
}

// segmentSize is mss, less the SACK blocks that the segment will carry.
func (t *TCB) segmentSize() int {
	if n := t.sackBlocks(); n > 0 {
		return t.mss() - sackLen - 8*n
	}
	return t.mss()
}

// Output fills o with the next segment to send and returns true, or returns false with o.Held.
// It is the only place that decides whether something is sent.
func (t *TCB) Output(now Time, o *Out) bool {
	o.clear()
	o.Held = HeldIdle
	if t.rst.due {
		t.emitReset(now, o)
		return true
	}
	switch t.state {
	case Closed:
		return false
	case SynSent, SynReceived:
		if t.outputSYN(now, o) || t.outputEarly(now, o) {
			return true
		}
		o.Held = HeldHandshake
	case TimeWaiting:
	default:
		if t.outputProbe(now, o) || t.outputTail(now, o) || t.outputLost(now, o) || o.Held == HeldIdle && t.outputNew(now, o) || t.outputRest(now, o) {
			return true
		}
	}
	if t.outputACK(now, o) {
		return true
	}
	t.settle(now, o.Held)
	return false
}

// outputSYN sends our SYN or, in a simultaneous open, SYN,ACK; again after a time-out.
func (t *TCB) outputSYN(now Time, o *Out) bool {
	i := t.runs.firstLost()
	if t.runs.n > 0 && (i == none || t.runs.slab[i].start != t.snd.iss) {
		return false
	}
	opt := synOptions(&t.cfg.Options, int(t.rcv.mss), t.rcv.scale)
	flags := tcpseg.SYN
	o.Ack = 0
	if t.state == SynSent && t.asksECN() {
		flags |= ecnAsk
	}
	if t.state == SynReceived {
		flags |= tcpseg.ACK
		o.Ack = t.rcv.nxt
		if t.ecn&ecnOn != 0 {
			flags |= tcpseg.ECE
		}
		answerOptions(&opt, t.sackOK, t.stamped, t.scaled, t.ts.recent)
		t.acked()
	}
	opt.TSVal = t.tsval(now)
	if opt.FastOpen = t.fastOpenOption(); opt.FastOpen.Len > 8 {
		opt.UserTimeout = 0 // there is no room for both
	}
	o.Cause = CauseSYN
	if t.runs.n == 0 {
		t.snd.nxt = t.snd.iss.Add(1 + t.synText(o, &opt))
		t.runs.push(t.snd.iss, t.snd.nxt, now, 0)
		t.countText(o.PayloadLen())
	} else {
		o.Cause = CauseSYNAgain
		t.runs.resend(i, 1, now, 0) // without the data, if there was any
	}
	o.Seq, o.Flags, o.Window, o.Urgent = t.snd.iss, flags, uint16(t.synWindow()), 0
	o.Options = opt
	t.stats.segsOut++
	t.armRexmit(now) // from the last sending on (6298-08)
	return true
}

// synOptions are the options of a SYN. TSVal is the caller's to fill in.
func synOptions(o *Options, mss int, scale uint8) tcpseg.Options {
	return tcpseg.Options{MSS: uint16(mss), HasScale: !o.NoWindowScale, Scale: scale,
		SACKPermitted: !o.NoSACK, HasTimestamps: !o.NoTimestamps, UserTimeout: advertisedTimeout(o)}
}

// answerOptions cuts them down to what a SYN,ACK may answer.
func answerOptions(o *tcpseg.Options, sack, ts, scaled bool, recent uint32) {
	o.SACKPermitted = sack
	o.HasTimestamps = ts
	o.HasScale = o.HasScale && scaled
	if ts {
		o.TSEcr = recent
	}
}

func (t *TCB) tsval(now Time) uint32 { return tsClock(now) + t.ts.offset }

// stamp adds the timestamps option where it was agreed on.
func (t *TCB) stamp(now Time, o *tcpseg.Options) {
	if t.stamped {
		o.HasTimestamps = true
		o.TSVal, o.TSEcr = t.tsval(now), t.ts.recent
	}
}

// tsClock is the timestamp clock: one tick a millisecond (RFC 7323 §5.4).
func tsClock(now Time) uint32 { return uint32(now / granularity) }

// outputLost sends again what is held for lost, oldest first. o.Held tells when it must wait,
// and then no new data may overtake it.
func (t *TCB) outputLost(now Time, o *Out) bool {
	i := t.runs.firstLost()
	if i == none || t.rec.frto == frtoNext || t.mustPace(now, o) {
		return false
	}
	r := &t.runs.slab[i]
	size := t.segmentSize()
	n := min(r.len(), max(t.paceLimit(t.superLimit(o.Limit)), size))
	if edge := t.peerEdge(); edge.Less(r.start.Add(n)) {
		n = edge.Sub(r.start)
	}
	if n <= 0 {
		o.Held = HeldPeerWindow
		return false
	}
	if t.rec.force {
		n = min(n, size)
	} else if room := t.room(); n > room {
		n = room / size * size
	}
	if n <= 0 {
		o.Held = HeldCwnd
		t.snd.limited[0] = true
		return false
	}
	if n > size && n < r.len() {
		n -= n % size
	}
	t.rec.force = false
	start := r.start
	n = t.resend(now, o, i, n, t.rec.cause)
	t.resentForUndo(now, start, n)
	return true
}

// resend sends the first n octets of run i again, or as many as one segment takes in, and returns how many.
func (t *TCB) resend(now Time, o *Out, i int32, n int, cause Cause) int {
	start := t.runs.slab[i].start
	fin := t.snd.fin && start.Add(n) == t.snd.nxt
	text := n
	if fin {
		text--
	}
	if got := t.payload(o, start, text); got < text {
		text, n, fin = got, got, false
	}
	t.runs.resend(i, n, now, t.snd.delivered)
	sum := &t.needLoss(t.snd.una).counts
	sum.rexmits++
	sum.octets += uint64(text)
	if start == t.snd.una && !t.impatient() {
		t.armRexmit(now) // never sooner than one RTO after the last sending (6298-08)
	}
	var flags tcpseg.Flags
	if fin {
		flags |= tcpseg.FIN
	}
	if text > 0 && start.Add(text) == t.snd.queue.end() {
		flags |= tcpseg.PSH
	}
	t.emit(now, o, start, text, flags, cause)
	t.mark(o, false)
	return n
}

// payload points o at n queued octets from seq on and returns how many it covers. Where they lie in
// too many pieces it is fewer, whole segments if possible.
func (t *TCB) payload(o *Out, seq tcpseg.Seq, n int) int {
	off := seq.Sub(t.snd.queue.start)
	got := t.snd.queue.view(off, n, &o.Payload)
	if size := t.segmentSize(); got < n && got > size {
		got = t.snd.queue.view(off, got-got%size, &o.Payload)
	}
	return got
}

// unsent returns the octets written and not sent yet.
func (t *TCB) unsent() int {
	if t.snd.fin {
		return 0
	}
	return t.snd.queue.end().Sub(t.snd.nxt)
}

// outputNew sends new data, and the FIN behind the last of it.
func (t *TCB) outputNew(now Time, o *Out) bool {
	unsent := t.unsent()
	finDue := t.snd.closing && !t.snd.fin && t.synchronized()
	if unsent == 0 && !finDue {
		return false
	}
	if t.paused() {
		_, o.Held = t.heldCwnd()
		return false
	}
	if t.mustPace(now, o) {
		return false
	}
	t.restartIdle(now)
	if t.widen(now, o) {
		return o.Held == HeldIdle
	}
	n, held := t.fit(t.paceLimit(t.superLimit(o.Limit)), unsent, finDue)
	if held != HeldIdle {
		o.Held = held
		return false
	}
	t.sendNew(now, o, n, finDue && n == unsent, CauseData)
	return true
}

// restartIdle tells congestion control when sending begins again after a silence (RFC 5681 §4.1).
func (t *TCB) restartIdle(now Time) {
	if t.cfg.NoIdleRestart || t.inFlight() > 0 || t.snd.lastSent == 0 || now-t.snd.lastSent <= t.rtt.rto {
		return
	}
	t.cc.OnIdle(now)
	t.snd.lastSent = now
}

// fit returns how many of the unsent octets the next segment or super-segment takes, or what it
// has to wait for.
func (t *TCB) fit(limit, unsent int, fin bool) (int, Held) {
	size := t.segmentSize()
	wnd := t.peerEdge().Sub(t.snd.nxt)
	room := t.room()
	n := min(unsent, max(limit, size))
	switch {
	case wnd <= 0:
		return 0, HeldPeerWindow
	case unsent == 0: // the FIN alone; it takes one number
		if room <= 0 {
			return t.heldCwnd()
		}
		return 0, HeldIdle
	}
	n = min(n, wnd)
	if n > room {
		n = room / size * size
		if n <= 0 {
			return t.heldCwnd()
		}
	}
	if n > size && n < unsent {
		n -= n % size
	}
	tail := n % size
	if tail == 0 || n == unsent && (fin || !t.nagleHolds()) {
		return n, HeldIdle
	}
	if n == unsent { // Nagle keeps the small tail back
		if n -= tail; n == 0 {
			return 0, HeldNagle
		}
		return n, HeldIdle
	}
	// The window cuts the data short: worth a segment at half the largest window (SHLD-38, SWS-01).
	if n >= (int(t.snd.maxWnd)+1)/2 {
		return n, HeldIdle
	}
	return 0, HeldSWS
}

func (t *TCB) heldCwnd() (int, Held) {
	t.snd.limited[0] = true
	return 0, HeldCwnd
}

// nagleHolds reports whether a segment below the MSS has to wait (RFC 9293 §3.7.4).
func (t *TCB) nagleHolds() bool {
	switch t.cfg.Nagle {
	case NagleClassic:
		return t.inFlight() > 0
	case NagleMinshall:
		return t.snd.una.Less(t.snd.smallEnd)
	}
	return false
}

// sendNew sends n new octets, and a FIN behind them if it fits into the peer's window.
func (t *TCB) sendNew(now Time, o *Out, n int, fin bool, cause Cause) {
	start := t.snd.nxt
	n = t.payload(o, start, n)
	end := start.Add(n)
	last := end == t.snd.queue.end()
	fin = fin && last && (end.Less(t.peerEdge()) || cause == CauseProbe)
	var flags tcpseg.Flags
	if n > 0 && last {
		flags |= tcpseg.PSH // MUST-61
	}
	if fin {
		flags |= tcpseg.FIN
		end = end.Add(1)
		t.sendFIN()
		if n == 0 {
			cause = CauseFIN
		}
	}
	if size := t.segmentSize(); n%size != 0 {
		t.snd.smallEnd = end
	}
	t.advanceNxt(now, end)
	t.emit(now, o, start, n, flags, cause)
	t.mark(o, n > 0 && cause != CauseProbe)
}

// advanceNxt notes that what lies before end is being sent for the first time.
func (t *TCB) advanceNxt(now Time, end tcpseg.Seq) {
	if t.inFlight() == 0 {
		t.beginBusy(now)
	}
	t.runs.push(t.snd.nxt, end, now, t.snd.delivered)
	t.snd.nxt = end
	t.rec.fresh = true
}

// sendFIN moves to the state in which our FIN is in flight.
func (t *TCB) sendFIN() {
	t.snd.fin = true
	if t.state == CloseWait {
		t.state = LastAck
	} else {
		t.state = FinWait1
	}
}

// outputProbe sends one octet against a shut window, or what fits into one that is too small to be
// worth a segment, once the persist timer has run out (RFC 9293 §3.8.6.1, §3.8.6.2.1).
func (t *TCB) outputProbe(now Time, o *Out) bool {
	if !t.snd.probe {
		return false
	}
	t.snd.probe = false
	if t.inFlight() > 0 {
		t.resend(now, o, t.runs.head, 1, CauseProbe)
		return true
	}
	unsent := t.unsent()
	if unsent == 0 && !(t.snd.closing && !t.snd.fin) {
		return false
	}
	n, cause := min(unsent, 1), CauseProbe
	if t.snd.wnd > 0 && unsent > 0 {
		n, cause = min(unsent, t.segmentSize(), int(t.snd.wnd)), CauseOverride
	}
	t.sendNew(now, o, n, unsent == 0, cause)
	return true
}

// outputACK sends what is owed without data to carry it.
func (t *TCB) outputACK(now Time, o *Out) bool {
	switch {
	case t.ack.keepAlive:
		t.ack.keepAlive = false
		t.emit(now, o, t.snd.nxt.Add(-1), 0, 0, CauseKeepAlive) // SHLD-12
		t.mark(o, false)
	case t.ack.now && t.state != SynSent:
		t.emit(now, o, t.ackSeq(), 0, 0, t.ack.cause)
		t.mark(o, false)
	default:
		return false
	}
	return true
}

// ackSeq is the sequence number of a bare ACK: nxt, but inside the peer's window, where it is heard even
// if a probe or a shrunk window has left nxt beyond it. An edge that moved left by less than the window's unit was only
// rounded: the peer still takes what it had promised (RFC 7323 §2.4), and most likely has.
func (t *TCB) ackSeq() tcpseg.Seq {
	edge := t.peerEdge()
	if over := t.snd.nxt.Sub(edge); over <= 0 || t.snd.wnd > 0 && over < 1<<t.snd.scale {
		return t.snd.nxt
	}
	return tcpseg.Max(t.snd.una, edge)
}

// emit fills in the header of a segment with n octets of payload from seq on. Every segment
// acknowledges what has come (MUST-58).
func (t *TCB) emit(now Time, o *Out, seq tcpseg.Seq, n int, flags tcpseg.Flags, cause Cause) {
	size := t.segmentSize()
	if n > size {
		o.GSOSize = size
	}
	o.Seq, o.Ack, o.Flags, o.Urgent = seq, t.rcv.nxt, flags|tcpseg.ACK, 0
	o.Window = t.advertise()
	o.Options = tcpseg.Options{}
	t.stamp(now, &o.Options)
	if blocks := t.sackBlocks(); blocks > 0 {
		t.fillSACK(&o.Options, blocks)
	}
	t.advertiseTimeout(o, n)
	t.urge(o)
	o.Cause, o.Acks = cause, t.rcv.nxt.Sub(t.rcv.lastAck)
	t.acked()
	t.stats.segsOut++
	t.countText(n)
	if n > 0 || flags.Has(tcpseg.FIN) {
		t.spend(n)
		t.paced(now, n)
		t.snd.lastSent = now
		if t.timers[rexmit] == 0 {
			t.armRexmit(now)
		}
	}
}

// emitReset sends the RST that is due.
func (t *TCB) emitReset(now Time, o *Out) {
	o.Options, o.Urgent, o.Window, o.Cause = tcpseg.Options{}, 0, 0, CauseReset
	if t.rst.bare {
		o.Seq, o.Ack, o.Flags = t.rst.seq, 0, tcpseg.RST
		if t.rst.stamped {
			o.Options.HasTimestamps, o.Options.TSEcr = true, t.seldom.rstEcho
		}
	} else {
		o.Seq, o.Ack, o.Flags = t.snd.nxt, t.rcv.nxt, tcpseg.RST|tcpseg.ACK
		t.stamp(now, &o.Options)
	}
	t.rst = pendingReset{}
	t.stats.segsOut++
}

// settle arms the timers that fit what the connection waits for, once nothing more can be sent.
func (t *TCB) settle(now Time, held Held) {
	t.account(now, held)
	if !t.synchronized() || t.state == TimeWaiting {
		return
	}
	waiting := held == HeldPeerWindow || held == HeldSWS
	shut := t.inFlight() == 0 && waiting || t.snd.wnd == 0 && (t.inFlight() > 0 || waiting)
	if shut {
		t.timers[rexmit] = 0
		if t.timers[persist] == 0 {
			t.armPersist(now)
		}
	} else {
		if t.timers[persist] != 0 || t.persistBackoff > 0 {
			t.stopPersist(now)
		}
		if t.inFlight() > 0 && t.timers[rexmit] == 0 {
			t.armRexmit(now)
		}
	}
	t.armProbe(now)
	t.armPace(held)
}
