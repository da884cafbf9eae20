package tcb

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"ustack/tcpseg"
)

// choices make the decisions of a model's run: a fuzzer's octets, in order.
type choices struct {
	in []byte
}

func (c *choices) done() bool { return len(c.in) == 0 }

// below returns a number in [0, n), n at most 1<<24.
func (c *choices) below(n int) int {
	v := 0
	for size := 1; size < n && len(c.in) > 0; size <<= 8 {
		v, c.in = v<<8|int(c.in[0]), c.in[1:]
	}
	return v % max(n, 1)
}

// noise returns n octets that the two numbers decide.
func noise(seed, stream uint64, n int) []byte {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(stream)})
	b := make([]byte, n)
	_, _ = r.Read(b)
	return b
}

// reassemble throws segments of a stream at a connection, and reads at times: what is read must be the stream, and no
// memory may be left over.
func reassemble(t *testing.T, c *choices, refuse bool) {
	const total = 400_000
	stream := pattern(1, total)
	mem := &countingBlocks{refuse: refuse}
	s := established(t, Options{RcvBuf: 300_000}, sackPeer)
	s.tcb.rcv.queue.mem = mem
	var got []byte
	arrive := func(from, n int) {
		seg := tcpseg.Segment{Payload: stream[from : from+n]}
		seg.Seq, seg.Ack, seg.Flags, seg.Window = testIRS.Add(1+from), testISS.Add(1), tcpseg.ACK, 65535
		s.tcb.Input(s.now, &seg)
		s.flush()
		s.quiet()
	}
	read := func(n int) {
		p := make([]byte, n)
		got = append(got, p[:s.tcb.Read(s.now, p)]...)
		if !bytes.Equal(got, stream[:len(got)]) {
			t.Fatalf("the stream differs within %d octets", len(got))
		}
	}
	for !c.done() && len(got) < total {
		from := s.tcb.rcv.nxt.Sub(testIRS) - 1
		if c.below(3) > 0 {
			from += c.below(150_000) - 20_000
		}
		from = max(min(from, total-1), 0)
		arrive(from, min(1+c.below(1+c.below(30_000)), total-from))
		if c.below(2) == 0 {
			read(c.below(100_000))
		}
	}
	for len(got) < total { // the rest, in order
		from := s.tcb.rcv.nxt.Sub(testIRS) - 1
		arrive(from, min(10_000, total-from))
		read(total)
	}
	if mem.out != 0 {
		t.Fatalf("the drained queue holds %d blocks", mem.out)
	}
}

// req: SHLD-31
func TestReassemblyModel(t *testing.T) {
	for seed := range uint64(200) {
		reassemble(t, &choices{noise(seed, 2, 600)}, seed%4 == 0)
	}
}

// req: SHLD-31
func FuzzReassembly(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(noise(seed, 2, 200), seed%2 == 0)
	}
	f.Fuzz(func(t *testing.T, in []byte, refuse bool) {
		if len(in) <= 2000 {
			reassemble(t, &choices{in}, refuse)
		}
	})
}

// octet is what a scoreboard knows of one.
type octet struct{ sacked, lost bool }

// board is a scoreboard beside one entry per octet.
type board struct {
	t        *testing.T
	rs       runs
	una, nxt tcpseg.Seq
	octets   map[tcpseg.Seq]*octet
	now      Time
}

// score runs a scoreboard and its model through a history.
func score(t *testing.T, c *choices) {
	b := &board{t: t, una: 0xffffff00, nxt: 0xffffff00, octets: map[tcpseg.Seq]*octet{}}
	b.rs.init()
	for !c.done() {
		b.now++
		switch c.below(6) {
		case 0:
			b.push(1 + c.below(50))
		case 1:
			b.ack(c.below(b.nxt.Sub(b.una)/4 + 1))
		case 2, 3:
			if flight := b.nxt.Sub(b.una); flight > 1 {
				left := c.below(flight - 1)
				b.sack(left, left+1+c.below(flight-left-1))
			}
		case 4:
			b.rs.markLost(10)
			b.learnLost()
		case 5:
			b.rs.markOvertaken(b.now, b.now-Time(c.below(4)), b.una.Add(c.below(b.nxt.Sub(b.una)+1)), Time(c.below(4)))
			b.learnLost()
		}
		if c.below(2) == 0 {
			b.resend(c)
		}
		b.check()
	}
}

