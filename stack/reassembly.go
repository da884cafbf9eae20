package stack

import (
	"bytes"
	"sync"

	"ustack/ippkt"
	"ustack/stack/tcb"
)

// Limits of reassembly, for each IP version (spec §19, RE4-12, FR6-10). What must be remembered
// of a datagram and its fragments counts as well as their octets.
const (
	reassemblyTime      = 60 * second // from the first fragment to come, never extended (RE4-10, FR6-07)
	reassemblyBudget    = 4 << 20     // octets
	reassemblyDatagrams = 4096
	reassemblyFragments = 64 // of one datagram
	reassemblyShare     = 8  // one source may hold this part of budget and datagrams
)

// reassembler puts the fragments of one IP version together (RFC 791 §3.2, RFC 8200 §4.5). It is
// pure: time is an argument, and its owner locks it. One datagram costs far less than the share
// of a source, so that there is always something else to evict for its sake.
type reassembler struct {
	now     tcb.Time // the latest it has been told: several readers race for the lock
	byKey   map[fragmentKey]*datagram
	sources map[ippkt.Addr]*source
	all     holding
	evicted int // datagrams given up for others, since take was called
}

// fragmentKey is what all fragments of a datagram have in common. The protocol is part of it in
// IPv4 alone: in IPv6 only the first fragment tells it (RE4-02, FR6-01).
type fragmentKey struct {
	src, dst ippkt.Addr
	id       uint32
	proto    uint8
}

// datagram is one that is not whole yet.
type datagram struct {
	key      fragmentKey
	from     *source
	q        *queue // where its first fragment came in
	deadline tcb.Time
	links    [numHoldings]struct{ prev, next *datagram }
	charge   int // octets of budget

	pieces *piece // in order of offset, without overlap
	count  int    // of pieces
	got    int    // octets in pieces
	end    int    // octets of the whole payload, once the last fragment has come; else 0
	top    int    // end of the furthest fragment that says there is more
	ecn    ippkt.ECNSet

	// discarded: fragments contradicted each other. The record stays until the deadline, without
	// pieces, so that what is still to come does not start a datagram of its own (RE4-08, FR6-05).
	discarded bool
}

// holding is what one source, or all of them, occupy: datagrams in order of arrival, and so of
// their deadlines too.
type holding struct {
	kind        int // of datagram.links
	first, last *datagram
	count       int
	charge      int
}

const (
	holdingAll = iota
	holdingSource
	numHoldings
)

type source struct {
	addr ippkt.Addr
	holding
}

// datagramCharge is about what a record costs with its place in the maps, datagram and source.
const datagramCharge = 512

var (
	datagrams = sync.Pool{New: func() any { return new(datagram) }}
	sources   = sync.Pool{New: func() any { return new(source) }}
)

func (r *reassembler) init() {
	r.byKey = make(map[fragmentKey]*datagram)
	r.sources = make(map[ippkt.Addr]*source)
}

// input takes fragment p, which Parse read as packet. If that makes a datagram whole, it is
// returned and belongs to the caller, who has to free it. The counter says what became of the
// fragment. Expire comes first.
func (r *reassembler) input(now tcb.Time, p *ippkt.Packet, packet []byte, q *queue) (*datagram, counter) {
	r.now = max(r.now, now)
	key := fragmentKey{src: p.Src, dst: p.Dst, id: p.ID}
	if p.Version == 4 {
		key.proto = p.Proto
	}
	d := r.byKey[key]
	if d == nil {
		d = r.add(&key, q)
	} else if d.discarded {
		return nil, countFragmentLate
	}
	at, verdict := d.place(p)
	switch verdict {
	case countFragments:
	case countFragmentCopy:
		return nil, verdict
	default:
		r.discard(d)
		return nil, verdict
	}
	keep := packet[p.HeaderLen : p.HeaderLen+len(p.Payload)]
	if p.FragOffset == 0 {
		keep = packet[:p.HeaderLen+len(p.Payload)]
	}
	pc := newPiece(keep)
	r.pay(d, pc.charge())
	pc.off, pc.header, pc.ecn = p.FragOffset, len(keep)-len(p.Payload), p.ECN()
	d.insert(at, pc, !p.MoreFragments)
	if d.got != d.end {
		return nil, verdict
	}
	r.remove(d)
	return d, verdict
}

