package tcb

import (
	"strconv"
	"testing"
	"time"

	"ustack/tcpseg"
)

// ecnEstablished returns a script whose two ends agreed on ECN.
func ecnEstablished(t *testing.T, o Options) *script {
	t.Helper()
	o.ECN = true
	s := dialed(t, o).expect("SEW 0:0(0)").at(1010)
	return s.recv("SE. 0:0(0) ack 1 mss 1000 sackOK").expect(". 1:1(0) ack 1").state(Established)
}

// Both ends must want it, and a peer that mirrors both flags has not understood.
// req: 3168-01 SHLD-8
func TestAgreeOnECN(t *testing.T) {
	for _, c := range []struct {
		ours   bool
		answer string
		on     bool
	}{
		{true, "SE. 0:0(0) ack 1", true}, {true, "SEW. 0:0(0) ack 1", false},
		{true, "S. 0:0(0) ack 1", false}, {false, "SE. 0:0(0) ack 1", false},
	} {
		s := dialed(t, Options{ECN: c.ours}).quiet().recv(c.answer).quiet()
		want := "P. 1:11(10) ack 1"
		if c.on {
			want += " ecn 2"
		}
		s.write(10).expect(want)
	}
	for _, c := range []struct {
		ours        bool
		syn, answer string
	}{
		{true, "SEW 0:0(0)", "SE. 0:0(0) ack 1"}, {true, "SE 0:0(0)", "S. 0:0(0) ack 1"},
		{true, "S 0:0(0)", "S. 0:0(0) ack 1"}, {false, "SEW 0:0(0)", "S. 0:0(0) ack 1"},
	} {
		s := testVariant.script(t)
		syn := s.parse(c.syn)
		h := Passive(s.now, &Config{Options: Options{ECN: c.ours}, LinkMSS: 1460}, &syn, testISS, 0)
		h.Output(s.now, &s.out)
		if got := s.format(); got != c.answer || h.Handshake().ECN != (c.answer[1] == 'E') {
			t.Errorf("%v, %s: answered %s, agreed %v", c.ours, c.syn, got, h.Handshake().ECN)
		}
	}
}

// A SYN that some middlebox may not like is not sent twice.
// req: 3168-03
func TestSYNWithoutECNAfterTimeOut(t *testing.T) {
	s := dialed(t, Options{ECN: true}).expect("SEW 0:0(0)").at(2000).expect("S 0:0(0)")
	s.recv("SE. 0:0(0) ack 1").quiet().write(10).expect("P. 1:11(10) ack 1") // the answer to the first
}

// req: 3168-02 3168-09
func TestWhatMayBeMarked(t *testing.T) {
	s := ecnEstablished(t, Options{NoTLP: true})
	s.write(1500).expect(". 1:1001(1000) ack 1 ecn 2", "P. 1001:1501(500) ack 1 ecn 2")
	s.recv(". 1:1001(1000) ack 1").at(1060).expect(". 1501:1501(0) ack 1001") // a bare ACK
	s.at(1220).expect(". 1:1001(1000) ack 1001")
	s.recv(". 1001:1001(0) ack 1501 win 0").write(10).expect().at(1460).expect(". 1501:1502(1) ack 1001")
}

// req: 3168-04 3168-05
func TestEchoOfAMark(t *testing.T) {
	s := ecnEstablished(t, Options{})
	s.recv(". 1:2001(2000) ack 1 gso 1000 ecn 2").expect(". 1:1(0) ack 2001")
	s.recv(". 1:1001(1000) ack 1 ecn 3").expect(". 1:1(0) ack 2001 sack 1:1001") // old: its mark tells nothing
	s.recv(". 2001:4001(2000) ack 1 gso 1000 ecn 3").expect("E. 1:1(0) ack 4001")
	s.recv(". 4001:6001(2000) ack 1 gso 1000 ecn 2").expect("E. 1:1(0) ack 6001")
	s.write(10).expect("PE. 1:11(10) ack 6001 ecn 2")
	s.recv("W. 6001:8001(2000) ack 11 gso 1000 ecn 2").expect(". 11:11(0) ack 8001")
	s.recv("W. 8001:10001(2000) ack 11 gso 1000 ecn 3").expect("E. 11:11(0) ack 10001") // marked anew
}

