package trace

import (
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
	if rec.Segment.Seq != 2 || string(rec.Pieces[0]) != "abcd" {
		t.Errorf("an earlier record has changed: %+v", rec)
	}
	if r.Next(&next) {
		t.Error("a closed and empty ring gives a record")
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
