package tcb

// outputRest sends what is not held for lost in a fast recovery without RACK, once there is nothing else and cwnd has
// room (NextSeg of RFC 6675 §4): the holes below what the peer has (rule 3), and once in a recovery the last segment that
// it has not, so that it tells of what is missing there (rule 4). With RACK, tail loss probes do better.
func (t *TCB) outputRest(now Time, o *Out) bool {
	if !t.cfg.NoRACK || !t.sackOK || t.rec.phase != fastPhase || o.Held != HeldIdle && o.Held != HeldPeerWindow {
		return false
	}
	size := t.segmentSize()
	if t.room() < size {
		return false
	}
	i := t.runs.openHole()
	if i == none && !t.rec.rescued {
		i = t.runs.lastHole(size)
		t.rec.rescued = true
	}
	if i == none {
		return false
	}
	r := &t.runs.slab[i]
	start, n := r.start, min(r.len(), size, t.peerEdge().Sub(r.start))
	if n <= 0 {
		return false
	}
	n = t.resend(now, o, i, n, CauseFastRetransmit)
	t.resentForUndo(now, start, n)
	return true
}

// openHole returns the first run below what was delivered that was neither delivered nor held for lost nor sent again;
// or none.
func (rs *runs) openHole() int32 {
	first, below := none, false
	for i := rs.tail; i != none; i = rs.slab[i].prev {
		r := &rs.slab[i]
		below = below || r.sacked
		if below && !r.sacked && !r.lost && r.times == 1 {
			first = i
		}
	}
	return first
}

// lastHole returns a run that is the last segment of size octets, or what is left for it, of what was not delivered; or
// none.
func (rs *runs) lastHole(size int) int32 {
	i := rs.tail
	for i != none && rs.slab[i].sacked {
		i = rs.slab[i].prev
	}
	if i == none {
		return none
	}
	return rs.lastOf(i, size)
}
