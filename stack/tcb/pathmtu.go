package tcb

import "time"

const (
	// PathLife is how long a path is believed to be narrow: then the full size is tried again (PMTU-08, RFC 1191 §6.3).
	PathLife = Time(10 * time.Minute)
	// After so many time-outs in a row of a full-sized segment, the path may be a black hole: it drops what is too
	// large and does not say so (RFC 2923 §2.1). Smaller segments get through most of those.
	blackHoleTimeouts = 3
	blackHoleMSS      = 1024
)

// LimitMSS takes the network's word that no segment of more than mss octets, options included, comes through to the
// peer. What is in flight and larger is sent again at once, in smaller segments: it was lost to its size, not to
// congestion (RFC 1191 §6.4). It reports whether that was news; a limit only ever falls, until it is forgotten.
func (t *TCB) LimitMSS(now Time, mss int) bool {
	mss = max(mss, minMSS)
	if !t.synchronized() || t.state == TimeWaiting || mss >= int(t.snd.mss) {
		return false
	}
	s := t.needSeldom()
	if s.fullMSS == 0 {
		s.fullMSS = t.snd.mss
	}
	s.fullAgain = now + PathLife
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

// widen tries the full size again once the limit is old.
func (t *TCB) widen(now Time) {
	if s := t.seldom; s != nil && s.fullMSS != 0 && now >= s.fullAgain {
		t.setMSS(int(s.fullMSS))
		s.fullMSS = 0
	}
}

// suspectBlackHole follows a time-out, the backoff not yet raised.
func (t *TCB) suspectBlackHole(now Time) {
	if int(t.rtt.backoff)+1 != blackHoleTimeouts || t.mss() <= blackHoleMSS || t.runs.head == none {
		return
	}
	if t.runs.slab[t.runs.head].len() >= t.mss() {
		t.LimitMSS(now, blackHoleMSS)
	}
}
