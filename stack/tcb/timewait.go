package tcb

import (
	"time"

	"ustack/tcpseg"
)

const defaultMSL = Time(30 * time.Second)

// TimeWait is a connection in TIME-WAIT (RFC 9293 §3.3.2) without buffers. It acknowledges the peer's FIN when it
// comes again and keeps old segments from a new incarnation.
type TimeWait struct {
	sndNxt, rcvNxt tcpseg.Seq
	window         int
	deadline       Time
	length         Time // 2 MSL
	tsRecent       uint32
	tsOffset       uint32
	scale          uint8
	timestamps     bool
	noReuse        bool
	challenge      challenge
}

func newTimeWait(now Time, t *TCB) TimeWait {
	w := TimeWait{sndNxt: t.snd.nxt, rcvNxt: t.rcv.nxt, window: t.rcvWindow(), scale: t.rcv.scale,
		length:     2 * orDefault(Time(t.cfg.MSL), defaultMSL),
		timestamps: t.stamped, tsRecent: t.ts.recent, tsOffset: t.ts.offset, noReuse: t.cfg.NoTimeWaitReuse}
	w.deadline = now + w.length
	return w
}

// TimeWaitResult is what a TIME-WAIT record makes of a segment.
type TimeWaitResult struct {
	Reply bool // send the ACK that Output gives
	Reuse bool // a SYN of a new incarnation (RFC 6191): drop the record and take it as a new SYN, with an ISS not below NextISS
	Drop  Drop
}

// Input takes a segment for a connection in TIME-WAIT.
func (w *TimeWait) Input(now Time, seg *tcpseg.Segment) TimeWaitResult {
	switch {
	case seg.Flags.Has(tcpseg.RST): // RFC 1337: it must not cut TIME-WAIT short
		return TimeWaitResult{Drop: DropReset}
	case seg.Flags.Has(tcpseg.SYN):
		if !seg.Flags.Has(tcpseg.ACK) && !w.noReuse && w.newer(seg) {
			return TimeWaitResult{Reuse: true}
		}
		return w.answer(now, DropSYN)
	case w.timestamps && seg.Options.HasTimestamps && int32(seg.Options.TSVal-w.tsRecent) < 0:
		return w.answer(now, DropPAWS)
	case !seg.Flags.Has(tcpseg.ACK):
		return TimeWaitResult{Drop: DropNoACK}
	case seg.Flags.Has(tcpseg.FIN) && seg.Seq.Add(seg.Len()) == w.rcvNxt: // the peer's FIN again
		w.deadline = now + w.length
		return TimeWaitResult{Reply: true, Drop: DropTimeWait}
	}
	off := seg.Seq.Sub(w.rcvNxt)
	acceptable := seg.Len() == 0 && off >= 0 && off <= w.window && seg.Ack.LessEq(w.sndNxt)
	if acceptable { // two ends in TIME-WAIT must not answer each other for ever
		return TimeWaitResult{Drop: DropTimeWait}
	}
	return w.answer(now, DropTimeWait)
}

// newer reports whether a SYN proves to belong to a new incarnation (RFC 6191 §2).
func (w *TimeWait) newer(seg *tcpseg.Segment) bool {
	if seg.Options.HasTimestamps {
		if !w.timestamps {
			return true
		}
		if d := int32(seg.Options.TSVal - w.tsRecent); d != 0 {
			return d > 0
		}
	}
	return w.rcvNxt.LessEq(seg.Seq)
}

func (w *TimeWait) answer(now Time, d Drop) TimeWaitResult {
	return TimeWaitResult{Reply: w.challenge.allow(now), Drop: d}
}

// Output fills o with the ACK that Input asked for.
func (w *TimeWait) Output(now Time, o *Out) {
	o.Header = tcpseg.Header{Seq: w.sndNxt, Ack: w.rcvNxt, Flags: tcpseg.ACK,
		Window: uint16(min(w.window>>w.scale, maxSynWindow))}
	if w.timestamps {
		o.Options.HasTimestamps = true
		o.Options.TSVal, o.Options.TSEcr = tsClock(now)+w.tsOffset, w.tsRecent
	}
	o.Payload, o.GSOSize, o.Cause = [4][]byte{}, 0, CauseChallenge
}

// Deadline returns when the record may be forgotten.
func (w *TimeWait) Deadline() Time { return w.deadline }

// NextISS returns the lowest initial sequence number that a new incarnation may use (6191-05).
func (w *TimeWait) NextISS() tcpseg.Seq { return w.sndNxt.Add(1 << 17) }
