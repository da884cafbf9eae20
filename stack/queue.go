package stack

import (
	"encoding/binary"
	"errors"
	"net"
	"sync"

	"ustack/ippkt"
	"ustack/stack/link"
	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// queue is one packet queue with its reader.
type queue struct {
	s       *Stack
	index   int // in Stack.queues
	dev     link.Queue
	link    link.Link
	workers *workers
	count   counters
	sc      *scratch
	touched []*Conn // of this turn
	tracing tracing // of the packet that is delivered
}

func newQueue(s *Stack, l link.Link, dev link.Queue) *queue {
	q := &queue{s: s, index: len(s.queues), dev: dev, link: l, workers: &workers{s: s}}
	q.sc = newScratch()
	q.sc.reader = q
	return q
}

// scratch is what a goroutine needs to send: it belongs to the goroutine, not to a connection.
type scratch struct {
	out     tcb.Out
	hdr     []byte
	gso     bool  // the link takes super-segments at the moment
	readied bool  // a goroutine was readied since this was last looked at
	tos     uint8 // of the packets to be sent, without the ECN bits
	ttl     uint8 // 0: the default
	reader  *queue
	touched uint64 // of no use but to have been computed
	conn    *Conn  // whose segment is in out, for tracing; nil: nobody's
}

func newScratch() *scratch {
	return &scratch{hdr: make([]byte, 0, ippkt.IPv6HeaderLen+tcpseg.MaxHeaderLen)}
}

var scratches = sync.Pool{New: func() any { return newScratch() }}

func getScratch() *scratch { return scratches.Get().(*scratch) }

func putScratch(sc *scratch) {
	sc.out = tcb.Out{}
	sc.readied = false
	scratches.Put(sc)
}

// Limits of one turn of the reader: after it, ACKs are sent and others may run.
const (
	turnPackets = 64
	turnBytes   = 256 << 10
)

// read is the reader of the queue. It takes what is ready, acts once for the whole batch, and
// waits when there was nothing. It never runs foreign code.
func (q *queue) read() {
	f := link.NewFrame()
	defer q.workers.waiting.Store(true)
	for {
		n, err := q.turn(f)
		if err != nil {
			q.ended(err)
			return
		}
		if n > 0 {
			continue
		}
		if err := q.wait(); err != nil {
			q.ended(err)
			return
		}
	}
}

// wait waits for packets. The workers know that they are on their own meanwhile.
func (q *queue) wait() error {
	q.workers.waiting.Store(true)
	defer q.workers.waiting.Store(false)
	q.workers.flush(q.sc, true) // what they left before they knew
	if q.sc.readied {
		q.yield()
	}
	return q.dev.Wait()
}

// turn is one turn: packets in, then what they made due, then those who wait for it.
func (q *queue) turn(f *link.Frame) (n int, err error) {
	for bytes := 0; n < turnPackets && bytes < turnBytes; n++ {
		ok, e := q.dev.Read(f)
		if !ok {
			err = e
			break
		}
		bytes += len(f.Packet)
		q.deliver(f)
	}
	for i, c := range q.touched {
		c.lock()
		c.touched = false
		c.respond(q.sc)
		c.unlock()
		q.touched[i] = nil
	}
	q.touched = q.touched[:0]
	if q.sc.readied {
		q.yield()
	}
	q.workers.flush(q.sc, true) // of a worker whose next callback blocks
	return n, err
}

func (q *queue) ended(err error) {
	if !errors.Is(err, net.ErrClosed) {
		q.s.fail(err)
	}
}

// send writes the segment in sc.out. It returns the identification of the next packet.
func (q *queue) send(sc *scratch, key *flowKey, label uint32, id uint16) uint16 {
	if sc.out.GSOSize > 0 && !sc.gso {
		return q.cut(sc, key, label, id)
	}
	return q.sendPacket(sc, key, label, id)
}

// sendPacket gives the segment in sc.out its headers and writes it as one packet. A device that
// cuts takes an identification for each segment (TSO-03).
func (q *queue) sendPacket(sc *scratch, key *flowKey, label uint32, id uint16) uint16 {
	o := &sc.out
	o.SrcPort, o.DstPort = key.lport, key.rport
	payload := o.PayloadLen()
	tcpLen := o.Header.Len() + payload
	ip := ippkt.Header{
		Src: key.local, Dst: key.remote, Proto: ippkt.ProtoTCP, TTL: ippkt.DefaultTTL,
		DontFragment: true, ID: uint32(id), FlowLabel: label, TOS: sc.tos | o.ECN, // PMTU-01
	}
	if sc.ttl != 0 {
		ip.TTL = sc.ttl
	}
	hdr := ip.AppendTo(sc.hdr[:0], tcpLen)
	ipLen := len(hdr)
	hdr = o.AppendTo(hdr)
	sc.hdr = hdr
	segments := uint16(1)
	sum := hdr[ipLen+tcpseg.ChecksumOffset:]
	pseudo := ippkt.PseudoSum(key.local, key.remote, ippkt.ProtoTCP, tcpLen)
	var off link.Offload
	if sc.gso {
		off = link.Offload{
			NeedsCsum: true, HdrLen: uint16(len(hdr)),
			CsumStart: uint16(ipLen), CsumOffset: tcpseg.ChecksumOffset,
		}
		if o.GSOSize > 0 && payload > o.GSOSize {
			off.GSO, off.GSOSize = link.GSOTCPv6, uint16(o.GSOSize)
			if ipLen == ippkt.IPv4HeaderLen {
				off.GSO = link.GSOTCPv4
			}
			segments = uint16((payload + o.GSOSize - 1) / o.GSOSize)
		}
		binary.BigEndian.PutUint16(sum, ippkt.Fold(pseudo)) // not complemented: TSO-05
	} else {
		binary.BigEndian.PutUint16(sum, ippkt.TransportChecksum(hdr[ipLen:], &o.Payload, pseudo))
	}
	q.count.sent[o.Cause].Add(1)
	if q.s.traced() {
		q.traceOut(sc, key, off, hdr, &o.Payload)
	}
	q.write(off, hdr, o.Payload)
	return id + segments
}

// reply sends the segment in sc.out for a flow that is no connection. Options are those it would have; nil: none.
func (q *queue) reply(sc *scratch, key *flowKey, o *tcb.Options) {
	sc.gso, sc.tos, sc.ttl = q.link.GSO(), 0, 0
	if o != nil {
		sc.tos, sc.ttl = o.DSCP<<2, o.TTL
	}
	h := q.s.secret.label(key)
	q.send(sc, key, uint32(h)&0xfffff, uint16(h>>32))
}

// writePlain writes a packet that is not TCP, or a fragment.
func (q *queue) writePlain(packet []byte) {
	if q.s.traced() {
		q.traceOut(nil, nil, link.Offload{}, packet, new([4][]byte))
	}
	q.write(link.Offload{}, packet, [4][]byte{})
}

func (q *queue) write(off link.Offload, hdr []byte, payload [4][]byte) {
	if err := q.dev.Write(off, hdr, payload); err != nil {
		q.note(countWriteErrors) // a loss like any other: TCP repairs it
	}
}

// config returns what a connection over this queue is made with.
func (q *queue) config(o *tcb.Options, is4 bool) tcb.Config {
	c := tcb.Config{Options: *o, LinkMSS: maxMSS(q.link.MTU(), is4), DefaultMSS: 1220}
	if is4 {
		c.DefaultMSS = 536
	}
	return c
}
