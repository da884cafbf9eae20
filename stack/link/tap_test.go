package link

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

func TestTap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type seen struct {
			dir    Direction
			at     time.Duration
			o      Offload
			packet string
		}
		var log []seen
		start := time.Now()
		a, b := Pair(PairConfig{GSO: true})
		tap := Tap(a, func(dir Direction, at time.Time, o Offload, packet [][]byte) {
			log = append(log, seen{dir, at.Sub(start), o, string(bytes.Join(packet, nil))})
		})
		partial := Offload{NeedsCsum: true, CsumStart: 1, CsumOffset: 2}
		q := tap.Queues()[0]
		if err := q.Write(partial, []byte("head"), [4][]byte{nil, []byte("er"), nil, []byte("s")}); err != nil {
			t.Fatal(err)
		}
		next(t, b.Queues()[0], NewFrame())
		time.Sleep(time.Second)
		write(t, b.Queues()[0], []byte("answer"))
		next(t, q, NewFrame())
		empty(t, q, NewFrame())
		want := []seen{{Out, 0, partial, "headers"}, {In, time.Second, Offload{}, "answer"}}
		if len(log) != 2 || log[0] != want[0] || log[1] != want[1] {
			t.Errorf("seen %+v", log)
		}
		if !tap.GSO() || tap.MTU() != 1500 || tap.Stats().TxPackets != 1 {
			t.Error("not the link below")
		}
	})
}

func TestTapDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	a, b := Pair(PairConfig{})
	n := 0
	q := Tap(a, func(_ Direction, _ time.Time, _ Offload, packet [][]byte) { n += len(packet) }).Queues()[0]
	f, p := NewFrame(), make([]byte, 1000)
	allocs := testing.AllocsPerRun(1000, func() {
		q.Write(Offload{}, p[:40], [4][]byte{p})
		b.Queues()[0].Write(Offload{}, p, [4][]byte{})
		b.Queues()[0].Read(f)
		q.Read(f)
	})
	if allocs != 0 || n < 3000 {
		t.Errorf("%v allocations per packet, %d pieces", allocs, n)
	}
}
