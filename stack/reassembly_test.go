package stack

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"testing"

	"ustack/ippkt"
	"ustack/stack/tcb"
)

// fragmentOf builds one fragment: what h says of one in IPv4, and the same in an IPv6 Fragment header.
func fragmentOf(h ippkt.Header, payload []byte) []byte {
	if h.Src.Is4() {
		return append(h.AppendTo(nil, len(payload)), payload...)
	}
	outer := h
	outer.Proto = ippkt.ProtoFragment
	b := outer.AppendTo(nil, fragmentHeaderLen+len(payload))
	word := uint16(h.FragOffset)
	if h.MoreFragments {
		word |= 1
	}
	b = append(b, h.Proto, 0)
	b = binary.BigEndian.AppendUint16(b, word)
	b = binary.BigEndian.AppendUint32(b, h.ID)
	return append(b, payload...)
}

// part is a fragment of octets [off, off+n) of data with header h.
func part(h ippkt.Header, data []byte, off, n int, more bool) []byte {
	h.FragOffset, h.MoreFragments = off, more
	return fragmentOf(h, data[off:off+n])
}

// bench is a reassembler at work, checked after every step.
type bench struct {
	t        testing.TB
	r        reassembler
	now      tcb.Time
	timedOut []fragmentKey
	quotes   int // of those that timed out with their first fragment
}

func newBench(t testing.TB) *bench {
	b := &bench{t: t, now: 1}
	b.r.init()
	return b
}

// in gives a fragment in. Whole is the packet that it completed.
func (b *bench) in(packet []byte) (whole []byte, verdict counter) {
	b.t.Helper()
	b.pass(0)
	p, reason := ippkt.Parse(packet)
	if reason != ippkt.ReasonNone || !p.IsFragment() {
		b.t.Fatalf("%+v is no good fragment: %v", p, reason)
	}
	d, verdict := b.r.input(b.now, &p, packet, nil)
	b.check()
	if d == nil {
		return nil, verdict
	}
	whole, verdict = d.appendTo(nil)
	d.free()
	if verdict != countReassembled {
		return nil, verdict
	}
	return whole, verdict
}

// want gives a fragment in that completes nothing.
func (b *bench) want(verdict counter, packet []byte) {
	b.t.Helper()
	if whole, got := b.in(packet); got != verdict || whole != nil {
		b.t.Fatalf("%s and %d octets, want %s", counterNames[got], len(whole), counterNames[verdict])
	}
}

// wantWhole gives a fragment in that completes a packet with the payload.
func (b *bench) wantWhole(packet, payload []byte) ippkt.Packet {
	b.t.Helper()
	whole, verdict := b.in(packet)
	p, r := ippkt.Parse(whole)
	if verdict != countReassembled || r != ippkt.ReasonNone || p.IsFragment() || !bytes.Equal(p.Payload, payload) {
		b.t.Fatalf("%s, %v, %d octets of payload; want a packet with %d", counterNames[verdict], r, len(p.Payload), len(payload))
	}
	return p
}

// pass lets time pass.
func (b *bench) pass(d tcb.Time) {
	b.now += d
	for d := b.r.expire(b.now); d != nil; d = b.r.expire(b.now) {
		if !d.discarded {
			b.timedOut = append(b.timedOut, d.key)
			if d.first() != nil {
				b.quotes++
			}
		}
		d.free()
	}
	if at := b.r.next(); at != 0 && at <= b.now {
		b.t.Fatal("something overdue is left")
	}
}