func (b *board) push(n int) {
	b.rs.push(b.nxt, b.nxt.Add(n), b.now, 0)
	for i := range n {
		b.octets[b.nxt.Add(i)] = &octet{}
	}
	b.nxt = b.nxt.Add(n)
}

func (b *board) ack(n int) {
	var d delivery
	want := 0
	for i := range n {
		if !b.octets[b.una.Add(i)].sacked {
			want++
		}
	}
	b.una = b.una.Add(n)
	if b.rs.ack(b.una, &d); d.octets != want {
		b.t.Fatalf("%d octets newly delivered by an ACK, want %d", d.octets, want)
	}
}

func (b *board) sack(left, right int) {
	var d delivery
	want := 0
	for i := left; i < right; i++ {
		o := b.octets[b.una.Add(i)]
		if !o.sacked {
			want++
		}
		*o = octet{sacked: true}
	}
	if b.rs.sack(b.una.Add(left), b.una.Add(right), &d); d.octets != want {
		b.t.Fatalf("%d octets newly delivered by a SACK, want %d", d.octets, want)
	}
}

// learnLost has the model take over which octets are held for lost: that is for other tests to judge. None may be that
// was delivered.
func (b *board) learnLost() {
	for i := b.rs.head; i != none; i = b.rs.slab[i].next {
		r := &b.rs.slab[i]
		for q := r.start; q != r.end; q++ {
			if o := b.octets[q]; r.lost && o.sacked || o.lost && !r.lost {
				b.t.Fatalf("octet %d is %+v, and its run held for lost: %v", q, *o, r.lost)
			}
			b.octets[q].lost = r.lost
		}
	}
}

func (b *board) resend(c *choices) {
	i := b.rs.firstLost()
	if i == none {
		return
	}
	r := b.rs.slab[i]
	n := 1 + c.below(r.len())
	b.rs.resend(i, n, b.now, 0)
	for k := range n {
		b.octets[r.start.Add(k)].lost = false
	}
}

// check compares the two, octet by octet.
func (b *board) check() {
	sacked, lost, at, count := 0, 0, b.una, 0
	for i := b.rs.head; i != none; i = b.rs.slab[i].next {
		r := &b.rs.slab[i]
		if r.start != at || r.len() <= 0 {
			b.t.Fatalf("run %d:%d does not follow %d", r.start, r.end, at)
		}
		for q := r.start; q != r.end; q++ {
			if o := b.octets[q]; o.sacked != r.sacked || o.lost != r.lost {
				b.t.Fatalf("octet %d is %+v in the model", q, *o)
			}
		}
		if r.sacked {
			sacked += r.len()
		}
		if r.lost {
			lost += r.len()
		}
		at, count = r.end, count+1
	}
	if at != b.nxt || sacked != b.rs.sacked || lost != b.rs.lost || count != int(b.rs.n) {
		b.t.Fatalf("end %d/%d sacked %d/%d lost %d/%d runs %d/%d", at, b.nxt, b.rs.sacked, sacked, b.rs.lost, lost, b.rs.n, count)
	}
}

// The scoreboard against one entry per octet.
// req: 6675-01 6675-02 2018-10
func TestRunsModel(t *testing.T) {
	for seed := range uint64(300) {
		score(t, &choices{noise(seed, 3, 1200)})
	}
}

// req: 6675-01 6675-02 2018-10
func FuzzScoreboard(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(noise(seed, 3, 300))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) <= 3000 {
			score(t, &choices{in})
		}
	})
}
