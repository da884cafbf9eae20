package netsim

import (
	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// watch asserts the laws of one end of a connection. What it knows it has from
// the segments that pass and from Snapshot, never from the TCB's own reckoning
// alone: that is what is to be proved.
type watch struct {
	fail func(law, format string, args ...any)
	mtu  int

	// The handshake: our SYN and the peer's.
	iss, irs            tcpseg.Seq
	started, opened     bool // our SYN was sent, the peer's was seen
	synFlags            tcpseg.Flags
	ourMSS, peerMSS     int
	weScale, peerScales bool
	ourScale, peerScale uint8
	weStamp, peerStamps bool
	weSACK, peerSACKs   bool

	// What we sent.
	nxt     tcpseg.Seq // end of the furthest octet
	acked   tcpseg.Seq // latest ACK
	edge    tcpseg.Seq // furthest right edge promised
	acksOut int        // ACKs without data that owe themselves to segments that came
	resent  int        // segments sent again because they were held for lost
	forced  int        // of those in this flush, how many cwnd had no room for

	tally tally

	// What came in.
	arrived                tcpseg.Seq // end of the furthest octet
	peerAck                tcpseg.Seq // latest ACK
	peerEdge               tcpseg.Seq // furthest right edge the peer has promised
	rtoAt, rtoGap, rtoSRTT Time       // of the last time-out: when, or when what timed out was sent again; how long it took, SRTT then
	rtoUna                 tcpseg.Seq
	rexmitAt               Time      // the retransmission timer
	armedRTO               Time      // RTO when it was set
	sends                  []sending // what is in flight, as it was sent
	segsIn                 int       // real segments
	peerTSVal              uint32    // latest timestamp
	largest                int       // payload of the largest real segment
	duplicates             int       // ACKs of una since recovery began, or since una moved

	closing   bool // the application has closed its side
	last      tcb.Snapshot
	lastState tcb.State

	// What passes in one virtual millisecond.
	period               Time
	periodIn, periodBare int // real segments in, and segments without data out
	periodAgain          int // octets sent again
	periodAcked          int // octets acknowledged
	periodCwnd           int // largest cwnd
}

// scaled returns the shift counts in force, ours and the peer's.
func (w *watch) scaled() (ours, peers uint8) {
	if w.weScale && w.peerScales {
		return w.ourScale, min(w.peerScale, 14)
	}
	return 0, 0
}

// received takes a segment that came in, before the connection sees it.
func (w *watch) received(now Time, seg *tcpseg.Segment) {
	w.roll(now)
	n, size := 1, len(seg.Payload)
	if seg.GSOSize > 0 && size > seg.GSOSize {
		n, size = (size+seg.GSOSize-1)/seg.GSOSize, seg.GSOSize
	}
	w.largest = max(w.largest, size)
	w.segsIn += n
	w.periodIn += n
	if seg.Flags.Has(tcpseg.RST) {
		return
	}
	if seg.Options.HasTimestamps {
		w.peerTSVal = seg.Options.TSVal
	}
	if seg.Flags.Has(tcpseg.SYN) {
		w.receivedSYN(seg)
	}
	if !w.opened {
		return
	}
	if end := seg.Seq.Add(seg.Len()); w.arrived.Less(end) {
		w.arrived = end
	}
	if seg.Flags.Has(tcpseg.ACK) {
		_, scale := w.scaled()
		if seg.Flags.Has(tcpseg.SYN) {
			scale = 0
		}
		// An old segment may have brought a newer ACK, and was dropped with it.
		if (seg.Ack == w.peerAck || seg.Ack == w.last.Una) && seg.Len() == 0 {
			w.duplicates++
		}
		if w.peerAck.Less(seg.Ack) {
			w.periodAcked += seg.Ack.Sub(w.peerAck)
			w.peerAck = seg.Ack
		}
		if edge := seg.Ack.Add(int(seg.Window) << scale); w.peerEdge.Less(edge) {
			w.peerEdge = edge
		}
	}
}

// receivedForged takes a segment that the peer has not sent.
func (w *watch) receivedForged(now Time) {
	w.roll(now)
	w.segsIn++
	w.periodIn++
}

func (w *watch) receivedSYN(seg *tcpseg.Segment) {
	if w.opened || w.started && seg.Flags.Has(tcpseg.ACK) && seg.Ack != w.iss+1 {
		return // known, or an old one that answers another SYN
	}
	w.opened = true
	w.irs = seg.Seq
	w.arrived = seg.Seq.Add(1)
	w.acked = seg.Seq
	o := &seg.Options
	w.peerMSS = int(o.MSS)
	w.peerScales, w.peerScale = o.HasScale, o.Scale
	w.peerStamps, w.peerSACKs = o.HasTimestamps, o.SACKPermitted
	w.peerAck = w.iss
	w.peerEdge = w.iss.Add(1 + int(seg.Window))
}

// sending is one segment as it was sent, again or for the first time.
type sending struct {
	start, end tcpseg.Seq
	at, rto    Time
}

// remember notes when what is in flight was sent last.
func (w *watch) remember(now Time, start, end tcpseg.Seq, s *tcb.Snapshot) {
	if w.rtoUna == s.Una && start.LessEq(s.Una) && s.Una.Less(end) {
		w.rtoAt = now
	}
	keep := 0
	for keep < len(w.sends) && w.sends[keep].end.LessEq(s.Una) {
		keep++
	}
	w.sends = append(w.sends[keep:], sending{start, end, now, s.RTO})
}

// expired follows a call of Expire: the oldest segment in flight must not time out sooner than one
// RTO after it was sent last (RFC 6298 §5), but where fast recovery without SACK takes too long: that time-out runs from
// the first partial ACK (RFC 6582 §3.2 step 5) and is not held against it here.
func (w *watch) expired(now Time, s *tcb.Snapshot) {
	if s.RTOs == w.last.RTOs {
		return
	}
	w.backoff(now, s)
	if !s.SACK && w.last.Phase == tcb.FastRecovery {
		return
	}
	for i := len(w.sends) - 1; i >= 0; i-- {
		if e := w.sends[i]; e.start.LessEq(s.Una) && s.Una.Less(e.end) {
			if rto := min(e.rto, w.armedRTO); now-e.at < rto {
				w.fail("nothing is sent again sooner than one RTO after its last sending", "%d was sent at %s, RTO %d ms", s.Una, clock(e.at), rto/Millisecond)
			}
			return
		}
	}
}

// backoff: each time-out of the same octet takes twice as long as the one before, up to a minute at
// least, until there is a new sample (RFC 6298 §5.5, §2.5).
func (w *watch) backoff(now Time, s *tcb.Snapshot) {
	const late = 20 * Millisecond // timers may be, by HostConfig.Slack
	gap := now - w.rtoAt
	if w.rtoUna == s.Una && w.rtoSRTT == s.SRTT && w.rtoAt != 0 {
		if w.rtoGap != 0 && gap < min(2*w.rtoGap, Minute)-late {
			w.fail("the RTO doubles", "%d ms after %d ms", gap/Millisecond, w.rtoGap/Millisecond)
		}
		w.rtoGap = gap
	} else {
		w.rtoGap = 0
	}
	w.rtoAt, w.rtoUna, w.rtoSRTT = now, s.Una, s.SRTT
}

// before takes the state before a flush.
func (w *watch) before(s *tcb.Snapshot) { w.last, w.forced = *s, 0 }

// sentHalfOpen checks a segment of a passive open.
func (w *watch) sentHalfOpen(o *tcb.Out) {
	if o.Flags.Has(tcpseg.SYN) {
		w.sentSYN(o)
		return
	}
	if o.PayloadLen() > 0 {
		w.fail("a half-open connection sends no data", "%v", o.Header)
	}
}

func (w *watch) sentSYN(o *tcb.Out) {
	if o.Seq != w.iss {
		w.fail("a SYN stands at ISS", "%v, ISS %d", o.Header, w.iss)
	}
	if w.started && o.Flags == w.synFlags && (o.Options.MSS != uint16(w.ourMSS) || o.Options.Scale != w.ourScale) {
		w.fail("a SYN keeps its options", "%v, before MSS %d scale %d", o.Header, w.ourMSS, w.ourScale) // 7323-05
	}
	if again := o.Cause == tcb.CauseSYNAgain; again != w.started && o.Cause != tcb.CauseCookie {
		w.failCause(o)
	}
	if !w.started {
		w.nxt = w.iss.Add(1)
	}
	w.started, w.synFlags = true, o.Flags
	w.ourMSS = int(o.Options.MSS)
	w.weScale, w.ourScale = o.Options.HasScale, o.Options.Scale
	w.weStamp, w.weSACK = o.Options.HasTimestamps, o.Options.SACKPermitted
	if o.Flags.Has(tcpseg.ACK) {
		w.acked = o.Ack
		w.edge = o.Ack.Add(int(o.Window))
	}
}

// sent checks one segment of Output; s is the state after it.
func (w *watch) sent(now Time, o *tcb.Out, s *tcb.Snapshot) {
	w.count(now, o, s)
	if !causeFits(o) {
		w.fail("the cause fits the segment", "%v, cause %v", o.Header, o.Cause)
	}
	if o.Flags.Has(tcpseg.RST) {
		return
	}
	if o.Flags.Has(tcpseg.SYN) {
		w.sentSYN(o)
		return
	}
	if !o.Flags.Has(tcpseg.ACK) {
		w.fail("every segment of a connection has ACK", "%v", o.Header)
	}
	w.sentOptions(o, s)
	w.sentECN(o, s)
	w.sentACK(o, s)
	w.sentData(now, o, s)
}

// causeFits reports whether a segment can have been sent for its cause.
func causeFits(o *tcb.Out) bool {
	text, fin := o.PayloadLen() > 0, o.Flags.Has(tcpseg.FIN)
	switch o.Cause {
	case tcb.CauseReset:
		return o.Flags.Has(tcpseg.RST)
	case tcb.CauseSYN, tcb.CauseSYNAgain, tcb.CauseCookie:
		return o.Flags.Has(tcpseg.SYN)
	case tcb.CauseFIN:
		return fin && !text
	case tcb.CauseData, tcb.CauseTailNew, tcb.CauseMTUProbe, tcb.CauseOverride:
		return text
	case tcb.CauseACK, tcb.CauseDelayedACK, tcb.CauseDupACK, tcb.CauseWindowUpdate, tcb.CauseReply, tcb.CauseChallenge, tcb.CauseKeepAlive:
		return !text && !fin && !o.Flags.Has(tcpseg.SYN) && !o.Flags.Has(tcpseg.RST)
	}
	return o.Cause != tcb.CauseNone
}

// sentOptions: RFC 7323 §3.2, MUST-65, 2018-01.
func (w *watch) sentOptions(o *tcb.Out, s *tcb.Snapshot) {
	opt := &o.Options
	if opt.MSS != 0 || opt.HasScale || opt.SACKPermitted {
		w.fail("these options stand on a SYN only", "%v", o.Header)
	}
	if stamps := w.weStamp && w.peerStamps; opt.HasTimestamps != stamps {
		w.fail("timestamps stand on every segment, once agreed on", "%v, agreed %v", o.Header, stamps)
	}
	if opt.SACKCount > 0 && !(w.weSACK && w.peerSACKs) {
		w.fail("no SACK unless permitted", "%v", o.Header)
	}
	if s.RcvOutOfOrder > 0 && opt.SACKCount == 0 && w.weSACK && w.peerSACKs {
		w.fail("SACK goes with every segment while data waits out of order", "%v, %d octets wait", o.Header, s.RcvOutOfOrder) // 2018-06
	}
	for _, b := range opt.Blocks() {
		if !b.Left.Less(b.Right) || w.arrived.Less(b.Right) {
			w.fail("a SACK block tells of data that came", "%v, came up to %d", o.Header, w.arrived)
		}
		if b.Left == o.Ack {
			w.fail("what is in order is acknowledged, not SACKed", "%v", o.Header)
		}
	}
}

// sentECN: only new data may be marked on its way, and nothing speaks of marks unless both ends agreed to (RFC 3168 §6.1).
func (w *watch) sentECN(o *tcb.Out, s *tcb.Snapshot) {
	if speaks := o.Flags&(tcpseg.ECE|tcpseg.CWR) != 0; (speaks || o.ECN != 0) && !s.ECN {
		w.fail("ECN needs both ends", "%v, codepoint %d", o.Header, o.ECN)
	}
	old := o.PayloadLen() == 0 || o.Seq.Less(w.nxt) || o.Cause == tcb.CauseProbe
	if old && (o.ECN != 0 || o.Flags.Has(tcpseg.CWR)) {
		w.fail("only new data is ECN-capable and says CWR", "%v, codepoint %d, %v", o.Header, o.ECN, o.Cause)
	}
}

// sentACK: what is acknowledged and promised.
func (w *watch) sentACK(o *tcb.Out, s *tcb.Snapshot) {
	if o.Ack.Less(w.acked) || w.arrived.Less(o.Ack) {
		w.fail("ACKs never go back, nor beyond what came", "ack %d after %d, came up to %d", o.Ack, w.acked, w.arrived)
	}
	w.acked = o.Ack
	scale, _ := w.scaled()
	edge := o.Ack.Add(int(o.Window) << scale)
	if w.edge == 0 {
		w.edge = edge
	}
	// What the scale cannot express may be missing (RFC 7323 §2.4).
	if edge.Add(1 << scale).LessEq(w.edge) {
		w.fail("the promised right edge never moves left", "%d after %d, %v", edge, w.edge, o.Header)
	}
	if s.RcvAdv.Less(edge) {
		w.fail("no more is promised than RCV.ADV", "edge %d, RCV.ADV %d", edge, s.RcvAdv)
	}
	if o.Cause == tcb.CauseWindowUpdate && !w.edge.Less(edge) {
		w.fail("a window update moves the edge", "edge %d, before %d", edge, w.edge)
	}
	w.edge = tcpseg.Max(w.edge, edge)
}

// sentData: what may be sent.
func (w *watch) sentData(now Time, o *tcb.Out, s *tcb.Snapshot) {
	n := o.PayloadLen()
	w.tally.count(o, w.nxt)
	w.checkMSS(o, n)
	end := o.Seq.Add(n)
	if o.Flags.Has(tcpseg.FIN) {
		end++
	}
	if n == 0 && end == o.Seq {
		w.sentBareACK(o)
		return
	}
	w.remember(now, o.Seq, end, s)
	if s.Nxt.Less(end) {
		w.fail("nothing beyond nxt is sent", "%v to %d, nxt %d", o.Header, end, s.Nxt)
	}
	fresh := w.nxt.Less(end)
	edge := w.peerEdge
	if o.Cause == tcb.CauseProbe || n == 0 && edge == o.Seq {
		edge++ // a probe is one octet, or the FIN
	}
	if fresh && edge.Less(end) {
		w.fail("nothing is sent beyond the peer's window", "%v to %d, edge %d, cause %v", o.Header, end, w.peerEdge, o.Cause)
	}
	if fresh && w.nxt != o.Seq && w.nxt.Less(o.Seq) {
		w.fail("no octet is skipped", "%v after %d", o.Header, w.nxt)
	}
	if again := o.Seq.Less(w.nxt); again != o.Cause.Resends() && o.Cause != tcb.CauseProbe {
		w.failCause(o)
	}
	if fresh && o.Cause == tcb.CauseData {
		w.checkCwnd(s)
	}
	if again := o.Cause == tcb.CauseRTO || o.Cause == tcb.CauseFastRetransmit; again && !fresh {
		w.resent++
		w.checkResend(n, s)
	}
	w.nxt = tcpseg.Max(w.nxt, end)
}

func (w *watch) failCause(o *tcb.Out) {
	w.fail("the cause says whether a segment is sent again", "%v, cause %v, before it up to %d", o.Header, o.Cause, w.nxt)
}

// checkCwnd: new data needs room in cwnd. Limited transmit may exceed it by two segments
// (RFC 3042 §2), and without SACK each duplicate ACK tells of one that has left (RFC 5681 §3.2).
func (w *watch) checkCwnd(s *tcb.Snapshot) {
	pipe := s.InFlight - s.Sacked - s.Lost
	allowed := s.Cwnd + 2*s.MSS
	if !s.SACK {
		allowed += w.duplicates * s.MSS
	}
	if pipe > allowed {
		w.fail("in flight ≤ cwnd", "pipe %d (in flight %d, sacked %d, lost %d), cwnd %d, MSS %d, %d duplicate ACKs, %v",
			pipe, s.InFlight, s.Sacked, s.Lost, s.Cwnd, s.MSS, w.duplicates, s.Phase)
	}
}

// checkResend: in each flush one segment may be sent again whatever cwnd says, so that recovery
// begins; the others need room as new data does.
func (w *watch) checkResend(n int, s *tcb.Snapshot) {
	if s.InFlight-s.Sacked-s.Lost <= s.Cwnd+2*s.MSS || !s.SACK {
		return
	}
	if w.forced++; w.forced > 1 || n > s.MSS {
		w.fail("in flight ≤ cwnd", "%d octets are sent again with %d in flight, %d sacked, %d lost and a cwnd of %d", n, s.InFlight, s.Sacked, s.Lost, s.Cwnd)
	}
}

// checkMSS: MUST-16. Options count against the MSS (RFC 6691).
func (w *watch) checkMSS(o *tcb.Out, n int) {
	size := n
	if o.GSOSize > 0 {
		size = min(n, o.GSOSize)
		if n > max(o.Limit, o.GSOSize) {
			w.fail("no super-segment exceeds Out.Limit", "%d octets, limit %d", n, o.Limit)
		}
	}
	most := w.mtu - ipHeader - tcpseg.MinHeaderLen
	if peer := w.peerMSS; peer == 0 {
		most = min(most, 536)
	} else {
		most = min(most, peer)
	}
	if o.Header.Len()-tcpseg.MinHeaderLen+size > most && size > 0 {
		w.fail("the MSS is respected", "%d octets and %d of options, MSS %d", size, o.Header.Len()-tcpseg.MinHeaderLen, most)
	}
}

// sentBareACK: at most one ACK for each segment that came (RFC 5681 §4.2), besides updates and probes.
func (w *watch) sentBareACK(o *tcb.Out) {
	switch o.Cause {
	case tcb.CauseWindowUpdate, tcb.CauseKeepAlive, tcb.CauseProbe:
		return
	}
	if w.acksOut++; w.acksOut > w.segsIn {
		w.fail("at most one ACK for each segment", "%d ACKs for %d segments: %v", w.acksOut, w.segsIn, o.Header)
	}
}

// roll begins a new virtual millisecond.
func (w *watch) roll(now Time) {
	if p := now / Millisecond; p != w.period {
		w.period, w.periodIn, w.periodBare, w.periodAgain, w.periodAcked, w.periodCwnd = p, 0, 0, 0, 0, 0
	}
}

// count bounds what is sent in a virtual millisecond besides new data.
func (w *watch) count(now Time, o *tcb.Out, s *tcb.Snapshot) {
	w.roll(now)
	n := o.PayloadLen()
	switch {
	case n == 0 && o.Cause != tcb.CauseWindowUpdate:
		w.periodBare++
	case n > 0 && o.Cause != tcb.CauseData:
		w.periodAgain += n
	}
	if w.periodBare > 16+4*w.periodIn {
		w.fail("no busy loop", "%d segments without data in a millisecond, last %v %v", w.periodBare, o.Cause, o.Header)
	}
	w.periodCwnd = max(w.periodCwnd, s.Cwnd, w.last.Cwnd)
	if w.periodAgain > 2*(w.periodCwnd+w.periodAcked)+(16+4*w.periodIn)*max(s.MSS, 1) {
		w.fail("no busy loop", "%d octets sent again in a millisecond, last %v %v", w.periodAgain, o.Cause, o.Header)
	}
}

// settled checks the state after Output has returned false.
func (w *watch) settled(now Time, s *tcb.Snapshot, held tcb.Held, deadline Time) {
	if s.State != tcb.Closed {
		w.lastState = s.State
	}
	if s.Phase < tcb.FastRecovery && s.Una != w.last.Una {
		w.duplicates = 0
	}
	if deadline != 0 && deadline <= now {
		w.fail("the deadline is in the future", "%s at %s", clock(deadline), clock(now))
	}
	if deadline != s.Deadline {
		w.fail("Snapshot tells the truth", "deadline %s, not %s", clock(s.Deadline), clock(deadline))
	}
	if s.RexmitAt != w.rexmitAt {
		w.rexmitAt, w.armedRTO = s.RexmitAt, s.RTO
	}
	w.numbers(s)
	switch s.State {
	case tcb.Closed:
		if deadline != 0 {
			w.fail("a timer is armed only if something waits for it", "CLOSED waits for %s", clock(deadline))
		}
	case tcb.TimeWaiting:
	default:
		w.timers(s, held)
		w.owedACK(now, s)
		w.held(s, held)
	}
	w.last = *s
}

// owedACK: what came is acknowledged or its ACK is on a timer, of half a second at most (MUST-40).
func (w *watch) owedACK(now Time, s *tcb.Snapshot) {
	if s.State < tcb.Established {
		return
	}
	owed := s.RcvNxt.Sub(w.acked)
	if owed > 0 && s.AckAt == 0 {
		w.fail("what came is acknowledged in time", "%d octets are not and no timer runs", owed)
	}
	if owed == 0 && s.AckAt != 0 {
		w.fail("a timer is armed only if something waits for it", "delayed ACK with nothing to acknowledge")
	}
	if s.AckAt > now+500*Millisecond {
		w.fail("an ACK is delayed by less than half a second", "until %s", clock(s.AckAt))
	}
}

// held: the reason that Output gives is true.
func (w *watch) held(s *tcb.Snapshot, held tcb.Held) {
	if s.State != tcb.Established && s.State != tcb.CloseWait {
		return
	}
	unsent := s.SndQueued > s.InFlight
	switch {
	case held == tcb.HeldIdle && unsent:
		w.fail("Output tells why it holds data back", "idle with %d octets queued and %d in flight", s.SndQueued, s.InFlight)
	case held == tcb.HeldNagle && w.closing:
		w.fail("Nagle holds nothing back that a FIN follows", "%d octets queued, %d in flight", s.SndQueued, s.InFlight)
	case held == tcb.HeldPeerWindow && s.SndWnd > s.InFlight+s.MSS:
		w.fail("Output tells why it holds data back", "a window of %d with %d in flight", s.SndWnd, s.InFlight)
	case held == tcb.HeldCwnd && s.InFlight+s.MSS <= s.Cwnd && !(s.ECN && s.Cwnd <= s.MSS): // but see 3168-07
		w.fail("Output tells why it holds data back", "a cwnd of %d with %d in flight", s.Cwnd, s.InFlight)
	}
}

// numbers: una ≤ nxt, and nothing goes back.
func (w *watch) numbers(s *tcb.Snapshot) {
	if s.Nxt.Less(s.Una) {
		w.fail("una ≤ nxt", "una %d, nxt %d", s.Una, s.Nxt)
	}
	if s.State == tcb.Closed {
		return
	}
	if s.Una.Less(w.last.Una) && w.last.State != tcb.Closed {
		w.fail("una never goes back", "%d after %d", s.Una, w.last.Una)
	}
	if s.State >= tcb.Established && w.last.State >= tcb.Established {
		if s.RcvAdv.Less(w.last.RcvAdv) {
			w.fail("the promised right edge never moves left", "RCV.ADV %d after %d", s.RcvAdv, w.last.RcvAdv)
		}
		if s.RcvNxt.Less(w.last.RcvNxt) {
			w.fail("RCV.NXT never goes back", "%d after %d", s.RcvNxt, w.last.RcvNxt)
		}
	}
	if s.InFlight != s.Nxt.Sub(s.Una) {
		w.fail("Snapshot tells the truth", "in flight %d, nxt − una %d", s.InFlight, s.Nxt.Sub(s.Una))
	}
	if s.Sacked < 0 || s.Lost < 0 || s.Sacked+s.Lost > s.InFlight {
		w.fail("sacked and lost are parts of what is in flight", "%d and %d of %d", s.Sacked, s.Lost, s.InFlight)
	}
	if s.Cwnd < 1 {
		w.fail("cwnd is positive", "%d", s.Cwnd)
	}
}

// timers: each is armed exactly when something waits for it.
func (w *watch) timers(s *tcb.Snapshot, held tcb.Held) {
	finDue := w.closing && (s.State == tcb.Established || s.State == tcb.CloseWait)
	unsent := (s.SndQueued > 0 || finDue) && s.State >= tcb.Established
	if s.InFlight > 0 && s.Deadline == 0 {
		w.fail("data in flight has a timer", "%+v", *s)
	}
	if s.InFlight > 0 && s.RexmitAt == 0 && s.PersistAt == 0 {
		w.fail("data in flight has a timer", "neither retransmission nor persist: %+v", *s)
	}
	if s.InFlight == 0 && s.RexmitAt != 0 {
		w.fail("a timer is armed only if something waits for it", "retransmission without data in flight: %+v", *s)
	}
	if s.InFlight == 0 && unsent && s.Deadline == 0 {
		w.fail("queued data has a timer", "held for %v: %+v", held, *s)
	}
	if s.InFlight == 0 && !unsent && s.PersistAt != 0 {
		w.fail("a timer is armed only if something waits for it", "persist without data: %+v", *s)
	}
}
