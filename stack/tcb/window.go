package tcb

import (
	"math"

	"ustack/tcpseg"
)

const (
	maxScale      = 14      // RFC 7323 §2.3
	minMSS        = 64      // a peer may not make us send crumbs
	minSegSize    = 256     // what counts as a full-sized segment at least
	maxAutoBuffer = 4 << 20 // what automatic sizing grows a buffer to
	minAutoSend   = 128 << 10
	firstWindow   = 256 << 10 // receive window before anything is known
	maxSynWindow  = 65535     // the window of a SYN is never scaled (RFC 7323 §2.2)
)

// octets32 makes of a setting a number of octets that a connection can count to.
func octets32(n int) int32 { return int32(min(n, math.MaxInt32)) }

// ourMSS is the MSS to advertise: what the interface carries (MUST-67).
func ourMSS(c *Config) int {
	mss := orDefault(c.LinkMSS, 1460)
	if c.MSS > 0 {
		mss = min(mss, c.MSS)
	}
	return min(mss, 65535)
}

// ourScale is the smallest shift that lets the window field express the largest window we may offer.
func ourScale(o *Options) uint8 {
	if o.NoWindowScale {
		return 0
	}
	var s uint8
	for s < maxScale && maxSynWindow<<s < max(o.RcvBuf, maxAutoBuffer) {
		s++
	}
	return s
}

func initialWindow(o *Options) int { return int(octets32(orDefault(o.RcvBuf, firstWindow))) }

// synWindow is the window of our SYN.
func synWindow(o *Options) int { return min(initialWindow(o), maxSynWindow) }

// synWindow is the window of this connection's SYN. That of the first one stands, whatever becomes of the receive buffer
// meanwhile: it was promised.
func (t *TCB) synWindow() int {
	if t.state == SynReceived {
		return t.rcv.adv.Sub(t.rcv.nxt)
	}
	if t.rcv.adv == 0 {
		t.rcv.adv = tcpseg.Seq(min(t.rcv.size, maxSynWindow))
	}
	return int(t.rcv.adv)
}

// peerEdge is the right edge of the peer's window.
func (t *TCB) peerEdge() tcpseg.Seq { return t.snd.una.Add(int(t.snd.wnd)) }

// rcvLimit returns what the receive queue may hold.
func (t *TCB) rcvLimit() int { return int(min(t.rcv.size, t.rcv.budget)) }

// sndLimit returns what the send queue may hold: twice cwnd when sized automatically, so that there is always a window's
// worth waiting behind the one in flight. What the peer has beyond a hole is in the queue but not in the network: if it
// counted, a recovery would run dry, and its end send a whole window at once.
func (t *TCB) sndLimit() int {
	if t.cfg.SndBuf > 0 {
		return min(t.cfg.SndBuf, int(t.snd.budget))
	}
	return min(max(2*t.cc.Window(), minAutoSend)+t.runs.sacked, maxAutoBuffer, int(t.snd.budget))
}

// rcvWindow returns the octets the peer may still send: the promised right edge less what has come.
func (t *TCB) rcvWindow() int { return t.rcv.adv.Sub(t.rcv.nxt) }

// windowRoom returns by how many octets the right edge could move now: to the free space, as far as
// the window field can say it.
func (t *TCB) windowRoom() int {
	free := min(max(t.rcvLimit()-t.Readable(), 0), maxSynWindow<<t.rcv.scale)
	return t.rcv.nxt.Add(free).Sub(tcpseg.Max(t.rcv.edge, t.rcv.nxt))
}

// worthwhile is the smallest move of the right edge that is announced, so that the peer is not
// drawn into silly segments (RFC 9293 §3.8.6.2.2) and the window field shows the move.
func (t *TCB) worthwhile() int {
	limit := t.rcvLimit()
	return max(min(limit/2, int(t.rcv.mss)), min(limit, 1<<t.rcv.scale), 1)
}