// add starts a datagram, and evicts the oldest when there are too many (RE4-12).
func (r *reassembler) add(key *fragmentKey, q *queue) *datagram {
	d := datagrams.Get().(*datagram)
	d.key, d.q, d.deadline = *key, q, r.now+reassemblyTime
	d.from = r.sources[key.src]
	if d.from == nil {
		d.from = sources.Get().(*source)
		d.from.addr, d.from.kind = key.src, holdingSource
		r.sources[key.src] = d.from
	}
	r.byKey[*key] = d
	r.all.push(d)
	d.from.push(d)
	r.pay(d, datagramCharge)
	return d
}

// pay charges octets to d and evicts others, the oldest first, until the limits are kept: those
// of the same source for the source's share, and any for the whole.
func (r *reassembler) pay(d *datagram, octets int) {
	d.charge += octets
	d.from.charge += octets
	r.all.charge += octets
	r.evict(&d.from.holding, d, reassemblyDatagrams/reassemblyShare, reassemblyBudget/reassemblyShare)
	r.evict(&r.all, d, reassemblyDatagrams, reassemblyBudget)
}

func (r *reassembler) evict(h *holding, keep *datagram, count, charge int) {
	for h.count > count || h.charge > charge {
		victim := h.first
		if victim == keep {
			victim = victim.links[h.kind].next
		}
		r.remove(victim)
		victim.free()
		r.evicted++
	}
}

// discard gives the pieces of d up and remembers its key until the deadline.
func (r *reassembler) discard(d *datagram) {
	back := d.charge - datagramCharge
	d.charge -= back
	d.from.charge -= back
	r.all.charge -= back
	d.freePieces()
	d.discarded = true
}

// remove takes d out. It belongs to the caller from now on.
func (r *reassembler) remove(d *datagram) {
	delete(r.byKey, d.key)
	r.all.cut(d)
	d.from.cut(d)
	if d.from.count == 0 {
		delete(r.sources, d.from.addr)
		*d.from = source{}
		sources.Put(d.from)
	}
	d.from = nil
}

// expire takes out the oldest datagram if its time is over. It belongs to the caller. Nil: none is due.
func (r *reassembler) expire(now tcb.Time) *datagram {
	r.now = max(r.now, now)
	d := r.all.first
	if d == nil || d.deadline > r.now {
		return nil
	}
	r.remove(d)
	return d
}

// next is the first deadline; 0: nothing is pending.
func (r *reassembler) next() tcb.Time {
	if r.all.first == nil {
		return 0
	}
	return r.all.first.deadline
}

// takeEvicted returns how many datagrams have been evicted since the last call.
func (r *reassembler) takeEvicted() int {
	n := r.evicted
	r.evicted = 0
	return n
}

func (h *holding) push(d *datagram) {
	l := &d.links[h.kind]
	l.prev, l.next = h.last, nil
	if h.last == nil {
		h.first = d
	} else {
		h.last.links[h.kind].next = d
	}
	h.last = d
	h.count++
	h.charge += d.charge
}

func (h *holding) cut(d *datagram) {
	l := &d.links[h.kind]
	if l.prev == nil {
		h.first = l.next
	} else {
		l.prev.links[h.kind].next = l.next
	}
	if l.next == nil {
		h.last = l.prev
	} else {
		l.next.links[h.kind].prev = l.prev
	}
	h.count--
	h.charge -= d.charge
}

