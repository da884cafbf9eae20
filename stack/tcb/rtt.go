package tcb

import (
	"math"
	"time"

	"ustack/tcpseg"
)

// Limits of the retransmission time-out (RFC 6298 §2).
const (
	initialRTO    = Time(time.Second)
	afterSynRTO   = Time(3 * time.Second) // when data starts after a SYN that timed out (§5.7)
	defaultMinRTO = Time(200 * time.Millisecond)
	maxRTO        = Time(120 * time.Second)
	granularity   = Time(time.Millisecond)
)

// rtt estimates the round-trip time (RFC 6298).
type rtt struct {
	srtt, rttvar Time   // srtt 0: no sample yet
	min          Time   // the smallest sample of the last two to four minutes
	rto          Time   // the estimate's, without backoff
	minNext      uint32 // µs; the smallest since
	minSince     uint16 // when the smallest sample began to be sought anew, see minWindow
	backoff      uint8  // how often the time-out was doubled since the last sample; stays at 255
}

// minWindow is half of how long a smallest round-trip time is believed: a path may have become longer (RFC 8985
// §6.2 step 1). It counts in units of 2^34 ns, 17 s, and a microsecond has 2^10 ns here: rough will do, and shifts are cheap.
const minWindow = 7

// lower keeps the minimum.
func (r *rtt) lower(now, m Time) {
	us, s := uint32(min(m>>10+1, math.MaxUint32)), uint16(now>>34)
	if s-r.minSince >= minWindow {
		if r.minNext != 0 {
			r.min = Time(r.minNext) << 10
		}
		r.minSince, r.minNext = s, us
	}
	r.minNext = min(r.minNext, us)
	if r.min == 0 || m < r.min {
		r.min = m
	}
}

// sample takes a measurement. When several samples come in a round trip, each weighs less, so that the
// memory of the filter stays as long as RFC 6298 meant it (RFC 7323 appendix G). Floor is the least that is added to
// srtt: RFC 6298 §2.4 asks for an RTO of one second at least; a lower floor must leave room for the peer's delayed
// ACK on top of any round-trip time, however steady.
func (r *rtt) sample(now, m Time, perRound int, floor Time) {
	m = max(m, 1)
	r.lower(now, m)
	if r.srtt == 0 {
		r.srtt, r.rttvar = m, m/2
	} else {
		n := Time(max(perRound, 1))
		diff := r.srtt - m
		if diff < 0 {
			diff = -diff
		}
		r.rttvar += (diff - r.rttvar) / (4 * n)
		r.srtt += (m - r.srtt) / (8 * n)
	}
	r.rto = min(r.srtt+max(4*r.rttvar, floor), maxRTO)
	r.backoff = 0
}

// timeout returns the RTO in force, backoff included.
func (r *rtt) timeout() Time {
	return min(r.rto<<min(r.backoff, 16), maxRTO)
}

// sample takes a measurement of the connection's round-trip time.
func (t *TCB) sample(now, m Time, perRound int) {
	t.rtt.sample(now, m, perRound, t.minRTO())
	t.stats.sample = atLeastMicro(m)
}

// sampleHandshake takes that of the SYN and its answer.
func (t *TCB) sampleHandshake(now, m Time) {
	t.sample(now, m, 1)
	t.snd.opening = t.stats.sample
}

// atLeastMicro returns a measurement in µs, which is not 0.
func atLeastMicro(m Time) uint32 {
	return uint32(min(max(m/Time(time.Microsecond), 1), math.MaxUint32))
}

func (t *TCB) minRTO() Time { return orDefault(Time(t.cfg.MinRTO), defaultMinRTO) }

// measure returns the round-trip time that an ACK which delivered d shows; 0: none. By Karn's rule (MUST-18)
// an ACK that covers a retransmission tells nothing, neither of it nor of what had waited behind the
// hole, unless its timestamp echoes the last copy (RFC 7323 §4.1).
func (t *TCB) measure(now Time, d *delivery, seg *tcpseg.Segment) Time {
	if d.sent == 0 {
		return 0
	}
	m := max(now-d.sent, 1)
	if !d.again {
		return m
	}
	sent := tsClock(d.sent) + t.ts.offset
	if !t.stamped || int32(seg.Options.TSEcr-sent) < 0 || m < t.rtt.min {
		return 0
	}
	return m
}
