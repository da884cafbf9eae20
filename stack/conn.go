package stack

import (
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"

	"ustack/ippkt"
	"ustack/stack/tcb"
	"ustack/stack/trace"
	"ustack/tcpseg"
)

// Conn is a TCP connection: net.Conn, and what *net.TCPConn has besides. All methods may be
// called at the same time, also from within its own callback; Peek and Discard belong to one
// reader.
//
// A Conn is a lock around a tcb.TCB. Whoever has work for it, a writer, the reader of a queue,
// a timer, takes the lock, does it and sends what it made due.
type Conn struct {
	s     *Stack
	key   flowKey
	label uint32 // IPv6 flow label (V6S-03)

	want atomic.Int32 // goroutines waiting for mu

	mu   sync.Mutex
	ipid uint16
	tos  uint8 // DSCP<<2
	ttl  uint8 // 0: the default
	t    tcb.TCB
	mem  lender
	q    *queue   // where to send
	last tcb.Time // of the clock as the TCB has seen it

	timer *timer // nil: never needed

	news     tcb.Events // of the TCB, not acted upon yet
	level    int32      // memory pressure as told to the TCB
	touched  bool       // on the list of a queue's turn
	opened   bool       // the handshake was completed once
	dead     bool       // out of the table: the TCB serves only reads
	closed   bool       // by its user
	rdShut   bool       // CloseRead: what arrives is thrown away
	reading  bool       // WriteTo has the read side
	writing  bool       // a Write has the write side
	released bool
	pins     int   // who use the TCB's memory without mu
	err      error // why the connection ended, when the shell knows better than the TCB

	serve  serveState
	took   bool   // the callback has consumed something
	told   told   // to a tracer
	reader Reader // nil: none

	rare *rare // nil: nothing of it is needed
}

// newConn makes a Conn that is in no table and has no TCB yet.
func (s *Stack) newConn(q *queue, key *flowKey) *Conn {
	c := &Conn{s: s, q: q, key: *key, mem: lender{p: &s.mem}}
	h := s.secret.label(key)
	c.label, c.ipid = uint32(h)&0xfffff, uint16(h>>32)
	return c
}

// lock takes c.mu and lets a long flush know that somebody waits.
func (c *Conn) lock() {
	if c.mu.TryLock() {
		return
	}
	c.want.Add(1)
	c.mu.Lock()
	c.want.Add(-1)
}

func (c *Conn) unlock() { c.mu.Unlock() }

// input gives the TCB a segment. c.mu is held.
func (c *Conn) input(now tcb.Time, seg *tcpseg.Segment) tcb.Result {
	c.mem.input, c.mem.slow = true, c.t.Readable() > 0
	r := c.t.Input(c.at(now), seg)
	c.mem.input = false
	if c.rare != nil && r.Drop == tcb.DropNone && !seg.Flags.Has(tcpseg.RST) {
		c.rare.soft, c.rare.stalled = nil, false
		if c.rare.fastDial {
			c.learnFast(seg)
		}
	}
	return r
}

// touch brings a connection that has been idle into the cache: see tcb.TCB.Touch.
func (c *Conn) touch() uint64 {
	x := uint64(c.last) ^ uint64(c.serve) ^ c.t.Touch()
	if c.timer != nil {
		x ^= uint64(c.timer.id)
	}
	if c.reader != nil {
		x ^= c.reader.Touch()
	}
	return x
}

// clock reads the time for the TCB.
func (c *Conn) clock() tcb.Time { return c.at(c.s.now()) }

// at makes of a clock that was read before the lock was taken a time the TCB may be told.
func (c *Conn) at(now tcb.Time) tcb.Time {
	c.last = max(c.last, now)
	return c.last
}

// flushCap and flushCapCut are how many super-segments a flush sends before it offers the lock to
// others: those that the device cuts, and those that the stack cuts itself.
const (
	flushCap    = 8
	flushCapCut = 1
)

