package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"ustack/ippkt"
	"ustack/stack/link"
	"ustack/tcpseg"
)

// peer is the other end of a memory link: up to a million connections that know just enough of TCP to
// be good company on a link that loses nothing. A connection is twelve octets, so that what grows is
// the server.
type peer struct {
	q       link.Queue
	frame   *link.Frame
	conns   []peerConn
	server  ippkt.Addr
	port    uint16
	hdr     []byte
	started time.Time
	stuck   atomic.Bool // the watchdog has fired

	synAcks, answers, fins int    // seen since the last reset
	sent                   uint64 // segments
}

type peerConn struct {
	nxt, rcv tcpseg.Seq
	tsRecent uint32
}

const (
	peerAddrs     = 16
	peerFirstPort = 1024
	peerPorts     = 1<<16 - peerFirstPort
	peerISS       = tcpseg.Seq(1000)
	// peerPatience is how long an answer may take before the run is given up.
	peerPatience = 20 * time.Second
)

func newPeer(q link.Queue, server ippkt.Addr, port uint16, conns int) (*peer, error) {
	if conns > peerAddrs*peerPorts {
		return nil, fmt.Errorf("%d connections: at most %d have an address and a port", conns, peerAddrs*peerPorts)
	}
	p := &peer{q: q, frame: link.NewFrame(), conns: make([]peerConn, conns), server: server, port: port, hdr: make([]byte, 0, 128), started: time.Now()}
	for i := range p.conns {
		p.conns[i].nxt = peerISS // touched: from here on it counts as ours
	}
	return p, nil
}

// place returns the address and port of connection i.
func place(i int) (ippkt.Addr, uint16) {
	return ippkt.From4([4]byte{10, 91, 0, byte(1 + i%peerAddrs)}), uint16(peerFirstPort + i/peerAddrs)
}

// index is the inverse of place.
func index(addr ippkt.Addr, port uint16) int {
	return (int(port)-peerFirstPort)*peerAddrs + int(addr[15]) - 1
}

// send writes one segment of connection i, with timestamps as Linux would.
func (p *peer) send(i int, flags tcpseg.Flags, payload []byte) error {
	c := &p.conns[i]
	addr, port := place(i)
	h := tcpseg.Header{SrcPort: port, DstPort: p.port, Seq: c.nxt, Flags: flags, Window: 64240 >> 7,
		Options: tcpseg.Options{HasTimestamps: true, TSVal: uint32(time.Since(p.started).Milliseconds()) + 1, TSEcr: c.tsRecent}}
	if flags.Has(tcpseg.ACK) {
		h.Ack = c.rcv
	}
	if flags.Has(tcpseg.SYN) {
		h.Window = 64240
		h.Options.MSS, h.Options.HasScale, h.Options.Scale, h.Options.SACKPermitted = 1460, true, 7, true
		c.nxt++
	}
	if flags.Has(tcpseg.FIN) {
		c.nxt++
	}
	c.nxt = c.nxt.Add(len(payload))
	tcpLen := h.Len() + len(payload)
	ip := ippkt.Header{Src: addr, Dst: p.server, Proto: ippkt.ProtoTCP, TTL: ippkt.DefaultTTL, DontFragment: true}
	p.hdr = h.AppendTo(ip.AppendTo(p.hdr[:0], tcpLen))
	// As from the kernel on the same machine: the checksum is left to whoever needs one.
	binary.BigEndian.PutUint16(p.hdr[ippkt.IPv4HeaderLen+tcpseg.ChecksumOffset:], ippkt.Fold(ippkt.PseudoSum(addr, p.server, ippkt.ProtoTCP, tcpLen)))
	o := link.Offload{NeedsCsum: true, CsumStart: ippkt.IPv4HeaderLen, CsumOffset: tcpseg.ChecksumOffset}
	p.sent++
	return p.q.Write(o, p.hdr, [4][]byte{payload})
}

func (p *peer) reset() { p.synAcks, p.answers, p.fins = 0, 0, 0 }

// errPatience: the server does not answer.
var errPatience = errors.New("no answer in time")

