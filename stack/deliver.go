package stack

import (
	"errors"

	"ustack/ippkt"
	"ustack/stack/link"
	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// deliver takes one packet in. Whatever is wrong with it, it is counted, and answered only
// where the RFCs ask for it.
func (q *queue) deliver(f *link.Frame) {
	q.count.own[countPacketsIn].Add(1)
	if !q.s.traced() {
		q.deliverPacket(f, false)
		return
	}
	q.tracing.begin(f)
	q.deliverPacket(f, false)
	q.tracing.end(q.s, nil)
}

// deliverPacket is deliver for a packet that has been counted. Reassembled: it has been put
// together from fragments here.
func (q *queue) deliverPacket(f *link.Frame, reassembled bool) {
	now := q.s.now()
	p, reason := ippkt.Parse(f.Packet)
	if reason != ippkt.ReasonNone {
		q.dropIP(reason)
		if p.Problem.Answer && q.mayAnswer(&p) {
			q.sendError(ippkt.ParameterProblem(&p), &p, f.Packet)
		}
		return
	}
	if !q.forUs(&p) {
		return
	}
	if p.IsFragment() {
		q.deliverFragment(f, &p, now, reassembled)
		return
	}
	if f.GSO != link.GSONone && !gsoMatches(f.GSO, &p) || f.NeedsCsum && int(f.CsumStart) != p.HeaderLen {
		q.drop(countOffload) // TUN-R06, TUN-R07
		return
	}
	verified := f.NeedsCsum || f.DataValid // TUN-R01, TUN-R02
	switch {
	case p.Proto == ippkt.ProtoTCP:
		q.deliverTCP(f, &p, now, verified)
	case p.Proto == ippkt.ProtoUDP:
		q.deliverUDP(f, &p, verified)
	case p.Proto == ippkt.ProtoICMP && p.Version == 4, p.Proto == ippkt.ProtoICMPv6 && p.Version == 6:
		q.deliverICMP(f, &p, now, verified)
	default:
		q.drop(countProtocol)
		q.sendError(ippkt.ProtocolUnreachable(&p), &p, f.Packet)
	}
}

func gsoMatches(g link.GSO, p *ippkt.Packet) bool {
	switch g {
	case link.GSOTCPv4:
		return p.Version == 4 && p.Proto == ippkt.ProtoTCP
	case link.GSOTCPv6:
		return p.Version == 6 && p.Proto == ippkt.ProtoTCP
	case link.GSOUDP:
		return p.Proto == ippkt.ProtoUDP
	}
	return false
}

// forUs checks the addresses (spec §2). All refusals are silent: no ICMP, no RST, and nothing
// goes back out (V6R-03, P2P-10).
func (q *queue) forUs(p *ippkt.Packet) bool {
	if r := p.Martian(); r != ippkt.ReasonNone {
		q.dropIP(r)
		return false
	}
	a := &q.s.addrs
	switch {
	case a.isOwn(p.Src):
		q.drop(countLand)
	case a.isBroadcast(p.Src):
		q.dropIP(ippkt.ReasonSource)
	case a.isOwn(p.Dst):
		return true
	case p.Dst.IsMulticast(), p.Dst.IsBroadcast(), a.isBroadcast(p.Dst):
		q.drop(countMulticast)
	default:
		q.drop(countNotOurs)
	}
	return false
}

func (q *queue) deliverTCP(f *link.Frame, p *ippkt.Packet, now tcb.Time, verified bool) {
	seg, err := tcpseg.Parse(p.Payload)
	if err != nil {
		if errors.Is(err, tcpseg.ErrShort) {
			q.drop(countTCPShort)
		} else {
			q.drop(countTCPOffset)
		}
		return
	}
	if !verified && !p.ChecksumOK() { // MUST-3
		q.drop(countTCPChecksum)
		return
	}
	seg.GSOSize, seg.ECN = int(f.GSOSize), p.ECN()
	q.count.own[countSegsIn].Add(1)
	if seg.Flags.Has(tcpseg.RST) {
		q.count.own[countResetsIn].Add(1)
	}
	key := flowKey{local: p.Dst, remote: p.Src, lport: seg.DstPort, rport: seg.SrcPort}
	if q.s.traced() {
		q.tracing.segment(&key, &seg)
	}
	for !q.dispatch(&key, now, &seg) {
	}
}

// dispatch gives a segment to whatever its flow is at the moment. False: that has changed
// between finding and locking, look again.
func (q *queue) dispatch(key *flowKey, now tcb.Time, seg *tcpseg.Segment) bool {
	sh, hash := q.s.table.place(key)
	sh.mu.Lock()
	if c := sh.conn(key, hash); c != nil {
		sh.mu.Unlock()
		return q.input(c, now, seg)
	}
	switch ref := sh.record(key, hash); ref.kind() {
	case kindHalfOpen:
		q.inputHalfOpen(sh, hash, ref, now, seg) // unlocks
		return true
	case kindTimeWait:
		return q.inputTimeWait(sh, hash, ref, now, seg) // unlocks
	}
	sh.mu.Unlock()
	return q.newFlow(sh, hash, key, now, seg)
}

// input gives a segment to a connection. False: it has left the table.
func (q *queue) input(c *Conn, now tcb.Time, seg *tcpseg.Segment) bool {
	c.lock()
	defer c.unlock()
	if c.dead {
		return false
	}
	q.sc.touched ^= c.touch()
	if c.q != q && c.t.State() == tcb.SynSent {
		c.q = q // a dialled connection adopts the queue of its SYN,ACK
	}
	if q.s.traced() {
		q.tracing.before(c)
	}
	q.took(c, c.input(now, seg))
	return true
}

// took notes what a TCB made of a segment. The end of a connection is acted upon at once, the
// rest at the end of the turn.
func (q *queue) took(c *Conn, r tcb.Result) {
	if r.Drop != tcb.DropNone {
		q.dropTCP(r.Drop)
	}
	if q.s.traced() {
		q.tracing.end(q.s, c)
	}
	c.news |= r.Events
	if r.Events&(tcb.EventClosed|tcb.EventTimeWait) != 0 {
		c.respond(q.sc)
		return
	}
	if !c.touched {
		c.touched = true
		q.touched = append(q.touched, c)
	}
}

// newFlow answers a segment that belongs to no flow: a listener takes a SYN, the rest is refused
// (RFC 9293 §3.10.7.1, §3.10.7.2).
func (q *queue) newFlow(sh *shard, hash uint32, key *flowKey, now tcb.Time, seg *tcpseg.Segment) bool {
	if !seg.Flags.Has(tcpseg.RST) && !seg.Flags.Has(tcpseg.ACK) {
		if l := q.s.listeners.find(key.local, key.lport); l != nil {
			if !seg.Flags.Has(tcpseg.SYN) {
				q.dropTCP(tcb.DropNotListening)
				return true
			}
			return q.passive(sh, hash, key, now, seg, l, nil)
		}
	} else if l := q.s.listeners.find(key.local, key.lport); l != nil && q.takeCookie(sh, hash, key, now, seg, l) {
		return true
	}
	q.refuse(key, seg)
	return true
}

// refuse sends the RST for a segment without a flow.
func (q *queue) refuse(key *flowKey, seg *tcpseg.Segment) {
	q.dropTCP(tcb.DropClosed)
	if tcb.Refuse(seg, &q.sc.out) {
		q.drop(countRefused)
		q.reply(q.sc, key, nil)
	}
}
