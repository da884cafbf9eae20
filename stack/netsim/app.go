package netsim

import (
	"io"

	"ustack/stack/tcb"
)

// End says how an application ends its connection.
type End uint8

const (
	// CloseFirst half-closes once everything is written, reads on to the peer's end, then closes.
	CloseFirst End = iota
	// CloseLast closes once everything is written and the peer's end was read.
	CloseLast
	// CloseFull closes both directions once everything is written, whatever the peer still
	// sends: nobody reads any more.
	CloseFull
	// AbortMidway aborts once EndAt octets were written and read, or all is written.
	AbortMidway
	// CloseMidway closes both directions once EndAt octets were written and read, or all is written.
	CloseMidway
)

// Method is how data gets into the send queue.
type Method uint8

const (
	Copied   Method = iota // Write
	Shared                 // WriteShared
	Reserved               // Reserve, and some time later Commit
	Mixed                  // any of them
)

// Script is what the application at one end does. The zero value reads to the end and closes.
type Script struct {
	Write      int64 // octets to write
	WriteChunk int   // largest single write [16 KiB], at most 1 MiB
	ReadChunk  int   // largest single read [16 KiB]
	WritePause Time  // longest pause between two writes; 0: none
	ReadPause  Time  // longest pause between two reads; 0: none
	ReadDelay  Time  // nothing is read for so long after the connection was made
	Method     Method
	Whole      bool // chance has no part: all writes and reads are chunks, and what can be written at a time is sent at once
	Peek       bool // read by Peek and Discard, some time later
	Eager      bool // write before the connection is established
	End        End
	EndAt      int64
	// Turn makes the two ends take turns: so many octets from the end that dialled, then as many
	// from the other, and so on; 0: each writes what it can. Both ends need the same Turn and Write.
	Turn   int64
	Fiddle bool // change switches and budgets now and then
}

// Bulk sends octets as fast as the connection takes them.
func Bulk(octets int64) Script {
	return Script{Write: octets, WriteChunk: 256 << 10, ReadChunk: 256 << 10, Method: Shared, Whole: true}
}

// pauseOften is how often a read or write is followed by a pause, if there are any.
const pauseOften = 0.2

// app runs a Script.
type app struct {
	Script
	c        *Conn
	wakeAt   Time // when it runs next; 0: not settled
	written  int64
	read     int64
	writeAt  Time // the writer pauses until then
	readAt   Time
	buf      []byte // for Read
	reserved [2][]byte
	peeked   int // octets that were seen by Peek and not discarded yet

	connected   bool
	blocked     bool // the last write came up short
	closedWrite bool
	closed      bool // Close or Abort was called
	eof         bool
	readErr     error
	readDone    bool
}

func newApp(c *Conn) app {
	a := app{Script: c.end.Script, c: c}
	if a.WriteChunk == 0 {
		a.WriteChunk = 16 << 10
	}
	a.WriteChunk = min(a.WriteChunk, period)
	if a.ReadChunk == 0 {
		a.ReadChunk = 16 << 10
	}
	a.readAt = c.host.sim.now + a.ReadDelay
	return a
}

// out and in return what the two ends write: each connection something else, told by its ISS.
func (a *app) out() stream { return stream{int64(a.c.watch.iss)} }
func (a *app) in() stream  { return stream{int64(a.c.watch.irs)} }

// told takes events.
func (a *app) told(e tcb.Events) {
	if e&tcb.EventConnected != 0 {
		a.connected = true
	}
	if e&tcb.EventWritable != 0 {
		a.blocked = false
	}
}

// wakeApp lets the application run soon.
func (c *Conn) wakeApp() { c.wakeAppAt(c.host.sim.now + c.host.sim.span(c.host.Slack)) }

// wakeAppAt lets it run at a moment, unless it will run before: then it asks again.
func (c *Conn) wakeAppAt(at Time) {
	a := &c.app
	if a.wakeAt != 0 && a.wakeAt <= at {
		return
	}
	a.wakeAt = at
	c.host.sim.agenda.add(at, func() {
		if a.wakeAt == at {
			a.wakeAt = 0
			a.run()
		}
	})
}

// run does what can be done now.
func (a *app) run() {
	c := a.c
	if c.released || c.host.sim.broken != nil {
		return
	}
	if c.tcb.State() >= tcb.Established {
		a.connected = true
	}
	if a.Fiddle && c.host.sim.chance(0.05) {
		a.fiddle()
	}
	a.reading()
	a.writing()
	a.ending()
	c.flush()
	if c.gone && a.readDone && a.peeked == 0 && a.reserved[0] == nil {
		c.release()
	}
}

