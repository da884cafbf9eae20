package link

import (
	"container/heap"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// FaultStats count what one direction of an impaired link did to packets.
type FaultStats struct {
	Packets    uint64 // that came to the link
	Lost       uint64 // at random, and exact drops
	Duplicated uint64
	Corrupted  uint64
	Reordered  uint64 // at random, and exact holds
	TooBig     uint64 // larger than the path's MTU
	Overflow   uint64 // the queue at the rate limit, or the memory for delayed packets, was full
}

const (
	// reorderPatience is how long a packet waits to be overtaken when nothing follows it.
	reorderPatience = 10 * time.Millisecond
	reorderMost     = 5
	// pendingLimit bounds the octets under way in one direction.
	pendingLimit = 64 << 20
)

// pipe is one direction of an impaired link. Packets go in with submit and come out through
// deliver, at once or from a timer, in order of their time.
type pipe struct {
	faults  Faults
	deliver func(queue int, o *Offload, packet []byte)
	tooBig  func(queue int, mtu int, packet []byte) // nil: silent

	mu      sync.Mutex
	rng     *rand.Rand
	counts  segmentCounts
	pending schedule
	held    []*item // those of pending that wait to be overtaken
	size    int     // octets pending
	seq     uint64
	timer   *time.Timer
	armed   time.Time // what the timer is set to; zero: nothing
	busy    time.Time // the rate limit has sent everything by then
	last    time.Time // due time of the newest packet in order
	spare   []*item
	free    buffers
	stats   FaultStats
	closed  bool
}

// item is a packet under way.
type item struct {
	due   time.Time
	seq   uint64
	index int // in the schedule
	after int // packets that have yet to overtake it
	queue int
	o     Offload
	buf   []byte
}

func newPipe(f Faults, seed, stream uint64, deliver func(int, *Offload, []byte)) *pipe {
	return &pipe{faults: f, deliver: deliver, rng: rand.New(rand.NewPCG(seed, stream)), counts: newSegmentCounts()}
}

// dice are the random decisions about one packet. All are drawn for every packet, so that one
// fault does not shift the others.
type dice struct {
	lose, dup, corrupt, reorder bool
	overtake                    int
	bit                         uint64
	jitter                      time.Duration
}

func (p *pipe) roll() dice {
	chance := func(percent float64) bool { return percent > 0 && p.rng.Float64()*100 < percent }
	f := &p.faults
	d := dice{lose: chance(f.Loss), dup: chance(f.Duplicate), corrupt: chance(f.Corrupt), reorder: chance(f.Reorder)}
	if f.Reorder > 0 {
		d.overtake = 1 + p.rng.IntN(reorderMost)
	}
	if f.Corrupt > 0 || len(f.CorruptData) > 0 {
		d.bit = p.rng.Uint64()
	}
	if f.Jitter > 0 {
		d.jitter = time.Duration(p.rng.Int64N(2*int64(f.Jitter)+1)) - f.Jitter
	}
	return d
}

// submit takes one packet of 1 to MaxPacket octets, of which it keeps nothing.
func (p *pipe) submit(queue int, o Offload, hdr []byte, payload *[4][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.stats.Packets++
	n := packetLen(hdr, payload)
	it := p.take(n)
	it.queue, it.o = queue, o
	gather(it.buf, hdr, payload)

	d := p.roll()
	var hold time.Duration
	if p.faults.exact() {
		hold = p.exact(it.buf, &d)
	}
	switch {
	case p.faults.MTU > 0 && o.GSO == GSONone && n > p.faults.MTU:
		p.stats.TooBig++
		if p.tooBig != nil {
			p.tooBig(queue, p.faults.MTU, it.buf)
		}
		p.give(it)
		return
	case d.lose:
		p.stats.Lost++
		p.give(it)
		return
	}
	if d.dup {
		p.stats.Duplicated++
		twin := p.take(n)
		twin.queue, twin.o = queue, o
		copy(twin.buf, it.buf)
		defer p.send(twin, dice{jitter: d.jitter}, 0)
	}
	p.send(it, d, hold)
}

// exact applies the faults that are counted per connection.
func (p *pipe) exact(packet []byte, d *dice) (hold time.Duration) {
	f := &p.faults
	data, syn := p.counts.count(packet)
	d.lose = d.lose || slices.Contains(f.DropData, data) || slices.Contains(f.DropSYN, syn)
	d.dup = d.dup || slices.Contains(f.DupData, data)
	if slices.Contains(f.CorruptData, data) {
		d.corrupt = true
	}
	for _, h := range f.HoldData {
		if h.N == data {
			hold = h.For
		}
	}
	return hold
}

// send gives a packet its time and lets it go when that has come.
func (p *pipe) send(it *item, d dice, hold time.Duration) {
	now := time.Now()
	if d.corrupt {
		p.stats.Corrupted++
		corrupt(&it.o, it.buf, d.bit)
	}
	depart, ok := p.transmit(now, len(it.buf))
	if !ok || p.size+len(it.buf) > pendingLimit {
		p.stats.Overflow++
		p.give(it)
		return
	}
	it.due = depart.Add(max(0, p.faults.Delay+d.jitter))
	if it.due.Before(p.last) {
		it.due = p.last
	}
	switch {
	case hold > 0:
		p.stats.Reordered++
		it.due = it.due.Add(hold)
	case d.reorder:
		p.stats.Reordered++
		it.after = d.overtake
		it.due = it.due.Add(reorderPatience)
	default:
		p.last = it.due
	}
	p.seq++
	it.seq = p.seq
	if d.reorder || hold > 0 || it.due.After(now) || len(p.pending) > 0 {
		p.size += len(it.buf)
		heap.Push(&p.pending, it)
		if it.after > 0 {
			p.held = append(p.held, it)
		} else {
			p.overtaken(it)
		}
		p.flush(now)
		return
	}
	p.deliver(it.queue, &it.o, it.buf)
	p.give(it)
}

// transmit queues n octets for the rate limit and returns when the last of them has left.
func (p *pipe) transmit(now time.Time, n int) (time.Time, bool) {
	rate := p.faults.Rate
	if rate == 0 {
		return now, true
	}
	if p.busy.Before(now) {
		p.busy = now
	}
	limit := p.faults.Queue
	if limit == 0 {
		limit = defaultQueue
	}
	waiting := p.busy.Sub(now).Seconds() * float64(rate) / 8
	if waiting+float64(n) > float64(limit) && waiting > 0 {
		return time.Time{}, false
	}
	p.busy = p.busy.Add(time.Duration(float64(n) * 8 / float64(rate) * float64(time.Second)))
	return p.busy, true
}

// overtaken lets packets go that have been overtaken often enough, right behind by.
func (p *pipe) overtaken(by *item) {
	p.held = slices.DeleteFunc(p.held, func(it *item) bool {
		if it.after--; it.after > 0 {
			return false
		}
		if it.due.After(by.due) {
			it.due = by.due
		}
		p.seq++
		it.seq = p.seq
		heap.Fix(&p.pending, it.index)
		return true
	})
}

// flush delivers what is due and sets the timer to the next packet.
func (p *pipe) flush(now time.Time) {
	for len(p.pending) > 0 && !p.pending[0].due.After(now) {
		it := heap.Pop(&p.pending).(*item)
		p.size -= len(it.buf)
		if it.after > 0 {
			i := slices.Index(p.held, it)
			p.held = slices.Delete(p.held, i, i+1)
		}
		p.deliver(it.queue, &it.o, it.buf)
		p.give(it)
	}
	if len(p.pending) == 0 || p.pending[0].due.Equal(p.armed) {
		return
	}
	p.armed = p.pending[0].due
	if p.timer == nil {
		p.timer = time.AfterFunc(p.armed.Sub(now), p.fire)
		return
	}
	p.timer.Reset(p.armed.Sub(now))
}

func (p *pipe) fire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.armed = time.Time{}
	p.flush(time.Now())
}

func (p *pipe) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
	}
	p.pending, p.held, p.spare, p.free = nil, nil, nil, buffers{}
}

