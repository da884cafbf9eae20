package tcb

import (
	"time"

	"ustack/tcpseg"
)

// Input takes one segment whose checksum has been verified. The steps and their order are those
// of RFC 9293 §3.10.7, with RFC 5961 and RFC 7323 applied.
func (t *TCB) Input(now Time, seg *tcpseg.Segment) Result {
	if t.stats.segsIn++; t.stats.segsIn > 1 { // the first has completed the handshake, and its sample is there
		t.stats.sample = 0
	}
	if len(seg.Payload) > 0 {
		t.stats.dataIn++
	}
	var drop Drop
	switch t.state {
	case Closed:
		drop = DropClosed
	case SynSent:
		drop = t.inputSynSent(now, seg)
	case TimeWaiting:
		drop = t.inputTimeWait(now, seg)
	default:
		drop = t.inputArrived(now, seg)
	}
	return Result{t.takeEvents(), drop}
}

// inputSynSent is RFC 9293 §3.10.7.3.
func (t *TCB) inputSynSent(now Time, seg *tcpseg.Segment) Drop {
	hasACK := seg.Flags.Has(tcpseg.ACK)
	if hasACK && (seg.Ack.LessEq(t.snd.iss) || t.snd.nxt.Less(seg.Ack)) {
		if !seg.Flags.Has(tcpseg.RST) {
			t.refuse(seg)
		}
		return DropBadACK
	}
	if seg.Flags.Has(tcpseg.RST) {
		if hasACK { // RFC 5961 §3.2: only with an ACK of our SYN
			t.die(endRefused)
			return DropNone
		}
		return DropReset
	}
	if !seg.Flags.Has(tcpseg.SYN) {
		return DropSynSent
	}
	t.takeSYN(now, seg)
	if hasACK && t.agreesECN(seg) {
		t.ecn = ecnOn
	}
	if !hasACK { // simultaneous open
		t.state = SynReceived
		t.markSYN() // it goes again, as SYN,ACK
		return DropNone
	}
	t.takeSynAck(now, seg)
	rest := *seg
	rest.Seq, rest.Flags = seg.Seq.Add(1), seg.Flags&^tcpseg.SYN
	t.takeUrgent(&rest)
	return t.inputText(now, &rest)
}

// takeSYN learns what the peer's SYN says.
func (t *TCB) takeSYN(now Time, seg *tcpseg.Segment) {
	t.rcv.begin(seg.Seq, t.synWindow())
	t.negotiate(&seg.Options)
	t.ts.recent, t.ts.at = seg.Options.TSVal, coarse(now)
	t.setPeerWindow(int32(seg.Window), seg.Seq, t.snd.una) // never scaled in a SYN (RFC 7323 §2.2)
}

// takeSynAck completes an active open.
func (t *TCB) takeSynAck(now Time, seg *tcpseg.Segment) {
	var d delivery
	t.runs.ack(seg.Ack, &d)
	t.advanceUna(now, seg.Ack)
	if !t.early && t.runs.n > 0 { // the data on our SYN was not taken (RFC 7413 §4.2.2): it goes again at once
		t.runs.markAll()
		t.rec.cause = CauseData
	}
	if sample := t.measure(now, &d, seg); sample != 0 {
		t.sampleHandshake(now, sample)
	}
	t.timers[rexmit] = 0
	t.establish(now)
	t.tellWriter(seg.Ack.Sub(t.snd.iss.Add(1)))
	t.ackNow(CauseACK)
}

// inputArrived is RFC 9293 §3.10.7.4, for SYN-RECEIVED and the synchronized states.
func (t *TCB) inputArrived(now Time, seg *tcpseg.Segment) Drop {
	if t.state == SynReceived && seg.Flags.Has(tcpseg.SYN) && seg.Seq == t.rcv.irs {
		return t.inputCrossedSYN(now, seg)
	}
	if d := t.checkTimestamps(now, seg); d != DropNone {
		return d
	}
	if d := t.checkSequence(now, seg); d != DropNone {
		return d
	}
	if seg.Flags.Has(tcpseg.RST) {
		return t.inputReset(now, seg)
	}
	t.takeTimestamp(now, seg)
	t.takeUserTimeout(seg.Options.UserTimeout)
	if seg.Flags.Has(tcpseg.SYN) { // RFC 5961 §4.2
		t.answer(now, seg, CauseChallenge)
		return DropSYN
	}
	if !seg.Flags.Has(tcpseg.ACK) {
		return DropNoACK
	}
	if d := t.inputACK(now, seg); d != DropNone || t.state == Closed || t.state == TimeWaiting {
		return d
	}
	t.takeUrgent(seg)
	return t.inputText(now, seg)
}

