package stack

import (
	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// timeWait is the record of a flow in TIME-WAIT, an item of a waitList.
type timeWait struct {
	key        flowKey
	tw         tcb.TimeWait
	prev, next uint32 // in the list, plus one; 0: none
}

// waitList has the records of a shard that wait equally long, in order of their deadlines: a new one goes to
// the tail, and so does one whose time begins anew.
type waitList struct {
	length     tcb.Time
	head, tail uint32 // plus one; 0: none
}

// waitLists are the lists of a shard, one for each 2MSL that listeners have asked for. One timer watches all heads.
type waitLists struct {
	lists []waitList
	timer *timer
	shard uint8 // in the table
}

// holdTimeWait makes a record; its timer is set. The shard is locked.
func (s *Stack) holdTimeWait(sh *shard, key *flowKey, tw *tcb.TimeWait) recordRef {
	at := sh.timeWaits.take()
	*sh.timeWaits.at(at) = timeWait{key: *key, tw: *tw}
	sh.enqueue(at)
	s.armTimeWaits(sh)
	return makeRef(kindTimeWait, at)
}

// enqueue appends a record to its list.
func (sh *shard) enqueue(at uint32) {
	r := sh.timeWaits.at(at)
	l := sh.waiting.list(r.tw.Length())
	r.prev, r.next = l.tail, 0
	if l.tail != 0 {
		sh.timeWaits.at(l.tail - 1).next = at + 1
	} else {
		l.head = at + 1
	}
	l.tail = at + 1
}

// dequeue takes a record out of its list.
func (sh *shard) dequeue(at uint32) {
	r := sh.timeWaits.at(at)
	l := sh.waiting.list(r.tw.Length())
	if r.prev != 0 {
		sh.timeWaits.at(r.prev - 1).next = r.next
	} else {
		l.head = r.next
	}
	if r.next != 0 {
		sh.timeWaits.at(r.next - 1).prev = r.prev
	} else {
		l.tail = r.prev
	}
}

// list returns the list for records that wait so long.
func (w *waitLists) list(length tcb.Time) *waitList {
	for i := range w.lists {
		if w.lists[i].length == length {
			return &w.lists[i]
		}
	}
	w.lists = append(w.lists, waitList{length: length})
	return &w.lists[len(w.lists)-1]
}

// armTimeWaits sets the shard's timer to the first deadline of its lists. The shard is locked.
func (s *Stack) armTimeWaits(sh *shard) {
	first := tcb.Time(0)
	for _, l := range sh.waiting.lists {
		if l.head != 0 {
			if d := sh.timeWaits.at(l.head - 1).tw.Deadline(); first == 0 || d < first {
				first = d
			}
		}
	}
	w := &sh.waiting
	switch {
	case first == 0:
		s.timers.drop(w.timer)
		w.timer, w.lists = nil, w.lists[:0]
		return
	case w.timer == nil:
		w.timer = s.timers.add(timerOwner{shard: w.shard, kind: ownerTimeWait})
	}
	s.timers.set(w.timer, first)
}

// maxExpired is how many records are forgotten before others get the shard: a burst of connections ends in the
// same moment.
const maxExpired = 64

// expireTimeWaits forgets the records of a shard whose time is over.
func (s *Stack) expireTimeWaits(sh *shard) {
	for s.expireSomeTimeWaits(sh) {
	}
}

// expireSomeTimeWaits does that for maxExpired of them; true: there may be more.
func (s *Stack) expireSomeTimeWaits(sh *shard) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	now := s.now()
	for range maxExpired {
		at, ok := sh.overdue(now)
		if !ok {
			s.armTimeWaits(sh)
			return false
		}
		_, hash := s.table.place(&sh.timeWaits.at(at).key)
		sh.forgetTimeWait(hash, at)
	}
	return true
}

// overdue returns a record whose time is over. The first of a list is the first of them.
func (sh *shard) overdue(now tcb.Time) (uint32, bool) {
	for _, l := range sh.waiting.lists {
		if l.head != 0 && sh.timeWaits.at(l.head-1).tw.Deadline() <= now {
			return l.head - 1, true
		}
	}
	return 0, false
}

func (sh *shard) forgetTimeWait(hash, at uint32) {
	sh.dequeue(at)
	sh.records.remove(hash, makeRef(kindTimeWait, at))
	sh.timeWaits.give(at)
}

// removeTimeWait forgets a flow in TIME-WAIT before its time. The shard is locked.
func (s *Stack) removeTimeWait(sh *shard, hash uint32, ref recordRef) {
	sh.forgetTimeWait(hash, ref.at())
	if sh.timeWaits.live == 0 {
		s.armTimeWaits(sh)
	}
}

// inputTimeWait gives a segment to a TIME-WAIT record. The shard is locked and let go in here.
// False: the segment opens a new incarnation and the flow has changed meanwhile.
func (q *queue) inputTimeWait(sh *shard, hash uint32, ref recordRef, now tcb.Time, seg *tcpseg.Segment) bool {
	r := sh.timeWaits.at(ref.at())
	key, due := r.key, r.tw.Deadline()
	res := r.tw.Input(now, seg)
	if res.Drop != tcb.DropNone {
		q.dropTCP(res.Drop)
	}
	if r.tw.Deadline() != due { // a FIN came again: its time begins anew (ST-TW3)
		sh.dequeue(ref.at())
		sh.enqueue(ref.at())
	}
	if res.Reuse {
		if l := q.s.listeners.find(key.local, key.lport); l != nil {
			before := r.tw
			q.s.removeTimeWait(sh, hash, ref)
			sh.mu.Unlock()
			return q.passive(sh, hash, &key, now, seg, l, &before)
		}
		sh.mu.Unlock()
		q.refuse(&key, seg)
		return true
	}
	if res.Reply != tcb.CauseNone {
		_, offset := q.s.secret.isn(&key, now)
		r.tw.Output(now, offset, res.Reply, &q.sc.out)
	}
	sh.mu.Unlock()
	if res.Reply != tcb.CauseNone {
		q.reply(q.sc, &key, nil)
	}
	return true
}

// reuseAfter is how long a flow stays in TIME-WAIT at least before we open it again ourselves: by
// then our timestamps have moved on, so that the peer can tell the incarnations apart (RFC 6191).
const reuseAfter = second

// takeTimeWait ends a TIME-WAIT early for a new connection of ours (ST-TW7) and returns the lowest
// ISS that may have.
func (s *Stack) takeTimeWait(key *flowKey, now tcb.Time) (tcpseg.Seq, bool) {
	sh, hash := s.table.place(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	ref := sh.record(key, hash)
	if ref.kind() != kindTimeWait {
		return 0, false
	}
	tw := &sh.timeWaits.at(ref.at()).tw
	if now-(tw.Deadline()-tw.Length()) < reuseAfter {
		return 0, false
	}
	above := tw.NextISS()
	s.removeTimeWait(sh, hash, ref)
	return above, true
}
