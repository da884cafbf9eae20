package cc

// The constants of RFC 9406 §4.3.
const (
	minRTTThresh = Time(4e6)
	maxRTTThresh = Time(16e6)
	minSamples   = 8
	cssDivisor   = 4 // CSS_GROWTH_DIVISOR
	cssRounds    = 5
)

// trainGap is the longest pause between two ACKs of a train. On paths that are shorter, trains tell nothing.
const trainGap = Time(2e6)

// hystart is HyStart++ (RFC 9406): when the round-trip time grows, the queue at the bottleneck does, and slow start has
// found what it sought. It then goes on cautiously for some rounds (CSS), in case it was but jitter.
//
// The smallest sample of a round grows only when a queue stands for all of it: with one of a bandwidth-delay product,
// that is when it overflows. The ACK train of the first HyStart (Ha and Rhee, "Taming the elephants") tells sooner: once
// the ACKs of a round come one after the other for half of the round-trip time, the window, which they double, fills the
// path. A burst of ACKs that were held back does not look so twice.
type hystart struct {
	last, current Time // the smallest samples of the last round and of this; 0: none
	baseline      Time // current when caution began
	begin, latest Time // of the train: ACKs of this round that come without a pause; 0: none came yet
	samples       uint8
	rounds        uint8 // of caution
	cautious      bool
	train         bool // caution is due to a train, not to the round-trip time
	long          bool // the train of this round is long
}

// onAck takes an ACK of slow start and reports whether slow start is over.
func (h *hystart) onAck(a Ack) bool {
	if a.RoundStart && h.nextRound() || h.follow(a) {
		return true
	}
	if a.RTT > 0 {
		h.samples = min(h.samples, minSamples) + 1
		if h.current == 0 || a.RTT < h.current {
			h.current = a.RTT
		}
	}
	if h.samples < minSamples {
		return false
	}
	slower := h.last > 0 && h.current >= h.last+min(max(h.last/8, minRTTThresh), maxRTTThresh)
	switch {
	case h.train:
		return slower // two signs
	case h.cautious:
		h.cautious = h.current >= h.baseline
	case slower:
		h.cautious, h.baseline, h.rounds = true, h.current, 0
	}
	return false
}

// nextRound begins a round and reports whether caution has lasted long enough.
func (h *hystart) nextRound() bool {
	h.last, h.current, h.samples = h.current, 0, 0
	if h.train && !h.long {
		h.cautious, h.train = false, false // the next round was not like it
	}
	h.begin, h.latest, h.long = 0, 0, false
	if h.cautious {
		h.rounds++
	}
	return h.cautious && h.rounds >= cssRounds
}

// follow follows the train, and reports whether it is the second long one in a row.
func (h *hystart) follow(a Ack) bool {
	pause := a.Now - h.latest
	h.latest = a.Now
	if h.begin == 0 || pause > trainGap {
		h.begin = a.Now
	}
	if h.long || a.MinRTT <= trainGap || a.Now-h.begin <= a.MinRTT/2 {
		return false
	}
	h.long = true
	if h.cautious {
		return h.train
	}
	h.cautious, h.train, h.rounds = true, true, 0
	return false
}
