package trace

import (
	"strconv"
	"time"

	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// AppendJSON appends e as a JSON object in one line, as docs/trace.md describes it.
func AppendJSON(b []byte, e *Event) []byte {
	b = append(append(b, `{"event":"`...), e.Kind.String()...)
	b = e.Time.UTC().AppendFormat(append(b, `","time":"`...), time.RFC3339Nano)
	b = append(b, '"')
	if e.Local.IsValid() {
		b = e.Local.AppendTo(append(b, `,"local":"`...))
		b = e.Remote.AppendTo(append(b, `","remote":"`...))
		b = append(b, '"')
	}
	if e.Segment != nil {
		b = appendSegment(b, e)
	}
	switch e.Kind {
	case PacketOut:
		if e.Segment != nil {
			b = appendString(b, "cause", e.Cause.String())
		}
	case Changed:
		if e.Was != tcb.Closed {
			b = appendString(b, "was", e.Was.String())
			b = appendString(b, "was_phase", e.WasPhase.String())
		}
	case Sampled:
		b = appendInt(b, "sample_us", int(e.State.Sample/1000))
	case Held:
		b = appendString(b, "held", e.Held.String())
	case Ended:
		if e.Err != nil {
			b = appendString(b, "error", e.Err.Error())
		}
	}
	if e.HTTP != nil {
		b = appendExchangeJSON(b, e.Kind, e.HTTP)
	}
	if e.Drop != "" {
		b = appendString(b, "drop", e.Drop)
	}
	if e.State != nil {
		b = appendConnection(b, e.State)
	}
	return append(b, '}')
}

func appendSegment(b []byte, e *Event) []byte {
	s := e.Segment
	b = append(appendString(b, "flags", s.Flags.String()), `,"seq":`...)
	b = strconv.AppendUint(b, uint64(s.Seq), 10)
	if s.Flags.Has(tcpseg.ACK) {
		b = strconv.AppendUint(append(b, `,"ack":`...), uint64(s.Ack), 10)
	}
	b = appendInt(b, "window", int(s.Window))
	b = appendInt(b, "payload", e.Payload)
	if e.Acks > 0 {
		b = appendInt(b, "acks", e.Acks)
	}
	if e.State != nil && e.Payload > 0 {
		b = strconv.AppendUint(append(b, `,"offset":`...), uint64(e.Offset()), 10)
	}
	return b
}

// appendConnection appends what a tcb.Snapshot says: octets and microseconds.
func appendConnection(b []byte, s *tcb.Snapshot) []byte {
	b = appendString(b, "state", s.State.String())
	b = appendString(b, "phase", s.Phase.String())
	b = appendInt(b, "cwnd", s.Cwnd)
	if s.HasThreshold() {
		b = appendInt(b, "ssthresh", s.SSThresh)
	}
	b = appendInt(b, "in_flight", s.InFlight)
	b = appendInt(b, "sacked", s.Sacked)
	b = appendInt(b, "lost", s.Lost)
	b = appendInt(b, "peer_window", s.SndWnd)
	b = appendInt(b, "unsent", s.Unsent())
	b = appendInt(b, "srtt_us", int(s.SRTT/1000))
	b = appendInt(b, "rttvar_us", int(s.RTTVar/1000))
	b = appendInt(b, "rto_us", int(s.RTO/1000))
	return appendInt(b, "retransmits", int(s.Retransmits))
}

// appendString appends a string that needs no escapes.
func appendString(b []byte, name, value string) []byte {
	b = append(append(append(b, `,"`...), name...), `":"`...)
	return append(append(b, value...), '"')
}

func appendInt(b []byte, name string, n int) []byte {
	b = append(append(append(b, `,"`...), name...), `":`...)
	return strconv.AppendInt(b, int64(n), 10)
}
