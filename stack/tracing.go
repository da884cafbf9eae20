package stack

import (
	"net/netip"
	"sync"
	"time"

	"ustack/ippkt"
	"ustack/stack/link"
	"ustack/stack/tcb"
	"ustack/stack/trace"
	"ustack/tcpseg"
)

// SetTracer makes f what [Config.Tracer] is described as, from now on; nil: nobody. A call of the one before may still be
// under way.
func (s *Stack) SetTracer(f func(*trace.Event)) {
	if f == nil {
		s.tracer.Store(nil)
		return
	}
	s.tracer.Store(&f)
}

// traced reports whether anybody listens.
func (s *Stack) traced() bool { return s.tracer.Load() != nil }

// tell tells the tracer, if there still is one.
func (s *Stack) tell(e *trace.Event) {
	if f := s.tracer.Load(); f != nil {
		(*f)(e)
	}
}

// A tracing is an event in the making.
type tracing struct {
	mu      sync.Mutex // an ICMP error that a timer sends ends the event of whatever is being delivered
	ev      trace.Event
	snap    tcb.Snapshot
	header  tcpseg.Header
	pieces  [5][]byte
	una     tcpseg.Seq // what the peer of its connection had acknowledged before, at least the SYN
	known   bool       // it has a connection, and una is that
	pending bool       // ev is about a packet that is being delivered, and has not been told
}

var tracings = sync.Pool{New: func() any { return new(tracing) }}

// start makes ev an event of its own.
func (t *tracing) start(kind trace.Kind) *trace.Event {
	t.ev = trace.Event{Kind: kind, Time: time.Now()}
	return &t.ev
}

// begin notes that the packet in f is being delivered.
func (t *tracing) begin(f *link.Frame) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ev := t.start(trace.PacketIn)
	t.pieces[0] = f.Packet
	ev.Pieces, ev.Offload = t.pieces[:1], f.Offload
	t.pending, t.known = true, false
}

// before notes what c's peer has acknowledged before the packet. c.mu is held.
func (t *tracing) before(c *Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.t.Snapshot(&t.snap)
	t.una, t.known = tcpseg.Max(t.snap.Una, t.snap.ISS.Add(1)), true
}

// segment notes what the packet holds.
func (t *tracing) segment(key *flowKey, seg *tcpseg.Segment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ev.Local, t.ev.Remote = key.ends()
	t.header = seg.Header
	t.ev.Segment, t.ev.Payload = &t.header, len(seg.Payload)
}

// refused notes why the packet is refused: the first reason is the one.
func (t *tracing) refused(why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pending && t.ev.Drop == "" {
		t.ev.Drop = why
	}
}

// end tells of the packet, unless that has been done: what is sent because of it comes after it. If it was c's, c.mu is
// held.
func (t *tracing) end(s *Stack, c *Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.pending {
		return
	}
	t.pending = false
	if c != nil {
		c.t.Snapshot(&t.snap)
		t.ev.State = &t.snap
		if t.known {
			t.ev.Acks = max(t.snap.Una.Sub(t.una), 0)
		}
	}
	s.tell(&t.ev)
	if c != nil {
		t.sampled(s, c)
		t.changed(s, c)
	}
}

// about makes ev an event of c, whose state t.snap has.
func (t *tracing) about(c *Conn, kind trace.Kind) *trace.Event {
	ev := t.start(kind)
	ev.Local, ev.Remote = c.key.ends()
	ev.State = &t.snap
	return ev
}

// sampled tells of the round-trip time that the segment just told of has shown.
func (t *tracing) sampled(s *Stack, c *Conn) {
	if t.snap.Sample != 0 {
		s.tell(t.about(c, trace.Sampled))
	}
}

// changed tells of c's state and phase in t.snap, if they are others than were told last. c.mu is held.
func (t *tracing) changed(s *Stack, c *Conn) {
	now := told{t.snap.State, t.snap.Phase}
	if c.told == now {
		return
	}
	ev := t.about(c, trace.Changed)
	ev.Was, ev.WasPhase = c.told.state, c.told.phase
	c.told = now
	s.tell(ev)
}

// told is what a tracer knows of a connection.
type told struct {
	state tcb.State
	phase tcb.Phase
}

// ends returns the ends of a flow as users and tracers are told them.
func (k *flowKey) ends() (local, remote netip.AddrPort) {
	return netip.AddrPortFrom(k.local.Netip(), k.lport), netip.AddrPortFrom(k.remote.Netip(), k.rport)
}

// traceOut tells of a packet that is about to be written: of the segment in sc.out, if sc is not nil.
func (q *queue) traceOut(sc *scratch, key *flowKey, off link.Offload, hdr []byte, payload *[4][]byte) {
	if sc == nil || sc.reader == q {
		q.tracing.end(q.s, nil)
	}
	t := tracings.Get().(*tracing)
	defer tracings.Put(t)
	if sc != nil && sc.conn != nil { // the change comes before what is sent because of it
		sc.conn.t.Snapshot(&t.snap)
		t.changed(q.s, sc.conn)
	}
	ev := t.start(trace.PacketOut)
	pieces := append(t.pieces[:0], hdr)
	for _, p := range payload {
		if len(p) > 0 {
			pieces = append(pieces, p)
		}
	}
	ev.Pieces, ev.Offload = pieces, off
	if sc != nil {
		ev.Local, ev.Remote = key.ends()
		t.header = sc.out.Header
		ev.Segment, ev.Payload, ev.Cause, ev.Acks = &t.header, sc.out.PayloadLen(), sc.out.Cause, sc.out.Acks
		if sc.conn != nil {
			ev.State = &t.snap
		}
	}
	q.s.tell(ev)
}

// trace tells of c what is no packet. c.mu is held.
func (c *Conn) trace(kind trace.Kind, held tcb.Held) {
	t := tracings.Get().(*tracing)
	defer tracings.Put(t)
	c.t.Snapshot(&t.snap)
	t.changed(c.s, c)
	ev := t.about(c, kind)
	ev.Held = held
	if kind == trace.Ended {
		ev.Err = c.t.Err()
	}
	c.s.tell(ev)
}

// note counts c, and mentions what runs short by it.
func (q *queue) note(c counter) {
	q.count.own[c].Add(1)
	q.s.shortage(c)
}

// drop is note for the packet that is being delivered: it is refused, if c counts refusals.
func (q *queue) drop(c counter) {
	q.note(c)
	if q.s.traced() && c.isDrop() {
		q.tracing.refused(counterNames[c])
	}
}

func (q *queue) dropIP(r ippkt.Reason) {
	q.count.ip[r].Add(1)
	if q.s.traced() {
		q.tracing.refused(r.String())
	}
}

func (q *queue) dropTCP(d tcb.Drop) {
	q.count.tcp[d].Add(1)
	if q.s.traced() {
		q.tracing.refused(dropPrefix + d.String())
	}
}

// dropPrefix tells the TCB's reasons from those of lower layers.
const dropPrefix = "tcp-"
