package netsim

import (
	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// HostConfig is what a host is made with; the zero value is useful.
type HostConfig struct {
	MTU    int  // octets of an IP packet [1500]
	Limit  int  // largest payload of one Out (tcb.Out.Limit); 0: no super-segments
	Batch  Time // a packet waits up to this long for others, to be taken in together
	Slack  Time // timers and the application run up to this much late
	Budget int  // octets of blocks; beyond it large ones are refused; 0: never
}

// Host is one end of wires: it does what a TCP host does around its TCBs.
type Host struct {
	HostConfig
	sim       *Sim
	name      string
	id        int
	links     map[*Host]*link
	listeners map[uint16]Endpoint
	conns     map[flow]*Conn
	halfOpen  map[flow]*halfOpen
	timeWait  map[flow]*timeWait
	blocks    *blocks
	used      map[flow]tcpseg.Seq // end of the sequence numbers of earlier connections
	offsets   map[flow]uint32     // of timestamps

	inbox   []packet
	turning bool
	touched []*Conn
}

// flow names a connection of a host.
type flow struct {
	peer          *Host
	local, remote uint16
}

// Endpoint is one end of a connection: its switches and its application.
type Endpoint struct {
	tcb.Config // LinkMSS is filled in from the host
	Script     Script
	// Orderly demands that the connection ends in order with everything delivered.
	Orderly bool
	// MayTimeOut allows the connection to be given up: a wire dies on it, or loses most packets.
	MayTimeOut bool
	// Forged is how many forged segments are thrown at the connection (see forge).
	Forged int
	// Again is how often a dialled connection is dialled again from the same port once it has ended.
	Again int
}

// AddHost adds a host.
func (s *Sim) AddHost(name string, c HostConfig) *Host {
	if c.MTU == 0 {
		c.MTU = 1500
	}
	h := &Host{HostConfig: c, sim: s, name: name, id: len(s.hosts) + 1, links: map[*Host]*link{},
		listeners: map[uint16]Endpoint{}, conns: map[flow]*Conn{}, halfOpen: map[flow]*halfOpen{}, timeWait: map[flow]*timeWait{},
		used: map[flow]tcpseg.Seq{}, offsets: map[flow]uint32{}}
	h.blocks = newBlocks(h, c.Budget)
	s.hosts = append(s.hosts, h)
	return h
}

// Connect joins two hosts by the same wire in both directions.
func (s *Sim) Connect(a, b *Host, w Wire) {
	s.ConnectOneWay(a, b, w)
	s.ConnectOneWay(b, a, w)
}

// ConnectOneWay sets the wire from one host to another.
func (s *Sim) ConnectOneWay(from, to *Host, w Wire) {
	if w.MTU == 0 {
		w.MTU = 1500
	}
	l := &link{Wire: w, sim: s, from: from, to: to, neck: w.Through}
	if l.neck == nil && w.Rate > 0 {
		l.neck = &Bottleneck{Rate: w.Rate, Queue: w.Queue, Mark: w.Mark}
	}
	from.links[to] = l
}

// String returns the host's name.
func (h *Host) String() string { return h.name }

func (h *Host) fail(law, format string, args ...any) { h.sim.fail(h, law, format, args...) }

// note records what happens to the host, or on one of its ports.
func (h *Host) note(port uint16, note string, args ...any) {
	r := record{at: h.sim.now, who: h.name, port: port, note: note}
	copy(r.args[:], args)
	h.sim.log.add(r)
}

// config completes an endpoint's switches.
func (h *Host) config(e *Endpoint) *tcb.Config {
	c := e.Config
	c.LinkMSS = h.MTU - ipHeader - tcpseg.MinHeaderLen
	if c.DefaultMSS == 0 {
		c.DefaultMSS = 536
	}
	return &c
}

// Listen answers every SYN to the port with a connection that runs the endpoint's script.
func (h *Host) Listen(port uint16, e Endpoint) { h.listeners[port] = e }

// Dial opens a connection now and runs the endpoint's script on it.
// It takes the place of a former one in TIME-WAIT.
func (h *Host) Dial(peer *Host, local, remote uint16, e Endpoint) *Conn {
	f := flow{peer, local, remote}
	delete(h.timeWait, f)
	c := h.newConn(f, e)
	c.dialled = true
	c.watch.iss = h.iss(f)
	c.tcb = tcb.Dial(h.sim.now, h.config(&e), h.blocks, &tcb.DialInfo{ISS: c.watch.iss, TSOffset: h.tsOffset(f)})
	h.add(c)
	c.note("dials")
	c.wakeApp()
	c.flush()
	return c
}

// iss picks an initial sequence number whose neighbourhood is dangerous, or for a
// flow that existed before one beyond all it has used (RFC 6528 §3).
func (h *Host) iss(f flow) tcpseg.Seq {
	s := h.sim
	if last, ok := h.used[f]; ok {
		return last.Add(1 + s.rng.IntN(1<<20))
	}
	return pick(s, 0, 0x7fffffff, 0xffffff00, tcpseg.Seq(s.rng.Uint32()))
}

// tsOffset starts the timestamps of a flow somewhere; there they go on for ever (RFC 7323 §5.4).
func (h *Host) tsOffset(f flow) uint32 {
	if _, ok := h.offsets[f]; !ok {
		h.offsets[f] = pick(h.sim, 0xffffff00, 0x7ffffff0, h.sim.rng.Uint32())
	}
	return h.offsets[f]
}

func (h *Host) add(c *Conn) {
	h.conns[c.flow] = c
	h.sim.conns = append(h.sim.conns, c)
	c.forge()
}

// receive takes a packet from a wire; it is looked at in the host's next turn.
func (h *Host) receive(p packet) {
	h.inbox = append(h.inbox, p)
	if h.turning {
		return
	}
	h.turning = true
	h.sim.After(h.sim.span(h.Batch), h.turn)
}

// turn takes in every packet that is there, then lets the connections answer.
func (h *Host) turn() {
	h.turning = false
	inbox := h.inbox
	h.inbox = nil
	for _, p := range inbox {
		h.deliver(p)
	}
	touched := h.touched
	h.touched = nil
	for _, c := range touched {
		c.touched = false
		c.flush()
	}
}

// deliver finds out whose a packet is.
func (h *Host) deliver(p packet) {
	if checksum(p.from, h, p.b) != 0xffff {
		h.note(0, "drops a corrupted packet from %s", p.from.name)
		return
	}
	seg, err := tcpseg.Parse(p.b)
	if err != nil {
		h.fail("what is encoded can be parsed", "%v: %x", err, p.b[:min(len(p.b), 60)])
		return
	}
	seg.GSOSize, seg.ECN = p.gso, p.ecn
	if p.forged {
		h.note(seg.DstPort, "gets a forged %v", seg)
	}
	f := flow{p.from, seg.DstPort, seg.SrcPort}
	if w := h.timeWait[f]; w != nil && !p.forged {
		if !w.input(&seg) {
			return
		}
	}
	if c := h.conns[f]; c != nil {
		if p.forged && c.lucky(&p, &seg) {
			return
		}
		c.input(&seg, p.forged)
		return
	}
	if w := h.halfOpen[f]; w != nil {
		w.input(&seg, p.forged)
		return
	}
	if p.forged {
		return // too late for its victim
	}
	if _, ok := h.listeners[f.local]; ok && seg.Flags&(tcpseg.SYN|tcpseg.ACK|tcpseg.RST) == tcpseg.SYN {
		h.passive(f, &seg, h.iss(f))
		return
	}
	h.refuse(f, &seg)
}

// lucky reports whether a forged segment has come true, because things went on while it was on its way.
func (c *Conn) lucky(p *packet, seg *tcpseg.Segment) bool {
	c.tcb.Snapshot(&c.snap)
	return p.victim != c || seg.Flags.Has(tcpseg.RST) && seg.Seq == c.snap.RcvNxt
}

// refuse answers a segment of no connection.
func (h *Host) refuse(f flow, seg *tcpseg.Segment) {
	var o tcb.Out
	if !tcb.Refuse(seg, &o) {
		return
	}
	if seg.Flags.Has(tcpseg.RST) {
		h.fail("a RST is never answered", "Refuse answers %v", *seg)
	}
	o.SrcPort, o.DstPort = f.local, f.remote
	h.send(f, &o, 0, seg.Seq)
}

// send puts one Out on the wire, whole or cut.
func (h *Host) send(f flow, o *tcb.Out, base, remote tcpseg.Seq) {
	l := h.links[f.peer]
	if l == nil {
		h.fail("every packet has a wire", "none to %s", f.peer.name)
		return
	}
	b := encode(h, f.peer, o)
	if seg, err := tcpseg.Parse(b); err != nil || seg.Header != plain(o.Header) {
		h.fail("a header survives the codec", "%v became %v (%v)", o.Header, seg.Header, err)
		return
	}
	hdr := o.Header
	r := record{at: h.sim.now, who: h.name, port: f.local, hdr: &hdr, length: o.PayloadLen(), gso: o.GSOSize, cause: o.Cause, base: base, remote: remote}
	p := packet{from: h, b: b, gso: o.GSOSize, ecn: o.ECN}
	if o.GSOSize > 0 && h.sim.chance(l.Whole) {
		r.note = " WHOLE" + l.send(p)
		h.sim.log.add(r)
		return
	}
	for _, q := range cut(p, f.peer) {
		if n := len(q.b) + ipHeader; n > l.MTU {
			h.fail("no packet is larger than the MTU", "%d octets on a wire of %d: %v", n, l.MTU, o.Header)
		}
		r.note += l.send(q)
	}
	h.sim.log.add(r)
}

// plain clears what stands in fields of options that are absent.
func plain(h tcpseg.Header) tcpseg.Header {
	o := &h.Options
	if !o.HasScale {
		o.Scale = 0
	}
	if !o.HasTimestamps {
		o.TSVal, o.TSEcr = 0, 0
	}
	clear(o.SACK[o.SACKCount:])
	return h
}

// atEnd checks that nothing is left behind.
func (h *Host) atEnd() {
	switch {
	case len(h.conns) > 0 || len(h.halfOpen) > 0 || len(h.timeWait) > 0:
		h.fail("every connection ends or times out", "%d connections, %d half-open and %d in TIME-WAIT are left with nothing to wait for",
			len(h.conns), len(h.halfOpen), len(h.timeWait))
	case h.blocks.out != 0:
		h.fail("all blocks are given back", "%d octets are still lent", h.blocks.out)
	case !sequenceIntact():
		h.fail("shared data is never written to", "what WriteShared was given has changed")
	}
}
