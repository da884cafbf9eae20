package netsim_test

import (
	"fmt"
	"math"
	"testing"

	"ustack/stack/netsim"
)

type path struct {
	rate int
	rtt  netsim.Time
}

// shared is several flows of one kind through one bottleneck.
type shared struct {
	path
	flows      int
	controller string
	seed       uint64
}

func (c shared) String() string {
	return fmt.Sprintf("%dMbit,%dms,%d,%s,seed=%d", c.rate/netsim.Mbit, c.rtt/netsim.Millisecond, c.flows, c.controller, c.seed)
}

// start makes the network and sends SYNs somewhen in the first second. The queue holds what the line carries in a round
// trip. Without any jitter the flows would keep step to the nanosecond, and always the same one would find the queue full
// (Floyd and Jacobson, "On Traffic Phase Effects in Packet-Switched Gateways"): it is as long as a packet takes on the line.
func (c shared) start(t *testing.T) (*netsim.Sim, []*netsim.Conn) {
	s := netsim.New(c.seed)
	queue := int(netsim.Time(c.rate) * c.rtt / netsim.Second)
	packet := 1500 * netsim.Second / netsim.Time(c.rate)
	access := make([]netsim.Wire, c.flows)
	for i := range access {
		access[i] = netsim.Wire{Delay: c.rtt / 2, Jitter: packet}
	}
	d := s.Dumbbell(netsim.Bottleneck{Rate: c.rate, Queue: queue}, access...)
	bulk := netsim.Endpoint{Script: netsim.Bulk(math.MaxInt64)}
	bulk.CC = controllers[c.controller]
	flows := make([]*netsim.Conn, c.flows)
	for i := range flows {
		s.After(netsim.Time(s.Rand().Int64N(int64(netsim.Second))), func() { flows[i] = d.Flow(i, bulk) })
	}
	if err := s.RunFor(netsim.Second); err != nil {
		t.Fatal(err)
	}
	return s, flows
}

// window runs on and returns Jain's index over what the flows delivered meanwhile, and the sum as a part of what the line
// carries.
func (c shared) window(t *testing.T, s *netsim.Sim, flows []*netsim.Conn, d netsim.Time) (jain, used float64) {
	before := make([]netsim.Stats, len(flows))
	for i, f := range flows {
		before[i] = f.Stats()
	}
	if err := s.RunFor(d); err != nil {
		t.Fatal(err)
	}
	goodputs := make([]float64, len(flows))
	for i, f := range flows {
		goodputs[i] = f.Stats().Since(before[i]).Goodput()
		used += goodputs[i] / (float64(c.rate) * segment / 1500)
	}
	return netsim.Jain(goodputs...), used
}

// After half a minute, flows that share a bottleneck have equal shares of it, and use it whole. On a path that carries
// hundreds of segments CUBIC meets a loss every seven seconds only (RFC 9438 §4.2, K): what half a minute shows there is
// mostly which flow lost last, and the test but makes sure that none starves.
func TestFairness(t *testing.T) {
	slow := path{20 * netsim.Mbit, 20 * netsim.Millisecond}
	fast := path{100 * netsim.Mbit, 40 * netsim.Millisecond}
	for _, tt := range []struct {
		shared
		atLeast float64
		long    bool
	}{
		{shared{slow, 2, "cubic", 0}, 0.95, false},
		{shared{slow, 2, "cubic", 1}, 0.95, true},
		{shared{slow, 2, "reno", 0}, 0.95, true},
		{shared{slow, 2, "reno", 1}, 0.95, true},
		{shared{slow, 10, "cubic", 0}, 0.95, true},
		{shared{slow, 10, "cubic", 1}, 0.95, true},
		{shared{slow, 10, "reno", 0}, 0.95, true},
		{shared{slow, 10, "reno", 1}, 0.95, true},
		{shared{fast, 2, "cubic", 0}, 0.75, true},
		{shared{fast, 10, "cubic", 0}, 0.9, true},
	} {
		t.Run(tt.String(), func(t *testing.T) {
			if testing.Short() && tt.long {
				t.Skip("-short")
			}
			t.Parallel()
			s, flows := tt.start(t)
			first, _ := tt.window(t, s, flows, 29*netsim.Second)
			jain, used := tt.window(t, s, flows, 30*netsim.Second)
			t.Logf("Jain's index %.3f in the first half minute, %.3f in the second; %.1f %% of the line used", first, jain, used*100)
			if jain < tt.atLeast {
				t.Errorf("Jain's index is %.3f after half a minute, want %g", jain, tt.atLeast)
			}
			if used < 0.97 {
				t.Errorf("%.1f %% of the line are used", used*100)
			}
		})
	}
}
