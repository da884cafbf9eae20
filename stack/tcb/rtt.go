package tcb

import (
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
	srtt, rttvar Time // srtt 0: no sample yet
	min          Time
	rto          Time  // the estimate's, without backoff
	backoff      uint8 // how often the time-out was doubled since the last sample; stays at 255
	// floor is the least that is added to srtt. RFC 6298 §2.4 asks for an RTO of one second at least; a lower
	// floor must leave room for the peer's delayed ACK on top of any round-trip time, however steady.
	floor Time
}

// sample takes a measurement. When several samples come in a round trip, each weighs less, so that the
// memory of the filter stays as long as RFC 6298 meant it (RFC 7323 appendix G).
func (r *rtt) sample(m Time, perRound int) {
	m = max(m, 1)
	if r.min == 0 || m < r.min {
		r.min = m
	}
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
	r.rto = min(r.srtt+max(4*r.rttvar, r.floor), maxRTO)
	r.backoff = 0
}

// timeout returns the RTO in force, backoff included.
func (r *rtt) timeout() Time {
	return min(r.rto<<min(r.backoff, 16), maxRTO)
}

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