// An ACK that probes a silent peer echoes as any other.
// req: 3168-04
func TestEchoOfAProbe(t *testing.T) {
	s := ecnEstablished(t, Options{KeepAlive: true, KeepAliveIdle: time.Minute})
	s.recv(". 1:2001(2000) ack 1 gso 1000 ecn 3").expect("E. 1:1(0) ack 2001")
	s.at(62_000).expect("E. 0:0(0) ack 2001")
}

// One reduction in a window, and one CWR.
// req: 3168-06 3168-08 9438-09
func TestAnswerToAnEcho(t *testing.T) {
	s := ecnEstablished(t, Options{})
	s.write(30_000).quiet()
	cwnd := s.tcb.cc.Window()
	s.at(1020)
	cwr := 0
	for i := range 10 {
		s.recv("E. " + span(1, 0) + " ack " + strconv.Itoa(1001+1000*i))
		cwr += countCWR(s)
	}
	if w := s.tcb.cc.Window(); w != 7000 || cwnd != 10_000 {
		t.Errorf("cwnd %d after %d", w, cwnd)
	}
	if cwr != 1 {
		t.Errorf("CWR stood on %d segments", cwr)
	}
	// A loss in the window of an echo: no second reduction, RACK finds it all the same.
	s = ecnEstablished(t, Options{})
	s.write(10_000).quiet().at(1020).recv("E. 1:1(0) ack 1001").quiet()
	w := s.tcb.cc.Window()
	s.recv("E. 1:1(0) ack 1001 sack 2001:6001")
	if s.tcb.cc.Window() != w || s.tcb.lossCounters().rexmits != 1 {
		t.Errorf("cwnd %d after %d, %d retransmissions", s.tcb.cc.Window(), w, s.tcb.lossCounters().rexmits)
	}
}

// countCWR counts the segments with CWR among those sent, and forgets them.
func countCWR(s *script) (n int) {
	for _, f := range s.sent {
		for _, c := range f {
			if c == ' ' {
				break
			}
			if c == 'W' {
				n++
			}
		}
	}
	s.quiet()
	return n
}

// At one segment there is nothing left to reduce but the pace.
// req: 3168-07
func TestEchoAtOneSegment(t *testing.T) {
	s := ecnEstablished(t, Options{NoTLP: true})
	s.write(30_000).quiet()
	for range 6 {
		s.at(s.now/ms + 20).recv("E. 1:1(0) ack " + strconv.Itoa(s.tcb.snd.nxt.Sub(testISS)))
		if s.tcb.cc.Window() == 1000 {
			break
		}
	}
	s.quiet()
	for range 3 {
		at := s.now
		s.recv("E. 1:1(0) ack " + strconv.Itoa(s.tcb.snd.nxt.Sub(testISS)))
		s.at((at+s.tcb.rtt.timeout())/ms - 1).expect()
		s.at(s.now/ms + 2)
		if len(s.sent) != 1 {
			t.Fatalf("sent %q an RTO after the echo", s.sent)
		}
		s.quiet()
	}
}

// req: 3168-10
func TestECNNotAgreedOn(t *testing.T) {
	s := established(t, Options{ECN: true}, sackPeer)
	s.write(5000).quiet()
	w := s.tcb.cc.Window()
	for range 20 {
		s.recv("E. 1:1(0) ack 1")
	}
	s.recv("W. 1:2001(2000) ack 1 gso 1000 ecn 3").expect(". 5001:5001(0) ack 2001")
	if s.tcb.cc.Window() != w || s.out.Flags&(tcpseg.ECE|tcpseg.CWR) != 0 {
		t.Errorf("cwnd %d after %d, %v", s.tcb.cc.Window(), w, s.out.Header)
	}
}
