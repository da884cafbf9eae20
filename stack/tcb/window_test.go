package tcb

import (
	"fmt"
	"testing"

	"ustack/tcpseg"
)

// The receive window follows what is read in a round trip, and that is as long as the echoes of the peer show it, queues
// included: the handshake may have been quicker.
// req: OPT-5
func TestTuneByEchoes(t *testing.T) {
	const rtt, each = 100, 20_000 // ms, octets in 10 ms
	for _, stamped := range []bool{false, true} {
		s := established(t, Options{}, tcpseg.Options{MSS: 1000, SACKPermitted: true, HasTimestamps: stamped})
		next, start := 1, s.now
		for range 60 {
			s.at(s.now/ms + 10)
			text := fmt.Sprintf(". %s ack 1 gso 1000", span(next, each))
			if stamped {
				text += fmt.Sprintf(" TS val %d ecr %d", s.now/ms, max(s.now/ms-rtt, start/ms))
			}
			s.recv(text).quiet()
			s.tcb.Read(s.now, make([]byte, each))
			s.flush()
			s.quiet()
			next += each
		}
		if grown := s.tcb.rcv.size >= 2*each*rtt/10; grown != stamped {
			t.Errorf("timestamps %v: the window is %d octets for %d in a round trip", stamped, s.tcb.rcv.size, each*rtt/10)
		}
	}
}
