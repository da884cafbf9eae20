package netsim

import (
	"errors"
	"fmt"

	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// Conn is one end of a connection and the application that uses it.
type Conn struct {
	host    *Host
	flow    flow
	end     Endpoint
	tcb     *tcb.TCB
	out     tcb.Out
	watch   watch
	app     app
	state   tcb.State
	snap    tcb.Snapshot
	timerAt Time // when the timer has been set to go off
	touched bool
	dialled bool
	reset   *tcpseg.Header // the RST that came in since the last flush, if nothing else did
	inputs  int            // segments since the last flush

	madeAt     Time
	closed     bool // EventClosed came
	doneAt     Time // when the application had read everything
	inTimeWait bool
	gone       bool // the host knows it no more
	released   bool
}

func (h *Host) newConn(f flow, e Endpoint) *Conn {
	c := &Conn{host: h, flow: f, end: e, madeAt: h.sim.now}
	c.out.Limit = h.Limit
	c.watch.mtu = h.MTU
	c.watch.fail = c.fail
	c.app = newApp(c)
	return c
}

// String names the connection as its end sees it.
func (c *Conn) String() string {
	return fmt.Sprintf("%s:%d>%s:%d", c.host.name, c.flow.local, c.flow.peer.name, c.flow.remote)
}

// TCB returns the connection itself, to look at.
func (c *Conn) TCB() *tcb.TCB { return c.tcb }

// Err returns why the connection ended; nil: in order, or not yet.
func (c *Conn) Err() error { return c.tcb.Err() }

// Written and Read count the octets of the application.
func (c *Conn) Written() int64 { return c.app.written }

// Read returns how many octets the application has read.
func (c *Conn) Read() int64 { return c.app.read }

// Took returns how long it took from the making of the connection until the application at the
// other end had read everything; 0: it has not.
func (c *Conn) Took() Time {
	if o := c.other(); o != nil && o.app.readDone {
		return o.doneAt - c.madeAt
	}
	return 0
}

// EOF reports whether the application has read the end of the peer's data.
func (c *Conn) EOF() bool { return c.app.eof }

// other returns the connection at the other end, or nil.
func (c *Conn) other() *Conn {
	for i := len(c.host.sim.conns) - 1; i >= 0; i-- {
		o := c.host.sim.conns[i]
		if o.host == c.flow.peer && o.flow == (flow{c.host, c.flow.remote, c.flow.local}) && c.watch.opened && o.watch.iss == c.watch.irs {
			return o
		}
	}
	return nil
}

func (c *Conn) fail(law, format string, args ...any) { c.host.sim.fail(c, law, format, args...) }

func (c *Conn) note(note string, args ...any) { c.host.note(c.flow.local, note, args...) }

func (c *Conn) noteState() {
	if s := c.tcb.State(); s != c.state {
		c.note("%v → %v", c.state, s)
		c.state = s
	}
}

// input gives the connection a segment. The laws learn nothing from a forged one.
func (c *Conn) input(seg *tcpseg.Segment, forged bool) {
	now := c.host.sim.now
	if forged {
		c.watch.receivedForged(now)
	} else {
		c.watch.received(now, seg)
	}
	c.inputs++
	c.reset = nil
	if seg.Flags.Has(tcpseg.RST) && c.inputs == 1 {
		c.reset = &seg.Header
	}
	r := c.tcb.Input(now, seg)
	if r.Drop != tcb.DropNone {
		c.note("drops: %v", r.Drop)
	}
	c.happened(r.Events)
	if !c.touched {
		c.touched = true
		c.host.touched = append(c.host.touched, c)
	}
}

// happened follows up what a call has changed.
func (c *Conn) happened(e tcb.Events) {
	c.noteState()
	if told := e&tcb.EventClosed != 0; told && c.closed || (told || c.closed) != (c.state == tcb.Closed) {
		c.fail("CLOSED is told once", "events %b in %v", e, c.state)
	} else if told {
		c.closed = true
	}
	if e&tcb.EventTimeWait != 0 {
		c.inTimeWait = true
	}
	if e&tcb.EventAcked != 0 {
		c.tcb.Snapshot(&c.snap)
		if c.snap.Una != c.snap.Nxt && c.state != tcb.Closed {
			c.fail("EventAcked: all is acknowledged", "una %d, nxt %d", c.snap.Una, c.snap.Nxt)
		}
	}
	if e&(tcb.EventConnected|tcb.EventReadable|tcb.EventWritable|tcb.EventClosed) != 0 {
		c.app.told(e)
		c.wakeApp()
	}
}

// maxBurst is more segments than one flush can have reason to send.
const maxBurst = 100_000

// flush sends what there is to send, and sees that the connection has then come to rest.
func (c *Conn) flush() {
	if c.gone || c.host.sim.broken != nil {
		return
	}
	s := c.host.sim
	if d := c.tcb.Deadline(); d != 0 && d <= s.now {
		c.expire() // its timer is late
	}
	c.tcb.Snapshot(&c.snap)
	c.watch.before(&c.snap)
	sent := 0
	for ; c.tcb.Output(s.now, &c.out); sent++ {
		o := &c.out
		o.SrcPort, o.DstPort = c.flow.local, c.flow.remote
		c.host.send(c.flow, o, c.watch.iss, c.watch.irs)
		c.noteState()
		c.tcb.Snapshot(&c.snap)
		c.watch.sent(s.now, o, &c.snap)
		c.checkReset(o)
		c.checkPush(o)
		if sent > maxBurst || s.broken != nil {
			c.fail("no busy loop", "%d segments in one flush", sent)
			return
		}
	}
	c.reset, c.inputs = nil, 0
	c.tcb.Snapshot(&c.snap)
	c.watch.settled(s.now, &c.snap, c.out.Held, c.tcb.Deadline())
	c.checkACKEvery()
	c.checkRoom()
	c.setTimer()
	c.leave()
}

// checkPush: the last octet of the send queue goes out with PSH (MUST-61).
func (c *Conn) checkPush(o *tcb.Out) {
	n := o.PayloadLen()
	if n > 0 && o.Seq.Add(n) == c.watch.iss.Add(1+int(c.app.written)) && !o.Flags.Has(tcpseg.PSH) {
		c.fail("the last of the queue is pushed", "%v, %d octets", o.Header, n)
	}
}

// checkRoom: no more is taken in or promised than the receive buffer holds, but for the
// rounding of the window scale (U-19).
func (c *Conn) checkRoom() {
	s := &c.snap
	buffer := c.end.RcvBuf
	if buffer == 0 || c.app.Fiddle || s.State < tcb.Established || s.State > tcb.FinWait2 {
		return
	}
	if taken := s.RcvAdv.Sub(s.RcvNxt) + s.RcvQueued; taken >= buffer+1<<s.RcvScale {
		c.fail("the receive buffer bounds what is promised", "%d octets of %d", taken, buffer)
	}
}

// checkACKEvery: an ACK is due with the second full-sized segment, or as the switch has it (SHLD-19).
func (c *Conn) checkACKEvery() {
	owed := c.snap.RcvNxt.Sub(c.watch.acked)
	full := max(c.watch.largest, 256) // what counts as full-sized at least
	every := c.end.ACKEvery
	if every == 0 {
		every = 2
	}
	if owed >= every*full && c.state >= tcb.Established && !c.app.Fiddle {
		c.fail("every second full-sized segment is acknowledged", "%d octets are not, full-sized are %d", owed, full)
	}
}

// checkReset sees to it that a RST is not answered: only the challenge of
// RFC 5961 §3 may follow one.
func (c *Conn) checkReset(o *tcb.Out) {
	if c.reset != nil && c.inputs == 1 && o.Flags.Has(tcpseg.RST) {
		c.fail("a RST is never answered", "%v after %v", o.Header, *c.reset)
	}
}

func (c *Conn) setTimer() {
	s := c.host.sim
	d := c.tcb.Deadline()
	if d == 0 {
		return
	}
	d += s.span(c.host.Slack)
	if c.timerAt == 0 || d < c.timerAt {
		c.timerAt = d
		s.agenda.add(d, c.timer)
	}
}

// timer goes off; it may have been set again since.
func (c *Conn) timer() {
	now := c.host.sim.now
	if c.gone || c.timerAt != now {
		return
	}
	c.timerAt = 0
	if d := c.tcb.Deadline(); d == 0 || d > now {
		c.setTimer()
		return
	}
	c.expire()
	c.flush()
}

func (c *Conn) expire() {
	now := c.host.sim.now
	c.tcb.Snapshot(&c.snap)
	c.watch.before(&c.snap)
	e := c.tcb.Expire(now)
	c.tcb.Snapshot(&c.snap)
	c.watch.expired(now, &c.snap)
	c.happened(e)
}

// leave ends the host's part when the connection is closed or in TIME-WAIT.
func (c *Conn) leave() {
	switch {
	case c.gone:
		return
	case c.inTimeWait && c.state != tcb.Closed:
		record, ok := c.tcb.TimeWait()
		if !ok {
			c.fail("EventTimeWait: there is a record", "none in %v", c.state)
			return
		}
		c.host.enterTimeWait(c, record)
	case c.state != tcb.Closed:
		return
	}
	c.gone = true
	c.host.used[c.flow] = c.watch.nxt
	if c.host.conns[c.flow] == c {
		delete(c.host.conns, c.flow)
	}
	if c.end.Again > 0 {
		e := c.end
		e.Again--
		c.host.sim.After(c.host.sim.span(Second), func() { c.host.Dial(c.flow.peer, c.flow.local, c.flow.remote, e) })
	}
	if err := c.tcb.Err(); errors.Is(err, tcb.ErrTimeout) && !c.end.MayTimeOut {
		c.fail("nothing times out while the peer answers", "gave up in %v", c.watch.lastState)
	}
	c.wakeApp()
}

// release gives the memory back once the application has read what there was.
func (c *Conn) release() {
	if c.released || !c.gone {
		return
	}
	c.released = true
	c.tcb.Release()
}

// forsaken reports whether the connection waits in vain, and rightly so: the peer has
// aborted and its RST was lost, or has given up a half-open connection whose third ACK was
// lost, or the wire is dead, and nothing is outstanding that would find it out. Only
// keep-alive ends such a connection.
func (c *Conn) forsaken() bool {
	in, out := c.flow.peer.links[c.host], c.host.links[c.flow.peer]
	o := c.other()
	cut := in.Until != 0
	if in.lossy() || out.lossy() {
		cut = cut || o == nil || o.gone && !o.inTimeWait && o.tcb.Err() != nil
	}
	if c.gone || c.end.KeepAlive || !cut {
		return false
	}
	c.tcb.Snapshot(&c.snap)
	return c.snap.InFlight == 0 && c.snap.SndQueued == 0
}

// undisturbed reports whether nothing gave reason to hold a segment for lost: the wires are
// faithful, the hosts prompt and not short of memory, and no ACK is delayed beyond the smallest RTO.
func (c *Conn) undisturbed() bool {
	h, peer := c.host, c.flow.peer
	o := c.other()
	return h.links[peer].faithful() && peer.links[h].faithful() &&
		h.Slack <= Millisecond && peer.Slack <= Millisecond && peer.Budget == 0 && h.Budget == 0 &&
		c.end.MinRTO == 0 && c.end.Forged == 0 && o != nil && o.end.Forged == 0 && o.end.DelayedACK <= 0 &&
		!c.app.Fiddle && !o.app.Fiddle && o.app.End <= CloseLast
}

// describe tells where a connection and its application stand.
func (c *Conn) describe() string {
	c.tcb.Snapshot(&c.snap)
	a := &c.app
	return fmt.Sprintf("%v in %v, end %d: written %d of %d, blocked %v, closed write %v, closed %v; read %d, eof %v, read error %v, done %v; gone %v, released %v; %+v",
		c, c.state, a.End, a.written, a.Write, a.blocked, a.closedWrite, a.closed, a.read, a.eof, a.readErr, a.readDone, c.gone, c.released, c.snap)
}

// atEnd checks how the connection ended.
func (c *Conn) atEnd() {
	if c.forsaken() {
		c.gone = true
		delete(c.host.conns, c.flow)
		c.release()
		return
	}
	if !c.released {
		c.fail("every connection ends or times out", "nothing is left to happen:%s", c.host.sim.unfinished())
		return
	}
	if c.watch.resent > 0 && c.undisturbed() {
		c.fail("nothing is sent again on a clean wire", "%d segments were", c.watch.resent)
	}
	if !c.end.Orderly {
		return
	}
	if err := c.tcb.Err(); err != nil || c.app.readErr != nil {
		c.fail("an undisturbed connection ends in order", "it ended with %v; the reader got %v", err, c.app.readErr)
	}
	o := c.other()
	if o == nil || !c.app.eof || c.app.read != o.app.written || c.app.written != c.end.Script.Write {
		c.fail("everything written is delivered", "written %d of %d, read %d, eof %v", c.app.written, c.end.Script.Write, c.app.read, c.app.eof)
	}
}
