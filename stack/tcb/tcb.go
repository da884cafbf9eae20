// Package tcb is one TCP connection (RFC 9293), pure: every event is a method call and time
// is an argument. It has no goroutine, lock, clock, socket or logger, so that a test or a
// simulator can drive it to any state, exactly and without waiting.
package tcb

import (
	"io"
	"math"

	"ustack/stack/cc"
	"ustack/tcpseg"
)

// TCB is a transmission control block: one connection from SYN-SENT or ESTABLISHED on. (LISTEN
// is the host's, a passive SYN-RECEIVED is a HalfOpen.) It is not safe for concurrent use.
//
// Laws:
//  1. now never goes back.
//  2. After a call that takes now: Output until it returns false, then read Deadline.
//  3. After that Deadline is 0 (never) or in the future.
//  4. Out.Payload is true until the next call.
//  5. No allocation per segment.
//  6. una ≤ nxt; the promised right edge never moves left; every timer is armed exactly when
//     something waits for it.
//  7. A Peek view stays true until Discard.
type TCB struct {
	state          State
	ending         ending // in CLOSED: why
	events         Events
	stamped        bool // both ends send timestamps
	sackOK         bool // both ends do SACK
	scaled         bool // both ends scale their windows
	appClosed      bool // Close was called: nobody will read
	untold         bool // the peer has not been told the user timeout
	early          bool // AcceptFast made it
	persistBackoff uint8
	ecn            uint8 // ecnOn …
	synTimeouts    uint8
	waits          wait // what sending waits for
	rst            pendingReset
	cfg            *Config

	snd send
	rcv receive

	runs runs
	rtt  rtt
	cc   cc.Controller
	rec  recovery
	ack  ackState
	ts   struct {
		offset uint32
		recent uint32
		at     uint32 // when recent was taken, see coarse
	}

	rate   float32 // octets per second delivered, see rated
	timers [numTimers]Time
	heard  Time // when the last acceptable segment came
	stats  counters
	seldom *seldom  // nil: all of it is zero
	loss   *loss    // nil: nothing in flight has ever been overtaken or sent again
	cubic  cc.Cubic // the usual cc, in place
}

// seldom is what few connections ever need.
type seldom struct {
	timeWait     TimeWait // in TIME-WAIT
	persistSince Time
	keepProbes   int32
	keepProbed   Time // when the last probe went
	challenge    challenge
	rstEcho      uint32
	peerTimeout  tcpseg.UserTimeout // what the peer wishes; 0: nothing
	duplicate    tcpseg.SACKBlock   // what the peer sent in vain; empty: nothing
	urgent       urgent
	search       mtuSearch
	fastOpen     tcpseg.FastOpen // of our SYN or SYN,ACK
	fastMSS      int32           // with a cookie in it: what the peer is known to take
	pace         pace
	waited       waited
	ahead        uint32 // segments that came beyond a hole
}

// needSeldom returns t.seldom, making it if there is none.
func (t *TCB) needSeldom() *seldom {
	if t.seldom == nil {
		t.seldom = new(seldom)
	}
	return t.seldom
}

// ending is why a connection ended.
type ending uint8

const (
	endOrderly ending = iota
	endReset
	endRefused
	endTimeout
	endAborted
	endClosed
)

var endings = [...]error{nil, ErrReset, ErrRefused, ErrTimeout, ErrAborted, ErrClosed}

// send is the sending half: SND.* of RFC 9293 §3.3.1.
type send struct {
	queue     sendQueue
	iss       tcpseg.Seq
	una, nxt  tcpseg.Seq
	wnd       int32 // octets, scaled
	maxWnd    int32
	wl1, wl2  tcpseg.Seq
	mss       int32      // payload octets of a segment without options
	smallEnd  tcpseg.Seq // end of the last segment below the MSS (Minshall)
	roundEnd  tcpseg.Seq
	budget    int32
	scale     uint8
	closing   bool    // CloseWrite was called
	fin       bool    // the FIN was sent: it takes nxt-1
	probe     bool    // the persist timer ran out
	want      bool    // a Write came up short
	limited   [2]bool // cwnd held us back: in this round trip, in the last
	opening   uint32  // µs: the round-trip time of the handshake; 0: it showed none
	progress  Time    // when una last moved, or sending began
	lastSent  Time
	delivered int64
}

