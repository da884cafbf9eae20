package netsim

import (
	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// halfOpen is a passive open before its third ACK.
type halfOpen struct {
	tcb.HalfOpen
	host     *Host
	flow     flow
	endpoint Endpoint
	watch    watch
	gone     bool
}

func (h *Host) passive(f flow, syn *tcpseg.Segment, iss tcpseg.Seq) {
	e := h.listeners[f.local]
	w := &halfOpen{host: h, flow: f, endpoint: e}
	w.watch = watch{iss: iss, mtu: h.MTU, fail: func(law, format string, args ...any) { h.fail(law, format, args...) }}
	w.watch.received(h.sim.now, syn)
	w.HalfOpen = tcb.Passive(h.sim.now, h.config(&e), syn, iss, h.tsOffset(f))
	h.halfOpen[f] = w
	h.note(f.local, "SYN-RECEIVED")
	w.flush()
	w.forge()
}

func (w *halfOpen) input(seg *tcpseg.Segment, forged bool) {
	h := w.host
	if forged {
		w.watch.receivedForged(h.sim.now)
	} else {
		w.watch.received(h.sim.now, seg)
	}
	result, drop := w.HalfOpen.Input(h.sim.now, seg)
	if drop != tcb.DropNone {
		h.note(w.flow.local, "half-open drops: %v", drop)
	}
	switch result {
	case tcb.HalfOpenComplete:
		if forged {
			h.fail("no forged segment completes a handshake", "%v", *seg)
		}
		w.complete(seg)
		return
	case tcb.HalfOpenDead:
		w.forget("reset")
		return
	}
	w.flush()
}

// complete makes a connection of it, and gives it the segment that did so.
func (w *halfOpen) complete(seg *tcpseg.Segment) {
	h := w.host
	w.forget("complete")
	c := h.newConn(w.flow, w.endpoint)
	fail := c.watch.fail
	c.watch = w.watch
	c.watch.fail = fail
	hs := w.HalfOpen.Handshake()
	c.tcb = tcb.Accept(h.sim.now, h.config(&w.endpoint), h.blocks, &hs)
	h.add(c)
	c.noteState()
	c.wakeApp()
	c.input(seg, false)
}

func (w *halfOpen) forget(why string) {
	w.gone = true
	delete(w.host.halfOpen, w.flow)
	w.host.note(w.flow.local, "half-open ends: %s", why)
}

func (w *halfOpen) flush() {
	h := w.host
	var o tcb.Out
	for n := 0; w.HalfOpen.Output(h.sim.now, &o); n++ {
		if n > 8 {
			h.fail("no busy loop", "a half-open connection sends without end")
			return
		}
		o.SrcPort, o.DstPort = w.flow.local, w.flow.remote
		w.watch.sentHalfOpen(&o)
		h.send(w.flow, &o, w.watch.iss, w.watch.irs)
	}
	d := w.HalfOpen.Deadline()
	if d <= h.sim.now {
		h.fail("the deadline is in the future", "a half-open connection waits for %s", clock(d))
		return
	}
	h.sim.After(d-h.sim.now, w.timer)
}

func (w *halfOpen) timer() {
	now := w.host.sim.now
	if w.gone || now < w.HalfOpen.Deadline() {
		return
	}
	if !w.HalfOpen.Expire(now) {
		w.forget("timed out")
		return
	}
	w.flush()
}

// timeWait is a connection in TIME-WAIT.
type timeWait struct {
	tcb.TimeWait
	host  *Host
	flow  flow
	watch *watch
}

func (h *Host) enterTimeWait(c *Conn, record tcb.TimeWait) {
	w := &timeWait{record, h, c.flow, &c.watch}
	msl := Time(c.end.MSL)
	if msl == 0 {
		msl = 30 * Second
	}
	if d := record.Deadline() - h.sim.now; d != 2*msl {
		c.fail("TIME-WAIT lasts twice the MSL", "%s", clock(d)) // MUST-13
	}
	h.timeWait[c.flow] = w
	w.await()
}

// await forgets the record at its deadline, however often that moves.
func (w *timeWait) await() {
	s := w.host.sim
	d := w.Deadline()
	if d <= s.now {
		w.host.fail("the deadline is in the future", "TIME-WAIT until %s", clock(d))
		return
	}
	s.After(d-s.now, func() {
		switch {
		case w.host.timeWait[w.flow] != w:
		case s.now < w.Deadline():
			w.await()
		default:
			delete(w.host.timeWait, w.flow)
			w.host.note(w.flow.local, "TIME-WAIT ends")
		}
	})
}

// input answers for the ended connection; true: the segment opens a new one.
func (w *timeWait) input(seg *tcpseg.Segment) (reuse bool) {
	h := w.host
	r := w.TimeWait.Input(h.sim.now, seg)
	if r.Drop != tcb.DropNone {
		h.note(w.flow.local, "TIME-WAIT drops: %v", r.Drop)
	}
	if r.Reply != tcb.CauseNone {
		if seg.Flags.Has(tcpseg.RST) {
			h.fail("a RST is never answered", "TIME-WAIT answers %v", *seg)
		}
		var o tcb.Out
		w.TimeWait.Output(h.sim.now, h.tsOffset(w.flow), r.Reply, &o)
		o.SrcPort, o.DstPort = w.flow.local, w.flow.remote
		h.send(w.flow, &o, w.watch.iss, w.watch.irs)
	}
	if !r.Reuse {
		return false
	}
	delete(h.timeWait, w.flow)
	if _, ok := h.listeners[w.flow.local]; !ok {
		return true // to be refused
	}
	h.note(w.flow.local, "TIME-WAIT is reused")
	h.passive(w.flow, seg, w.NextISS().Add(h.sim.rng.IntN(1<<20)))
	return false
}
