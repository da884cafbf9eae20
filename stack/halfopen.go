package stack

import (
	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// halfOpen is the record of a passive open in SYN-RECEIVED. It has no buffers.
type halfOpen struct {
	ho    tcb.HalfOpen
	l     *Listener
	q     *queue
	timer timerID
}

// passive answers a SYN for listener l. With a TIME-WAIT before it, the new incarnation numbers
// its octets from above (RFC 6191). False: the flow has come into being meanwhile.
func (q *queue) passive(sh *shard, hash uint32, key *flowKey, now tcb.Time, seg *tcpseg.Segment,
	l *Listener, above tcpseg.Seq, reuse bool) bool {
	switch {
	case l.halfOpen.Load() >= l.backlog: // 4987-02: never a RST, never at others' cost
		q.drop(countBacklog)
		return true
	case q.s.mem.spent():
		q.drop(countMemory)
		return true
	}
	iss, offset := q.s.secret.isn(key, now)
	if reuse && iss.Less(above) {
		iss = above // 6191-05
	}
	sh.mu.Lock()
	if _, ok := sh.find(key, hash); ok {
		sh.mu.Unlock()
		return false
	}
	id := sh.insert(key, hash)
	e := sh.entries.at(id)
	e.kind, e.ref = kindHalfOpen, sh.halfOpens.take()
	r := sh.halfOpens.at(e.ref)
	r.ho, r.l, r.q = tcb.Passive(now, l.config(q, key.remote), seg, iss, offset), l, q
	l.halfOpen.Add(1)
	q.answerHalfOpen(sh, id, q.sc, now)
	sh.mu.Unlock()
	return true
}

// answerHalfOpen sends what record id has to send and arms its timer. The shard is locked; a
// write to a link never blocks.
func (q *queue) answerHalfOpen(sh *shard, id uint32, sc *scratch, now tcb.Time) {
	e := sh.entries.at(id)
	r := sh.halfOpens.at(e.ref)
	sc.out.Limit = 0
	for r.ho.Output(now, &sc.out) {
		q.reply(sc, &e.key)
	}
	if d := r.ho.Deadline(); d != 0 {
		r.timer = q.s.timers.set(r.timer, timerNode{shard: sh, entry: id}, d)
	}
}

// inputHalfOpen gives a segment to a half-open flow. The shard is locked and let go in here.
func (q *queue) inputHalfOpen(sh *shard, id uint32, now tcb.Time, seg *tcpseg.Segment) {
	e := sh.entries.at(id)
	r := sh.halfOpens.at(e.ref)
	l, key := r.l, e.key
	if l.closed.Load() {
		q.s.removeHalfOpen(sh, id)
		sh.mu.Unlock()
		q.refuse(&key, seg)
		return
	}
	// The last ACK is not taken while nobody has room for the connection (4987-05).
	third := seg.Flags&(tcpseg.ACK|tcpseg.RST|tcpseg.SYN) == tcpseg.ACK
	if third && !l.reserve() {
		q.drop(countAcceptQueue)
		sh.mu.Unlock()
		return
	}
	res, drop := r.ho.Input(now, seg)
	if drop != tcb.DropNone {
		q.count.tcp[drop].Add(1)
	}
	if third && res != tcb.HalfOpenComplete {
		l.waiting.Add(-1)
	}
	switch res {
	case tcb.HalfOpenComplete:
		q.accept(sh, id, now, seg)
		return
	case tcb.HalfOpenReply:
		q.answerHalfOpen(sh, id, q.sc, now)
	case tcb.HalfOpenDead:
		q.s.removeHalfOpen(sh, id)
	}
	sh.mu.Unlock()
}

// accept makes a connection of a half-open flow whose handshake seg completes, and gives it to
// the listener. The shard is locked and let go in here.
func (q *queue) accept(sh *shard, id uint32, now tcb.Time, seg *tcpseg.Segment) {
	e := sh.entries.at(id)
	r := sh.halfOpens.at(e.ref)
	l := r.l
	c := q.s.newConn(q, &e.key)
	c.lock() // nobody else knows c yet: no order is broken
	c.t.Accept(c.at(now), l.config(r.q, e.key.remote), &c.mem, r.ho.Handshake())
	q.s.freeHalfOpen(sh, e)
	sh.setConn(id, c)
	sh.mu.Unlock()
	q.s.mem.conns.Add(1)
	q.took(c, c.input(now, seg))
	c.unlock()
	l.add(q.sc, c)
}

// freeHalfOpen gives back the record of e, whose kind changes.
func (s *Stack) freeHalfOpen(sh *shard, e *entry) {
	r := sh.halfOpens.at(e.ref)
	r.l.halfOpen.Add(-1)
	s.timers.drop(r.timer)
	sh.halfOpens.give(e.ref)
	e.kind = kindNone
}

// removeHalfOpen forgets a half-open flow in silence.
func (s *Stack) removeHalfOpen(sh *shard, id uint32) {
	s.freeHalfOpen(sh, sh.entries.at(id))
	sh.remove(id)
}

// expireRecord runs the timer of a half-open or TIME-WAIT record.
func (s *Stack) expireRecord(n *timerNode, sc *scratch) {
	sh := n.shard
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if int(n.entry) >= len(sh.entries.chunks)*slabChunk {
		return
	}
	now := s.now()
	switch e := sh.entries.at(n.entry); e.kind {
	case kindHalfOpen:
		r := sh.halfOpens.at(e.ref)
		if r.timer != timerID(n.id+1) {
			return
		}
		if r.l.closed.Load() || !r.ho.Expire(now) {
			s.removeHalfOpen(sh, n.entry)
			return
		}
		r.q.answerHalfOpen(sh, n.entry, sc, now)
	case kindTimeWait:
		s.expireTimeWait(sh, n, e, now)
	}
}