// receive is the receiving half: RCV.* of RFC 9293 §3.3.1.
type receive struct {
	queue      recvQueue
	outOfOrder *ranges // nil: none
	irs        tcpseg.Seq
	nxt        tcpseg.Seq
	edge       tcpseg.Seq // right edge of the window; it never moves left
	adv        tcpseg.Seq // the same as the peer may have understood it, rounded up by the shift; in SYN-SENT the SYN's window
	lastAck    tcpseg.Seq
	finSeq     tcpseg.Seq
	finSeen    bool // a FIN stands at finSeq
	finDone    bool // and everything before it has arrived
	scale      uint8
	mss        int32 // what we advertised
	size       int32 // what the window may grow to now
	budget     int32
	segSize    int32 // the peer's full-sized segment, as far as seen
	tuneRead   int32
	tuneAt     uint32 // µs
	tuneRTT    uint32 // µs: the round-trip time, queues included, as the peer's echoes of timestamps show it; 0: they do not
}

// begin sets the receiving half behind the peer's SYN, with the window that our own SYN offers.
func (r *receive) begin(irs tcpseg.Seq, window int) {
	r.irs, r.nxt, r.lastAck = irs, irs.Add(1), irs.Add(1)
	r.edge = r.nxt.Add(window)
	r.adv = r.edge
}

// pendingReset is a RST that Output has to send.
type pendingReset struct {
	due     bool
	bare    bool // <SEQ=SEG.ACK><RST>, else <SEQ=nxt><ACK><RST>
	stamped bool // a bare one echoes a timestamp: seldom.rstEcho
	seq     tcpseg.Seq
}

type counters struct {
	segsIn, segsOut, bytesIn, bytesOut uint64
	dataIn, dataOut                    uint32 // of the segments, those with text; modulo 2³²

	busy      Time   // with something in flight, until snd.progress
	heardData uint32 // ms, on the timestamp clock: when text came; see sinceData
	sample    uint32 // µs: the round-trip time that the last segment showed; 0: none
}

// begin makes of a blank TCB what Dial and Accept have in common.
func (t *TCB) begin(now Time, c *Config, mem Blocks, iss tcpseg.Seq, tsOffset uint32) {
	t.cfg, t.heard = c, now
	if mem == nil {
		mem = heapBlocks{}
	}
	t.runs.init()
	t.rtt.rto = initialRTO
	t.ts.offset = tsOffset
	t.snd.iss, t.snd.una, t.snd.nxt = iss, iss, iss.Add(1)
	t.snd.smallEnd, t.snd.roundEnd, t.rec.point = iss, iss, iss
	t.snd.queue.init(mem, iss.Add(1))
	t.snd.mss = int32(ourMSS(c))
	t.rcv.mss = t.snd.mss
	t.snd.progress = now
	t.snd.budget, t.rcv.budget = maxAutoBuffer, maxAutoBuffer
	t.rcv.queue.init(mem)
	t.rcv.size = int32(initialWindow(&c.Options))
	t.rcv.scale = ourScale(&c.Options)
	t.rcv.segSize = minSegSize
}

// Dial opens actively: SYN-SENT. Output has the SYN. Mem lends the buffers; nil: the garbage
// collector does.
func Dial(now Time, c *Config, mem Blocks, d *DialInfo) *TCB {
	t := new(TCB)
	t.Dial(now, c, mem, d)
	return t
}

// Dial is the function Dial for a TCB that is part of something larger. It must be blank, and must not
// be moved from then on.
func (t *TCB) Dial(now Time, c *Config, mem Blocks, d *DialInfo) {
	t.begin(now, c, mem, d.ISS, d.TSOffset)
	t.state = SynSent
	if d.FastOpen.Present {
		s := t.needSeldom()
		s.fastOpen, s.fastMSS = d.FastOpen, int32(orDefault(d.PeerMSS, c.DefaultMSS))
	}
	t.setController(int(t.snd.mss), t.initialWindow())
}

