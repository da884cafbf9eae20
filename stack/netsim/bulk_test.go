package netsim

import (
	"flag"
	"fmt"
	"testing"
)

var bulkFlag = flag.Uint64("bulk", 3, "how many seeds each transfer of TestBulk runs with")

// TestBulk moves much data each way at once, in virtual time: every octet arrives.
func TestBulk(t *testing.T) {
	for _, tt := range []struct {
		name  string
		bytes int64
		wire  Wire
		// atMost is the longest a transfer may take: no stall of an RTO or a delayed ACK hides in it.
		atMost Time
	}{
		{"64MiB", 64 << 20, Wire{Delay: 500 * Microsecond, Rate: 125_000_000, Queue: 16 << 20, Whole: 0.5}, Second},
		{"8MiB-1%", 8 << 20, Wire{Delay: Millisecond, Loss: 0.01, Rate: 125_000_000, Queue: 1 << 20, Whole: 0.5}, 5 * Second},
		{"2MiB-5%", 2 << 20, Wire{Delay: Millisecond, Loss: 0.05, Reorder: 0.05, ReorderBy: 3 * Millisecond, Duplicate: 0.05, Rate: 125_000_000, Queue: 1 << 20, Whole: 0.5}, 20 * Second},
	} {
		for seed := range *bulkFlag {
			t.Run(fmt.Sprintf("%s/%d", tt.name, seed), func(t *testing.T) {
				s := New(seed)
				limit := []int{0, 64<<10 - 100}[seed%2]
				a := s.AddHost("a", HostConfig{Limit: limit})
				b := s.AddHost("b", HostConfig{Limit: limit, Batch: 100 * Microsecond})
				s.Connect(a, b, tt.wire)
				bulk := Endpoint{Script: Script{Write: tt.bytes, WriteChunk: 256 << 10, ReadChunk: 256 << 10, Method: Mixed}, Orderly: true}
				b.Listen(80, bulk)
				c := a.Dial(b, 4000, 80, bulk)
				if err := s.Run(); err != nil {
					t.Fatal(err)
				}
				took := c.doneAt - Second
				t.Logf("%s, %.0f MB/s each way, %d resent", clock(took), float64(tt.bytes)/1e6/(float64(took)/1e9), c.watch.resent)
				if tt.wire.Loss == 0 && c.watch.resent > 0 {
					t.Errorf("%d segments were sent again without loss", c.watch.resent)
				}
				if took > tt.atMost {
					t.Errorf("took %s, more than %s", clock(took), clock(tt.atMost))
				}
			})
		}
	}
}
