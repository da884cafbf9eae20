package tcb

import "ustack/tcpseg"

// maxRuns bounds the sent runs of a connection; beyond it new data joins the last run.
const maxRuns = 1024

// run is a stretch of sequence space that is in flight and shares one history.
// A super-segment is one run; ACKs, SACK blocks and losses cut it at any octet.
type run struct {
	start, end tcpseg.Seq
	sent       Time  // when it was last sent
	delivered  int64 // octets the peer had of us at that time
	times      uint8 // how often it was sent; stays at 255
	sacked     bool
	lost       bool // held for lost and not sent again since
	probe      bool // one segment larger than the path is known to take, sent once
	prev, next int32
}

func (r *run) len() int { return r.end.Sub(r.start) }

// alike reports whether two neighbours may become one.
func (r *run) alike(o *run) bool {
	if r.probe != o.probe {
		return false
	}
	if r.sacked && o.sacked || r.lost && o.lost {
		return true // their history no longer matters: delivered, or to be sent again at once
	}
	return r.sent == o.sent && r.times == o.times && r.sacked == o.sacked && r.lost == o.lost
}

// runs is everything in flight, in order of sequence. Loss detection, retransmission and RTT
// samples read this one structure. Entries live in a slab, so that no segment allocates.
type runs struct {
	slab       []run
	free       int32 // list of unused entries
	head, tail int32
	n          int32
	sacked     int    // octets selectively acknowledged
	lost       int    // octets held for lost
	first      [1]run // of the slab: most connections never need more
}

const none int32 = -1

// init makes rs empty. From then on it must not be moved.
func (rs *runs) init() {
	*rs = runs{free: none, head: none, tail: none}
	rs.slab = rs.first[:0]
}

func (rs *runs) alloc() int32 {
	rs.n++
	if i := rs.free; i != none {
		rs.free = rs.slab[i].next
		return i
	}
	rs.slab = append(rs.slab, run{})
	return int32(len(rs.slab) - 1)
}

// remove unlinks run i. Its octets must have left the counters.
func (rs *runs) remove(i int32) {
	r := &rs.slab[i]
	if r.prev == none {
		rs.head = r.next
	} else {
		rs.slab[r.prev].next = r.next
	}
	if r.next == none {
		rs.tail = r.prev
	} else {
		rs.slab[r.next].prev = r.prev
	}
	*r = run{next: rs.free}
	rs.free = i
	rs.n--
	if rs.n == 0 && len(rs.slab) > 64 {
		rs.init()
	}
}

// push records that [start, end), new data, was sent.
func (rs *runs) push(start, end tcpseg.Seq, now Time, delivered int64) {
	if rs.tail != none {
		t := &rs.slab[rs.tail]
		fresh := t.times == 1 && !t.sacked && !t.lost && !t.probe
		if fresh && t.sent == now {
			t.end = end
			return
		}
		if rs.n >= maxRuns {
			rs.pushFull(end, now)
			return
		}
	}
	i := rs.alloc()
	rs.slab[i] = run{start: start, end: end, sent: now, delivered: delivered, times: 1, prev: rs.tail, next: none}
	if rs.tail == none {
		rs.head = i
	} else {
		rs.slab[rs.tail].next = i
	}
	rs.tail = i
}

// pushFull joins new data to the last run with the more pessimistic history of the two: not
// delivered, in flight, of no use for RTT samples.
func (rs *runs) pushFull(end tcpseg.Seq, now Time) {
	t := &rs.slab[rs.tail]
	rs.setSacked(t, false)
	rs.setLost(t, false)
	t.end, t.sent, t.times, t.probe = end, now, max(t.times, 2), false
}

// resentOctets returns how much is in flight of what was sent again.
func (rs *runs) resentOctets() int {
	n := 0
	for i := rs.head; i != none; i = rs.slab[i].next {
		if r := &rs.slab[i]; r.times > 1 && !r.sacked && !r.lost {
			n += r.len()
		}
	}
	return n
}

func (rs *runs) setSacked(r *run, on bool) {
	if r.sacked != on {
		r.sacked = on
		if on {
			rs.sacked += r.len()
		} else {
			rs.sacked -= r.len()
		}
	}
}

func (rs *runs) setLost(r *run, on bool) {
	if r.lost != on {
		r.lost = on
		if on {
			rs.lost += r.len()
		} else {
			rs.lost -= r.len()
		}
	}
}

// split cuts run i at seq, strictly inside it; i keeps the left part.
func (rs *runs) split(i int32, at tcpseg.Seq) {
	j := rs.alloc()
	r := &rs.slab[i]
	rs.slab[j] = *r
	right := &rs.slab[j]
	right.start, right.prev = at, i
	if r.next == none {
		rs.tail = j
	} else {
		rs.slab[r.next].prev = j
	}
	r.end, r.next = at, j
}

