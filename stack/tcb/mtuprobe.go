package tcb

import "ustack/tcpseg"

// Packetization layer path MTU discovery (RFC 4821, with the procedure of RFC 8899 §5): a path that has turned out to be
// narrow is tried with one larger segment of data now and then. If it comes through, segments grow; if it alone is lost,
// that was its size and not congestion.
const (
	maxMTUProbes  = 3 // lost in a row, until the size is held for too large (RFC 8899 §5.1.2)
	mtuResolution = 8 // octets; finer is not looked for
	probeBacking  = 3 // full-sized segments that must follow a probe, so that its loss shows
)

// mtuSearch looks for the largest segment that a path takes. Sizes are MSSs: octets of payload and options.
type mtuSearch struct {
	full   int32      // before the path turned out to be narrow; 0: it has not
	failed int32      // the smallest that did not come through; 0: none is known
	hint   int32      // what a router says it takes; 0: nothing
	size   int32      // of the probe in flight; 0: there is none
	end    tcpseg.Seq // of the probe
	losses uint8      // of probes of the next size, in a row
	silent bool       // nobody says what is too large
	again  Time       // when to go on
}

// next returns the size of the next probe of a path that takes mss octets; 0: more is not to be had.
func (s *mtuSearch) next(mss int32) int32 {
	switch {
	case s.hint > mss:
		return s.hint
	case s.failed == 0:
		return s.full
	case s.failed-mss <= mtuResolution:
		return 0
	}
	return mss + (s.failed-mss)/2
}

// enoughToProbe reports whether the loss of a probe would show soon, and could be told from congestion.
func (t *TCB) enoughToProbe() bool {
	if t.cfg.NoMTUProbe || !t.sackOK {
		return false
	}
	need := int(max(t.seldom.search.next(t.snd.mss), t.snd.mss)) + probeBacking*t.mss()
	return t.unsent() >= need && t.peerEdge().Sub(t.snd.nxt) >= need && t.cc.Window() >= need
}

// probeMTU sends a probe, if it is time for one.
func (t *TCB) probeMTU(now Time, o *Out) bool {
	s := &t.seldom.search
	if s.size != 0 {
		if t.snd.una.Less(s.end) {
			return false // its fate is open
		}
		s.size = 0 // it was sent again for another reason, and told nothing
	}
	size := s.next(t.snd.mss)
	if size == 0 {
		s.failed, s.again = 0, now+PathLife // and then from above once more
		return false
	}
	n := int(size) - (int(t.snd.mss) - t.mss())
	if t.room() < n {
		t.snd.limited[0] = true
		o.Held = HeldMTUProbe
		return true
	}
	start := t.snd.nxt
	if t.payload(o, start, n) < n { // it lies in too many pieces
		o.clear()
		return false
	}
	s.size, s.end = size, start.Add(n)
	t.advanceNxt(now, s.end)
	t.runs.markProbe(start)
	t.emit(now, o, start, n, 0, CauseMTUProbe)
	o.GSOSize = 0
	t.mark(o, true)
	return true
}

// probeArrived follows an ACK that took the probe: the path takes segments of its size.
func (t *TCB) probeArrived() {
	s := &t.seldom.search
	if s.size <= t.snd.mss { // a limit has come meanwhile
		s.size = 0
		return
	}
	t.setMSS(int(s.size))
	s.size, s.losses, s.hint = 0, 0, 0
	if t.snd.mss >= s.full {
		*s = mtuSearch{}
	}
}

// probeLost reports whether the probe is all that was lost: then congestion is not to blame (RFC 4821 §7.5), and its data
// goes again in segments of the size that comes through.
func (t *TCB) probeLost() bool {
	if t.seldom == nil || t.seldom.search.size == 0 || t.runs.lost == 0 {
		return false
	}
	r := &t.runs.slab[t.runs.firstLost()]
	if !r.probe || r.len() != t.runs.lost {
		return false
	}
	s := &t.seldom.search
	if s.losses++; s.losses >= maxMTUProbes {
		s.failed, s.losses, s.hint = s.size, 0, 0
	}
	s.size = 0
	t.rec.cause = CausePathMTU
	return true
}

// probeTooBig takes the word of a router that the path takes mss octets, more than we send: it tells what becomes of the
// probe, and what to try next. It reports whether there was one.
func (t *TCB) probeTooBig(now Time, mss int) bool {
	if t.seldom == nil || int(t.seldom.search.size) <= mss {
		return false
	}
	s := &t.seldom.search
	s.failed, s.losses, s.size, s.hint = int32(mss)+1, 0, 0, int32(mss)
	if t.runs.markIf(func(_ int32, r *run) bool { return r.probe }) {
		t.rec.cause = CausePathMTU
	}
	return true
}

// markProbe makes a run of its own of what was just sent from start on, until it is sent again.
func (rs *runs) markProbe(start tcpseg.Seq) {
	if rs.slab[rs.tail].start != start {
		rs.split(rs.tail, start)
	}
	rs.slab[rs.tail].probe = true
}
