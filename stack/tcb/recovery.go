package tcb

import (
	"ustack/stack/cc"
	"ustack/tcpseg"
)

// dupThresh is how many duplicate ACKs mean a loss (RFC 5681 §3.2).
const dupThresh = 3

// recovery is where loss recovery stands. With SACK losses are found by RACK (RFC 8985), without by duplicate ACKs
// (RFC 5681, 6582).
type recovery struct {
	phase      recoveryPhase
	cause      Cause      // what retransmissions are for
	frto       uint8      // where F-RTO stands
	force      bool       // the next retransmission does not ask cwnd
	metered    bool       // this fast recovery is PRR's
	partial    bool       // this fast recovery has seen a partial ACK
	rescued    bool       // this fast recovery has sent its last segment again (RFC 6675 §4)
	probe      bool       // a tail loss probe is due
	fresh      bool       // new data was sent or acknowledged since the probe timer was set
	reordering bool       // the early timer waits for the reordering window, not for a probe
	point      tcpseg.Seq // RecoveryPoint: what was sent when the loss was noticed
	quota      int32      // of PRR: octets that may go now
	dupAcks    int32
	dupOctets  int32 // without SACK: what duplicate ACKs say has left the network
}

type recoveryPhase uint8

const (
	open      recoveryPhase = iota
	fastPhase               // fast recovery (RFC 8985, RFC 6582)
	afterRTO                // slow start over what was in flight at the time-out
	afterShut               // a shut window opened, or a path is narrow: what that swallowed is sent again
)

// pipe estimates the octets in the network (RFC 6675 §4).
func (t *TCB) pipe() int {
	return max(t.inFlight()-t.runs.sacked-t.runs.lost-int(t.rec.dupOctets), 0)
}

func (t *TCB) inFlight() int { return t.snd.nxt.Sub(t.snd.una) }

// InFlight reports whether the octet at seq was sent and is not acknowledged yet.
func (t *TCB) InFlight(seq tcpseg.Seq) bool { return seq.In(t.snd.una, t.snd.nxt) }

// news is what an acceptable ACK tells.
type news struct {
	delivery
	una    tcpseg.Seq       // before it
	before int              // octets in flight before it
	sacked int              // octets of them that had been selectively acknowledged
	acked  int              // octets by which it moved una
	sample Time             // the round-trip time it shows; 0: none
	dsack  tcpseg.SACKBlock // what the peer had twice; empty: nothing
	marked bool             // ECE, where the ends agreed on ECN
	dup    bool             // a duplicate ACK (RFC 5681 §2), with news if there is SACK
}

// onAck follows an acceptable ACK that came while data was in flight.
func (t *TCB) onAck(now Time, n *news, seg *tcpseg.Segment) {
	if n.sample != 0 {
		t.sample(now, n.sample, n.before/(2*t.mss()))
	}
	recovering := t.rec.phase == fastPhase
	if t.spurious(n, seg) || t.forwardRTO(n) {
		t.undone()
	}
	if n.dup {
		t.dupAck()
	}
	t.climb(n.octets)
	if n.acked > 0 {
		t.advanced(now, n)
	}
	found := t.detectLoss(now, n)
	if n.octets == 0 {
		return
	}
	if t.proportional() {
		t.proportion(n.octets, n.acked > 0 && !found)
	}
	// Not upon a duplicate ACK, whatever it tells (3042-02), nor upon the one that ends a recovery (5681-11).
	if !recovering && t.rec.phase != fastPhase && n.acked > 0 {
		t.grow(now, n)
	}
}

// advanced follows an ACK that moved una.
func (t *TCB) advanced(now Time, n *news) {
	t.rec.dupAcks = 0
	if !t.sackOK && t.rec.phase == fastPhase {
		// A partial ACK took the hole, which is no duplicate ACK's, and what those had told of; less than a segment was
		// none (RFC 6582 §3.2 step 5).
		told := n.acked
		if told >= t.mss() {
			told -= t.mss()
		}
		t.rec.dupOctets = max(t.rec.dupOctets-int32(told), 0)
	} else {
		t.rec.dupOctets = 0
	}
	if t.rec.phase == open || t.snd.una.Less(t.rec.point) {
		return
	}
	fast := t.rec.phase == fastPhase
	if fast {
		t.loss.rack.recovered()
	}
	t.rec.phase, t.rec.frto, t.rec.dupOctets = open, frtoOff, 0
	if t.runs.lost > 0 { // what was sent during recovery has holes of its own (5681-12)
		t.enterFast(now, n.before, n.before-n.sacked)
	} else if fast {
		t.beginRamp()
	}
}

// grow tells the controller of an ACK that moved una.
func (t *TCB) grow(now Time, n *news) {
	round := t.snd.roundEnd.LessEq(t.snd.una)
	if round {
		t.snd.roundEnd = t.snd.nxt
		t.snd.limited[1], t.snd.limited[0] = t.snd.limited[0], false
	}
	t.cc.OnAck(cc.Ack{Now: now, Bytes: n.acked, InFlight: n.before, Delivered: t.snd.delivered,
		RTT: n.sample, SRTT: t.rtt.srtt, MinRTT: t.rtt.min, RoundStart: round,
		// A CWR may be lost, and new data with another must wait until recovery is over.
		ECE:        n.marked && t.rec.phase == open,
		AppLimited: !t.snd.limited[0] && !t.snd.limited[1]})
}