// flush sends everything that is due, then settles and arms the timer. c.mu is held; a long
// flush lets it go in between.
func (c *Conn) flush(sc *scratch) {
	for !c.dead {
		c.heedMemory()
		sc.gso, sc.tos, sc.ttl = c.q.link.GSO(), c.tos, c.ttl
		sc.out.Limit = maxSuper(c.key.remote.Is4())
		burst := flushCap
		if !sc.gso {
			burst = flushCapCut
		}
		now := c.clock()
		for range burst {
			if !c.t.Output(now, &sc.out) {
				if c.s.traced() {
					c.trace(trace.Held, sc.out.Held)
				}
				c.settle(sc)
				c.arm(c.t.Deadline())
				return
			}
			sc.conn = c
			c.ipid = c.q.send(sc, &c.key, c.label, c.ipid)
			sc.conn = nil
			if !sc.out.Flags.Has(tcpseg.PSH) { // else that was the last one, most likely
				now = c.clock()
			}
		}
		c.unlock()
		if c.want.Load() > 0 {
			runtime.Gosched()
		}
		c.lock()
	}
}

// maxSuper is the largest payload of a super-segment, whatever options it carries (TSO-01, TSO-04).
func maxSuper(is4 bool) int {
	if is4 {
		return 65535 - ippkt.IPv4HeaderLen - 60
	}
	return 65535 - 60
}

// arm sees to it that the timer looks at the connection at d; 0: no need.
func (c *Conn) arm(d tcb.Time) {
	if c.timer == nil {
		if c.dead || d == 0 {
			return
		}
		c.timer = c.s.timers.add(timerOwner{c: c, kind: ownerConn})
	}
	c.s.timers.set(c.timer, d)
}

// expire is called by the timer.
func (c *Conn) expire(sc *scratch) {
	c.lock()
	defer c.unlock()
	if c.dead {
		return
	}
	if d := c.t.Deadline(); d != 0 && d > c.s.now() {
		c.arm(d)
		// What a callback was given to answer waits no longer.
		if c.serve == serveIdle {
			return
		}
	}
	c.news |= c.t.Expire(c.clock())
	c.respond(sc)
}

// respond acts upon the news of the TCB: it sends what is due, hands the connection to its
// callback or wakes who waits. c.mu is held.
func (c *Conn) respond(sc *scratch) {
	news := c.news
	c.news = 0
	if news&tcb.EventConnected != 0 {
		c.opened = true
		if c.t.State() != tcb.SynReceived {
			c.proved()
		}
		if mtu := c.s.paths.find(c.s.now(), c.key.remote); mtu != 0 {
			c.limitMSS(mtu)
		}
	}
	if news&tcb.EventReadable != 0 && c.rdShut && !c.dead {
		c.throwAway()
	}
	if news&tcb.EventUrgent != 0 {
		c.tellUrgent()
	}
	if news&tcb.EventStalled != 0 {
		c.needRare().stalled = true
		c.tellSoft()
	}
	ended := news&(tcb.EventClosed|tcb.EventTimeWait) != 0
	if c.post(sc, news) && !ended {
		c.armAnswer() // its ACK rides on the answer, unless that is slow
	} else {
		c.flush(sc)
	}
	c.wake(sc, news)
}

// armAnswer limits how long the ACK of what a callback was given waits for its answer.
func (c *Conn) armAnswer() {
	d := c.last + answerTime
	if due := c.t.Deadline(); due != 0 {
		d = min(d, due)
	}
	c.arm(d)
}

// wake readies the goroutines that the news concern.
func (c *Conn) wake(sc *scratch, news tcb.Events) {
	const (
		forReaders = tcb.EventReadable | tcb.EventConnected | tcb.EventClosed | tcb.EventTimeWait
		forWriters = tcb.EventWritable | tcb.EventConnected | tcb.EventClosed | tcb.EventTimeWait
	)
	if news&forReaders != 0 && c.wakeReaders() {
		sc.readied = true
	}
	if news&forWriters != 0 && c.wakeWriters() {
		sc.readied = true
	}
}

// throwAway empties the receive queue for a reader that has gone.
func (c *Conn) throwAway() {
	for !c.reading { // else WriteTo still looks at it
		a, b := c.t.Peek()
		if len(a)+len(b) == 0 {
			return
		}
		c.t.Discard(c.last, len(a)+len(b))
	}
}

// settle takes a connection that has ended out of the table.
func (c *Conn) settle(sc *scratch) {
	switch c.t.State() {
	case tcb.Closed:
		c.leave(nil)
	case tcb.TimeWaiting:
		if tw, ok := c.t.TimeWait(); ok {
			c.leave(&tw)
		}
	default:
		return
	}
	sc.readied = sc.readied || c.anyoneWaits()
}

