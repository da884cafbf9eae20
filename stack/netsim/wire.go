package netsim

import (
	"encoding/binary"
	"math/bits"

	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// ipHeader is what the wire adds to a TCP segment, in octets: the MTU and the
// rate count it.
const ipHeader = 20

// Wire is one direction between two hosts. The zero value delivers at once,
// whole and in order. Probabilities are from 0 to 1 and hold for each packet.
type Wire struct {
	Delay   Time    // one way
	Jitter  Time    // up to this much more; order is kept
	Loss    float64 // packet vanishes
	Reorder float64 // packet is held back by up to ReorderBy, and others pass it
	// ReorderBy is the longest hold [Delay, at least 1 ms].
	ReorderBy Time
	Duplicate float64 // packet arrives twice
	Corrupt   float64 // one bit flips: the checksum must catch it
	Rate      int     // octets per second, of a Bottleneck that no other wire has; 0: unlimited
	Queue     int     // its Queue
	Mark      int     // its Mark
	// Through is a bottleneck that packets pass first, shared with other wires; Rate, Queue and Mark then mean nothing.
	Through *Bottleneck
	MTU     int     // octets of an IP packet [1500]; a larger one breaks a law
	Whole   float64 // how often a super-segment passes uncut
	// Until ends the wire's life: later packets vanish; 0: never.
	Until Time
	// Middlebox, if there is one, changes each TCP segment on its way, and the checksum is mended
	// behind it; nil drops the segment.
	Middlebox func(segment []byte) []byte
}

// packet is a TCP segment on a wire.
type packet struct {
	from   *Host
	b      []byte
	gso    int
	ecn    uint8
	forged bool
	victim any // of a forged one
}

// link is a Wire at work.
type link struct {
	Wire
	sim      *Sim
	from, to *Host
	neck     *Bottleneck // nil: the rate is unlimited
	lastAt   Time        // latest arrival of a packet in order
}

// lossy reports whether packets may vanish.
func (l *link) lossy() bool {
	return l.Loss > 0 || l.Corrupt > 0 || l.neck != nil || l.Until != 0 || l.Middlebox != nil
}

// faithful reports whether every packet arrives soon, once and in order.
func (l *link) faithful() bool {
	return !l.lossy() && l.Reorder == 0 && l.Duplicate == 0 && l.Jitter == 0
}

// send puts a packet on the wire and returns what becomes of it.
func (l *link) send(p packet) (fate string) {
	s := l.sim
	if l.Until != 0 && s.now >= l.Until {
		return " DEAD WIRE"
	}
	if l.Middlebox != nil {
		if p.b = l.Middlebox(p.b); p.b == nil {
			return " DROPPED"
		}
		seal(l.from, l.to, p.b)
	}
	at := s.now
	if neck := l.neck; neck != nil {
		var ok bool
		if at, ok = neck.admit(s.now, len(p.b)+ipHeader); !ok {
			return " QUEUE FULL"
		}
		if p.ecn != 0 && neck.marks(s.now) {
			p.ecn, fate = 3, " MARKED"
		}
	}
	if s.chance(l.Loss) {
		return " LOST"
	}
	at += l.Delay + s.span(l.Jitter)
	if s.chance(l.Reorder) {
		at += s.span(max(l.ReorderBy, Millisecond))
		fate += " REORDERED"
	} else {
		at = max(at, l.lastAt)
		l.lastAt = at
	}
	if s.chance(l.Duplicate) {
		l.arrive(at+s.span(l.Delay+Millisecond), packet{from: p.from, b: append([]byte(nil), p.b...), gso: p.gso, ecn: p.ecn})
		fate += " TWICE"
	}
	if s.chance(l.Corrupt) {
		i := s.rng.IntN(len(p.b) * 8)
		p.b[i/8] ^= 1 << (i % 8)
		fate += " CORRUPTED"
	}
	l.arrive(at, p)
	return fate
}

func (l *link) arrive(at Time, p packet) {
	l.sim.agenda.add(at, func() { l.to.receive(p) })
}

// encode makes the octets of a segment, checksum included.
func encode(from, to *Host, o *tcb.Out) []byte {
	b := o.Header.AppendTo(make([]byte, 0, o.Header.Len()+o.PayloadLen()))
	for _, p := range o.Payload {
		b = append(b, p...)
	}
	seal(from, to, b)
	return b
}

// seal writes the checksum.
func seal(from, to *Host, b []byte) {
	binary.BigEndian.PutUint16(b[tcpseg.ChecksumOffset:], 0)
	binary.BigEndian.PutUint16(b[tcpseg.ChecksumOffset:], ^checksum(from, to, b))
}

// checksum is the Internet checksum of a segment and of a pseudo-header of the
// hosts' numbers; 0xffff over what seal has written.
func checksum(from, to *Host, b []byte) uint16 {
	sum := uint64(from.id) + uint64(to.id) + uint64(len(b))
	for len(b) >= 8 {
		var carry uint64
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(b), 0)
		sum += carry
		b = b[8:]
	}
	var last [8]byte
	copy(last[:], b)
	sum, carry := bits.Add64(sum, binary.BigEndian.Uint64(last[:]), 0)
	sum += carry
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

// cut makes the real segments of a super-segment: what a device does.
func cut(p packet, to *Host) []packet {
	seg, err := tcpseg.Parse(p.b)
	if err != nil || p.gso == 0 || len(seg.Payload) <= p.gso {
		return []packet{{from: p.from, b: p.b, ecn: p.ecn}}
	}
	var out []packet
	h := seg.Header
	for off := 0; off < len(seg.Payload); off += p.gso {
		end := min(off+p.gso, len(seg.Payload))
		h.Seq = seg.Seq.Add(off)
		h.Flags = seg.Flags
		if end < len(seg.Payload) {
			h.Flags &^= tcpseg.FIN | tcpseg.PSH
		}
		if off > 0 {
			h.Flags &^= tcpseg.CWR
		}
		b := append(h.AppendTo(nil), seg.Payload[off:end]...)
		seal(p.from, to, b)
		out = append(out, packet{from: p.from, b: b, ecn: p.ecn})
	}
	return out
}
