package tcb

import (
	"testing"

	"ustack/tcpseg"
)

// req: PMTU-04 PMTU-07 PMTU-08 5681-18
func TestNarrowPath(t *testing.T) {
	s := established(t, Options{NoTLP: true}, sackPeer)
	s.write(2500).quiet()
	if !s.tcb.LimitMSS(s.now, 600) || s.tcb.LimitMSS(s.now, 600) || s.tcb.LimitMSS(s.now, 900) {
		t.Error("only the first word of a smaller size is news")
	}
	s.flush()
	s.expect(". 1:601(600) ack 1", ". 601:1201(600) ack 1", ". 1201:1801(600) ack 1", ". 1801:2401(600) ack 1", "P. 2401:2501(100) ack 1")
	if w := s.tcb.cc.Window(); w != 6000 {
		t.Errorf("cwnd %d, want as many segments as before", w)
	}
	if s.tcb.stats.rtos+s.tcb.stats.recoveries != 0 || s.tcb.rtt.backoff != 0 {
		t.Error("blamed on congestion")
	}
	s.at(1010).recv(". 1:1(0) ack 2501").write(1000).expect(". 2501:3101(600) ack 1", "P. 3101:3501(400) ack 1")
	s.recv(". 1:1(0) ack 3501").at(601_999).write(600).expect("P. 3501:4101(600) ack 1").recv(". 1:1(0) ack 4101")
	s.at(602_100).recv(". 1:1(0) ack 4101").write(1500).expect(". 4101:5101(1000) ack 1", "P. 5101:5601(500) ack 1")
}

// What is said about the path while nothing larger is in flight holds for what comes.
// req: PMTU-14
func TestNarrowPathAndSuperSegments(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.out.Limit = 60_000
	s.tcb.LimitMSS(s.now, 600)
	s.write(5000).expect("P. 1:5001(5000) ack 1 gso 600")
	s.tcb.LimitMSS(s.now, 500)
	s.flush()
	s.expect("P. 1:5001(5000) ack 1 gso 500")
}

// A path that swallows full-sized segments without a word gets smaller ones after three time-outs.
// req: PMTU-11
func TestBlackHole(t *testing.T) {
	s := established(t, Options{}, tcpseg.Options{MSS: 1400})
	s.write(3000).quiet().at(1200).expect(". 1:1401(1400) ack 1").at(1600).expect(". 1:1401(1400) ack 1")
	s.at(2400).expect(". 1:1025(1024) ack 1")
	s.recv(". 1:1(0) ack 1025").quiet()
	if got := s.tcb.mss(); got != 1024 {
		t.Errorf("MSS %d", got)
	}
	s = established(t, Options{}, tcpseg.Options{MSS: 1400})
	s.write(300).quiet().at(60_000).quiet()
	if got := s.tcb.mss(); got != 1400 {
		t.Errorf("a small segment lost made the MSS %d", got)
	}
}