// Accept makes a connection of a passive handshake at its third ACK: ESTABLISHED. The segment
// that brought the ACK is then given to Input, which takes its data and FIN. Mem is as for Dial.
func Accept(now Time, c *Config, mem Blocks, h *Handshake) *TCB {
	t := new(TCB)
	t.Accept(now, c, mem, h)
	return t
}

// Accept is the function Accept for a TCB that is part of something larger, as the method Dial is.
func (t *TCB) Accept(now Time, c *Config, mem Blocks, h *Handshake) {
	t.beginPassive(now, c, mem, h, h.ISS.Add(1))
	t.synTimeouts = uint8(min(h.Resent, math.MaxUint8))
	if h.RTT > 0 {
		t.sampleHandshake(now, h.RTT)
	}
	t.establish(now)
}

// beginPassive is begin with what a passive handshake has settled; una is how much of ours is acknowledged.
func (t *TCB) beginPassive(now Time, c *Config, mem Blocks, h *Handshake, una tcpseg.Seq) {
	t.begin(now, c, mem, h.ISS, h.TSOffset)
	t.rcv.begin(h.IRS, synWindow(&c.Options))
	t.ts.recent, t.ts.at = h.TSRecent, coarse(now)
	t.negotiate(&h.Peer)
	if h.ECN {
		t.ecn = ecnOn
	}
	t.snd.una = una
	t.setPeerWindow(int32(h.PeerWindow), h.IRS, una) // never scaled in a SYN (RFC 7323 §2.2)
}

// negotiate applies the options of the peer's SYN beside our own.
func (t *TCB) negotiate(peer *tcpseg.Options) {
	mss := orDefault(t.cfg.DefaultMSS, 536) // of a peer that does not say (MUST-15)
	if peer.MSS != 0 {
		mss = int(peer.MSS)
	}
	t.snd.mss = min(t.snd.mss, max(int32(mss), minMSS))
	t.takeUserTimeout(peer.UserTimeout)
	t.sackOK = peer.SACKPermitted && !t.cfg.NoSACK
	t.stamped = peer.HasTimestamps && !t.cfg.NoTimestamps
	t.scaled = peer.HasScale && !t.cfg.NoWindowScale
	if t.scaled {
		t.snd.scale = min(peer.Scale, maxScale)
	} else {
		t.rcv.scale = 0
	}
}

// establish enters ESTABLISHED.
func (t *TCB) establish(now Time) {
	t.state = Established
	if t.synTimeouts > 0 && t.rtt.srtt == 0 {
		t.rtt.rto = max(afterSynRTO, t.minRTO()) // RFC 6298 §5.7
	}
	t.rtt.backoff, t.stats.busy = 0, 0
	t.setController(t.mss(), t.initialWindow())
	t.snd.roundEnd = t.snd.nxt
	t.rcv.tuneAt = micros(now)
	t.heard = now
	t.untold = t.cfg.UserTimeoutOption // a SYN cookie has forgotten it (RFC 5482 §3.1)
	t.armKeepAlive(now)
	t.events |= EventConnected | EventWritable
}

// initialWindow is the initial window in segments: one when the SYN was lost more than once
// (RFC 6928 §2).
func (t *TCB) initialWindow() int {
	if t.synTimeouts > 1 {
		return 1
	}
	return orDefault(t.cfg.InitialWindow, 10)
}

func (t *TCB) setController(mss, segments int) {
	t.makeController(cc.Params{MSS: mss, InitialWindow: segments, NoHyStart: t.cfg.NoHyStart})
}

func (t *TCB) makeController(p cc.Params) {
	if t.cfg.CC != nil {
		t.cc = t.cfg.CC(p)
		return
	}
	t.cubic.Init(p)
	t.cc = &t.cubic
}

