package stack

import (
	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// halfOpen is the record of a passive open in SYN-RECEIVED. It has no buffers.
type halfOpen struct {
	key    flowKey
	ho     tcb.HalfOpen
	before *tcb.TimeWait // of the incarnation whose place it took; nil: there was none
	l      *Listener
	q      *queue
	timer  *timer
}

// passive answers a SYN for listener l. With a TIME-WAIT before it, the new incarnation numbers
// its octets from above that (RFC 6191). False: the flow has come into being meanwhile.
func (q *queue) passive(sh *shard, hash uint32, key *flowKey, now tcb.Time, seg *tcpseg.Segment,
	l *Listener, before *tcb.TimeWait) bool {
	switch {
	case q.s.mem.spent():
		q.drop(countMemory)
		return true
	case before == nil && (l.cookies == SynCookiesAlways || l.cookies == SynCookiesAuto && l.halfOpen.Load() >= l.backlog):
		q.sendCookie(key, now, seg, l)
		return true
	case l.halfOpen.Load() >= l.backlog: // 4987-02: never a RST, never at others' cost
		q.drop(countBacklog)
		return true
	}
	if before == nil && q.openFast(sh, hash, key, now, seg, l) {
		return true
	}
	iss, offset := q.s.secret.isn(key, now)
	if before != nil && iss.Less(before.NextISS()) {
		iss = before.NextISS() // 6191-05
	}
	sh.mu.Lock()
	if sh.kind(key, hash) != kindNone {
		sh.mu.Unlock()
		return false
	}
	at := sh.halfOpens.take()
	r := sh.halfOpens.at(at)
	*r = halfOpen{key: *key, ho: tcb.Passive(now, l.config(q, key.remote), seg, iss, offset), before: before, l: l, q: q,
		timer: q.s.timers.add(timerOwner{slot: at, shard: sh.number(), kind: ownerHalfOpen})}
	sh.records.insert(hash, makeRef(kindHalfOpen, at), fullOfRecords)
	l.halfOpen.Add(1)
	q.answerHalfOpen(r, q.sc, now)
	sh.mu.Unlock()
	return true
}

// answerHalfOpen sends what a record has to send and sets its timer. The shard is locked; a
// write to a link never blocks.
func (q *queue) answerHalfOpen(r *halfOpen, sc *scratch, now tcb.Time) {
	sc.out.Limit = 0
	for r.ho.Output(now, &sc.out) {
		if r.l.fastOpen > 0 && r.ho.WantsCookie() && sc.out.Flags.Has(tcpseg.SYN) {
			sc.out.Options.FastOpen = q.s.secret.freshCookie(r.key.remote, now)
		}
		q.reply(sc, &r.key, &r.l.options)
	}
	q.s.timers.set(r.timer, r.ho.Deadline())
}

// inputHalfOpen gives a segment to a half-open flow. The shard is locked and let go in here.
func (q *queue) inputHalfOpen(sh *shard, hash uint32, ref recordRef, now tcb.Time, seg *tcpseg.Segment) {
	r := sh.halfOpens.at(ref.at())
	l, key := r.l, r.key
	if l.closed.Load() {
		q.s.removeHalfOpen(sh, hash, ref)
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
		q.dropTCP(drop)
	}
	if third && res != tcb.HalfOpenComplete {
		l.waiting.Add(-1)
	}
	switch res {
	case tcb.HalfOpenComplete:
		q.accept(sh, hash, ref, now, seg)
		return
	case tcb.HalfOpenReply:
		q.answerHalfOpen(r, q.sc, now)
	case tcb.HalfOpenDead:
		q.s.abandonHalfOpen(sh, hash, ref, now)
	}
	sh.mu.Unlock()
}

// accept makes a connection of a half-open flow whose handshake seg completes, and gives it to
// the listener. The shard is locked and let go in here.
func (q *queue) accept(sh *shard, hash uint32, ref recordRef, now tcb.Time, seg *tcpseg.Segment) {
	r := sh.halfOpens.at(ref.at())
	l, key, h, cfg := r.l, r.key, r.ho.Handshake(), r.l.config(r.q, r.key.remote)
	q.s.removeHalfOpen(sh, hash, ref)
	q.open(sh, hash, &key, now, seg, l, cfg, &h)
}

// open makes a connection of a flow that is in no table, after a handshake that seg completes, and gives it to l. The
// shard is locked and let go in here.
func (q *queue) open(sh *shard, hash uint32, key *flowKey, now tcb.Time, seg *tcpseg.Segment, l *Listener, cfg *tcb.Config, h *tcb.Handshake) {
	c := q.s.newConn(q, key)
	c.lock() // nobody else knows c yet: no order is broken
	c.t.Accept(c.at(now), cfg, &c.mem, h)
	q.enter(sh, hash, c, cfg)
	q.took(c, c.input(now, seg))
	c.unlock()
	l.add(q.sc, c)
}

// enter puts a new connection, which is locked, into the table. The shard is locked and let go in here.
func (q *queue) enter(sh *shard, hash uint32, c *Conn, cfg *tcb.Config) {
	c.setIP(&cfg.Options)
	sh.conns.insert(hash, c, fullOfConns)
	sh.mu.Unlock()
	q.s.mem.conns.Add(1)
}

// abandonHalfOpen forgets a half-open flow that the peer knows nothing of. If its SYN took the place of a TIME-WAIT, it
// was an old one, and that comes back (MAY-2), for as long as ever: old segments are still about.
func (s *Stack) abandonHalfOpen(sh *shard, hash uint32, ref recordRef, now tcb.Time) {
	r := sh.halfOpens.at(ref.at())
	key, before := r.key, r.before
	s.removeHalfOpen(sh, hash, ref)
	if before != nil {
		before.Begin(now)
		sh.records.insert(hash, s.holdTimeWait(sh, &key, before), fullOfRecords)
	}
}

// removeHalfOpen forgets a half-open flow in silence.
func (s *Stack) removeHalfOpen(sh *shard, hash uint32, ref recordRef) {
	r := sh.halfOpens.at(ref.at())
	r.l.halfOpen.Add(-1)
	s.timers.drop(r.timer)
	sh.records.remove(hash, ref)
	sh.halfOpens.give(ref.at())
}

// expireHalfOpen runs the timer of a half-open record, unless that is another's by now.
func (s *Stack) expireHalfOpen(d *dueTimer, sc *scratch) {
	sh := &s.table.shards[d.shard]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if int(d.slot) >= len(sh.halfOpens.chunks)*slabChunk {
		return
	}
	r := sh.halfOpens.at(d.slot)
	if r.timer != d.t {
		return
	}
	now := s.now()
	if r.l.closed.Load() || !r.ho.Expire(now) {
		_, hash := s.table.place(&r.key)
		s.removeHalfOpen(sh, hash, makeRef(kindHalfOpen, d.slot))
		return
	}
	r.q.answerHalfOpen(r, sc, now)
}
