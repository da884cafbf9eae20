package tcb

import (
	"math"
	"time"

	"ustack/tcpseg"
)

// Phase is where loss recovery and congestion control stand.
type Phase uint8

// Snapshot is the state of a connection at a moment, in octets and nanoseconds.
type Snapshot struct {
	State                                State
	Phase                                Phase
	CC                                   string
	ISS, Una, Nxt                        tcpseg.Seq
	SndWnd, SndQueued                    int
	IRS, RcvNxt, RcvAdv                  tcpseg.Seq // RcvAdv: the right edge promised to the peer
	RcvQueued, RcvOutOfOrder             int
	MSS                                  int // payload of a full-sized segment as sent now
	Cwnd, SSThresh                       int
	InFlight, Sacked, Lost               int // InFlight = Nxt − Una
	SRTT, RTTVar, RTO, MinRTT            Time
	Sample                               Time   // the round-trip time that the last segment from the peer showed; 0: none
	UserTimeout                          Time   // how long sent data may stay unacknowledged; 0: for ever
	Deadline, RexmitAt, PersistAt, AckAt Time   // 0: not armed
	SegsIn, SegsOut, BytesIn, BytesOut   uint64 // BytesIn: without what lies beyond a hole; BytesOut: what was sent again counts again
	Retransmits, RTOs, FastRecoveries    uint64
	SACK, Timestamps, WindowScale, ECN   bool
	SndScale, RcvScale                   uint8
}

// Unsent returns the octets that were written and have not been sent yet.
func (s *Snapshot) Unsent() int { return max(s.SndQueued-s.InFlight, 0) }

// Acked returns how many octets of our stream the peer has acknowledged, modulo 2^32; our FIN counts as one.
func (s *Snapshot) Acked() uint32 { return uint32(s.Una - s.ISS - 1) }

// RcvWnd returns what the peer may still send, in octets.
func (s *Snapshot) RcvWnd() int { return s.RcvAdv.Sub(s.RcvNxt) }

// HasThreshold reports whether SSThresh is one: there is none before the first reduction.
func (s *Snapshot) HasThreshold() bool { return s.SSThresh != math.MaxInt }

// Snapshot fills s.
func (t *TCB) Snapshot(s *Snapshot) {
	n := t.lossCounters()
	*s = Snapshot{
		State: t.state, Phase: t.phase(), CC: t.cc.Name(),
		ISS: t.snd.iss, Una: t.snd.una, Nxt: t.snd.nxt, SndWnd: int(t.snd.wnd), SndQueued: t.snd.queue.len,
		IRS: t.rcv.irs, RcvNxt: t.rcv.nxt, RcvAdv: t.rcv.adv,
		RcvQueued: t.Readable(), RcvOutOfOrder: t.rcv.outOfOrder.octets(),
		MSS: t.mss(), Cwnd: t.cwnd(), SSThresh: t.cc.SSThresh(),
		InFlight: t.inFlight(), Sacked: t.runs.sacked, Lost: t.runs.lost,
		SRTT: t.rtt.srtt, RTTVar: t.rtt.rttvar, RTO: t.rtt.timeout(), MinRTT: t.rtt.min,
		Sample: Time(t.stats.sample) * Time(time.Microsecond), UserTimeout: t.userTimeout(),
		Deadline: t.Deadline(), RexmitAt: t.timers[rexmit], PersistAt: t.timers[persist], AckAt: t.timers[delack],
		SegsIn: t.stats.segsIn, SegsOut: t.stats.segsOut, BytesIn: t.stats.bytesIn, BytesOut: t.stats.bytesOut,
		Retransmits: uint64(n.rexmits), RTOs: uint64(n.rtos) + uint64(t.synTimeouts), FastRecoveries: uint64(n.recoveries),
		SACK: t.sackOK, Timestamps: t.stamped, WindowScale: t.scaled, ECN: t.ecn&ecnOn != 0,
		SndScale: t.snd.scale, RcvScale: t.rcv.scale,
	}
}

func (t *TCB) phase() Phase {
	switch {
	case t.rec.phase == fastPhase:
		return FastRecovery
	case t.rec.phase != open:
		return LossRecovery
	case t.cc.Window() < t.cc.SSThresh():
		return SlowStart
	}
	return CongestionAvoidance
}
