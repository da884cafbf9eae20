package trace

import (
	"bytes"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// TestRing: what is kept is the reader's own, cut to size, and what found no room is counted before what did.
func TestRing(t *testing.T) {
	r := NewRing(2, 4)
	header, state, data := tcpseg.Header{Seq: 1}, tcb.Snapshot{Cwnd: 10}, []byte("abcdef")
	for range 5 {
		r.Trace(&Event{Segment: &header, State: &state, Pieces: [][]byte{data[:3], data[3:]}})
		header.Seq++
		state.Cwnd++
	}
	clear(data)
	var rec, next Record
	for i := range 2 {
		if !r.Next(&rec) || rec.Segment.Seq != tcpseg.Seq(1+i) || rec.State.Cwnd != 10+i || rec.Len != 6 || string(rec.Pieces[0]) != "abcd" || rec.Lost != 0 {
			t.Errorf("record %d: %+v", i, rec)
		}
	}
	if r.Lost() != 3 {
		t.Errorf("%d lost", r.Lost())
	}
	r.Trace(&Event{Kind: Held})
	r.Close()
	r.Trace(&Event{Kind: Ended})
	if !r.Next(&next) || next.Lost != 3 || next.Kind != Held || next.Segment != nil || next.Pieces != nil {
		t.Errorf("after the gap: %+v", next)
	}
	if rec.Segment.Seq != 2 || rec.State.Cwnd != 11 {
		t.Errorf("an earlier record has changed: %+v", rec)
	}
	if r.Next(&next) {
		t.Error("a closed and empty ring gives a record")
	}
}

// TestRingSize: packets large and small share the octets, those that the reader still looks at among them, and what finds
// no room is counted. Every octet comes out as it went in.
func TestRingSize(t *testing.T) {
	const octets, limit = 1000, 700
	r := NewRingSize(8, limit, octets)
	rng := rand.New(rand.NewPCG(1, 2))
	type packet struct {
		data []byte
		size int
	}
	var kept []packet
	var rec Record
	lent, lost, gap := 0, 0, 0
	for i := range 20_000 {
		if rng.IntN(2) == 0 {
			p := packet{size: rng.IntN(300)}
			if rng.IntN(8) == 0 {
				p.size = rng.IntN(900)
			}
			p.data = bytes.Repeat([]byte{byte(i)}, min(p.size, limit))
			whole := make([]byte, p.size)
			copy(whole, p.data)
			before := r.Lost()
			r.Trace(&Event{Pieces: [][]byte{whole[:p.size/2], whole[p.size/2:]}})
			if r.Lost() == before || r.Lost() == 0 {
				kept = append(kept, p)
				continue
			}
			lost++
			total := lent + len(p.data)
			for _, k := range kept {
				total += len(k.data)
			}
			if len(kept) < 8 && total <= octets-limit {
				t.Fatalf("%d octets are too many for %d", total, octets)
			}
			continue
		}
		if len(kept) == 0 {
			continue
		}
		if string(rec.octets()) != string(bytes.Repeat(rec.octets()[:min(1, lent)], lent)) {
			t.Fatal("octets changed while the reader looked at them")
		}
		r.Next(&rec)
		want := kept[0]
		kept = kept[1:]
		if rec.Len != want.size || !bytes.Equal(rec.octets(), want.data) {
			t.Fatalf("%d of %d octets, want %d of %d", len(rec.octets()), rec.Len, len(want.data), want.size)
		}
		lent = len(want.data)
		gap += int(rec.Lost)
	}
	r.Close()
	gap += int(r.Lost())
	for r.Next(&rec) {
		gap += int(rec.Lost)
	}
	if lost < 100 || gap != lost {
		t.Errorf("%d lost, %d told", lost, gap)
	}
}

// octets are what a record has of its packet.
func (r *Record) octets() []byte {
	if r.Pieces == nil {
		return nil
	}
	return r.Pieces[0]
}

// TestRingOnly: other kinds take no room, and are not missed.
func TestRingOnly(t *testing.T) {
	r := NewRing(2, 4)
	r.Only(PacketOut, Sampled, Ended)
	r.Except(Sampled, Held)
	for _, k := range []Kind{Held, PacketIn, Sampled, Ended, Held, PacketIn, PacketOut, PacketOut} {
		r.Trace(&Event{Kind: k})
	}
	var rec Record
	for _, want := range []Kind{Ended, PacketOut} {
		if !r.Next(&rec) || rec.Kind != want || rec.Lost != 0 {
			t.Errorf("%+v, want %v", rec, want)
		}
	}
	if r.Lost() != 1 {
		t.Errorf("%d lost", r.Lost())
	}
}

// TestRecordSet: a copy stays what it was.
func TestRecordSet(t *testing.T) {
	r := NewRing(2, 4)
	header := tcpseg.Header{Seq: 1}
	r.Trace(&Event{Segment: &header, Pieces: [][]byte{{1, 2, 3, 4, 5}}})
	header.Seq = 2
	r.Trace(&Event{Segment: &header})
	var rec, kept Record
	r.Next(&rec)
	kept.Set(&rec)
	r.Next(&rec)
	if kept.Segment.Seq != 1 || kept.Len != 5 || !bytes.Equal(kept.octets(), []byte{1, 2, 3, 4}) || kept.State != nil {
		t.Errorf("%+v", kept)
	}
	if kept.Set(&rec); kept.Pieces != nil || kept.Segment.Seq != 2 {
		t.Errorf("%+v", kept)
	}
}

// TestRingWaits: a reader waits for an event, or for the end.
func TestRingWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRing(1, 0)
		var got atomic.Int32
		go func() {
			for rec := (Record{}); r.Next(&rec); {
				got.Add(1)
			}
			got.Add(10)
		}()
		synctest.Wait()
		r.Trace(&Event{Pieces: [][]byte{{1}}})
		synctest.Wait()
		if got.Load() != 1 {
			t.Errorf("%d events", got.Load())
		}
		r.Close()
		synctest.Wait()
		if got.Load() != 11 {
			t.Errorf("the reader goes on: %d", got.Load())
		}
	})
}

// TestRingAllocs: neither side allocates.
func TestRingAllocs(t *testing.T) {
	r := NewRing(4, 100)
	var rec Record
	e := Event{Segment: new(tcpseg.Header), State: new(tcb.Snapshot), Pieces: [][]byte{make([]byte, 1500)}}
	turn := func() {
		r.Trace(&e)
		r.Next(&rec)
	}
	turn()
	if n := testing.AllocsPerRun(100, turn); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestHub: every ring gets every event, and the stack has a tracer only while there is a ring.
func TestHub(t *testing.T) {
	var tracer func(*Event)
	h := NewHub(func(f func(*Event)) { tracer = f })
	a, b := NewRing(9, 0), NewRing(9, 0)
	h.Add(a)
	tracer(new(Event))
	h.Add(b)
	tracer(new(Event))
	h.Remove(a)
	tracer(new(Event))
	late := tracer
	h.Remove(b)
	if tracer != nil {
		t.Error("a tracer without rings")
	}
	late(new(Event)) // one that was under way
	if a.n != 2 || b.n != 2 {
		t.Errorf("%d and %d events", a.n, b.n)
	}
}
