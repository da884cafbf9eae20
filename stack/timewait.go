package stack

import (
	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// timeWait is the record of a flow in TIME-WAIT.
type timeWait struct {
	tw    tcb.TimeWait
	since tcb.Time
	q     *queue
	timer timerID
}

// addTimeWait makes entry id, which was c's, a TIME-WAIT record. The shard is locked.
func (s *Stack) addTimeWait(sh *shard, id uint32, c *Conn, tw *tcb.TimeWait) {
	e := sh.entries.at(id)
	e.kind, e.ref = kindTimeWait, sh.timeWaits.take()
	r := sh.timeWaits.at(e.ref)
	r.tw, r.q, r.since = *tw, c.q, c.last
	r.timer = s.timers.set(0, timerNode{shard: sh, entry: id}, tw.Deadline())
}

// inputTimeWait gives a segment to a TIME-WAIT record. The shard is locked and let go in here.
// False: the segment opens a new incarnation and the flow has changed meanwhile.
func (q *queue) inputTimeWait(sh *shard, id uint32, now tcb.Time, seg *tcpseg.Segment) bool {
	e := sh.entries.at(id)
	r := sh.timeWaits.at(e.ref)
	res := r.tw.Input(now, seg)
	if res.Drop != tcb.DropNone {
		q.count.tcp[res.Drop].Add(1)
	}
	key, hash := e.key, e.hash
	if res.Reuse {
		if l := q.s.listeners.find(key.local, key.lport); l != nil {
			above := r.tw.NextISS()
			q.s.removeTimeWait(sh, id)
			sh.mu.Unlock()
			return q.passive(sh, hash, &key, now, seg, l, above, true)
		}
		sh.mu.Unlock()
		q.refuse(&key, seg)
		return true
	}
	if res.Reply {
		r.tw.Output(now, &q.sc.out)
	}
	sh.mu.Unlock()
	if res.Reply {
		q.reply(q.sc, &key)
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
	id, ok := sh.find(key, hash)
	if !ok || sh.entries.at(id).kind != kindTimeWait {
		return 0, false
	}
	r := sh.timeWaits.at(sh.entries.at(id).ref)
	if now-r.since < reuseAfter {
		return 0, false
	}
	above := r.tw.NextISS()
	s.removeTimeWait(sh, id)
	return above, true
}

// removeTimeWait forgets a flow in TIME-WAIT.
func (s *Stack) removeTimeWait(sh *shard, id uint32) {
	e := sh.entries.at(id)
	s.timers.drop(sh.timeWaits.at(e.ref).timer)
	sh.timeWaits.give(e.ref)
	sh.remove(id)
}

// expireTimeWait ends a TIME-WAIT, unless a FIN has restarted it (ST-TW3).
func (s *Stack) expireTimeWait(sh *shard, n *timerNode, e *entry, now tcb.Time) {
	r := sh.timeWaits.at(e.ref)
	if r.timer != timerID(n.id+1) {
		return
	}
	if d := r.tw.Deadline(); d > now {
		s.timers.set(r.timer, timerNode{}, d)
		return
	}
	s.removeTimeWait(sh, n.entry)
}
