package tcb

import (
	"ustack/stack/cc"
	"ustack/tcpseg"
)

// Explicit congestion notification (RFC 3168): routers mark packets instead of dropping them.
const (
	ecnOn     uint8 = 1 << iota // both ends do ECN
	ecnEcho                     // a mark came: ECE goes with every segment until CWR comes
	ecnCWR                      // cwnd was reduced: the next new data says so
	ecnPaused                   // cwnd is one segment and still too much: sending waits for the early timer
)

// Codepoints of the two ECN bits in the IP header (RFC 3168 §5).
const (
	ect0  = 2 // this transport understands marks
	ecnCE = 3 // a mark
)

// ecnAsk are the flags of a SYN that asks for ECN.
const ecnAsk = tcpseg.ECE | tcpseg.CWR

// asksECN reports whether our SYN asks for ECN. One that timed out may have fallen to a middlebox that does not like
// the flags, so the next one does without them (§6.1.1.1).
func (t *TCB) asksECN() bool { return t.cfg.ECN && t.synTimeouts == 0 }

// agreesECN reports whether the SYN,ACK agrees to what our SYN asked; both flags set would be a peer that mirrors them.
func (t *TCB) agreesECN(seg *tcpseg.Segment) bool {
	return t.asksECN() && seg.Flags&ecnAsk == tcpseg.ECE
}

// takeMark heeds a mark on data that arrived in the window, and the peer's word that it has reduced (§6.1.3).
func (t *TCB) takeMark(seg *tcpseg.Segment) {
	if t.ecn&ecnOn == 0 {
		return
	}
	if seg.Flags.Has(tcpseg.CWR) {
		t.ecn &^= ecnEcho
	}
	if seg.ECN == ecnCE {
		t.ecn |= ecnEcho
	}
}

// takeEcho answers ECE as it would a loss, but once for each window (§6.1.2).
func (t *TCB) takeEcho(now Time, n *news) {
	if !n.marked || n.before == 0 {
		return
	}
	l := t.needLoss(n.una)
	l.counts.echoes++
	if l.reduced && t.snd.una.LessEq(l.reducedTo) {
		return
	}
	if t.cc.Window() <= t.mss() {
		t.ecn |= ecnPaused // §6.1.2: one segment in each RTO at most
		t.timers[early] = now + t.rtt.timeout()
		t.rec.reordering = false
	}
	t.cc.OnECN(cc.Loss{Now: now, InFlight: min(n.before, t.cc.Window())})
	t.noteReduction(now)
}

// noteReduction follows a reduction of cwnd, for whatever reason: echoes of what was sent before it tell nothing new,
// and the peer hears of it.
func (t *TCB) noteReduction(now Time) {
	l := t.loss
	l.reduced, l.reducedTo, l.reducedAt = true, t.snd.nxt, now
	if t.ecn&ecnOn != 0 {
		t.ecn |= ecnCWR
	}
}

// paused reports whether sending waits at a cwnd of one segment.
func (t *TCB) paused() bool {
	return t.ecn&ecnPaused != 0 && t.timers[early] != 0 && t.cc.Window() <= t.mss()
}

// mark sets the ECN fields of a segment: fresh is new data, which may be marked on its way. Retransmissions, probes
// and bare ACKs may not (§6.1.4 to §6.1.6).
func (t *TCB) mark(o *Out, fresh bool) {
	if t.ecn&ecnOn == 0 {
		return
	}
	if t.ecn&ecnEcho != 0 {
		o.Flags |= tcpseg.ECE
	}
	if fresh {
		o.ECN = ect0
		if t.ecn&ecnCWR != 0 {
			o.Flags |= tcpseg.CWR
			t.ecn &^= ecnCWR
		}
	}
}
