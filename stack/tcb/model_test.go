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

// The receive queue and its ranges against a byte model: random segments of a stream, read at random.
// req: SHLD-31
func TestReassemblyModel(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		mem := &countingBlocks{refuse: seed%4 == 0}
		s := established(t, Options{RcvBuf: 300_000}, sackPeer)
		s.tcb.rcv.queue.mem = mem
		const total = 400_000
		stream := pattern(1, total)
		var got []byte
		for len(got) < total {
			from := s.tcb.rcv.nxt.Sub(testIRS) - 1
			if r.IntN(3) > 0 {
				from += r.IntN(150_000) - 20_000
			}
			from = max(min(from, total-1), 0)
			n := min(1+r.IntN(1+r.IntN(30_000)), total-from)
			seg := tcpseg.Segment{Payload: stream[from : from+n]}
			seg.Seq, seg.Ack, seg.Flags, seg.Window = testIRS.Add(1+from), testISS.Add(1), tcpseg.ACK, 65535
			s.tcb.Input(s.now, &seg)
			s.flush()
			if s.quiet(); r.IntN(2) == 0 {
				p := make([]byte, r.IntN(100_000))
				got = append(got, p[:s.tcb.Read(s.now, p)]...)
			}
			if !bytes.Equal(got, stream[:len(got)]) {
				t.Fatalf("seed %d: stream differs within %d octets", seed, len(got))
			}
		}
		if mem.out != 0 {
			t.Fatalf("seed %d: drained queue holds %d blocks", seed, mem.out)
		}
	}
}

// The scoreboard against one entry per octet.
// req: 6675-01 6675-02 2018-10
func TestRunsModel(t *testing.T) {
	type octet struct{ sacked, lost bool }
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 3))
		var rs runs
		rs.init()
		una, nxt := tcpseg.Seq(0xffffff00), tcpseg.Seq(0xffffff00)
		model := map[tcpseg.Seq]*octet{}
		for step := range 300 {
			var d delivery
			flight := nxt.Sub(una)
			switch r.IntN(5) {
			case 0:
				n := 1 + r.IntN(50)
				rs.push(nxt, nxt.Add(n), Time(step+1), 0)
				for i := range n {
					model[nxt.Add(i)] = &octet{}
				}
				nxt = nxt.Add(n)
			case 1:
				n := r.IntN(flight/4 + 1)
				rs.ack(una.Add(n), &d)
				una = una.Add(n)
			case 2, 3:
				if flight < 2 {
					continue
				}
				l := r.IntN(flight - 1)
				right := l + 1 + r.IntN(flight-l-1)
				want := 0
				for i := l; i < right; i++ {
					o := model[una.Add(i)]
					if !o.sacked {
						want++
					}
					*o = octet{sacked: true}
				}
				rs.sack(una.Add(l), una.Add(right), &d)
				if d.octets != want {
					t.Fatalf("seed %d step %d: %d newly sacked, want %d", seed, step, d.octets, want)
				}
			case 4:
				rs.markLost(10)
				for i := rs.head; i != none; i = rs.slab[i].next {
					run := &rs.slab[i]
					for q := run.start; q != run.end; q++ {
						model[q].lost = run.lost
					}
				}
				if i := rs.firstLost(); i != none {
					run := rs.slab[i]
					n := 1 + r.IntN(run.len())
					rs.resend(i, n, Time(step+1), 0)
					for k := range n {
						model[run.start.Add(k)].lost = false
					}
				}
			}
			sacked, lost, at, count := 0, 0, una, 0
			for i := rs.head; i != none; i = rs.slab[i].next {
				run := &rs.slab[i]
				if run.start != at || run.len() <= 0 {
					t.Fatalf("seed %d step %d: run %d:%d does not follow %d", seed, step, run.start, run.end, at)
				}
				for q := run.start; q != run.end; q++ {
					if o := model[q]; o.sacked != run.sacked || o.lost != run.lost {
						t.Fatalf("seed %d step %d: octet %d is %+v in the model", seed, step, q, *o)
					}
				}
				if run.sacked {
					sacked += run.len()
				}
				if run.lost {
					lost += run.len()
				}
				at, count = run.end, count+1
			}
			if at != nxt || sacked != rs.sacked || lost != rs.lost || count != int(rs.n) {
				t.Fatalf("seed %d step %d: end %d/%d sacked %d/%d lost %d/%d runs %d/%d", seed, step, at, nxt,
					rs.sacked, sacked, rs.lost, lost, rs.n, count)
			}
		}
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
