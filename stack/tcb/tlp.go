package tcb

import (
	"time"

	"ustack/tcpseg"
)

// Tail loss probes (RFC 8985 §7): when the last segments of a flight are lost, nobody tells. Long before the
// retransmission time-out one segment is sent that makes the peer tell.
const (
	// maxAckDelay is how long the peer may hold back the ACK of a lone segment (TLP.max_ack_delay).
	maxAckDelay = Time(200 * time.Millisecond)
	// minProbe keeps the probe off until a busy peer has surely had the time to answer.
	minProbe = Time(10 * time.Millisecond)
)

// tlp is the probe in flight.
type tlp struct {
	end      tcpseg.Seq // TLP.end_seq
	probing  bool       // its fate is not known yet
	again    bool       // TLP.is_retrans
	unsteady bool       // no round trip has been measured since
}

// mayProbe reports whether a lost tail would be probed for (§7.2).
func (t *TCB) mayProbe() bool {
	return t.sackOK && !t.cfg.NoRACK && !t.cfg.NoTLP && t.rec.phase == open && t.runs.sacked == 0 && t.inFlight() > 0 &&
		t.snd.nxt.LessEq(t.peerEdge()) && // the window has not shrunk
		(t.loss == nil || !t.loss.tlp.probing && !t.loss.tlp.unsteady)
}

// armProbe starts the probe timer anew after new data was sent or acknowledged. It never runs longer than the
// retransmission timer.
func (t *TCB) armProbe(now Time) {
	fresh := t.rec.fresh
	t.rec.fresh = false
	switch {
	case t.rec.reordering || t.paused():
	case t.timers[rexmit] == 0 || !t.mayProbe():
		t.timers[early] = 0
	case fresh:
		t.timers[early] = min(now+t.probeTimeout(), t.timers[rexmit])
	}
}

// probeTimeout is TLP_calc_PTO.
func (t *TCB) probeTimeout() Time {
	if t.rtt.srtt == 0 {
		return initialRTO
	}
	pto := max(2*t.rtt.srtt, minProbe)
	if t.inFlight() <= t.mss() {
		pto += maxAckDelay
	}
	return pto
}

// expireProbe answers the probe timer: Output has the probe, and from now on the retransmission timer runs.
func (t *TCB) expireProbe(now Time) {
	if t.mayProbe() {
		t.rec.probe = true
		t.armRexmit(now)
	}
}

// outputTail sends a probe: new data if there is any that the peer has room for, else the last segment again. It does
// not ask cwnd.
func (t *TCB) outputTail(now Time, o *Out) bool {
	if !t.rec.probe {
		return false
	}
	t.rec.probe = false
	if !t.mayProbe() {
		return false
	}
	l := t.needLoss(t.snd.una)
	if n := t.newData(); n > 0 {
		t.sendNew(now, o, n, t.snd.closing && n == t.unsent(), CauseTailNew)
		l.tlp = tlp{end: t.snd.nxt, probing: true, unsteady: true}
		return true
	}
	i := t.runs.lastSegment(t.segmentSize())
	t.resend(now, o, i, t.runs.slab[i].len(), CauseTailProbe)
	l.tlp = tlp{end: t.snd.nxt, probing: true, again: true, unsteady: true}
	t.armRexmit(now)
	return true
}

// probed looks in an ACK for the fate of the probe (§7.4): if the last segment came only because it was sent again, a
// loss was repaired without anybody noticing, and congestion control must hear of it.
func (t *TCB) probed(now Time, n *news, seg *tcpseg.Segment) {
	p := &t.loss.tlp
	if n.sample != 0 {
		p.unsteady = false
	}
	if !p.probing || seg.Ack.Less(p.end) {
		return
	}
	switch {
	case !p.again, n.dsack.Right == p.end && n.dsack.Left != n.dsack.Right: // new data, or both copies came
	case p.end.Less(seg.Ack):
		t.reduce(now, n.before)
	case n.acked > 0, seg.Len() > 0, seg.Options.SACKCount > 0:
		return // which copy was it? The next ACK tells.
	}
	p.probing = false
}
