package tcb

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"ustack/tcpseg"
)

// countingBlocks lends poisoned memory and knows what is out.
type countingBlocks struct {
	out    int
	refuse bool
}

func (c *countingBlocks) Get(n int) []byte {
	if c.refuse && n == LargeBlock {
		return nil
	}
	c.out++
	return bytes.Repeat([]byte{0xee}, n)
}

func (c *countingBlocks) Put(b []byte) {
	for i := range b {
		b[i] = 0xdd
	}
	c.out--
}

// The send queue against a plain byte slice.
func TestSendQueueModel(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		mem := &countingBlocks{refuse: seed%5 == 0}
		q := sendQueue{mem: mem, start: tcpseg.Seq(r.Uint32())}
		var model []byte
		for step := range 200 {
			switch r.IntN(6) {
			case 0, 1:
				p := pattern(step, r.IntN(20000))
				model = append(model, p[:q.write(p)]...)
			case 2:
				p := pattern(step, 1+r.IntN(5000))
				q.writeShared(p)
				model = append(model, p...)
			case 3:
				room := q.reserve(1 + r.IntN(80000))
				if r.IntN(2) == 0 { // everything is acknowledged meanwhile
					q.advance(len(model))
					model = nil
				}
				n := r.IntN(len(room[0]) + len(room[1]) + 1)
				p := pattern(step, n)
				copy(room[1], p[copy(room[0], p):])
				q.commit(n)
				model = append(model, p...)
			default:
				n := r.IntN(len(model) + 1)
				q.advance(n)
				model = model[n:]
			}
			if q.len != len(model) {
				t.Fatalf("seed %d step %d: length %d, want %d", seed, step, q.len, len(model))
			}
			checkView(t, r, &q, model)
		}
		q.advance(len(model))
		if mem.out != 0 || len(q.blocks) != 0 {
			t.Fatalf("seed %d: empty queue holds %d blocks", seed, mem.out)
		}
	}
}

func checkView(t *testing.T, r *rand.Rand, q *sendQueue, model []byte) {
	t.Helper()
	if len(model) == 0 {
		return
	}
	off := r.IntN(len(model))
	n := r.IntN(len(model)-off) + 1
	var out [4][]byte
	got := q.view(off, n, &out)
	if joined := bytes.Join(out[:], nil); len(joined) != got || !bytes.Equal(joined, model[off:off+got]) {
		t.Fatalf("view(%d, %d) differs", off, n)
	}
	if got < n && len(out[3]) == 0 {
		t.Fatalf("view(%d, %d) stopped at %d with a piece to spare", off, n, got)
	}
}

// A connection that dies while somebody fills reserved room must not give the room away.
func TestDropWhileReserved(t *testing.T) {
	mem := &countingBlocks{}
	q := sendQueue{mem: mem}
	q.write(make([]byte, 5000))
	room := q.reserve(100_000)
	q.drop()
	for i := range room[0] {
		room[0][i] = 1
	}
	if mem.out == 0 {
		t.Fatal("lent memory was given back")
	}
	if q.commit(10); mem.out != 0 {
		t.Fatalf("%d blocks lost", mem.out)
	}
}

// req: 2018-03 U-19
func TestRangesBounded(t *testing.T) {
	var r ranges
	for i := range 1000 {
		r.add(tcpseg.Seq(i*10), tcpseg.Seq(i*10+1))
	}
	if len(r.list) != maxRanges {
		t.Fatalf("%d ranges", len(r.list))
	}
	var o tcpseg.Options
	r.sack(&o, 4)
	if o.SACKCount != 4 || o.SACK[0].Left != tcpseg.Seq((maxRanges-1)*10) {
		t.Fatalf("%+v", o.Blocks())
	}
}

// Data both ways with its ACKs costs no allocation.
func TestNoAllocations(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	data, page := pattern(0, 1000), make([]byte, 2000)
	seg := tcpseg.Segment{Header: tcpseg.Header{Flags: tcpseg.ACK, Window: 65535}, Payload: data}
	pool := &freeList{}
	s.tcb.snd.queue.mem, s.tcb.rcv.queue.mem = pool, pool
	n := testing.AllocsPerRun(1000, func() {
		s.now += ms
		s.tcb.Write(s.now, data)
		for s.tcb.Output(s.now, &s.out) {
		}
		seg.Seq, seg.Ack = s.tcb.rcv.nxt, s.tcb.snd.nxt
		s.tcb.Input(s.now, &seg)
		s.tcb.Read(s.now, page)
		for s.tcb.Output(s.now, &s.out) {
		}
	})
	if n != 0 {
		t.Errorf("%v allocations per exchange", n)
	}
}

// freeList keeps one block of each size.
type freeList struct{ small, large []byte }

func (f *freeList) Get(n int) []byte {
	slot := &f.small
	if n == LargeBlock {
		slot = &f.large
	}
	b := *slot
	*slot = nil
	if b == nil {
		b = make([]byte, n)
	}
	return b
}

func (f *freeList) Put(b []byte) {
	if len(b) == LargeBlock {
		f.large = b
	} else {
		f.small = b
	}
}

// stingyBlocks refuses everything beyond a number of blocks.
type stingyBlocks struct{ left int }

func (b *stingyBlocks) Get(n int) []byte {
	if n == LargeBlock || b.left == 0 {
		return nil
	}
	b.left--
	return make([]byte, n)
}

func (b *stingyBlocks) Put([]byte) { b.left++ }

// When memory is spent, data in order takes the place of data beyond a hole.
// req: MEM-01
func TestOutOfOrderGivesWay(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.tcb.rcv.queue.mem = &stingyBlocks{left: 3}
	s.recv(". 1:4097(4096) ack 1").quiet()
	s.recv(". 8193:12289(4096) ack 1").recv(". 12289:16385(4096) ack 1").quiet()
	s.recv(". 4097:8193(4096) ack 1").expect(". 1:1(0) ack 8193").dropped(DropNone)
	got := make([]byte, 9000)
	if n := s.tcb.Read(s.now, got); n != 8192 || string(got[:n]) != string(pattern(1, n)) {
		t.Fatalf("read %d octets, or wrong ones", n)
	}
	s.quiet().recv(". 8193:12289(4096) ack 1").recv(". 12289:16385(4096) ack 1").dropped(DropNone)
}