// place finds where fragment p goes among the pieces. Unless it says countFragments the fragment
// is not to be inserted, and all but a copy of a piece ends the datagram: RFC 791 would let the
// newest octets win, which serves only those who want to be read in two ways (RFC 5722).
func (d *datagram) place(p *ippkt.Packet) (at **piece, verdict counter) {
	from, to := p.FragOffset, p.FragOffset+len(p.Payload)
	switch {
	case p.MoreFragments && d.end != 0 && to >= d.end,
		!p.MoreFragments && (d.end != 0 && d.end != to || d.top >= to):
		return nil, countFragmentEnd // RE4-07
	}
	at = &d.pieces
	for *at != nil && (*at).off < from {
		if (*at).end() > from {
			return nil, countFragmentOverlap
		}
		at = &(*at).next
	}
	switch next := *at; {
	case next != nil && next.off == from && bytes.Equal(next.payload(), p.Payload):
		return nil, countFragmentCopy // RE4-09, FR6-06
	case next != nil && next.off < to:
		return nil, countFragmentOverlap
	case d.count == reassemblyFragments:
		return nil, countFragmentMany
	}
	return at, countFragments
}

// insert puts a piece where place said.
func (d *datagram) insert(at **piece, pc *piece, last bool) {
	pc.next, *at = *at, pc
	d.count++
	d.got += len(pc.payload())
	d.ecn.Add(pc.ecn)
	if last {
		d.end = pc.end()
	} else {
		d.top = max(d.top, pc.end())
	}
}

// first returns the fragment with offset 0 if it has come.
func (d *datagram) first() *piece {
	if d.pieces == nil || d.pieces.off != 0 {
		return nil
	}
	return d.pieces
}

// largestPayload is what the length field of either IP version can say.
const largestPayload = 65535

// appendTo appends the packet that a datagram with all its pieces makes. A counter other than
// countReassembled says why there is none.
func (d *datagram) appendTo(b []byte) ([]byte, counter) {
	first := d.pieces
	length := first.header + d.end
	if !d.key.src.Is4() {
		length -= ippkt.IPv6HeaderLen + fragmentHeaderLen
	}
	if length > largestPayload {
		return b, countReassembledBig // the first fragment has more of a header than the others
	}
	ecn, ok := d.ecn.Result(first.ecn)
	if !ok {
		return b, countReassembledECN // RE4-15
	}
	b = ippkt.AppendReassembled(b, first.data[:first.header], d.end, ecn)
	for pc := first; pc != nil; pc = pc.next {
		b = append(b, pc.payload()...)
	}
	return b, countReassembled
}

// free gives a datagram that was taken out back for others.
func (d *datagram) free() {
	d.freePieces()
	*d = datagram{}
	datagrams.Put(d)
}

func (d *datagram) freePieces() {
	for pc := d.pieces; pc != nil; {
		next := pc.next
		pc.free()
		pc = next
	}
	d.pieces = nil
}

// piece is a fragment: its payload, and before that its header if it is the first.
type piece struct {
	next   *piece
	data   []byte
	off    int
	header int // octets of data before the payload
	ecn    uint8
}

// Pieces are lent in two sizes; what is larger is made to measure and left to the collector.
const (
	smallPiece  = 512
	largePiece  = 2048
	pieceCharge = 64 // for what a piece is besides its octets
)

var smallPieces, largePieces sync.Pool

func newPiece(data []byte) *piece {
	size, pool := len(data), (*sync.Pool)(nil)
	switch {
	case size <= smallPiece:
		size, pool = smallPiece, &smallPieces
	case size <= largePiece:
		size, pool = largePiece, &largePieces
	}
	if pool != nil {
		if pc, ok := pool.Get().(*piece); ok {
			pc.data = append(pc.data, data...)
			return pc
		}
	}
	return &piece{data: append(make([]byte, 0, size), data...)}
}

func (pc *piece) free() {
	*pc = piece{data: pc.data[:0]}
	switch cap(pc.data) {
	case smallPiece:
		smallPieces.Put(pc)
	case largePiece:
		largePieces.Put(pc)
	}
}

// charge is what the piece costs of the budget.
func (pc *piece) charge() int { return cap(pc.data) + pieceCharge }

func (pc *piece) payload() []byte { return pc.data[pc.header:] }

func (pc *piece) end() int { return pc.off + len(pc.data) - pc.header }