// cut leaves run i no more than its first n octets, and returns it.
func (rs *runs) cut(i int32, n int) *run {
	if r := &rs.slab[i]; n < r.len() {
		rs.split(i, r.start.Add(n))
	}
	return &rs.slab[i]
}

// join merges run i with the one before it where they are alike, and returns the survivor.
func (rs *runs) join(i int32) int32 {
	p := rs.slab[i].prev
	if p == none || !rs.slab[p].alike(&rs.slab[i]) {
		return i
	}
	left, right := &rs.slab[p], &rs.slab[i]
	left.end = right.end
	left.sent = max(left.sent, right.sent)
	left.times = max(left.times, right.times)
	rs.remove(i)
	return p
}

// delivery sums up what an ACK newly delivered. Before it is filled, now, minRTT and echo must be set.
type delivery struct {
	octets int   // newly acknowledged, cumulatively or selectively
	sent   Time  // when the latest of them was sent; 0: none
	base   int64 // what had been delivered then
	again  bool  // some of them had been sent more than once
	probe  bool  // the probe of the path's MTU among them

	// For RACK: of the segment sent last, when it was sent and where it ends; copies that had no time to come are
	// left out (RFC 8985 §6.2 step 2).
	newest          Time // 0: none
	newestEnd       tcpseg.Seq
	lowest, highest tcpseg.Seq // ends: the lowest of what was sent only once, the highest of all
	once            bool       // lowest is set

	now, minRTT Time
	echo        uint32 // the time that the ACK echoes, as our clock shows it
	stamped     bool   // echo is set
}

// add includes the n octets of r that end at end. Echoed: what the ACK echoes tells which copy of them came.
func (d *delivery) add(r *run, n int, end tcpseg.Seq, echoed bool) {
	if d.octets == 0 || d.highest.Less(end) {
		d.highest = end
	}
	d.octets += n
	if d.sent <= r.sent {
		d.sent, d.base = r.sent, r.delivered
	}
	d.probe = d.probe || r.probe
	if r.times == 1 {
		if !d.once || end.Less(d.lowest) {
			d.once, d.lowest = true, end
		}
	} else {
		d.again = true
		if d.earlier(r, echoed) {
			return
		}
	}
	if d.newest == 0 || sentAfter(r.sent, end, d.newest, d.newestEnd) {
		d.newest, d.newestEnd = r.sent, end
	}
}

// earlier reports whether of a run that was sent again it must have been an earlier copy that came.
func (d *delivery) earlier(r *run, echoed bool) bool {
	return d.now-r.sent < d.minRTT || echoed && int32(d.echo-tsClock(r.sent)) < 0
}

// ack removes what lies before una.
func (rs *runs) ack(una tcpseg.Seq, d *delivery) {
	for rs.head != none {
		r := &rs.slab[rs.head]
		if una.LessEq(r.start) {
			return
		}
		n := min(una.Sub(r.start), r.len())
		if r.sacked {
			rs.sacked -= n
		} else {
			d.add(r, n, r.start.Add(n), d.stamped)
		}
		if r.lost {
			rs.lost -= n
		}
		if n < r.len() {
			r.start = una
			return
		}
		rs.remove(rs.head)
	}
}

// sack marks [left, right) as delivered. A block that would need more entries than there
// may be is cut down to whole runs.
func (rs *runs) sack(left, right tcpseg.Seq, d *delivery) {
	for i := rs.tail; i != none; i = rs.slab[i].prev {
		r := &rs.slab[i]
		if r.end.LessEq(left) {
			return
		}
		if r.sacked || right.LessEq(r.start) {
			continue
		}
		if rs.n+2 > maxRuns && (r.start.Less(left) || right.Less(r.end)) {
			continue
		}
		if right.Less(r.end) {
			rs.split(i, right)
			r = &rs.slab[i] // split may have moved the slab
		}
		if r.start.Less(left) {
			rs.split(i, left)
			i = rs.slab[i].next
			r = &rs.slab[i]
		}
		d.add(r, r.len(), r.end, false) // a SACK of text out of order echoes older text (RFC 7323 §4.3)
		rs.setLost(r, false)
		rs.setSacked(r, true)
		if next := r.next; next != none {
			rs.join(next)
		}
		i = rs.join(i)
	}
}