// check compares the books with what is there.
func (b *bench) check() {
	b.t.Helper()
	r := &b.r
	count, charge := 0, 0
	bySource := make(map[*source]holding)
	for d := r.all.first; d != nil; d = d.links[holdingAll].next {
		if r.byKey[d.key] != d || r.sources[d.key.src] != d.from {
			b.t.Fatal("a datagram is not where it belongs")
		}
		if next := d.links[holdingAll].next; next != nil && next.deadline < d.deadline {
			b.t.Fatal("out of order of arrival")
		}
		own, pieces, got := datagramCharge, 0, 0
		for pc := d.pieces; pc != nil; pc = pc.next {
			own += cap(pc.data) + pieceCharge
			got += len(pc.payload())
			pieces++
			if pc.next != nil && pc.end() > pc.next.off {
				b.t.Fatal("pieces overlap")
			}
		}
		if own != d.charge || pieces != d.count && !d.discarded || got != d.got && !d.discarded || pieces > reassemblyFragments {
			b.t.Fatalf("%d pieces of %d octets for %d, books say %d of %d for %d", pieces, got, own, d.count, d.got, d.charge)
		}
		h := bySource[d.from]
		h.count, h.charge = h.count+1, h.charge+own
		bySource[d.from] = h
		count, charge = count+1, charge+own
	}
	if count != r.all.count || count != len(r.byKey) || charge != r.all.charge || len(bySource) != len(r.sources) {
		b.t.Fatalf("%d datagrams for %d, %d sources; books say %d in list, %d in map, for %d, %d sources",
			count, charge, len(bySource), r.all.count, len(r.byKey), r.all.charge, len(r.sources))
	}
	if count > reassemblyDatagrams || charge > reassemblyBudget {
		b.t.Fatalf("%d datagrams for %d octets are too many", count, charge)
	}
	for s, h := range bySource {
		if h.count != s.count || h.charge != s.charge {
			b.t.Fatal("wrong books of a source")
		}
		if h.count > reassemblyDatagrams/reassemblyShare || h.charge > reassemblyBudget/reassemblyShare {
			b.t.Fatalf("%d datagrams for %d octets of one source are too many", h.count, h.charge)
		}
	}
}

// empty fails if anything is left.
func (b *bench) empty() {
	b.t.Helper()
	b.check()
	if b.r.all.count != 0 || b.r.all.charge != 0 || b.r.next() != 0 {
		b.t.Fatalf("%d datagrams are left", b.r.all.count)
	}
}

// req: RE4-03 RE4-14 FR6-09
func TestReassemblyPermutations(t *testing.T) {
	for _, is6 := range []bool{false, true} {
		h := with(header(is6, 253), func(h *ippkt.Header) { h.ID, h.TTL, h.TOS, h.FlowLabel = 0xbeef, 7, 0xb8, 0x12345 })
		data := random(6, 5*104+13)
		var parts [6][]byte
		for i := range parts {
			off := 104 * i
			parts[i] = part(h, data, off, min(104, len(data)-off), i < 5)
		}
		whole := with(h, func(h *ippkt.Header) { h.ID = 0 })
		plain := append(whole.AppendTo(nil, len(data)), data...)
		n := 0
		permutations(6, func(order []int) {
			n++
			b := newBench(t)
			for _, i := range order[:5] {
				b.want(countFragments, parts[i])
			}
			whole, _ := b.in(parts[order[5]])
			if !is6 && len(whole) > 20 { // the identification stays, as any value may
				whole[4], whole[5] = 0, 0
				fixSum4(whole)
			}
			if !bytes.Equal(whole, plain) {
				t.Fatalf("in order %v: %x", order, whole)
			}
			b.empty()
		})
		if n != 720 {
			t.Fatalf("%d permutations", n)
		}
	}
}

func permutations(n int, use func([]int)) {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	var rec func(int)
	rec = func(k int) {
		if k == n {
			use(order)
			return
		}
		for i := k; i < n; i++ {
			order[k], order[i] = order[i], order[k]
			rec(k + 1)
			order[k], order[i] = order[i], order[k]
		}
	}
	rec(0)
}

// Datagrams whose keys differ in one thing do not mix. req: RE4-02 FR6-01
func TestReassemblyKeys(t *testing.T) {
	for _, is6 := range []bool{false, true} {
		b := newBench(t)
		base := with(header(is6, 253), func(h *ippkt.Header) { h.ID = 5 })
		near := []ippkt.Header{
			base,
			with(base, func(h *ippkt.Header) { h.ID = 6 }),
			with(base, func(h *ippkt.Header) { h.Src[15]++ }),
			with(base, func(h *ippkt.Header) { h.Dst[15]++ }),
		}
		if is6 {
			near = append(near, with(base, func(h *ippkt.Header) { h.ID = 5 | 1<<31 }))
		} else {
			near = append(near, with(base, func(h *ippkt.Header) { h.Proto = 254 }))
		}
		for i, h := range near {
			b.want(countFragments, part(h, random(uint64(i), 100), 40, 60, false))
		}
		for i, h := range near {
			data := random(uint64(i), 100)
			p := b.wantWhole(part(h, data, 0, 40, true), data)
			if p.Src != h.Src || p.Dst != h.Dst || p.Proto != h.Proto {
				t.Errorf("fragments of %+v became %+v", h, p)
			}
		}
		b.empty()
	}
	// The first fragment of IPv6 says what follows; the others may say what they like.
	b := newBench(t)
	h := header(true, 253)
	data := random(1, 100)
	b.want(countFragments, part(with(h, func(h *ippkt.Header) { h.Proto = 17 }), data, 40, 60, false))
	if p := b.wantWhole(part(h, data, 0, 40, true), data); p.Proto != 253 {
		t.Errorf("protocol %d, the first fragment says 253", p.Proto)
	}
}

