package stack

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"ustack/ippkt"
	"ustack/stack/link"
	"ustack/stack/tcb"
)

const fragmentHeaderLen = 8 // of IPv6

// fragments is the stack's reassembly, and the source of identifications for what it cuts. It has
// one timer, set only while datagrams are pending. mu comes before that of the timers, and nothing
// is sent under it.
type fragments struct {
	mu     sync.Mutex
	v4, v6 reassembler
	timer  *timer
	armed  bool // the timer is set, for the first deadline or before

	sent atomic.Uint32 // identifications given out
}

func (x *fragments) init() {
	x.v4.init()
	x.v6.init()
}

// wholes are buffers for the largest packets, as frames to deliver.
var wholes = sync.Pool{New: func() any { return link.NewFrame() }}

// deliverFragment takes a fragment in and delivers the packet that it completes as if that had
// come in one piece, all checksums verified (RE4-17). Such a packet that is a fragment again,
// which two IPv6 Fragment headers in a row can make, is dropped.
func (q *queue) deliverFragment(f *link.Frame, p *ippkt.Packet, now tcb.Time, nested bool) {
	switch {
	case nested:
		q.drop(countFragmentNested)
		return
	case f.NeedsCsum, f.GSO != link.GSONone: // TUN-R16
		q.drop(countOffload)
		return
	}
	d := q.s.fragments.input(q, now, p, f.Packet)
	if d == nil {
		return
	}
	whole := wholes.Get().(*link.Frame)
	defer wholes.Put(whole)
	packet, verdict := d.appendTo(whole.Buf[:0])
	d.free()
	q.drop(verdict)
	if verdict != countReassembled {
		return
	}
	whole.Packet = packet
	q.deliverPacket(whole, true)
}

// input ends what is overdue, and gives the fragment to its reassembler.
func (x *fragments) input(q *queue, now tcb.Time, p *ippkt.Packet, packet []byte) *datagram {
	x.expire(now)
	x.mu.Lock()
	defer x.mu.Unlock()
	r := &x.v4
	if p.Version == 6 {
		r = &x.v6
	}
	d, verdict := r.input(now, p, packet, q)
	q.drop(verdict)
	q.count.own[countReassemblyEvicted].Add(uint64(r.takeEvicted()))
	x.arm(q.s)
	return d
}

// arm sets the timer for the first deadline, if there is one and it is not set. Those that come
// after are later: the time is fixed.
func (x *fragments) arm(s *Stack) {
	first := x.v4.next()
	if at := x.v6.next(); first == 0 || at != 0 && at < first {
		first = at
	}
	if first != 0 && !x.armed {
		if x.timer == nil {
			x.timer = s.timers.add(timerOwner{kind: ownerFragments})
		}
		s.timers.set(x.timer, first)
		x.armed = true
	}
}

// fired is called when the timer is due.
func (x *fragments) fired(s *Stack) {
	x.expire(s.now())
	x.mu.Lock()
	defer x.mu.Unlock()
	x.armed = false
	x.arm(s)
}

// expire gives up the datagrams whose time is over.
func (x *fragments) expire(now tcb.Time) {
	for _, r := range [...]*reassembler{&x.v4, &x.v6} {
		for {
			x.mu.Lock()
			d := r.expire(now)
			x.mu.Unlock()
			if d == nil {
				break
			}
			d.q.reassemblyTimedOut(d)
			d.free()
		}
	}
}

// reassemblyTimedOut tells the sender of a datagram that is given up, if its first fragment has
// come (RE4-11, FR6-07). Whether that is allowed depends on what it carries, which is easiest
// seen once the fragment is made a packet.
func (q *queue) reassemblyTimedOut(d *datagram) {
	if d.discarded {
		return
	}
	q.drop(countReassemblyTimeout)
	first := d.first()
	if first == nil {
		return
	}
	whole := wholes.Get().(*link.Frame)
	defer wholes.Put(whole)
	packet := ippkt.AppendReassembled(whole.Buf[:0], first.data[:first.header], len(first.payload()), 0)
	p, r := ippkt.Parse(append(packet, first.payload()...))
	if r != ippkt.ReasonNone || p.IsFragment() {
		q.drop(countICMPForbidden)
		return
	}
	q.sendError(ippkt.ReassemblyTimeout(p.Version), &p, first.data)
}

// writeFragments sends the packet that build appends to its argument, which must not have DF set,
// in fragments that the link takes (V4S-11, FR6-11).
func (q *queue) writeFragments(h *ippkt.Header, build func([]byte) []byte) {
	whole := wholes.Get().(*link.Frame)
	defer wholes.Put(whole)
	buf := packets.Get().(*[]byte)
	defer packets.Put(buf)
	mtu := q.link.MTU()
	if cap(*buf) < mtu {
		*buf = make([]byte, 0, mtu)
	}
	id := q.s.fragments.nextID(&q.s.secret, h)
	err := ippkt.Fragment((*buf)[:0], build(whole.Buf[:0]), mtu, id, func(b []byte) error {
		q.note(countFragmentsOut)
		q.writePlain(b)
		return nil
	})
	if err != nil {
		q.note(countWriteErrors) // what came in is not refused
	}
}

// nextID returns the identification of the next packet of h's addresses and protocol that goes
// out in fragments. The packets of the whole stack are numbered, and a secret permutation for
// each pair of addresses and protocol hides the number: nobody can tell from the identifications
// he gets which others get, or how many (RFC 7739), and none comes back within 65536 packets,
// IPv4, or 2³², IPv6 (V4S-06, FR6-13).
func (x *fragments) nextID(k *secrets, h *ippkt.Header) uint32 {
	var b [33]byte
	copy(b[:], h.Src[:])
	copy(b[16:], h.Dst[:])
	b[32] = h.Proto
	half := 16
	if h.Src.Is4() {
		half = 8
	}
	// What labelKey hashes for others is 36 octets long: SipHash keeps other lengths apart.
	return permute(k.labelKey, k.labelKey.sum(b[:]), half, x.sent.Add(1)-1)
}

// permute maps the numbers of 2·half bits onto themselves: a Feistel network over SipHash.
func permute(k sipKey, tweak uint64, half int, n uint32) uint32 {
	mask := uint32(1)<<half - 1
	l, r := n>>half&mask, n&mask
	var b [11]byte
	binary.BigEndian.PutUint64(b[:], tweak)
	for round := range byte(6) {
		b[8] = round
		binary.BigEndian.PutUint16(b[9:], uint16(r))
		l, r = r, l^uint32(k.sum(b[:]))&mask
	}
	return l<<half | r
}