// detectLoss looks for what is lost, and enters fast recovery for it. It reports whether anything was found.
func (t *TCB) detectLoss(now Time, n *news) bool {
	found := false
	switch {
	case !t.sackOK:
		return t.detectDups(now, n)
	case t.cfg.NoRACK:
		found = t.runs.markLost(t.mss()) || t.rec.dupAcks >= dupThresh && t.runs.markHead(t.mss())
	default:
		found = t.overtaken(now)
	}
	if found && t.rec.phase == open {
		if t.probeLost() {
			return false
		}
		t.enterFast(now, n.before, n.before-n.sacked)
	}
	return found
}

// detectDups finds a loss without SACK: by duplicate ACKs, and the next one by a partial ACK (RFC 6582 §3.2).
func (t *TCB) detectDups(now Time, n *news) bool {
	switch t.rec.phase {
	case open:
		if t.rec.dupAcks < dupThresh || t.snd.una.LessEq(t.rec.point) && t.rec.point != t.snd.iss {
			return false // or echoes of an earlier recovery (step 1)
		}
		if t.runs.markHead(t.mss()) {
			t.enterFast(now, n.before, n.before)
			return true
		}
	case fastPhase:
		if n.acked > 0 && t.runs.markHead(t.mss()) {
			t.rec.force = true
			return true
		}
	}
	return false
}

// enterFast starts fast recovery for what is held for lost: flight octets are in the network or were until now, before
// are not acknowledged.
func (t *TCB) enterFast(now Time, before, flight int) {
	t.rec.phase, t.rec.point, t.rec.cause = fastPhase, t.snd.nxt, CauseFastRetransmit
	t.rec.partial, t.rec.rescued = false, false
	t.beginUndo()
	t.loss.counts.recoveries++
	t.loss.tlp.probing, t.loss.ramp = false, 0
	t.beginProportion(flight) // without SACK it only counts
	t.rec.force = !t.rec.metered
	t.reduce(now, before)
}

// reduce tells the controller of a loss, unless it has heard of this window's congestion by ECN (RFC 3168 §6.1.2).
func (t *TCB) reduce(now Time, inFlight int) {
	if l := t.loss; l.reduced && t.snd.una.Less(l.reducedTo) {
		l.undo.armed = false // that reduction was not for a loss
		return
	}
	t.cut(now, inFlight)
}

// cut tells the controller of a loss. What limited transmit and probes have sent beyond cwnd does not count (RFC 5681
// §3.2 step 2).
func (t *TCB) cut(now Time, inFlight int) {
	t.cc.OnLoss(cc.Loss{Now: now, InFlight: min(inFlight, t.cc.Window()), Lost: t.runs.lost})
	t.noteReduction(now)
}

// onRTO answers a retransmission time-out on a synchronized connection (RFC 5681 §3.1, RFC 6298 §5).
func (t *TCB) onRTO(now Time) {
	l := t.needLoss(t.snd.una)
	l.counts.rtos++
	again := l.hasTimed && l.timedOut == t.snd.una
	l.hasTimed, l.timedOut = true, t.snd.una
	t.cc.OnRTO(cc.Loss{Now: now, InFlight: t.inFlight(), Lost: t.inFlight() - t.runs.sacked, Again: again})
	t.noteReduction(now)
	if t.sackOK && !t.cfg.NoRACK {
		t.runs.markTimedOut(now, max(l.rack.rtt, t.rtt.srtt)+t.reorderWindow())
	} else {
		t.runs.markAll()
	}
	t.rec.frto = frtoOff
	switch {
	case t.rec.phase == fastPhase: // there is a loss for certain
		l.undo.armed = false
	case !again:
		t.beginUndo()
		if !t.stamped && t.rec.phase == open {
			t.rec.frto = frtoFirst
		}
	}
	l.tlp.probing, l.ramp = false, 0
	t.rec.phase, t.rec.point, t.rec.cause = afterRTO, t.snd.nxt, CauseRTO
	t.rec.dupAcks, t.rec.dupOctets = 0, 0
	t.rec.probe, t.rec.force = false, true
}

// impatient reports whether the retransmission timer is left to run, whatever is acknowledged or sent again. Without
// SACK, of partial ACKs only the first restarts it: each repairs one loss, and where there are many, slow start from the
// front is sooner done (RFC 6582 §3.2 step 5).
func (t *TCB) impatient() bool { return t.rec.partial && t.rec.phase == fastPhase && !t.sackOK }

// windowReopened follows a window that opens after it had let nothing through: what probes and a
// shrunk window left in flight was most likely refused, and is sent again without blame.
func (t *TCB) windowReopened(now Time) {
	t.stopPersist(now)
	if t.runs.n == 0 {
		return
	}
	t.runs.markAll()
	t.rec.phase, t.rec.point, t.rec.cause = afterShut, t.snd.nxt, CauseReopened
	t.rec.dupAcks, t.rec.dupOctets, t.rec.frto = 0, 0, frtoOff
}

// dupAck counts a duplicate ACK (RFC 5681 §2). Without SACK each tells that a segment has left the network, but not
// after a time-out, and no more of them than were in flight when recovery began, lest forged ones open cwnd (RFC 9937
// §7).
func (t *TCB) dupAck() {
	t.rec.dupAcks++
	if t.sackOK || t.rec.phase > fastPhase {
		return
	}
	if t.rec.phase == fastPhase {
		p := &t.loss.prr
		if p.delivered >= p.flight {
			return
		}
		p.delivered += t.mss()
	}
	t.rec.dupOctets = int32(min(int(t.rec.dupOctets)+t.mss(), max(t.inFlight()-t.mss(), 0)))
}
