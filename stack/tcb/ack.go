package tcb

import (
	"time"

	"ustack/tcpseg"
)

// ackState is what we owe the peer beside data.
type ackState struct {
	now       bool // an ACK must go with the next flush, with data or without
	keepAlive bool // a keep-alive probe is due
	cause     Cause
	quick     uint8 // full-sized segments that have been acknowledged at once since the start, or the last loss
	octets    int32 // accepted since the last ACK went out
	dups      int32 // without SACK the peer counts duplicate ACKs: one is owed for each
}

// ackNow asks for an ACK with the next flush. The first cause stands.
func (t *TCB) ackNow(cause Cause) {
	if !t.ack.now {
		t.ack.now, t.ack.cause = true, cause
	}
}

// ackData counts n octets accepted in order towards the next ACK: at the latest after the delay or when more than one
// full-sized segment has come (RFC 9293 §3.8.6.3), sooner when data can carry it. It does not wait until the second is
// full: a sender expects the ACK of a lone segment alone to be late, and probes soon for any other (RFC 8985 §7.2).
func (t *TCB) ackData(now Time, n int, push bool) {
	t.ack.octets += int32(n)
	delay := t.delayedACK()
	if delay < 0 || t.quick(n, push) || int(t.ack.octets) > (orDefault(t.cfg.ACKEvery, 2)-1)*int(t.rcv.segSize) {
		t.ackNow(CauseACK)
	} else if t.timers[delack] == 0 {
		t.timers[delack] = now + delay
	}
}

// quickACKs is how many full-sized segments are acknowledged one by one while the peer's window is most likely small: at
// the start, and after a loss. It grows with every ACK.
const quickACKs = 16

// quick reports whether n octets are such a segment. One with PSH is not: the peer has no more to send for now, but may
// expect an answer that the ACK can ride on.
func (t *TCB) quick(n int, push bool) bool {
	if push || t.ack.quick >= quickACKs || n < int(t.rcv.segSize) || n <= minSegSize || t.cfg.NoQuickACK {
		return false
	}
	t.ack.quick++
	return true
}

// acked follows a segment that carried an ACK: nothing is owed any more.
func (t *TCB) acked() {
	dups := max(t.ack.dups-1, 0)
	t.ack = ackState{keepAlive: t.ack.keepAlive, quick: t.ack.quick, dups: dups, now: dups > 0, cause: CauseDupACK}
	t.timers[delack] = 0
	t.rcv.lastAck = t.rcv.nxt
}

// delayedACK returns how long an ACK may wait; below 0: not at all.
func (t *TCB) delayedACK() Time {
	return min(orDefault(Time(t.cfg.DelayedACK), Time(40*time.Millisecond)), Time(500*time.Millisecond))
}

// Challenge ACKs answer segments that may be forged or stray; the rate keeps two ends that
// disagree from answering each other for ever (RFC 5961 §7, U-18).
const (
	challengePeriod = 5000 // ms
	challengeMost   = 10
)

type challenge struct {
	since uint32 // ms; it may wrap around, after seven weeks
	n     uint8
}

// allow reports whether one more may be sent.
func (c *challenge) allow(now Time) bool { return allowChallenge(now, &c.since, &c.n) }

// allowChallenge is challenge.allow for a record that has no room for the gap in a challenge.
func allowChallenge(now Time, since *uint32, n *uint8) bool {
	ms := tsClock(now)
	if *n == 0 || ms-*since >= challengePeriod {
		*since, *n = ms, 0
	}
	*n = min(*n, challengeMost) + 1
	return *n <= challengeMost
}

// answer asks for the ACK that an unacceptable segment gets (RFC 9293 §3.10.7.4), for a cause. One with data is always
// answered, for its sender has lost our ACK and waits for it, and so is a keep-alive probe: what
// answers it is acceptable and calls for no answer.
func (t *TCB) answer(now Time, seg *tcpseg.Segment, cause Cause) {
	probe := seg.Flags == tcpseg.ACK && seg.Seq == t.rcv.nxt.Add(-1)
	if len(seg.Payload) > 0 || probe || t.needSeldom().challenge.allow(now) {
		t.ackNow(cause)
	}
}

// replyTo is the cause of the ACK that answers a segment for its sequence number or its timestamp. A SYN is challenged
// whatever these are (RFC 5961 §4.2).
func replyTo(seg *tcpseg.Segment) Cause {
	if seg.Flags.Has(tcpseg.SYN) {
		return CauseChallenge
	}
	return CauseReply
}
