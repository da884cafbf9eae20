package tcb

import (
	"testing"

	"ustack/tcpseg"
)

// TestOctets: octets written are counted beyond what sequence numbers can, and stay counted when the queue is dropped.
func TestOctets(t *testing.T) {
	c := &Config{}
	for _, acked := range []int64{0, 1, 1<<31 - 1, 1 << 31, 1<<32 - 3, 1 << 32, 7<<32 + 5} {
		for _, early := range []int64{0, 60_000} { // octets that the peer has beyond a hole
			for _, iss := range []tcpseg.Seq{0, 0x7fffffff, 0xffffff00} {
				x := new(TCB)
				x.begin(0, c, nil, iss, 0)
				x.snd.queue.init(heapBlocks{}, iss.Add(1)+tcpseg.Seq(acked))
				x.snd.delivered = acked + early
				x.snd.queue.write(make([]byte, 100_000))
				if _, n := x.Octets(); n != acked+100_000 {
					t.Errorf("%d octets are written, want %d", n, acked+100_000)
				}
				x.snd.queue.drop()
				if _, n := x.Octets(); n != acked+100_000 {
					t.Errorf("after the end %d octets are written, want %d", n, acked+100_000)
				}
			}
		}
	}
}