// markLost holds for lost every run sent only once with more than two segments' worth of octets, or
// three ranges, delivered beyond it: IsLost of RFC 6675 §4. It reports whether any was found.
func (rs *runs) markLost(mss int) bool {
	if rs.sacked == 0 {
		return false
	}
	found := false
	above, islands := 0, 0
	for i := rs.tail; i != none; i = rs.slab[i].prev {
		r := &rs.slab[i]
		switch {
		case r.sacked:
			above += r.len()
			islands++
		case r.lost && above == rs.sacked:
			return found // what lies before it was judged when it was
		case r.lost || r.times > 1:
		case above > 2*mss || islands >= 3:
			rs.setLost(r, true)
			if r.next != none {
				rs.join(r.next)
			}
			found = true
		}
	}
	return found
}

// markHead holds the first n octets in flight for lost, unless they were delivered or sent again already, and reports
// whether it did.
func (rs *runs) markHead(n int) bool {
	if rs.head == none {
		return false
	}
	if r := &rs.slab[rs.head]; r.sacked || r.lost || r.times > 1 {
		return false
	}
	rs.setLost(rs.cut(rs.head, n), true)
	return true
}

// markOvertaken holds for lost what was sent before the segment that was sent at sent and ends at end, and at least
// patience ago (RFC 8985 §6.2 step 5). It reports whether there was any, and how long until all that was overtaken is
// held for lost; 0: it is. again is when the last of them was sent that had been sent more than once; 0: none had.
func (rs *runs) markOvertaken(now, sent Time, end tcpseg.Seq, patience Time) (found bool, again, wait Time) {
	for i := rs.head; i != none; i = rs.slab[i].next {
		r := &rs.slab[i]
		switch {
		case r.sacked || r.lost:
		case !sentAfter(sent, end, r.sent, r.end):
			if r.times == 1 {
				return found, again, wait // and so is everything behind it
			}
		case r.sent+patience > now:
			wait = max(wait, r.sent+patience-now)
		default:
			if r.times > 1 {
				again = max(again, r.sent)
			}
			rs.setLost(r, true)
			i = rs.join(i)
			found = true
		}
	}
	return found, again, wait
}

// markIf holds every run for lost that was not delivered and of which lost is true, and reports whether there was any.
func (rs *runs) markIf(lost func(i int32, r *run) bool) (found bool) {
	for i := rs.head; i != none; i = rs.slab[i].next {
		if r := &rs.slab[i]; !r.sacked && lost(i, r) {
			rs.setLost(r, true)
			i = rs.join(i)
			found = true
		}
	}
	return found
}

// markAll holds everything for lost that was not delivered.
func (rs *runs) markAll() {
	rs.forgetReneged()
	rs.markIf(func(int32, *run) bool { return true })
}

// markTimedOut holds for lost the first run and what was sent at least patience ago, but for what was delivered
// (RFC 8985 §6.3).
func (rs *runs) markTimedOut(now, patience Time) {
	rs.forgetReneged()
	rs.markIf(func(i int32, r *run) bool { return i == rs.head || r.sent+patience <= now })
}

// markLarger holds for lost every run of more than n octets that was not delivered, and reports whether there was any.
func (rs *runs) markLarger(n int) bool {
	return rs.markIf(func(_ int32, r *run) bool { return r.len() > n })
}

// forgetReneged disbelieves all SACK blocks if the first run counts as delivered although it is not acknowledged: the
// peer has reneged (RFC 2018 §8).
func (rs *runs) forgetReneged() {
	if rs.head == none || !rs.slab[rs.head].sacked {
		return
	}
	for i := rs.head; i != none; i = rs.slab[i].next {
		rs.setSacked(&rs.slab[i], false)
	}
}

// unmark holds nothing for lost any more.
func (rs *runs) unmark() {
	for i := rs.head; i != none && rs.lost > 0; i = rs.slab[i].next {
		rs.setLost(&rs.slab[i], false)
	}
}

// lastSegment returns a run that is the last segment of size octets, or what is left for it, of what is in flight.
func (rs *runs) lastSegment(size int) int32 {
	return rs.lastOf(rs.tail, size)
}

// lastOf cuts the last segment off run i, if that is longer, and returns it.
func (rs *runs) lastOf(i int32, size int) int32 {
	r := &rs.slab[i]
	if n := (r.len() - 1) % size; n+1 < r.len() {
		rs.split(i, r.end.Add(-n-1))
		i = rs.slab[i].next
	}
	return i
}

// firstLost returns the first run held for lost, or none.
func (rs *runs) firstLost() int32 {
	if rs.lost == 0 {
		return none
	}
	i := rs.head
	for i != none && !rs.slab[i].lost {
		i = rs.slab[i].next
	}
	return i
}

// resend records that the first n octets of run i were sent again, and returns how often that makes.
func (rs *runs) resend(i int32, n int, now Time, delivered int64) int {
	r := rs.cut(i, n)
	rs.setLost(r, false)
	r.sent, r.delivered, r.probe = now, delivered, false
	if r.times < 255 {
		r.times++
	}
	times := int(r.times)
	rs.join(i)
	return times
}
