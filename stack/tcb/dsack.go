package tcb

import "ustack/tcpseg"

// tellDuplicate notes that the peer has sent [left, right) in vain. The next segment tells, and only that (RFC 2883 §4).
func (t *TCB) tellDuplicate(left, right tcpseg.Seq) {
	if t.sackOK && left.Less(right) {
		t.needSeldom().duplicate = tcpseg.SACKBlock{Left: left, Right: right}
	}
}

// owesDuplicate reports whether there is something to tell.
func (t *TCB) owesDuplicate() bool {
	return t.seldom != nil && t.seldom.duplicate.Left != t.seldom.duplicate.Right
}

// superLimit is the limit for super-segments. A D-SACK must not be repeated on every segment that one is cut into: the
// peer would take each for another duplicate. And the urgent pointer counts from the segment that it stands on (TSO-09).
func (t *TCB) superLimit(limit int) int {
	if t.owesDuplicate() || t.urging() {
		return 0
	}
	return limit
}

// fillSACK fills the SACK option with so many blocks: first what came twice, then what is queued out of order.
func (t *TCB) fillSACK(o *tcpseg.Options, blocks int) {
	if t.owesDuplicate() {
		o.SACK[0], o.SACKCount = t.seldom.duplicate, 1
		t.seldom.duplicate = tcpseg.SACKBlock{}
	}
	if !t.rcv.outOfOrder.empty() {
		t.rcv.outOfOrder.sack(o, blocks)
	}
}