// until reads and acknowledges packets until done.
func (p *peer) until(done func() bool) error {
	p.stuck.Store(false)
	timer := time.AfterFunc(peerPatience, func() { p.stuck.Store(true); p.q.Wake() })
	defer timer.Stop()
	for !done() {
		ok, err := p.q.Read(p.frame)
		if err != nil {
			return err
		}
		if ok {
			if err := p.packet(p.frame.Packet); err != nil {
				return err
			}
			continue
		}
		if p.stuck.Load() {
			return fmt.Errorf("%w: %d SYN,ACKs, %d answers, %d FINs", errPatience, p.synAcks, p.answers, p.fins)
		}
		if err := p.q.Wait(); err != nil {
			return err
		}
	}
	return nil
}

func (p *peer) packet(b []byte) error {
	ip, reason := ippkt.Parse(b)
	if reason != 0 || ip.Proto != ippkt.ProtoTCP {
		return fmt.Errorf("the server sent a bad packet: %v", reason)
	}
	seg, err := tcpseg.Parse(ip.Payload)
	if err != nil {
		return err
	}
	i := index(ip.Dst, seg.DstPort)
	if i < 0 || i >= len(p.conns) {
		return fmt.Errorf("the server sent to %v port %d, which is nobody's", ip.Dst, seg.DstPort)
	}
	c := &p.conns[i]
	if seg.Options.HasTimestamps {
		c.tsRecent = seg.Options.TSVal
	}
	switch {
	case seg.Flags.Has(tcpseg.RST):
		return fmt.Errorf("the server reset connection %d", i)
	case seg.Flags.Has(tcpseg.SYN):
		p.synAcks++
		c.rcv = seg.Seq + 1
		return nil
	case seg.Len() == 0:
		return nil
	case seg.Seq != c.rcv: // a copy of what we have
		return p.send(i, tcpseg.ACK, nil)
	}
	c.rcv = c.rcv.Add(seg.Len())
	if len(seg.Payload) > 0 {
		p.answers++
	}
	if seg.Flags.Has(tcpseg.FIN) {
		p.fins++
		return p.send(i, tcpseg.ACK|tcpseg.FIN, nil)
	}
	return p.send(i, tcpseg.ACK, nil)
}

// peerBatch is how many connections act at a time where it does not matter.
const peerBatch = 64

// batches calls f with parts of the connections [from, end).
func (p *peer) batches(from, end int, f func(from, to int) error) error {
	for ; from < end; from += peerBatch {
		if err := f(from, min(from+peerBatch, end)); err != nil {
			return fmt.Errorf("connections from %d on: %w", from, err)
		}
	}
	return nil
}

// open makes SYNs cross for connections [from, end) and, if finish, completes the handshakes.
func (p *peer) open(from, end int, finish bool) error {
	return p.batches(from, end, func(from, to int) error {
		if err := p.over(from, to, tcpseg.SYN, nil, func() bool { return p.synAcks == to-from }); err != nil {
			return err
		}
		for i := from; i < to && finish; i++ {
			if err := p.send(i, tcpseg.ACK, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// request sends request on all connections, batch by batch, and takes the answers, each one segment.
func (p *peer) request(request []byte) error {
	return p.batches(0, len(p.conns), func(from, to int) error {
		return p.over(from, to, tcpseg.ACK|tcpseg.PSH, request, func() bool { return p.answers == to-from })
	})
}

// ask sends request on the connections of list and takes the answers.
func (p *peer) ask(request []byte, list []int) error {
	p.reset()
	for _, i := range list {
		if err := p.send(i, tcpseg.ACK|tcpseg.PSH, request); err != nil {
			return err
		}
	}
	return p.until(func() bool { return p.answers == len(list) })
}

// drain reads what is there.
func (p *peer) drain() error {
	for {
		ok, err := p.q.Read(p.frame)
		if !ok || err != nil {
			return err
		}
		if err := p.packet(p.frame.Packet); err != nil {
			return err
		}
	}
}

// live leads connections [from, to) through a whole life that the server ends.
func (p *peer) live(from, to int) error {
	if err := p.over(from, to, tcpseg.SYN, nil, func() bool { return p.synAcks == to-from }); err != nil {
		return err
	}
	return p.over(from, to, tcpseg.ACK|tcpseg.PSH, growClosing, func() bool { return p.fins == to-from })
}

// over sends the same on connections [from, to) and waits for done.
func (p *peer) over(from, to int, flags tcpseg.Flags, payload []byte, done func() bool) error {
	p.reset()
	for i := from; i < to; i++ {
		if err := p.send(i, flags, payload); err != nil {
			return err
		}
	}
	return p.until(done)
}