// advertise moves the right edge as far as it may go and returns the window field. The edge never
// moves left (SHLD-14). Where the shift cannot express the window it is rounded up, always from the
// exact edge: what is promised in excess stays below one unit, however many ACKs go out.
func (t *TCB) advertise() uint16 {
	edge := tcpseg.Max(t.rcv.edge, t.rcv.nxt)
	if room := t.windowRoom(); room >= t.worthwhile() {
		edge = edge.Add(room)
	}
	t.rcv.edge = edge
	unit := 1 << t.rcv.scale
	field := min((edge.Sub(t.rcv.nxt)+unit-1)>>t.rcv.scale, maxSynWindow)
	t.rcv.adv = tcpseg.Max(t.rcv.adv, t.rcv.nxt.Add(field<<t.rcv.scale))
	return uint16(field)
}

// afterRead follows n octets that the application consumed: the window may open.
func (t *TCB) afterRead(now Time, n int) {
	t.tune(now, n)
	if !t.receiving() {
		return
	}
	// Announce when the peer gains a useful step that at least doubles what it may send.
	room := t.windowRoom()
	if room >= t.worthwhile() && room >= t.rcvWindow() {
		t.ackNow(CauseWindowUpdate)
	}
}

// receiving reports whether the peer may still send data.
func (t *TCB) receiving() bool {
	return t.state == Established || t.state == FinWait1 || t.state == FinWait2 || t.state == SynReceived && t.early
}

// tune sizes the receive window to twice what the application reads in a round trip (OPT-5).
func (t *TCB) tune(now Time, n int) {
	if t.cfg.RcvBuf > 0 {
		return
	}
	t.rcv.tuneRead += int32(n)
	us := micros(now)
	if us-t.rcv.tuneAt < max(micros(max(t.rtt.srtt, granularity)), t.rcv.tuneRTT) {
		return
	}
	t.rcv.size = min(max(t.rcv.size, 2*t.rcv.tuneRead), maxAutoBuffer)
	t.rcv.tuneAt, t.rcv.tuneRead = us, 0
}

// timeEcho measures the round trip of a connection that only receives, from the ACK that the peer echoes to the text that
// it let out. What the connection has measured itself may be no more than the handshake, before there was a queue. An
// echo that is old because the peer was silent counts for twice the usual at most.
func (t *TCB) timeEcho(now Time, seg *tcpseg.Segment) {
	if !t.stamped || seg.Options.TSEcr == 0 {
		return
	}
	r := t.rcv.tuneRTT
	us := (t.tsval(now) - seg.Options.TSEcr) * uint32(granularity/1e3)
	if r == 0 {
		r = min(us, micros(t.rtt.srtt))
	}
	t.rcv.tuneRTT = r - r/8 + min(us, 2*r)/8
}

// micros is a time in microseconds, as far as 32 bits hold it.
func micros(t Time) uint32 { return uint32(t / 1e3) }

// setPeerWindow takes the peer's window, wnd octets as of the segment with seq and ack.
func (t *TCB) setPeerWindow(wnd int32, seq, ack tcpseg.Seq) {
	t.snd.wnd, t.snd.wl1, t.snd.wl2 = wnd, seq, ack
	t.snd.maxWnd = max(t.snd.maxWnd, wnd)
}

// updateWindow takes the window of an acceptable segment that acknowledges una, unless a newer one was
// seen (RFC 9293 §3.10.7.4, U-07). A segment with an old sequence number but a new ACK is a
// retransmission with the news of its second sending. It reports whether the window changed.
func (t *TCB) updateWindow(seg *tcpseg.Segment) bool {
	newer := t.snd.wl1.LessEq(seg.Seq) || t.snd.wl2.Less(seg.Ack)
	if seg.Ack != t.snd.una || !newer {
		return false
	}
	old, wnd := t.snd.wnd, int32(seg.Window)<<t.snd.scale
	t.setPeerWindow(wnd, tcpseg.Max(t.snd.wl1, seg.Seq), seg.Ack)
	return wnd != old
}