// reading reads until there is nothing, or a pause.
func (a *app) reading() {
	c := a.c
	s := c.host.sim
	for !a.readDone && s.broken == nil {
		if s.now < a.readAt {
			c.wakeAppAt(a.readAt)
			return
		}
		ready := c.tcb.Readable()
		n := a.take(a.size(a.ReadChunk))
		if n == 0 && ready > 0 && a.peeked == 0 {
			c.fail("Readable tells what Read gives", "%d readable, none read", ready)
			return
		}
		if n == 0 && a.peeked == 0 {
			a.atReadErr()
			return
		}
		a.read += int64(n)
		if !a.Whole && s.chance(pauseOften) {
			a.readAt = s.now + s.span(a.ReadPause)
		}
	}
}

// take reads up to n octets and checks them; with Peek, what it sees it discards in a later run.
func (a *app) take(n int) int {
	c := a.c
	now := c.host.sim.now
	if !a.Peek {
		if len(a.buf) < n {
			a.buf = make([]byte, n)
		}
		n = c.tcb.Read(now, a.buf[:n])
		a.check(a.buf[:n])
		return n
	}
	one, two := c.tcb.Peek()
	if a.peeked == 0 && len(one)+len(two) > 0 && c.host.sim.chance(0.5) && a.ReadPause > 0 {
		// Look again later: the view must stay as it is, whatever comes in meanwhile.
		a.peeked = len(one) + len(two)
		a.check(one, two)
		a.readAt = now + 1 + c.host.sim.span(a.ReadPause)
		return 0
	}
	if len(one)+len(two) < a.peeked {
		c.fail("a Peek view stays true until Discard", "it shrank from %d to %d octets", a.peeked, len(one)+len(two))
	}
	a.peeked = 0
	n = min(n, len(one)+len(two))
	a.check(one, two)
	if n > 0 {
		c.tcb.Discard(now, n)
	}
	return n
}

// check compares what has arrived with what the peer writes.
func (a *app) check(parts ...[]byte) {
	off := a.read
	for _, b := range parts {
		if good := a.in().check(off, b); good < len(b) {
			a.c.fail("delivered octets are a prefix of those written", "octet %d is %#x, not %#x", off+int64(good), b[good], a.in().at(off+int64(good), 1)[0])
			return
		}
		off += int64(len(b))
	}
	if o := a.c.other(); o != nil && off > o.app.written {
		a.c.fail("delivered octets are a prefix of those written", "%d delivered, %d written", off, o.app.written)
	}
}

// atReadErr looks why there is nothing to read.
func (a *app) atReadErr() {
	c := a.c
	switch err := c.tcb.ReadErr(); err {
	case nil:
		return
	case io.EOF:
		a.eof = true
		if o := c.other(); o != nil && (!o.app.closedWrite || o.app.written != a.read) {
			c.fail("the end of data comes after all data", "EOF after %d octets; %d written, closed %v", a.read, o.app.written, o.app.closedWrite)
		}
		c.note("reads EOF after %d", a.read)
	default:
		a.readErr = err
		c.note("reads %v after %d", err, a.read)
	}
	a.readDone = true
	c.doneAt = c.host.sim.now
}

// writing writes until the queue is full, all is written, or a pause.
func (a *app) writing() {
	c := a.c
	s := c.host.sim
	for s.broken == nil {
		if s.now < a.writeAt {
			c.wakeAppAt(a.writeAt)
			return
		}
		a.commit()
		if a.written >= a.Write || a.closedWrite || a.blocked || !a.connected && !a.Eager {
			return
		}
		if c.tcb.WriteErr() != nil {
			a.closedWrite = true
			return
		}
		n := int(min(int64(a.piece()), a.Write-a.written, a.turn()))
		if n == 0 {
			return
		}
		if !a.put(n) {
			return
		}
		if a.Whole {
			continue
		}
		if s.chance(0.3) {
			c.flush()
		}
		if s.chance(pauseOften) {
			a.writeAt = s.now + s.span(a.WritePause)
		}
	}
}

// piece returns how much to write at once: a whole turn if WriteChunk allows.
func (a *app) piece() int {
	if a.Turn > 0 && a.Turn <= int64(a.WriteChunk) {
		return int(a.Turn)
	}
	return a.size(a.WriteChunk)
}