// step is octets [off, off+n) of the datagram; other says that they are not the right ones.
type step struct {
	off, n      int
	more, other bool
	want        counter
}

// After any contradiction the datagram is gone, and all that follows of it, until the time that
// its first fragment set. req: RE4-05 RE4-07 RE4-08 RE4-09 RE4-10 FR6-05 FR6-06
func TestReassemblyContradictions(t *testing.T) {
	ok, last := countFragments, false
	for name, steps := range map[string][]step{
		"teardrop":                     {{0, 40, true, false, ok}, {24, 8, last, false, countFragmentEnd}},
		"one octet too many":           {{0, 40, true, false, ok}, {48, 9, last, false, ok}, {32, 24, true, false, countFragmentOverlap}},
		"overlap on the left":          {{40, 40, true, false, ok}, {32, 16, true, false, countFragmentOverlap}},
		"overlap on the right":         {{40, 40, true, false, ok}, {72, 16, true, false, countFragmentOverlap}},
		"inside":                       {{0, 80, true, false, ok}, {16, 16, true, false, countFragmentOverlap}},
		"around":                       {{16, 16, true, false, ok}, {0, 80, true, false, countFragmentOverlap}},
		"same start, shorter":          {{0, 40, true, false, ok}, {0, 32, true, false, countFragmentOverlap}},
		"same start, longer":           {{0, 40, true, false, ok}, {0, 48, true, false, countFragmentOverlap}},
		"same range, other octets":     {{0, 40, true, false, ok}, {0, 40, true, true, countFragmentOverlap}},
		"same last, other octets":      {{40, 40, last, false, ok}, {40, 40, last, true, countFragmentOverlap}},
		"two ends, shorter":            {{80, 40, last, false, ok}, {40, 24, last, false, countFragmentEnd}},
		"two ends, longer":             {{80, 40, last, false, ok}, {160, 24, last, false, countFragmentEnd}},
		"data past the end":            {{40, 40, last, false, ok}, {80, 40, true, false, countFragmentEnd}},
		"end before data":              {{80, 40, true, false, ok}, {40, 24, last, false, countFragmentEnd}},
		"more at the end":              {{40, 40, last, false, ok}, {40, 40, true, false, countFragmentEnd}},
		"end where more was announced": {{40, 40, true, false, ok}, {40, 40, last, false, countFragmentEnd}},
	} {
		for _, is6 := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				h := with(header(is6, 253), func(h *ippkt.Header) { h.ID = 9 })
				data, wrong := random(1, 400), random(2, 400)
				build := func(s step) []byte {
					if s.other {
						return part(h, wrong, s.off, s.n, s.more)
					}
					return part(h, data, s.off, s.n, s.more)
				}
				b := newBench(t)
				for _, s := range steps {
					b.want(s.want, build(s))
					if s.want == ok {
						b.want(countFragmentCopy, build(s)) // which harms nothing
					}
					b.pass(second)
				}
				b.pass(reassemblyTime - second*tcb.Time(len(steps)) - 1)
				b.want(countFragmentLate, part(h, data, 0, 200, true))
				b.want(countFragmentLate, part(h, data, 200, 200, false))
				b.pass(1)
				b.want(countFragments, part(h, data, 0, 200, true))
				b.wantWhole(part(h, data, 200, 200, false), data)
				b.empty()
				if len(b.timedOut) != 0 {
					t.Error("a discarded datagram timed out as well")
				}
			})
		}
	}
}

