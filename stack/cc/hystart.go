package cc

// The constants of RFC 9406 §4.3.
const (
	minRTTThresh = Time(4e6)
	maxRTTThresh = Time(16e6)
	minSamples   = 8
	cssDivisor   = 4 // CSS_GROWTH_DIVISOR
	cssRounds    = 5
)

// hystart is HyStart++ (RFC 9406): when the round-trip time grows, the queue at the bottleneck does, and slow start has
// found what it sought. It then goes on cautiously for some rounds (CSS), in case it was but jitter.
type hystart struct {
	last, current Time // the smallest samples of the last round and of this; 0: none
	baseline      Time // current when caution began
	samples       int  // of this round
	rounds        int  // of caution
	cautious      bool
}

// onAck takes an ACK of slow start and reports whether slow start is over.
func (h *hystart) onAck(a Ack) bool {
	if a.RoundStart {
		h.last, h.current, h.samples = h.current, 0, 0
		if h.cautious {
			if h.rounds++; h.rounds >= cssRounds {
				return true
			}
		}
	}
	if a.RTT > 0 {
		h.samples++
		if h.current == 0 || a.RTT < h.current {
			h.current = a.RTT
		}
	}
	if h.samples < minSamples {
		return false
	}
	switch {
	case h.cautious:
		if h.current < h.baseline {
			h.cautious = false
		}
	case h.last > 0 && h.current >= h.last+min(max(h.last/8, minRTTThresh), maxRTTThresh):
		h.cautious, h.baseline, h.rounds = true, h.current, 0
	}
	return false
}