// size returns how much of a chunk to write or read.
func (a *app) size(chunk int) int {
	if a.Whole {
		return chunk
	}
	return a.c.host.sim.size(chunk)
}

// turn returns how many octets may be written before it is the other end's turn.
func (a *app) turn() int64 {
	if a.Turn == 0 || a.readDone {
		return a.Write
	}
	due := a.read / a.Turn * a.Turn
	if a.c.dialled {
		due += a.Turn
	}
	return max(due-a.written, 0)
}

// put queues n octets; false: no more for now.
func (a *app) put(n int) bool {
	c := a.c
	now := c.host.sim.now
	method := a.Method
	if method == Mixed {
		method = Method(c.host.sim.rng.IntN(int(Mixed)))
	}
	room := c.tcb.Writable()
	var took int
	switch method {
	case Copied:
		took = c.tcb.Write(now, a.out().at(a.written, n))
	case Shared:
		took = c.tcb.WriteShared(now, a.out().at(a.written, n))
	case Reserved:
		return a.reserve(n)
	}
	if took > n || took < min(n, room) {
		c.fail("Writable tells what Write takes", "%d of %d taken with room for %d", took, n, room)
	}
	a.written += int64(took)
	a.blocked = took < n
	return took == n
}

// reserve asks for room; it is committed now or in a later run.
func (a *app) reserve(n int) bool {
	c := a.c
	r := c.tcb.Reserve(n)
	got := len(r[0]) + len(r[1])
	if got > n {
		c.fail("Reserve gives what was asked for", "%d octets of %d", got, n)
		return false
	}
	if got == 0 {
		a.blocked = true
		return false
	}
	a.reserved = r
	if c.host.sim.chance(0.5) {
		a.writeAt = c.host.sim.now + 1 + c.host.sim.span(Millisecond)
	}
	return true
}

// commit fills what is reserved, or a part of it.
func (a *app) commit() {
	c := a.c
	n := len(a.reserved[0]) + len(a.reserved[1])
	if n == 0 {
		return
	}
	if c.host.sim.chance(0.3) {
		n = c.host.sim.rng.IntN(n + 1)
	}
	k := copy(a.reserved[0][:min(n, len(a.reserved[0]))], a.out().at(a.written, n))
	copy(a.reserved[1], a.out().at(a.written+int64(k), n-k))
	a.reserved = [2][]byte{}
	if c.tcb.WriteErr() != nil {
		n = 0
	}
	c.tcb.Commit(c.host.sim.now, n)
	a.written += int64(n)
}

// ending closes when the script says so.
func (a *app) ending() {
	c := a.c
	now := c.host.sim.now
	if a.closed || c.gone {
		return
	}
	if !a.connected && a.End <= CloseLast && c.tcb.State() != tcb.Closed {
		return // in SYN-SENT closing would only delete the connection (ST-SS11)
	}
	done := a.written >= a.Write && a.reserved[0] == nil
	midway := done || a.written+a.read >= a.EndAt && a.reserved[0] == nil
	switch {
	case c.tcb.State() == tcb.Closed:
		a.closed = true
	case a.End == AbortMidway && midway:
		c.note("aborts")
		a.stop()
		c.happened(c.tcb.Abort(now))
	case a.End == CloseMidway && midway, a.End == CloseFull && done, a.readDone && done:
		c.note("closes")
		if !a.readDone {
			a.stop()
		}
		a.closedWrite, a.closed, c.watch.closing = true, true, true
		c.happened(c.tcb.Close(now))
	case a.End == CloseFirst && done && !a.closedWrite:
		c.note("closes its side")
		a.closedWrite, c.watch.closing = true, true
		c.tcb.CloseWrite(now)
		c.noteState()
	}
}

// stop ends reading for good.
func (a *app) stop() {
	a.closed, a.closedWrite, a.readDone = true, true, true
	a.peeked = 0
}

// fiddle changes what may change on a live connection.
func (a *app) fiddle() {
	s := a.c.host.sim
	if s.chance(0.5) {
		a.c.tcb.SetBudget(pick(s, 3000, 20_000, 1<<20), pick(s, 3000, 20_000, 1<<20))
		return
	}
	o, fresh := a.c.tcb.Options(), s.randomOptions()
	o.Nagle, o.DelayedACK, o.ACKEvery = fresh.Nagle, fresh.DelayedACK, fresh.ACKEvery
	o.RcvBuf, o.SndBuf, o.NoIdleRestart = fresh.RcvBuf, fresh.SndBuf, fresh.NoIdleRestart
	a.c.tcb.Set(s.now, &o)
}