// req: RE4-10 RE4-11 FR6-07
func TestReassemblyTimeout(t *testing.T) {
	const ms = second / 1000
	for _, is6 := range []bool{false, true} {
		h := header(is6, 253)
		data := random(1, 120)
		for _, c := range []struct {
			wait tcb.Time
			ok   bool
		}{{reassemblyTime - ms, true}, {reassemblyTime + ms, false}} {
			b := newBench(t)
			b.want(countFragments, part(h, data, 0, 40, true))
			b.pass(c.wait / 2)
			b.want(countFragments, part(h, data, 40, 40, true)) // which gives no more time
			b.pass(c.wait - c.wait/2)
			whole, _ := b.in(part(h, data, 80, 40, false))
			if (whole != nil) != c.ok || (len(b.timedOut) == 0) != c.ok || (b.quotes == 0) != c.ok {
				t.Errorf("after %d ms: %d octets, %d timed out", c.wait/ms, len(whole), len(b.timedOut))
			}
			// What is left of a late fragment times out alone, with nothing to quote.
			b.pass(reassemblyTime)
			if b.empty(); !c.ok && (len(b.timedOut) != 2 || b.quotes != 1) {
				t.Errorf("%d timed out, %d of them quoted; want 2 and 1", len(b.timedOut), b.quotes)
			}
		}
	}
}

// Readers race for the lock: time that goes back is no trouble. req: RE4-10
func TestReassemblyTimeBack(t *testing.T) {
	b := newBench(t)
	h := header(false, 253)
	data := random(1, 80)
	b.now = 100 * second
	b.want(countFragments, part(with(h, func(h *ippkt.Header) { h.ID = 1 }), data, 0, 40, true))
	b.now = 99 * second
	b.want(countFragments, part(with(h, func(h *ippkt.Header) { h.ID = 2 }), data, 0, 40, true))
	b.now = 100*second + reassemblyTime
	b.pass(0)
	b.empty()
}

// req: RE4-12 FR6-10
func TestReassemblyFragmentLimit(t *testing.T) {
	for _, is6 := range []bool{false, true} {
		h := header(is6, 253)
		data := random(1, 8*70)
		b := newBench(t)
		for i := range 63 {
			b.want(countFragments, part(h, data, 8*i, 8, true))
		}
		b.wantWhole(part(h, data, 8*63, 8, false), data[:8*64])
		for i := range 64 {
			b.want(countFragments, part(h, data, 8*i, 8, true))
		}
		b.want(countFragmentMany, part(h, data, 8*64, 8, false))
		b.want(countFragmentLate, part(h, data, 0, 8, true))
	}
}

// One source fills its share and no more: the oldest of its own make room, others are left alone.
// When all together are too many, the oldest of all goes. req: RE4-12 FR6-10
func TestReassemblyEviction(t *testing.T) {
	for _, size := range []int{8, 504, 1400, 2040, 8000} {
		b := newBench(t)
		data := random(1, size+8)
		half := func(src, id uint32) []byte {
			h := header(true, 253)
			binary.BigEndian.PutUint32(h.Src[8:], src)
			h.ID = id
			return part(h, data, 0, size, true)
		}
		rest := func(src, id uint32) []byte {
			h := header(true, 253)
			binary.BigEndian.PutUint32(h.Src[8:], src)
			h.ID = id
			return part(h, data, size, 8, false)
		}
		b.want(countFragments, half(1, 1))
		n := uint32(0)
		for b.r.takeEvicted() == 0 {
			n++
			b.want(countFragments, half(2, n))
		}
		share := b.r.sources[with(header(true, 0), func(h *ippkt.Header) { binary.BigEndian.PutUint32(h.Src[8:], 2) }).Src]
		if share.count < reassemblyDatagrams/reassemblyShare && share.charge < reassemblyBudget/reassemblyShare-size-4096 {
			t.Errorf("%d octets: eviction at %d datagrams for %d", size, share.count, share.charge)
		}
		b.want(countFragments, rest(2, 1)) // the oldest of the source is gone: this is the start of another
		b.wantWhole(rest(2, n), data)
		for i := range uint32(20) {
			for range n {
				n++
				b.r.input(b.now, parsed(t, half(3+i, n)), half(3+i, n), nil)
				if b.r.takeEvicted() > 0 {
					break
				}
			}
		}
		b.check()
		for i := uint32(0); b.r.byKey[fragmentKey{src: parsed(t, half(1, 1)).Src, dst: us6, id: 1}] != nil; i++ {
			if i > 20000 {
				t.Fatal("the oldest of all is never evicted")
			}
			h := half(1000+i, i)
			b.r.input(b.now, parsed(t, h), h, nil)
		}
		b.check()
	}
}