// SetController puts the connection under another congestion controller, nil for CUBIC, which goes on from the window and
// the threshold of the one before.
func (t *TCB) SetController(make cc.New) {
	c := *t.cfg // shared until now
	c.CC = make
	t.cfg = &c
	t.makeController(cc.Params{MSS: t.mss(), InitialWindow: t.initialWindow(), NoHyStart: c.NoHyStart,
		Window: t.cc.Window(), SSThresh: t.cc.SSThresh()})
}

func (t *TCB) takeEvents() Events {
	e := t.events
	t.events = 0
	return e
}

// synchronized reports whether both ends know each other's sequence numbers.
func (t *TCB) synchronized() bool { return t.state >= Established }

// die ends the connection at once: nothing more is sent but a RST that is due.
func (t *TCB) die(why ending) {
	t.ending = why
	t.state = Closed
	t.waits = waitNone
	t.stopTimers()
	t.ack = ackState{}
	t.runs.init()
	t.snd.queue.drop()
	t.events |= EventClosed | EventReadable | EventWritable
}

// Write queues p for sending and returns how much of it was taken: less than len(p) when the
// send queue is full (EventWritable follows) or when sending has ended (see WriteErr).
func (t *TCB) Write(now Time, p []byte) int {
	if t.WriteErr() != nil {
		return 0
	}
	n := t.snd.queue.write(p[:min(len(p), t.Writable())])
	t.snd.want = n < len(p)
	return n
}

// WriteShared queues p without copying: the caller must never change it. As Write otherwise.
func (t *TCB) WriteShared(now Time, p []byte) int {
	if t.WriteErr() != nil {
		return 0
	}
	n := min(len(p), t.Writable())
	if n > 0 {
		t.snd.queue.writeShared(p[:n])
	}
	t.snd.want = n < len(p)
	return n
}

// Reserve returns room for up to n octets at the end of the send queue, in at most two pieces,
// for a source to be read into; nothing may be written before Commit. Empty when the queue is
// full (EventWritable follows) or sending has ended.
func (t *TCB) Reserve(n int) [2][]byte {
	if t.WriteErr() != nil {
		return [2][]byte{}
	}
	room := min(n, t.Writable())
	t.snd.want = room < n
	if room <= 0 {
		return [2][]byte{}
	}
	return t.snd.queue.reserve(room)
}

// Commit queues the first n octets of what Reserve returned; the rest is given back. Between the
// two Input, Output and Expire may be called, but neither Write nor WriteShared. After the end
// of the connection it does nothing.
func (t *TCB) Commit(now Time, n int) {
	t.snd.queue.commit(n)
}

// WriteErr returns nil while Write may take data: else ErrWriteClosed after CloseWrite, or the
// connection's error.
func (t *TCB) WriteErr() error {
	switch {
	case t.state == Closed && t.ending != endOrderly:
		return t.Err()
	case t.state == Closed || t.snd.closing:
		return ErrWriteClosed
	}
	return nil
}

// Writable returns how many octets Write would take now.
func (t *TCB) Writable() int { return max(t.sndLimit()-t.snd.queue.len, 0) }

// Peek returns received data in order, in two pieces, without consuming it; there may be more
// than it shows.
func (t *TCB) Peek() (a, b []byte) { return t.rcv.queue.peek() }

// Discard consumes n octets of what Peek showed.
func (t *TCB) Discard(now Time, n int) {
	if n > 0 {
		t.rcv.queue.discard(n, !t.rcv.outOfOrder.empty())
		t.afterRead(now, n)
	}
}

// Read copies received data to p and consumes it; 0: nothing there (see ReadErr).
func (t *TCB) Read(now Time, p []byte) int {
	n := 0
	for n < len(p) {
		a, b := t.Peek()
		m := copy(p[n:], a)
		m += copy(p[n+m:], b)
		if m == 0 {
			break
		}
		t.rcv.queue.discard(m, !t.rcv.outOfOrder.empty())
		n += m
	}
	if n > 0 {
		t.afterRead(now, n)
	}
	return n
}

// Readable returns how many octets Read could return now.
func (t *TCB) Readable() int { return int(t.rcv.queue.ready - t.rcv.queue.read) }