// leave takes c out of the table, for good or for a TIME-WAIT record.
func (c *Conn) leave(tw *tcb.TimeWait) {
	c.dead = true
	if c.s.traced() {
		c.trace(trace.Ended, tcb.HeldIdle)
	}
	c.stopDeadlines()
	c.proved()
	c.s.mem.conns.Add(-1)
	c.s.table.retire(c, tw)
	c.s.timers.drop(c.timer)
	c.timer = nil
	if c.closed {
		c.s.orphanGone()
	}
	c.tellDone()
	c.wakeAll()
	c.release()
}

// release gives the memory back once nobody can look at it any more.
func (c *Conn) release() {
	if c.dead && c.closed && !c.released && c.pins == 0 && c.serve != serveRunning && c.serve != serveAgain {
		c.released = true
		c.reader = nil
		c.t.Release()
	}
}

// Close ends both directions (RFC 9293 §3.9.1, MAY-1): what was written is still delivered,
// after Close has returned, and followed by a FIN. Unread data means that the peer's work was
// lost: then the connection is reset (SHLD-3), as it is by SetLinger(0). Blocked calls return
// net.ErrClosed.
func (c *Conn) Close() error { return c.close(c.lingerZero) }

// Abort closes the connection with a RST (RFC 9293 §3.10.5); what was written and is not
// delivered yet is lost.
func (c *Conn) Abort() error { return c.close(func() bool { return true }) }

func (c *Conn) lingerZero() bool { return c.rare != nil && c.rare.linger == 0 }

func (c *Conn) close(abort func() bool) error {
	sc := getScratch()
	defer putScratch(sc)
	c.lock()
	defer c.unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	c.closed = true
	c.stopDeadlines()
	if !c.dead {
		c.s.orphans.Add(1)
		if abort() {
			c.t.Abort(c.clock())
		} else {
			c.t.Close(c.clock())
			c.lingerOn()
		}
		c.flush(sc)
	}
	c.tellDone()
	c.wakeAll()
	c.release()
	return nil
}

// kill resets the connection because the stack ends.
func (c *Conn) kill() {
	c.end(net.ErrClosed)
}

// end aborts the connection for reason err, which its user is told.
func (c *Conn) end(err error) {
	sc := getScratch()
	defer putScratch(sc)
	c.lock()
	defer c.unlock()
	if !c.dead {
		c.abort(sc, err)
	}
}

// abort is end with c.mu held, for a connection that is not dead.
func (c *Conn) abort(sc *scratch, err error) {
	c.err = err
	c.news |= c.t.Abort(c.clock()) | tcb.EventReadable | tcb.EventClosed
	c.respond(sc)
}

// LocalAddr returns our end, a *net.TCPAddr.
func (c *Conn) LocalAddr() net.Addr { return tcpAddr(c.key.local, c.key.lport) }

// RemoteAddr returns the peer's end, a *net.TCPAddr.
func (c *Conn) RemoteAddr() net.Addr { return tcpAddr(c.key.remote, c.key.rport) }

// LocalAddrPort returns our end without an allocation.
func (c *Conn) LocalAddrPort() netip.AddrPort {
	local, _ := c.key.ends()
	return local
}

// RemoteAddrPort returns the peer's end without an allocation.
func (c *Conn) RemoteAddrPort() netip.AddrPort {
	_, remote := c.key.ends()
	return remote
}

func tcpAddr(a ippkt.Addr, port uint16) *net.TCPAddr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(a.Netip(), port))
}

// Info is the state of a connection at a moment.
type Info struct {
	Local, Remote netip.AddrPort
	// SoftError is the last ICMP error about the connection, if the peer has not been heard since.
	// It is for information: such errors end no connection (RFC 9293 §3.9.2.2).
	SoftError error
	// Stalled tells that the peer has answered none of three retransmissions. They go on (R1 of RFC 9293 §3.8.3).
	Stalled bool
	// PathMTU is the largest packet that goes to the peer, in octets: less than the path may take, if the peer's MSS says so.
	PathMTU int
	tcb.Snapshot
	tcb.Account
}

// Info returns the state of the connection. Of one that is over it is the last one.
func (c *Conn) Info() Info {
	var i Info
	i.Local, i.Remote = c.key.ends()
	c.lock()
	defer c.unlock()
	c.t.Snapshot(&i.Snapshot)
	c.t.Account(c.clock(), &i.Account)
	i.PathMTU = i.SendMSS + headersLen(c.key.remote.Is4())
	i.SoftError = c.softError()
	i.Stalled = c.rare != nil && c.rare.stalled
	return i
}