func parsed(t testing.TB, b []byte) *ippkt.Packet {
	t.Helper()
	p, r := ippkt.Parse(b)
	if r != ippkt.ReasonNone {
		t.Fatal(r)
	}
	return &p
}

// The datagram being added to is never the victim: a source that has only one, of the largest and
// most fragmented kind, can complete it. req: RE4-01 RE4-12
func TestReassemblyLargestFits(t *testing.T) {
	b := newBench(t)
	h := header(false, 253)
	data := random(1, 65535-20)
	b.want(countFragments, part(h, data, 0, 1032, true))
	for b.r.all.charge < reassemblyBudget/reassemblyShare-20_000 {
		h.ID++
		b.want(countFragments, part(h, data, 8, 16000, true))
	}
	h.ID = 0
	for i := 1; i < 63; i++ {
		b.want(countFragments, part(h, data, 1032*i, 1032, true))
	}
	if n := b.r.takeEvicted(); n < 5 || n > 20 {
		t.Errorf("%d were evicted", n)
	}
	b.wantWhole(part(h, data, 1032*63, len(data)-1032*63, false), data)
}

// 10⁵ halves of datagrams of one sender, of many, of all sizes, in both orders cost the budget and
// not more. req: RE4-12
func TestReassemblyFlood(t *testing.T) {
	if testing.Short() {
		t.Skip()
	}
	r := rand.New(rand.NewPCG(1, 2))
	data := random(1, 9000)
	b := newBench(t)
	h := header(true, 253)
	packet := part(h, data, 8, 8192, true)
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // what was in pools has gone
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	evicted := 0
	for i := range 100_000 {
		n := []int{8, 8, 64, 512, 520, 1400, 2048, 2056, 8192}[r.IntN(9)]
		copy(packet[20:], []byte{byte(r.IntN(3)), byte(r.IntN(256))}) // of 768 sources
		binary.BigEndian.PutUint16(packet[4:], uint16(fragmentHeaderLen+n))
		binary.BigEndian.PutUint32(packet[44:], uint32(i))
		p := parsed(t, packet[:48+n])
		b.now += second / 5000
		b.pass(0)
		b.r.input(b.now, p, packet[:48+n], nil)
		evicted += b.r.takeEvicted()
		if c := b.r.all.charge; c > reassemblyBudget || b.r.all.count > reassemblyDatagrams {
			t.Fatalf("%d datagrams for %d octets", b.r.all.count, c)
		}
		if i%20_000 == 19_999 {
			b.check()
			if used := int64(heap()) - int64(before); used > reassemblyBudget*5/4 {
				t.Errorf("after %d halves the heap has grown by %d octets", i+1, used)
			}
		}
	}
	if evicted < 90_000 {
		t.Errorf("%d were evicted", evicted)
	}
	b.pass(reassemblyTime)
	b.empty()
	if used := int64(heap()) - int64(before); used > 1<<20 {
		t.Errorf("%d octets are left", used)
	}
}

// The header is the first fragment's, whichever came first; options of others are lost.
// req: RE4-14 OPT4-07
func TestReassemblyOptions(t *testing.T) {
	h := header(false, 253)
	data := random(1, 80)
	withRoute := func(b []byte) []byte {
		b = append(b[:20:20], append([]byte{7, 7, 4, 0, 0, 0, 0, 0}, b[20:]...)...)
		b[0] = 0x47
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		return fixSum4(b)
	}
	first, second := part(h, data, 0, 40, true), part(h, data, 40, 40, false)
	b := newBench(t)
	b.want(countFragments, second)
	if p := b.wantWhole(withRoute(first), data); p.HeaderLen != 28 {
		t.Errorf("header of %d octets, want 28", p.HeaderLen)
	}
	b.want(countFragments, withRoute(second))
	if p := b.wantWhole(first, data); p.HeaderLen != 20 {
		t.Errorf("header of %d octets, want 20", p.HeaderLen)
	}
	// Together they may be too much: options that only the first has do not show in the others.
	data = random(1, 65515)
	b.want(countFragments, part(h, data, 40, len(data)-40, false))
	if whole, verdict := b.in(withRoute(part(h, data, 0, 40, true))); whole != nil || verdict != countReassembledBig {
		t.Errorf("%d octets, %s", len(whole), counterNames[verdict])
	}
	b.want(countFragments, part(h, data, 40, len(data)-40, false))
	b.wantWhole(part(h, data, 0, 40, true), data)
	b.empty()
}

