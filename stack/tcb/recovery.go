package tcb

import (
	"ustack/stack/cc"
	"ustack/tcpseg"
)

// dupThresh is how many duplicate ACKs mean a loss (RFC 5681 §3.2).
const dupThresh = 3

// recovery is where loss recovery stands (RFC 5681, 6582, 6675).
type recovery struct {
	phase     recoveryPhase
	cause     Cause      // what retransmissions are for
	force     bool       // the next retransmission does not ask cwnd
	hasTimed  bool       // the octet at timedOut has run into a time-out before
	point     tcpseg.Seq // RecoveryPoint: what was sent when the loss was noticed
	dupAcks   int32
	dupOctets int32 // without SACK: what duplicate ACKs say has left the network
	timedOut  tcpseg.Seq
}

type recoveryPhase uint8

const (
	open      recoveryPhase = iota
	fastPhase               // RFC 6675 or 6582 recovery
	afterRTO                // slow start over what was in flight at the time-out
	afterShut               // a shut window opened: what it swallowed is sent again
)

// pipe estimates the octets in the network (RFC 6675 §4).
func (t *TCB) pipe() int {
	return max(t.inFlight()-t.runs.sacked-t.runs.lost-int(t.rec.dupOctets), 0)
}

func (t *TCB) inFlight() int { return t.snd.nxt.Sub(t.snd.una) }

// onAck follows an acceptable ACK that moved una by acked octets and delivered so many, of before in
// flight; sample is the round-trip time it showed, or 0.
func (t *TCB) onAck(now Time, acked, before, delivered int, sample Time) {
	if sample != 0 {
		t.rtt.sample(sample, before/(2*t.mss()))
	}
	if acked > 0 {
		t.rec.dupAcks = 0
		if !t.sackOK && t.rec.phase == fastPhase {
			// A partial ACK took the hole and what duplicate ACKs had told of (RFC 6582 §3.2 step 5).
			t.rec.dupOctets = max(t.rec.dupOctets-int32(max(acked-t.mss(), 0)), 0)
		} else {
			t.rec.dupOctets = 0
		}
		if t.rec.phase != open && t.rec.point.LessEq(t.snd.una) {
			t.rec.phase, t.rec.dupOctets = open, 0
			if t.runs.lost > 0 { // what was sent during recovery has holes of its own (5681-12)
				t.enterFast(now, before, true)
			}
		}
	}
	t.detectLoss(now, before, acked)
	if t.rec.phase != fastPhase && delivered > 0 {
		t.grow(now, before, delivered, sample)
	}
}

// grow tells the controller of delivered octets.
func (t *TCB) grow(now Time, before, octets int, sample Time) {
	round := t.snd.roundEnd.LessEq(t.snd.una)
	if round {
		t.snd.roundEnd = t.snd.nxt
		t.snd.limited[1], t.snd.limited[0] = t.snd.limited[0], false
	}
	t.cc.OnAck(cc.Ack{Now: now, Bytes: octets, InFlight: before, Delivered: t.snd.delivered,
		RTT: sample, SRTT: t.rtt.srtt, MinRTT: t.rtt.min, RoundStart: round,
		AppLimited: !t.snd.limited[0] && !t.snd.limited[1]})
}

// detectLoss enters fast recovery when enough was delivered beyond a hole, and within it finds
// the next hole.
func (t *TCB) detectLoss(now Time, before, acked int) {
	if t.runs.n == 0 {
		return
	}
	found := t.sackOK && t.runs.markLost(t.mss())
	switch t.rec.phase {
	case open:
		if !found && t.rec.dupAcks < dupThresh {
			return
		}
		if !t.sackOK && t.snd.una.LessEq(t.rec.point) && t.rec.point != t.snd.iss {
			return // echoes of an earlier recovery (RFC 6582 §3.2 step 1)
		}
		t.enterFast(now, before, found)
	case fastPhase:
		if !t.sackOK && acked > 0 { // partial ACK: the next hole starts at una
			t.runs.markHead(t.mss())
			t.rec.force = true
		}
	}
}

// enterFast starts fast retransmit and fast recovery.
func (t *TCB) enterFast(now Time, before int, found bool) {
	if !found {
		t.runs.markHead(t.mss())
	}
	if t.runs.lost == 0 {
		return // the first hole has been sent again already: only a time-out tells more
	}
	t.stats.recoveries++
	t.rec.phase, t.rec.point, t.rec.cause = fastPhase, t.snd.nxt, CauseFastRetransmit
	t.rec.force = true
	t.cc.OnLoss(cc.Loss{Now: now, InFlight: before, Lost: t.runs.lost})
}

// onRTO answers a retransmission time-out on a synchronized connection (RFC 5681 §3.1, RFC 6298 §5).
func (t *TCB) onRTO(now Time) {
	again := t.rec.hasTimed && t.rec.timedOut == t.snd.una
	t.rec.hasTimed, t.rec.timedOut = true, t.snd.una
	t.cc.OnRTO(cc.Loss{Now: now, InFlight: t.inFlight(), Lost: t.inFlight() - t.runs.sacked, Again: again})
	t.runs.markAll()
	t.rec.phase, t.rec.point, t.rec.cause = afterRTO, t.snd.nxt, CauseRTO
	t.rec.dupAcks, t.rec.dupOctets = 0, 0
	t.rec.force = true
}

// windowReopened follows a window that opens after it had let nothing through: what probes and a
// shrunk window left in flight was most likely refused, and is sent again without blame.
func (t *TCB) windowReopened(now Time) {
	t.stopPersist(now)
	if t.runs.n == 0 {
		return
	}
	t.runs.markAll()
	t.rec.phase, t.rec.point, t.rec.cause = afterShut, t.snd.nxt, CauseReopened
	t.rec.dupAcks, t.rec.dupOctets = 0, 0
}

// dupAck counts a duplicate ACK (RFC 5681 §2).
func (t *TCB) dupAck() {
	t.rec.dupAcks++
	if !t.sackOK {
		t.rec.dupOctets = int32(min(int(t.rec.dupOctets)+t.mss(), max(t.inFlight()-t.mss(), 0)))
	}
}