// ReadErr says why there is nothing to read: nil (more may come), io.EOF after the peer's FIN, or
// the connection's error. Unread data comes first: ask when Readable is 0.
func (t *TCB) ReadErr() error {
	switch {
	case t.rcv.finDone:
		return io.EOF
	case t.state == Closed && t.ending != endOrderly:
		return t.Err()
	case t.state == Closed:
		return ErrClosed
	}
	return nil
}

// CloseWrite ends sending: a FIN follows the queued data (RFC 9293 §3.10.4). Reading goes on.
func (t *TCB) CloseWrite(now Time) {
	switch {
	case t.state == SynSent:
		t.die(endClosed)
	case t.state != Closed:
		t.snd.closing = true
		t.snd.want = false
	}
}

// Close ends both directions. Unread data means that the peer's data was lost: then a RST is
// sent (SHLD-3), as it is for data that arrives later. Else it is CloseWrite.
func (t *TCB) Close(now Time) Events {
	if t.Readable() > 0 && t.state != Closed && t.state != TimeWaiting {
		events := t.Abort(now)
		t.rst = pendingReset{due: true} // in CLOSING and LAST-ACK too, where an abort has none
		return events
	}
	t.appClosed = true
	t.CloseWrite(now)
	if t.state == FinWait2 {
		t.timers[linger] = now + finWait2Timeout
	}
	return t.takeEvents()
}

// Abort ends the connection with a RST (RFC 9293 §3.10.5), if the state calls for one.
func (t *TCB) Abort(now Time) Events {
	switch t.state {
	case Closed:
		return 0
	case SynReceived, Established, FinWait1, FinWait2, CloseWait:
		t.rst = pendingReset{due: true}
	}
	t.die(endAborted)
	t.rcv.queue.flush()
	return t.takeEvents()
}

// Set changes the switches that may change on a live connection: Nagle, DelayedACK, ACKEvery,
// NoIdleRestart, RcvBuf, SndBuf, KeepAlive…, UserTimeout, UserTimeoutOption, ResetInputDiscard,
// DSCP and TTL.
func (t *TCB) Set(now Time, o *Options) {
	c := *t.cfg // shared until now
	c.Nagle, c.DelayedACK, c.ACKEvery = o.Nagle, o.DelayedACK, o.ACKEvery
	c.NoIdleRestart, c.ResetInputDiscard = o.NoIdleRestart, o.ResetInputDiscard
	c.RcvBuf, c.SndBuf = o.RcvBuf, o.SndBuf
	t.untold = t.untold || o.UserTimeoutOption && (o.UserTimeout != c.UserTimeout || !c.UserTimeoutOption)
	c.UserTimeoutOption = o.UserTimeoutOption
	c.UserTimeout, c.DSCP, c.TTL = o.UserTimeout, o.DSCP, o.TTL
	c.KeepAlive, c.KeepAliveIdle = o.KeepAlive, o.KeepAliveIdle
	c.KeepAliveInterval, c.KeepAliveCount = o.KeepAliveInterval, o.KeepAliveCount
	t.cfg = &c
	if o.RcvBuf > 0 {
		t.rcv.size = octets32(o.RcvBuf)
	}
	t.armKeepAlive(now)
}

// Options returns the switches in force.
func (t *TCB) Options() Options { return t.cfg.Options }

// SetBudget caps what the receive and send queue may grow to, in octets, when memory is short.
func (t *TCB) SetBudget(rcv, snd int) {
	t.rcv.budget, t.snd.budget = octets32(rcv), octets32(snd)
}

// State returns the connection state.
func (t *TCB) State() State { return t.state }

// Err returns why the connection ended; nil while it lives and after an orderly end.
func (t *TCB) Err() error { return endings[t.ending] }

// Release gives every block back. Call it once the connection is CLOSED, or its TIME-WAIT
// record taken, and nobody reads any more; data still to be read is lost.
func (t *TCB) Release() {
	t.snd.queue.drop()
	t.rcv.queue.drop()
	t.rcv.outOfOrder = nil
}
