package stack

import (
	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// timeWait is the record of a flow in TIME-WAIT.
type timeWait struct {
	tw    tcb.TimeWait
	q     *queue
	timer timerID
}

// addTimeWait makes entry id, which was c's, a TIME-WAIT record. The shard is locked.
func (s *Stack) addTimeWait(sh *shard, id uint32, c *Conn, tw *tcb.TimeWait) {
	e := sh.entries.at(id)
	e.kind, e.ref = kindTimeWait, sh.timeWaits.take()
	r := sh.timeWaits.at(e.ref)
	r.tw, r.q = *tw, c.q
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
