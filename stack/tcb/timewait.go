package tcb

import (
	"math/bits"
	"time"

	"ustack/tcpseg"
)

const defaultMSL = Time(30 * time.Second)

// TimeWait is a connection in TIME-WAIT (RFC 9293 §3.3.2) without buffers. It acknowledges the peer's FIN when it
// comes again and keeps old segments from a new incarnation.
//
// It takes 32 octets, for a busy server has hundreds of thousands of them, and no field of it needs to stand at a
// multiple of 8: beside a key of 36 octets there is no gap. Whoever holds it knows the flow, and with it the offset
// of the timestamp clock.
type TimeWait struct {
	deadline       [2]uint32 // a Time, its high half first
	length         uint32    // 2 MSL in ms, rounded up
	sndNxt, rcvNxt tcpseg.Seq
	tsRecent       uint32
	window         uint16 // as in the window field
	flags          uint8  // twStamped, twNoReuse; above them the scale
	challenges     uint8  // in the low half; above them for how much older than sndNxt an ACK may be
	challengeSince uint32
}

const (
	twStamped = 1 << iota // both ends send timestamps
	twNoReuse
	twScale = iota // shift

	twReach = 4 // shift
	twCount = 1<<twReach - 1
)

func newTimeWait(now Time, t *TCB) TimeWait {
	w := TimeWait{sndNxt: t.snd.nxt, rcvNxt: t.rcv.nxt, tsRecent: t.ts.recent,
		window: uint16(min(t.rcvWindow()>>t.rcv.scale, maxSynWindow)), flags: t.rcv.scale << twScale,
		length: uint32((2*orDefault(Time(t.cfg.MSL), defaultMSL) + granularity - 1) / granularity)}
	if t.stamped {
		w.flags |= twStamped
	}
	if t.cfg.NoTimeWaitReuse {
		w.flags |= twNoReuse
	}
	w.challenges = uint8(max(bits.Len32(uint32(t.snd.maxWnd))-16, 0)) << twReach
	w.Begin(now)
	return w
}

// Begin has the record's time begin, or begin anew.
func (w *TimeWait) Begin(now Time) {
	d := now + w.Length()
	w.deadline = [2]uint32{uint32(d >> 32), uint32(d)}
}

// Length returns how long the record lives, from the moment it was made or the peer's FIN came again.
func (w *TimeWait) Length() Time { return Time(w.length) * granularity }

func (w *TimeWait) has(flag uint8) bool { return w.flags&flag != 0 }

// TimeWaitResult is what a TIME-WAIT record makes of a segment.
type TimeWaitResult struct {
	Reply Cause // of the ACK to be sent, which Output gives; CauseNone: none is
	Reuse bool  // a SYN of a new incarnation (RFC 6191): drop the record and take it as a new SYN, with an ISS not below NextISS
	Drop  Drop
}

// Input takes a segment for a connection in TIME-WAIT.
func (w *TimeWait) Input(now Time, seg *tcpseg.Segment) TimeWaitResult {
	switch {
	case seg.Flags.Has(tcpseg.RST): // RFC 1337: it must not cut TIME-WAIT short
		return TimeWaitResult{Drop: DropReset}
	case seg.Flags.Has(tcpseg.SYN):
		if !seg.Flags.Has(tcpseg.ACK) && !w.has(twNoReuse) && w.newer(seg) {
			return TimeWaitResult{Reuse: true}
		}
		return w.answer(now, CauseChallenge, DropSYN)
	case w.has(twStamped) && !seg.Options.HasTimestamps: // RFC 7323 §3.2
		return TimeWaitResult{Drop: DropNoTimestamp}
	case w.has(twStamped) && int32(seg.Options.TSVal-w.tsRecent) < 0:
		return w.answer(now, CauseReply, DropPAWS)
	case !seg.Flags.Has(tcpseg.ACK):
		return TimeWaitResult{Drop: DropNoACK}
	case seg.Flags.Has(tcpseg.FIN) && seg.Seq.Add(seg.Len()) == w.rcvNxt: // the peer's FIN again
		w.Begin(now)
		return TimeWaitResult{Reply: CauseReply, Drop: DropTimeWait}
	}
	off := seg.Seq.Sub(w.rcvNxt)
	empty := seg.Len() == 0 || seg.Flags.Has(tcpseg.FIN) && len(seg.Payload) == 0 && off > 0
	if empty && off >= 0 && off <= int(w.window)<<(w.flags>>twScale) && w.ackInRange(seg.Ack) {
		// Two ends in TIME-WAIT must not answer each other for ever.
		return TimeWaitResult{Drop: DropTimeWait}
	}
	return w.answer(now, CauseReply, DropTimeWait)
}

// ackInRange is RFC 5961 §5.2, with the largest window that the peer has offered rounded up to a power of two.
func (w *TimeWait) ackInRange(ack tcpseg.Seq) bool {
	return ack.LessEq(w.sndNxt) && w.sndNxt.Add(-1<<(16+w.challenges>>twReach)).LessEq(ack)
}

// newer reports whether a SYN proves to belong to a new incarnation (RFC 6191 §2).
func (w *TimeWait) newer(seg *tcpseg.Segment) bool {
	if seg.Options.HasTimestamps {
		if !w.has(twStamped) {
			return true
		}
		if d := int32(seg.Options.TSVal - w.tsRecent); d != 0 {
			return d > 0
		}
	}
	return w.rcvNxt.LessEq(seg.Seq)
}

func (w *TimeWait) answer(now Time, cause Cause, d Drop) TimeWaitResult {
	n := w.challenges & twCount
	allowed := allowChallenge(now, &w.challengeSince, &n)
	w.challenges = w.challenges&^twCount | n
	if !allowed {
		cause = CauseNone
	}
	return TimeWaitResult{Reply: cause, Drop: d}
}

// Output fills o with the ACK that Input asked for, for its cause. The timestamp clock's offset is that of the connection
// before.
func (w *TimeWait) Output(now Time, tsOffset uint32, cause Cause, o *Out) {
	o.Header = tcpseg.Header{Seq: w.sndNxt, Ack: w.rcvNxt, Flags: tcpseg.ACK,
		Window: w.window}
	if w.has(twStamped) {
		o.Options.HasTimestamps = true
		o.Options.TSVal, o.Options.TSEcr = tsClock(now)+tsOffset, w.tsRecent
	}
	o.clear()
	o.Cause = cause
}

// Deadline returns when the record may be forgotten.
func (w *TimeWait) Deadline() Time { return Time(w.deadline[0])<<32 | Time(w.deadline[1]) }

// NextISS returns the lowest initial sequence number that a new incarnation may use (6191-05).
func (w *TimeWait) NextISS() tcpseg.Seq { return w.sndNxt.Add(1 << 17) }
