package tcb

import "time"

const (
	// PathLife is how long a path is believed to be narrow: then more is tried again (PMTU-08, RFC 1191 §6.3).
	PathLife = Time(10 * time.Minute)
	// After so many time-outs in a row of a segment larger than blackHoleMSS, the path may be a black hole: it drops
	// what is too large and does not say so (RFC 2923 §2.1). Segments of that size get through most of those.
	blackHoleTimeouts = 3
	blackHoleMSS      = 1024
)

// LimitMSS takes the network's word that no segment of more than mss octets, options included, comes through to the
// peer. What is in flight and larger is sent again at once, in smaller segments: it was lost to its size, not to
// congestion (RFC 1191 §6.4). It reports whether that was news; a limit only ever falls, until it is forgotten or a
// probe comes through.
func (t *TCB) LimitMSS(now Time, mss int) bool {
	mss = max(mss, minMSS)
	if !t.synchronized() || t.state == TimeWaiting {
		return false
	}
	if mss >= int(t.snd.mss) {
		return t.probeTooBig(now, mss)
	}
	s := &t.needSeldom().search
	*s = mtuSearch{full: max(s.full, t.snd.mss), again: now + PathLife}
	t.setMSS(mss)
	if t.runs.markLarger(t.mss()) && t.rec.phase == open {
		t.rec.phase, t.rec.point, t.rec.cause = afterShut, t.snd.nxt, CausePathMTU
	}
	return true
}

func (t *TCB) setMSS(mss int) {
	t.snd.mss = int32(mss)
	t.cc.SetMSS(t.mss())
}

// widen tries larger segments again once the limit is old: a probe first, where there may be one and enough is waiting
// to follow it. It reports whether it sent that, or holds back for it (then o.Held is set).
func (t *TCB) widen(now Time, o *Out) bool {
	if t.seldom == nil || t.seldom.search.full == 0 || now < t.seldom.search.again {
		return false
	}
	s := &t.seldom.search
	switch {
	case t.rec.phase != open || t.runs.lost > 0 || t.sackBlocks() > 0: // which would go on top of a probe
	case t.enoughToProbe():
		return t.probeMTU(now, o)
	case !s.silent && s.failed == 0 && s.size == 0 && s.losses == 0:
		t.setMSS(int(s.full)) // should it be too large still, the network will say so again
		*s = mtuSearch{}
	}
	return false
}

// suspectBlackHole follows a time-out, the backoff not yet raised.
func (t *TCB) suspectBlackHole(now Time) {
	size := t.snd.mss
	if int(t.rtt.backoff)+1 != blackHoleTimeouts || size <= blackHoleMSS || t.runs.head == none {
		return
	}
	if options := int(size) - t.mss(); t.runs.slab[t.runs.head].len()+options > blackHoleMSS {
		t.LimitMSS(now, blackHoleMSS)
		// A guess: what comes through between the two is looked for as soon as data flows again.
		s := &t.seldom.search
		s.failed, s.silent, s.again = size, true, now
	}
}
