package trace

import (
	"strconv"
	"time"

	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// causeTexts are what people call a tcb.Cause.
var causeTexts = map[tcb.Cause]string{
	tcb.CauseSYN: "opens the connection", tcb.CauseSYNAgain: "opens the connection, sent again", tcb.CauseCookie: "SYN cookie", tcb.CauseData: "new data",
	tcb.CauseFastRetransmit: "fast retransmit", tcb.CauseTailProbe: "tail loss probe", tcb.CauseTailNew: "tail loss probe with new data",
	tcb.CauseRTO: "retransmission time-out", tcb.CauseReopened: "sent again: the window has opened",
	tcb.CausePathMTU: "sent again: it was too large for the path", tcb.CauseMTUProbe: "probes for a larger path MTU",
	tcb.CauseProbe: "zero-window probe", tcb.CauseOverride: "fills a window that stays small", tcb.CauseKeepAlive: "keep-alive", tcb.CauseFIN: "no more data",
	tcb.CauseACK: "ACK", tcb.CauseDelayedACK: "delayed ACK", tcb.CauseDupACK: "duplicate ACK: data out of order",
	tcb.CauseWindowUpdate: "window update", tcb.CauseUrgent: "urgent data ahead",
	tcb.CauseReply: "ACK in reply to an unacceptable segment", tcb.CauseChallenge: "challenge ACK", tcb.CauseReset: "reset",
}

// heldTexts are what people call a tcb.Held.
var heldTexts = map[tcb.Held]string{
	tcb.HeldIdle: "nothing to send", tcb.HeldCwnd: "waits for the congestion window", tcb.HeldPeerWindow: "waits for the peer's window",
	tcb.HeldNagle: "Nagle waits for an ACK", tcb.HeldSWS: "the peer's window is too small to be worth a segment",
	tcb.HeldHandshake: "waits for the handshake", tcb.HeldPacing: "paced", tcb.HeldMTUProbe: "waits for room for an MTU probe",
}

// AppendComment appends, in one line for people, what e is about:
//
//	new data · cwnd 14600 ssthresh ∞ in flight 8760 srtt 12.3 ms rto 212 ms · slow start
func AppendComment(b []byte, e *Event) []byte {
	return appendRest(appendWhat(b, e), e)
}

func appendWhat(b []byte, e *Event) []byte {
	switch {
	case e.Kind == Held:
		return append(b, heldTexts[e.Held]...)
	case e.Kind == Ended && e.Err != nil:
		return append(append(b, "ended: "...), e.Err.Error()...)
	case e.Kind == Ended:
		return append(b, "ended"...)
	case e.Kind == Changed:
		return appendChange(b, e)
	case e.Kind == Sampled:
		return appendMillis(b, "round-trip time ", e.State.Sample)
	case e.HTTP != nil:
		return appendExchange(b, e.Kind, e.HTTP)
	case e.Drop != "":
		return appendDrop(b, e.Drop)
	case e.Kind == PacketOut && e.Segment != nil:
		return append(b, causeTexts[e.Cause]...)
	case e.Segment != nil:
		return append(b, received(e)...)
	}
	return append(b, "not TCP"...)
}

// appendRest appends what follows what e is: what a segment acknowledges, and the state of the connection.
func appendRest(b []byte, e *Event) []byte {
	switch {
	case e.Acks == 0:
	case e.Payload > 0:
		b = appendOctets(b, " · carries the ACK of ", e.Acks)
	default:
		b = appendOctets(b, " · acknowledges ", e.Acks)
	}
	if e.State != nil {
		b = appendState(append(b, " · "...), e)
	}
	return b
}

// appendChange names what is new.
func appendChange(b []byte, e *Event) []byte {
	if e.Was != e.State.State {
		if e.Was != tcb.Closed {
			b = append(append(b, e.Was.String()...), " → "...)
		}
		return append(b, e.State.State.String()...)
	}
	b = append(append(b, phaseTexts[e.WasPhase]...), " → "...)
	return append(b, phaseTexts[e.State.Phase]...)
}

// appendDrop names a counter and, where there is one, the section behind it.
func appendDrop(b []byte, reason string) []byte {
	b = append(append(b, "refused: "...), reason...)
	if s := Section(reason); s != "" {
		b = append(append(append(b, " ("...), s...), ')')
	}
	return b
}

// received says what a segment from the peer brings.
func received(e *Event) string {
	switch f := e.Segment.Flags; {
	case f.Has(tcpseg.RST):
		return "reset"
	case f.Has(tcpseg.SYN):
		return "opens the connection"
	case f.Has(tcpseg.FIN):
		return "no more data"
	case e.Payload > 0:
		return "data"
	}
	switch s := e.Segment; {
	case s.HasDSACK():
		return "ACK with D-SACK: that had come before"
	case s.Options.SACKCount > 0:
		return "ACK with SACK"
	}
	return "ACK"
}

func appendState(b []byte, e *Event) []byte {
	s := e.State
	if s.State != tcb.Established && e.Kind != Changed { // which has named it
		b = append(append(b, s.State.String()...), " · "...)
	}
	b = appendNumber(b, "cwnd ", s.Cwnd)
	if s.HasThreshold() {
		b = appendNumber(b, " ssthresh ", s.SSThresh)
	} else {
		b = append(b, " ssthresh ∞"...)
	}
	b = appendNumber(b, " in flight ", s.InFlight)
	if s.Lost > 0 {
		b = appendNumber(b, " lost ", s.Lost)
	}
	b = appendNumber(b, " peer window ", s.SndWnd)
	if s.SRTT > 0 {
		b = appendMillis(b, " srtt ", s.SRTT)
	}
	b = appendMillis(b, " rto ", s.RTO)
	return append(append(b, " · "...), phaseTexts[s.Phase]...)
}

var phaseTexts = map[tcb.Phase]string{
	tcb.SlowStart: "slow start", tcb.CongestionAvoidance: "congestion avoidance",
	tcb.FastRecovery: "fast recovery", tcb.LossRecovery: "recovery after a time-out",
}

// appendOctets appends how many there are; a FIN is one.
func appendOctets(b []byte, what string, n int) []byte {
	b = append(appendNumber(b, what, n), " octet"...)
	if n == 1 {
		return b
	}
	return append(b, 's')
}

func appendNumber(b []byte, what string, n int) []byte {
	return strconv.AppendInt(append(b, what...), int64(n), 10)
}

// appendMillis appends a time with three digits that count.
func appendMillis(b []byte, what string, t tcb.Time) []byte {
	ms := float64(t) / float64(time.Millisecond)
	digits := 0
	switch {
	case ms < 10:
		digits = 2
	case ms < 100:
		digits = 1
	}
	b = strconv.AppendFloat(append(b, what...), ms, 'f', digits, 64)
	return append(b, " ms"...)
}
