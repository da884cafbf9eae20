package stack

import (
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ustack/stack/link"
)

// Data arrives whole and in order whatever the wire does, both ways at once, in virtual time.
func TestLossyLink(t *testing.T) {
	size := 8 << 20
	if testing.Short() || raceEnabled {
		size = 1 << 20
	}
	for _, c := range []struct {
		loss, reorder, duplicate, corrupt float64
		delay                             time.Duration
		size                              int
	}{
		{loss: 1, delay: 10 * time.Millisecond, size: size},
		{loss: 5, reorder: 2, duplicate: 2, corrupt: 1, delay: 5 * time.Millisecond, size: size / 4},
		{reorder: 10, delay: time.Millisecond, size: size},
	} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprintf("loss=%v,reorder=%v,seed=%d", c.loss, c.reorder, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := link.Faults{Loss: c.loss, Reorder: c.reorder, Duplicate: c.duplicate, Corrupt: c.corrupt, Delay: c.delay}
					la, lb := link.Pair(link.PairConfig{QueueLen: 10_000})
					h := &hosts{
						a: newStack(t, link.Impair(la, link.Spec{In: f, Out: f, Seed: seed}), addrA4, addrA6),
						b: newStack(t, lb, addrB4, addrB6),
					}
					a, b := h.pair(t)
					data := make([]byte, 1<<16)
					for i := range data {
						data[i] = byte(i ^ i>>8)
					}
					start := time.Now()
					var wg sync.WaitGroup
					for _, ends := range [][2]*Conn{{a, b}, {b, a}} {
						wg.Go(func() {
							for sent := 0; sent < c.size; sent += len(data) {
								if _, err := ends[0].Write(data); err != nil {
									t.Errorf("Write after %d octets: %v", sent, err)
									return
								}
							}
							ends[0].CloseWrite()
						})
						wg.Go(func() {
							n, err := io.Copy(&checker{t: t, want: data}, ends[1])
							if n != int64(c.size) || err != nil {
								t.Errorf("%d of %d octets arrived, %v", n, c.size, err)
							}
						})
					}
					wg.Wait()
					t.Logf("%d octets each way in %v of virtual time", c.size, time.Since(start))
					a.Close()
					b.Close()
				})
			})
		}
	}
}

// TestSentByCause: every segment is counted under its cause, what is sent again as well.
func TestSentByCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		la, lb := link.Pair(link.PairConfig{QueueLen: 10_000})
		f := link.Faults{Loss: 2, Delay: 10 * time.Millisecond}
		h := &hosts{
			a: newStack(t, link.Impair(la, link.Spec{Out: f, Seed: 7}), addrA4, addrA6),
			b: newStack(t, lb, addrB4, addrB6),
		}
		a, b := h.pair(t)
		go func() {
			a.Write(make([]byte, 1<<20))
			a.CloseWrite()
		}()
		if n, err := io.Copy(io.Discard, b); n != 1<<20 || err != nil {
			t.Fatalf("%d octets arrived, %v", n, err)
		}
		st := h.a.Stats()
		again := st.Sent["fast-retransmit"] + st.Sent["tail-loss-probe"] + st.Sent["rto"]
		if st.Sent["syn"] != 1 || st.Sent["data"] < 20 || again == 0 {
			t.Errorf("sent: %v", st.Sent)
		}
		sum := uint64(0)
		for _, n := range st.Sent {
			sum += n
		}
		if info := a.Info(); sum != st.Counters["tcp-segments-out"] || again < info.Retransmits {
			t.Errorf("%d segments in %v; the counter says %d, the connection has sent %d again",
				sum, st.Sent, st.Counters["tcp-segments-out"], info.Retransmits)
		}
		a.Close()
		b.Close()
	})
}