// inputCrossedSYN takes, in a simultaneous open, the peer's SYN again or its SYN,ACK: one octet
// before the window, and yet it may carry the ACK that we wait for (U-15).
func (t *TCB) inputCrossedSYN(now Time, seg *tcpseg.Segment) Drop {
	if seg.Flags.Has(tcpseg.RST) {
		return DropResetOutside
	}
	if !seg.Flags.Has(tcpseg.ACK) {
		t.markSYN()
		return DropDuplicate
	}
	if !t.snd.una.Less(seg.Ack) || t.snd.nxt.Less(seg.Ack) {
		t.refuse(seg)
		return DropBadACK
	}
	t.setPeerWindow(int32(seg.Window), seg.Seq, seg.Ack)
	t.takeSynAck(now, seg)
	return DropNone
}

// refuse owes the RST that an ACK of something never sent gets before the connection is open:
// <SEQ=SEG.ACK><CTL=RST>.
func (t *TCB) refuse(seg *tcpseg.Segment) {
	t.rst = pendingReset{due: true, bare: true, seq: seg.Ack, stamped: seg.Options.HasTimestamps}
	if t.rst.stamped {
		t.needSeldom().rstEcho = seg.Options.TSVal
	}
}

// pawsIdle is how long a timestamp stays comparable (RFC 7323 §5.5), on the coarse clock.
const pawsIdle = uint32(24 * 24 * time.Hour >> coarseShift)

// coarse is a clock of 1.07 s a tick, for what need not be known better.
func coarse(now Time) uint32 { return uint32(now >> coarseShift) }

const coarseShift = 30

// checkTimestamps is PAWS (RFC 7323 §5.3). A RST is exempt.
func (t *TCB) checkTimestamps(now Time, seg *tcpseg.Segment) Drop {
	if !t.stamped || seg.Flags.Has(tcpseg.RST) {
		return DropNone
	}
	if !seg.Options.HasTimestamps {
		return DropNoTimestamp
	}
	if int32(seg.Options.TSVal-t.ts.recent) < 0 && coarse(now)-t.ts.at < pawsIdle {
		t.answer(now, seg, replyTo(seg))
		return DropPAWS
	}
	return DropNone
}

// takeTimestamp updates TS.Recent by the segment that spans the left edge (RFC 7323 §4.3).
func (t *TCB) takeTimestamp(now Time, seg *tcpseg.Segment) {
	if t.stamped && seg.Options.HasTimestamps && seg.Seq.LessEq(t.rcv.lastAck) {
		t.ts.recent, t.ts.at = seg.Options.TSVal, coarse(now)
	}
}

// checkSequence is the first check of RFC 9293 §3.10.7.4: does the segment touch the window?
func (t *TCB) checkSequence(now Time, seg *tcpseg.Segment) Drop {
	n, wnd := seg.Len(), t.rcvWindow()
	first := seg.Seq.Sub(t.rcv.nxt)
	var ok bool
	switch {
	case seg.Flags.Has(tcpseg.RST):
		ok = first == 0 || first > 0 && first < wnd
	case n == 0:
		// At the right edge too (U-20), and, when the window is shut, behind the octet of a probe
		// that we refused: two ends that probe each other must hear each other's ACKs (U-15).
		ok = first >= 0 && first <= max(wnd, 1)
	case wnd == 0:
		ok = first <= 0 && first+n > 0 // no room for the text, but its ACK counts (MUST-66)
	default:
		ok = first < wnd && first+n > 0
	}
	if ok {
		return DropNone
	}
	if seg.Flags.Has(tcpseg.RST) {
		return DropResetOutside
	}
	drop := DropSequence
	if first < 0 && first+n <= 0 && len(seg.Payload) > 0 {
		drop = DropDuplicate
		t.tellDuplicate(seg.Seq, seg.Seq.Add(len(seg.Payload)))
	}
	t.answer(now, seg, replyTo(seg))
	if t.ackInRange(seg) { // the peer is there: no more keep-alive probes for now
		t.hear(now)
		if n == 0 && t.crossed(first) {
			t.takeACK(now, seg)
			t.afterACK(now)
		}
	}
	return drop
}