// Extension headers before the Fragment header stay, those behind it come with the payload.
// req: FR6-09 V6R-19
func TestReassemblyExtensions(t *testing.T) {
	padN := func(next uint8) []byte { return []byte{next, 0, 1, 4, 0, 0, 0, 0} }
	insert := func(b []byte) []byte {
		b = append(b[:40:40], append(padN(b[6]), b[40:]...)...)
		b[6] = ippkt.ProtoDestinations
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
		return b
	}
	h := header(true, ippkt.ProtoDestinations)
	data := append(padN(253), random(1, 120)...)
	b := newBench(t)
	b.want(countFragments, insert(part(h, data, 64, 64, false)))
	whole, verdict := b.in(insert(part(h, data, 0, 64, true)))
	p, r := ippkt.Parse(whole)
	if verdict != countReassembled || r != ippkt.ReasonNone || p.Proto != 253 || p.FragHeader != 0 || p.HeaderLen != 56 || !bytes.Equal(p.Payload, data[8:]) {
		t.Errorf("%s: %+v %v", counterNames[verdict], p, r)
	}
	// 65535 octets of payload fit, but not if the first fragment alone has an extension header.
	h.Proto = 253
	data = random(2, 65535)
	b.want(countFragments, part(h, data, 8, 32760, true))
	b.want(countFragments, part(h, data, 32768, 32767, false))
	if whole, verdict := b.in(insert(part(h, data, 0, 8, true))); whole != nil || verdict != countReassembledBig {
		t.Errorf("%d octets, %s", len(whole), counterNames[verdict])
	}
	b.want(countFragments, part(h, data, 8, 32760, true))
	b.want(countFragments, part(h, data, 32768, 32767, false))
	b.wantWhole(part(h, data, 0, 8, true), data)
}

// req: RE4-15 FR6-10
func TestReassemblyECN(t *testing.T) {
	const notECT, ect1, ect0, ce, none = 0, 1, 2, 3, -1
	want := [4][4]int{ // by the first, by the second
		notECT: {notECT, notECT, notECT, none},
		ect1:   {ect1, ect1, ect1, ce},
		ect0:   {ect0, ect0, ect0, ce},
		ce:     {none, ce, ce, ce},
	}
	for _, is6 := range []bool{false, true} {
		for i := range want {
			for j := range want[i] {
				for _, swap := range []bool{false, true} {
					b := newBench(t)
					data := random(1, 80)
					mark := func(ecn int) ippkt.Header {
						return with(header(is6, 253), func(h *ippkt.Header) { h.TOS = 0xb8 | uint8(ecn) })
					}
					x, y := part(mark(i), data, 0, 40, true), part(mark(j), data, 40, 40, false)
					if swap {
						x, y = y, x
					}
					b.want(countFragments, x)
					whole, verdict := b.in(y)
					got := none
					if whole != nil {
						p := parsed(t, whole)
						if got = int(p.ECN()); p.TOS&^3 != 0xb8 {
							t.Errorf("TOS %#x", p.TOS)
						}
					} else if verdict != countReassembledECN {
						t.Errorf("dropped for %s", counterNames[verdict])
					}
					if got != want[i][j] {
						t.Errorf("%d and %d make %d, want %d", i, j, got, want[i][j])
					}
					b.empty()
				}
			}
		}
	}
}

// Nothing is allocated for a datagram of the usual sizes once the pools are filled.
func TestReassemblyAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, is6 := range []bool{false, true} {
		b := newBench(t)
		var parts []*ippkt.Packet
		var packets [][]byte
		for _, f := range cut(t, echo(header(is6, 0), echoType(is6), string(random(1, 4000))), 1500, 1) {
			parts, packets = append(parts, parsed(t, f)), append(packets, f)
		}
		buf := make([]byte, 0, 70000)
		n := testing.AllocsPerRun(1000, func() {
			for i, p := range parts {
				b.now += second
				d, _ := b.r.input(b.now, p, packets[i], nil)
				if (d != nil) != (i == len(parts)-1) {
					t.Fatal("not whole")
				}
				if d != nil {
					d.appendTo(buf)
					d.free()
				}
			}
		})
		if n > 0 {
			t.Errorf("%.1f allocations a datagram", n)
		}
	}
}