func (p *pipe) take(n int) *item {
	var it *item
	if last := len(p.spare) - 1; last >= 0 {
		it, p.spare = p.spare[last], p.spare[:last]
	} else {
		it = new(item)
	}
	it.buf = p.free.take(n)
	return it
}

func (p *pipe) give(it *item) {
	p.free.give(it.buf)
	*it = item{}
	p.spare = append(p.spare, it)
}

// corrupt turns one bit over: of the transport payload if the packet has one, so that the fault
// meets the checksum of TCP or UDP. An unfinished checksum is finished first, else nobody would
// notice.
func corrupt(o *Offload, b []byte, bit uint64) {
	if o.NeedsCsum {
		finishChecksum(o, b)
		o.NeedsCsum, o.CsumStart, o.CsumOffset = false, 0, 0
	}
	o.DataValid = false
	from := 0
	if start, n := tcpData(b); n > 0 {
		from = start
	}
	bit %= uint64(len(b)-from) * 8
	b[from+int(bit/8)] ^= 1 << (bit % 8)
}

// finishChecksum does what a device does for a packet with NeedsCsum.
func finishChecksum(o *Offload, b []byte) {
	start, at := int(o.CsumStart), int(o.CsumStart)+int(o.CsumOffset)
	if at+2 > len(b) {
		return
	}
	sum := ^onesSum(0, b[start:])
	if sum == 0 && o.CsumOffset == 6 {
		sum = 0xffff // UDP
	}
	binary.BigEndian.PutUint16(b[at:], sum)
}

// onesSum adds b to a folded one's complement sum (RFC 1071).
func onesSum(sum uint16, b []byte) uint16 {
	s := uint64(sum)
	for ; len(b) > 1; b = b[2:] {
		s += uint64(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		s += uint64(b[0]) << 8
	}
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

// schedule is a heap of packets by due time, then by order of arrival.
type schedule []*item

func (s schedule) Len() int { return len(s) }
func (s schedule) Less(i, j int) bool {
	if s[i].due.Equal(s[j].due) {
		return s[i].seq < s[j].seq
	}
	return s[i].due.Before(s[j].due)
}
func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = i, j
}
func (s *schedule) Push(x any) {
	it := x.(*item)
	it.index = len(*s)
	*s = append(*s, it)
}
func (s *schedule) Pop() any {
	old := *s
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*s = old[:len(old)-1]
	return it
}