// crossed reports whether an ACK from off octets before the window is heard all the same. Of two ends whose probes
// crossed, each may stand before octets that the other has taken: they would answer each other for ever (U-15).
func (t *TCB) crossed(off int) bool {
	return t.synchronized() && (off == -1 || off < 0 && off > -maxSynWindow && t.timers[persist] != 0)
}

// ackInRange reports whether a segment acknowledges what the peer may acknowledge (RFC 5961 §5.2).
func (t *TCB) ackInRange(seg *tcpseg.Segment) bool {
	return seg.Flags.Has(tcpseg.ACK) && seg.Ack.LessEq(t.snd.nxt) && t.snd.una.Add(-int(t.snd.maxWnd)).LessEq(seg.Ack)
}

// inputReset is the second check, as RFC 5961 §3.2 narrows it: only a RST at exactly RCV.NXT resets.
func (t *TCB) inputReset(now Time, seg *tcpseg.Segment) Drop {
	if seg.Seq != t.rcv.nxt {
		t.answer(now, &tcpseg.Segment{}, CauseChallenge)
		return DropResetChallenge
	}
	switch t.state {
	case SynReceived:
		t.die(endRefused)
		if t.early {
			t.ending = endReset // somebody has it already
		}
	case Closing, LastAck:
		t.die(endOrderly)
	default:
		t.die(endReset)
		if t.cfg.ResetInputDiscard {
			t.rcv.queue.flush()
		}
	}
	return DropNone
}

// inputACK is the fifth check.
func (t *TCB) inputACK(now Time, seg *tcpseg.Segment) Drop {
	if t.state == SynReceived {
		if !t.snd.una.Less(seg.Ack) || t.snd.nxt.Less(seg.Ack) {
			t.refuse(seg)
			return DropBadACK
		}
		t.setPeerWindow(int32(seg.Window)<<t.snd.scale, seg.Seq, seg.Ack)
		owed := t.runs.firstLost() != none // our SYN,ACK has not gone: it was the SYN that is acknowledged
		t.takeSynAck(now, seg)
		t.ack.now = owed
		return DropNone
	}
	if !t.ackInRange(seg) {
		t.answer(now, seg, CauseChallenge)
		return DropBadACK
	}
	t.hear(now)
	t.takeACK(now, seg)
	t.afterACK(now)
	return DropNone
}

// takeACK moves the left edge and the peer's window, and tells loss recovery.
func (t *TCB) takeACK(now Time, seg *tcpseg.Segment) {
	n := news{una: t.snd.una, before: t.inFlight(), sacked: t.runs.sacked, acked: max(seg.Ack.Sub(t.snd.una), 0),
		marked:   t.ecn&ecnOn != 0 && seg.Flags.Has(tcpseg.ECE),
		delivery: delivery{now: now, minRTT: t.rtt.min, stamped: t.stamped, echo: seg.Options.TSEcr - t.ts.offset}}
	shut := t.timers[persist] != 0 && t.snd.wnd == 0
	if n.acked > 0 {
		t.runs.ack(seg.Ack, &n.delivery)
		t.advanceUna(now, seg.Ack)
	}
	t.takeSACK(seg, &n)
	changed := t.updateWindow(seg)
	t.snd.delivered += int64(n.octets)
	t.rated(now, &n.delivery)
	n.dup = n.acked == 0 && n.before > 0 && !shut && seg.Len() == 0 && !changed && seg.Ack == t.snd.una &&
		(!t.sackOK || n.octets > 0)
	if t.loss != nil {
		t.loss.rack.update(&n.delivery)
	}
	if n.probe {
		t.probeArrived()
	}
	if n.before > 0 {
		n.sample = t.measure(now, &n.delivery, seg)
		t.onAck(now, &n, seg)
	}
	if t.loss != nil {
		t.duplicated(&n)
		t.probed(now, &n, seg)
	}
	t.takeEcho(now, &n)
	if shut && t.snd.wnd > 0 {
		t.windowReopened(now)
	}
	if n.acked > 0 {
		t.restartRexmit(now)
	}
	t.tellWriter(n.acked)
}

