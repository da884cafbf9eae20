package tcb

import "testing"

// req: MUST-30 MUST-62 MUST-31 1122-01
func TestSendUrgent(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.out.Limit = 60_000
	s.tcb.Urge(3)
	s.write(3).expect("PU. 1:4(3) ack 1 urg 3")
	s.recv(". 1:1(0) ack 4").write(10).expect("P. 4:14(10) ack 1")
	s.recv(". 1:1(0) ack 14").tcb.Urge(2500)
	s.write(3000).expect("U. 14:1014(1000) ack 1 urg 2500", "U. 1014:2014(1000) ack 1 urg 1500",
		"PU. 2014:3014(1000) ack 1 urg 500") // no super-segment
	s.recv(". 1:1(0) ack 3014").tcb.Urge(100_000)
	s.write(1000).expect("PU. 3014:4014(1000) ack 1 urg 65535") // as far as the field goes
	s.recv(". 1:1(0) ack 4014").write(99_000).quiet().recv(". 1:1(0) ack 6014")
	if len(s.sent) == 0 || s.sent[0][:2] != "U." {
		t.Errorf("sent %q", s.sent)
	}
}

// A shut window does not keep the news back.
// req: MUST-30 MUST-66
func TestUrgentAgainstAShutWindow(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.recv(". 1:1(0) ack 1 win 0")
	s.tcb.Urge(5)
	s.write(5).expect("U. 1:1(0) ack 1 urg 5")

	s = established(t, Options{RcvBuf: 1000}, sackPeer)
	s.recv(". 1:1001(1000) ack 1").quiet()
	s.recv("U. 1001:1001(0) ack 1 urg 7")
	if s.ev&EventUrgent == 0 || s.tcb.Urgent() != 1007 {
		t.Errorf("events %v, %d octets urgent", s.ev, s.tcb.Urgent())
	}
}

// One event for each advance; what is left falls as the reader goes on.
// req: MUST-32 MUST-33 MUST-62 ST-ES9
func TestReceiveUrgent(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	urgent := func(seg string, event bool, left int) {
		t.Helper()
		s.ev = 0
		s.recv(seg).quiet()
		if got := s.ev&EventUrgent != 0; got != event || s.tcb.Urgent() != left {
			t.Errorf("%s: event %v, %d octets urgent, want %v and %d", seg, got, s.tcb.Urgent(), event, left)
		}
	}
	urgent("U. 1:11(10) ack 1 urg 3", true, 3)
	urgent("U. 11:21(10) ack 1 urg 0", true, 10) // it ends right before this segment
	urgent("U. 21:31(10) ack 1 urg 100", true, 120)
	urgent(". 31:41(10) ack 1", false, 120)
	s.read(20)
	urgent("U. 41:51(10) ack 1 urg 80", false, 100)
	s.read(30)
	urgent(". 51:131(80) ack 1", false, 70)
	s.read(70)
	if n := s.tcb.Urgent(); n != 0 {
		t.Errorf("%d octets urgent behind the pointer", n)
	}
	urgent("U. 131:132(1) ack 1 urg 1", true, 11)
}

// req: MX-l ST-CW1
func TestUrgentByState(t *testing.T) {
	for _, c := range []struct {
		state  State
		signal bool
	}{{Established, true}, {FinWait1, true}, {FinWait2, true}, {CloseWait, false}, {Closing, false}, {LastAck, false}} {
		s := reach(t, c.state)
		at := s.tcb.rcv.nxt.Sub(testIRS)
		s.recv("U. " + span(at, 0) + " ack 11 urg 5")
		if got := s.ev&EventUrgent != 0; got != c.signal {
			t.Errorf("%v: event %v", c.state, got)
		}
	}
}
