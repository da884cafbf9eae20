package tcb

import "ustack/tcpseg"

// undo is what tells a recovery that was for nothing, because the segments were only late, from one that was not.
type undo struct {
	armed    bool
	marked   bool       // the two that follow are known
	first    tcpseg.Seq // where the first segment stands that was sent again
	stamp    uint32     // the TSval it was sent with
	from, to tcpseg.Seq // what was in flight
	resent   int        // octets of it sent again, less those of which a D-SACK told that they had come before
}

// F-RTO (RFC 5682): without timestamps, the two ACKs after a time-out tell whether it was due.
const (
	frtoOff   uint8 = iota
	frtoFirst       // the oldest segment was sent again; the first ACK is awaited
	frtoNext        // new data was sent instead of old; the next ACK decides
)

// beginUndo follows the begin of a recovery.
func (t *TCB) beginUndo() {
	t.needLoss(t.snd.una).undo = undo{armed: true, from: t.snd.una, to: t.snd.nxt}
}

// resentForUndo notes that recovery sent n octets again.
func (t *TCB) resentForUndo(now Time, start tcpseg.Seq, n int) {
	if t.loss == nil {
		return
	}
	u := &t.loss.undo
	if u.armed && !u.marked && u.resent == 0 {
		u.marked, u.first, u.stamp = true, start, t.tsval(now)
	}
	u.resent += n
}

// spurious reports whether an ACK shows that the recovery was for nothing: it acknowledges the first segment that was
// sent again, and echoes a time before that (the Eifel detection algorithm, RFC 3522 §3.2).
func (t *TCB) spurious(n *news, seg *tcpseg.Segment) bool {
	if t.loss == nil || n.acked == 0 {
		return false
	}
	u := &t.loss.undo
	if !u.marked || seg.Ack.LessEq(u.first) {
		return false
	}
	u.marked = false // only the first ACK tells
	return u.armed && t.stamped && n.una == u.first && int32(seg.Options.TSEcr-u.stamp) < 0
}

// undone takes a recovery back (RFC 4015 §3, RFC 9438 §4.9): nothing was lost.
func (t *TCB) undone() {
	t.loss.undo.armed, t.loss.reduced, t.loss.ramp = false, false, 0
	t.loss.rack.reordered = true
	t.loss.counts.undos++
	t.loss.rack.sent = 0 // a copy may have been taken for delivered; it says nothing of what was sent before it
	t.runs.unmark()
	t.rec.phase, t.rec.frto, t.rec.force = open, frtoOff, false
	t.rec.dupAcks, t.rec.dupOctets = 0, 0
	t.cc.OnSpurious()
}

// duplicated heeds a D-SACK (RFC 2883): what the peer had twice was sent again in vain. When that is true of all that
// was sent again, the recovery was for nothing.
func (t *TCB) duplicated(n *news) {
	l, b := t.loss, n.dsack
	if b.Left == b.Right || l.tlp.probing && l.tlp.again && b.Right == l.tlp.end {
		return
	}
	l.counts.dsacks++
	l.rack.duplicated(t.snd.una, t.snd.nxt)
	u := &l.undo
	if !u.armed || b.Left.Less(u.from) || u.to.Less(b.Right) || u.resent == 0 {
		return
	}
	if u.resent -= b.Right.Sub(b.Left); u.resent <= 0 {
		t.undone()
	}
}

// forwardRTO is one step of F-RTO. It reports whether the time-out was spurious.
func (t *TCB) forwardRTO(n *news) bool {
	switch t.rec.frto {
	case frtoFirst:
		t.rec.frto = frtoOff
		if n.acked > 0 && t.rec.phase == afterRTO && t.newData() > 0 {
			t.rec.frto = frtoNext
		}
	case frtoNext:
		if n.acked > 0 {
			return true // of data that was sent only once, before the time-out
		}
		if n.dup {
			// The time-out was due. What was sent meanwhile fills cwnd, so that nothing would go on but for the third
			// segment that RFC 5682 §2.1 step 3a grants.
			t.rec.frto, t.rec.force = frtoOff, true
		}
	}
	return false
}

// newData returns the octets of a segment of new data that the peer would take; 0: it would not, or there is none.
func (t *TCB) newData() int {
	n := min(t.unsent(), t.segmentSize())
	if n > t.peerEdge().Sub(t.snd.nxt) {
		return 0
	}
	return n
}