// advanceUna frees what is acknowledged.
func (t *TCB) advanceUna(now Time, una tcpseg.Seq) {
	octets := una.Sub(t.snd.queue.start)
	if t.snd.fin && una == t.snd.nxt {
		octets-- // the FIN takes a number but no room
	}
	if octets > 0 {
		t.snd.queue.advance(octets)
	}
	t.snd.una = una
	t.stats.busy += now - t.snd.progress // something was in flight: it is acknowledged now
	t.snd.progress = now
}

// restartRexmit restarts the retransmission timer after new data was acknowledged, or stops it (RFC 6298
// §5.2, §5.3).
func (t *TCB) restartRexmit(now Time) {
	t.rec.fresh = true
	if t.impatient() {
		return
	}
	t.rec.partial = t.rec.phase == fastPhase
	t.timers[rexmit] = 0
	if t.inFlight() > 0 {
		t.armRexmit(now)
	}
}

// takeSACK marks what SACK blocks say has arrived. Blocks outside (una, nxt] are ignored (RFC 2018 §5);
// the scoreboard is advice: data stays queued until it is acknowledged.
func (t *TCB) takeSACK(seg *tcpseg.Segment, n *news) {
	if !t.sackOK {
		return
	}
	blocks := seg.Options.Blocks()
	if seg.HasDSACK() && t.haveSent(blocks[0]) {
		n.dsack, blocks = blocks[0], blocks[1:]
	}
	for _, b := range blocks {
		if t.snd.una.LessEq(b.Left) && b.Left.Less(b.Right) && b.Right.LessEq(t.snd.nxt) {
			t.needLoss(n.una)
			t.runs.sack(b.Left, b.Right, &n.delivery)
		}
	}
}

// haveSent reports whether b is a part of our text, or the FIN.
func (t *TCB) haveSent(b tcpseg.SACKBlock) bool {
	return b.Left.Less(b.Right) && b.Right.LessEq(t.snd.nxt) && t.snd.iss.Less(b.Left)
}

// tellWriter raises the events of the sending side.
func (t *TCB) tellWriter(acked int) {
	if acked > 0 && t.snd.una == t.snd.nxt && t.snd.queue.len == 0 {
		t.events |= EventAcked
	}
	if t.snd.want && t.Writable() >= t.sndLimit()/3 {
		t.snd.want = false
		t.events |= EventWritable
	}
}

// afterACK moves through the closing states when our FIN is acknowledged.
func (t *TCB) afterACK(now Time) {
	if !t.finAcked() {
		return
	}
	switch t.state {
	case FinWait1:
		t.state = FinWait2
		if t.appClosed {
			t.timers[linger] = now + finWait2Timeout
		}
	case Closing:
		t.enterTimeWait(now)
	case LastAck:
		t.die(endOrderly)
	}
}

// finAcked reports whether the peer has our FIN.
func (t *TCB) finAcked() bool { return t.snd.fin && t.snd.una == t.snd.nxt }

func (t *TCB) enterTimeWait(now Time) {
	t.state = TimeWaiting
	t.stopTimers()
	w := &t.needSeldom().timeWait
	*w = newTimeWait(now, t)
	t.timers[linger] = w.Deadline()
	t.events |= EventTimeWait
}

// inputTimeWait lets the record answer, as it does when the host holds it alone.
func (t *TCB) inputTimeWait(now Time, seg *tcpseg.Segment) Drop {
	w := &t.seldom.timeWait
	r := w.Input(now, seg)
	if r.Reply != CauseNone {
		t.ackNow(r.Reply)
	}
	t.timers[linger] = w.Deadline()
	return r.Drop
}

// TimeWait returns the compact record that answers for the connection from TIME-WAIT on; false
// in any other state. The TCB may go on serving reads of what has arrived.
func (t *TCB) TimeWait() (TimeWait, bool) {
	if t.state != TimeWaiting {
		return TimeWait{}, false
	}
	return t.seldom.timeWait, true
}
