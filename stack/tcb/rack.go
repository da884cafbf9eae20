package tcb

import "ustack/tcpseg"

// loss is what a connection remembers from the first time on that something in flight was overtaken or sent
// again. Most never need it.
type loss struct {
	rack rack
	prr  prr
	tlp  tlp
	undo undo
	ramp int // octets that may be in flight after a recovery, on the way to cwnd; 0: as many as cwnd says

	hasTimed bool // the octet at timedOut has run into a time-out before
	timedOut tcpseg.Seq

	reduced   bool // cwnd was reduced, at reducedAt, when reducedTo was the next to be sent
	reducedTo tcpseg.Seq
	reducedAt Time

	counts lossCounters
}

// needLoss returns t.loss, making it if there is none. Everything before una was acknowledged in order.
func (t *TCB) needLoss(una tcpseg.Seq) *loss {
	if t.loss == nil {
		t.loss = &loss{rack: rack{fack: una, mult: 1}}
	}
	return t.loss
}

// rack finds losses by time: what was sent before something that has been delivered, and a little longer ago
// than reordering explains, is lost (RFC 8985 §6).
type rack struct {
	sent        Time       // RACK.xmit_ts: when the last sent of what was delivered was sent; 0: nothing yet
	end         tcpseg.Seq // RACK.end_seq: where it ends
	rtt         Time       // RACK.rtt: how long it took
	fack        tcpseg.Seq // RACK.fack: the furthest octet delivered
	round       tcpseg.Seq // RACK.dsack_round: D-SACKs before this is acknowledged tell nothing new
	inRound     bool
	reordered   bool // RACK.reordering_seen
	reorderings uint32
	mult        uint8 // RACK.reo_wnd_mult
	persist     uint8 // RACK.reo_wnd_persist: recoveries until mult is forgotten
}

// reoPersist is for how many recoveries the patience that D-SACKs have taught lasts (RFC 8985 §6.2 step 4).
const reoPersist = 16

// update takes what an ACK delivered (steps 2 and 3).
func (r *rack) update(d *delivery) {
	if d.newest != 0 && sentAfter(d.newest, d.newestEnd, r.sent, r.end) {
		// At least a nanosecond: what is sent again this very moment must not be overtaken in the same moment.
		r.sent, r.end, r.rtt = d.newest, d.newestEnd, max(d.now-d.newest, 1)
	}
	if d.once && d.lowest.Less(r.fack) {
		r.reorderings++
		r.reordered = true // it was never sent again, and yet it came after what was sent later
	}
	if d.octets > 0 && r.fack.Less(d.highest) {
		r.fack = d.highest
	}
}

// sentAfter is RACK_sent_after: of segments sent at the same time the one with the higher end was sent last.
func sentAfter(at Time, end tcpseg.Seq, than Time, thanEnd tcpseg.Seq) bool {
	return at > than || at == than && thanEnd.Less(end)
}

// duplicated follows a D-SACK: something was sent again in vain. Once in a round trip, patience grows (step 4).
func (r *rack) duplicated(una, nxt tcpseg.Seq) {
	r.persist = reoPersist
	if r.inRound && una.Less(r.round) {
		return
	}
	r.inRound, r.round = true, nxt
	r.mult = min(r.mult, 254) + 1
}

// recovered follows the end of a recovery.
func (r *rack) recovered() {
	if r.persist > 0 {
		if r.persist--; r.persist == 0 {
			r.mult = 1
		}
	}
}

// reorderWindow is how much later than its round-trip time a segment may come without being held for lost. With no
// reordering seen, three segments delivered beyond a hole are proof enough, and within a recovery one is.
func (t *TCB) reorderWindow() Time {
	r := &t.loss.rack
	if !r.reordered && (t.rec.phase != open || t.rec.dupAcks >= dupThresh || t.runs.sacked > 2*t.mss()) {
		return 0
	}
	return max(min(Time(r.mult)*t.rtt.min/4, t.rtt.srtt), granularity)
}

// overtaken holds for lost what was overtaken for too long (step 5), and waits for what may become so. It reports
// whether anything was found.
func (t *TCB) overtaken(now Time) bool {
	l := t.loss
	if l == nil || l.rack.sent == 0 {
		return false
	}
	found, again, wait := t.runs.markOvertaken(now, l.rack.sent, l.rack.end, l.rack.rtt+t.reorderWindow())
	if t.rec.phase == fastPhase && !t.rec.metered && again >= l.reducedAt && again != 0 {
		// What was sent again after the reduction is lost again: one more sign of congestion (RFC 5681 §4.3). PRR
		// does without, for it sends no more than is delivered.
		t.cut(now, t.inFlight())
	}
	switch {
	case wait > 0:
		t.rec.reordering = true
		t.timers[early] = now + max(wait, granularity)
	case t.rec.reordering:
		t.rec.reordering = false
		t.timers[early] = 0
	}
	return found
}

// expireReordering answers the reordering timer (RFC 8985 §6.3).
func (t *TCB) expireReordering(now Time) {
	t.rec.reordering = false
	if t.overtaken(now) && t.rec.phase == open && !t.probeLost() {
		t.enterFast(now, t.inFlight(), t.inFlight()-t.runs.sacked)
		t.proportion(0, false)
	}
}
