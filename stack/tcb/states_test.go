package tcb

import (
	"testing"
	"time"

	"ustack/tcpseg"
)

// reach returns a connection in the given state with ten octets of ours acknowledged.
func reach(t *testing.T, st State) *script { return reachAs(t, st, Options{}, sackPeer) }

// reachAs is reach for a connection with other switches and another peer; a SYN may be all that has come of it.
func reachAs(t *testing.T, st State, o Options, peer tcpseg.Options) *script {
	if st == SynSent || st == SynReceived {
		s := dialed(t, o)
		if st == SynReceived {
			peer.MSS = 1000
			syn := tcpseg.Segment{Header: tcpseg.Header{Seq: testIRS, Flags: tcpseg.SYN, Window: 65535, Options: peer}}
			s.tcb.Input(s.now, &syn)
			s.flush()
		}
		return s.quiet().state(st)
	}
	s, ts := established(t, o, peer), ""
	if peer.HasTimestamps {
		ts = " TS val 0 ecr 0"
	}
	s.write(10).recv(". 1:1(0) ack 11" + ts).quiet()
	if st == CloseWait || st == LastAck {
		s.recv("F. 1:1(0) ack 11" + ts)
	}
	if st != Established && st != CloseWait {
		s.tcb.CloseWrite(s.now)
		s.flush()
	}
	switch st {
	case FinWait2:
		s.recv(". 1:1(0) ack 12" + ts)
	case Closing:
		s.recv("F. 1:1(0) ack 11" + ts)
	case TimeWaiting:
		s.recv("F. 1:1(0) ack 12" + ts)
	}
	s.ev = 0
	return s.quiet().state(st)
}

// req: MUST-66 U-20 ST-ES13 MX-oES
func TestReceiveWindowZero(t *testing.T) {
	everyVariant(t, func(t *testing.T, v pktVariant) {
		s := v.established(t, Options{RcvBuf: 2000}, sackPeer)
		s.write(500).quiet()
		s.recv(". 1:2001(2000) ack 1 gso 1000").expect(". 501:501(0) ack 2001")
		s.recv(". 2001:2002(1) ack 501").expect(". 501:501(0) ack 2001").dropped(DropZeroWindow)
		if s.tcb.snd.una != v.iss.Add(501) {
			t.Error("the ACK of a segment that found no room was not used")
		}
		s.recv(". 2001:2001(0) ack 501").dropped(DropNone)
		s.recv("R 2001:2001(0)").state(Closed)
	})
}

// Where the window is shut, data is refused in every state, and what is beyond the peer's FIN in the states behind it.
// req: MX-oCW MX-oCG MX-oLA MX-oTW MX-oES MX-oF1 MX-oF2
func TestNoRoomInAnyState(t *testing.T) {
	everyVariant(t, func(t *testing.T, v pktVariant) {
		for _, st := range []State{Established, FinWait1, FinWait2, CloseWait, Closing, LastAck, TimeWaiting} {
			s := v.established(t, Options{RcvBuf: 2000}, sackPeer)
			switch st {
			case CloseWait, LastAck:
				s.recv("F. 1:2000(1999) ack 1 gso 1000")
			case Established, FinWait1, FinWait2:
				s.recv(". 1:2001(2000) ack 1 gso 1000")
			}
			if st != Established && st != CloseWait {
				s.tcb.CloseWrite(s.now)
				s.flush()
			}
			switch st {
			case FinWait2:
				s.recv(". 2001:2001(0) ack 2")
			case Closing:
				s.recv("F. 1:2000(1999) ack 1 gso 1000")
			case TimeWaiting:
				s.recv("F. 1:2000(1999) ack 2 gso 1000")
			}
			s.quiet().state(st).recv(". 2001:2002(1) ack 1")
			if len(s.sent) != 1 || s.out.Flags != tcpseg.ACK || s.out.Window != 0 || s.out.Ack != v.irs.Add(2001) || s.tcb.State() != st {
				t.Errorf("data in %v with the window shut: %q, window %d, then %v", st, s.sent, s.out.Window, s.tcb.State())
			}
		}
	})
}

// req: MUST-34 MUST-35 SHLD-15 SHLD-16 SHLD-17
func TestPeerShrinksItsWindow(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.write(8000).quiet()
	s.recv(". 1:1(0) ack 1001 win 2000").write(5000).expect()
	s.at(1200).expect(". 1001:2001(1000) ack 1")
	s.recv(". 1:1(0) ack 2001 win 0").expect()
	s.at(3000).quiet().recv(". 1:1(0) ack 2001 win 0").expect().state(Established)
	s.recv(". 1:1(0) ack 2001 win 20000").expect(". 2001:3001(1000) ack 1", ". 3001:4001(1000) ack 1")
}

// A retransmission overtaken by later data brings a new ACK with an old sequence number: una must not
// move without the window that belongs to it, or the edge would move right on its own.
// req: U-07
func TestWindowOfAnOvertakenRetransmission(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.write(9000).quiet()
	s.recv(". 1001:2001(1000) ack 1001 win 3000").quiet()
	s.recv(". 1:1001(1000) ack 3001 win 1000").quiet()
	if edge := s.tcb.peerEdge().Sub(testISS); edge != 4001 {
		t.Errorf("edge %d, want 4001", edge)
	}
	s.recv(". 2001:2001(0) ack 3001 win 1000").recv(". 2001:2001(0) ack 2001 win 9000") // an old ACK
	if s.tcb.snd.wnd != 1000 {
		t.Errorf("window %d taken from an old ACK", s.tcb.snd.wnd)
	}
}

// Two ends that probe each other's shut windows hear each other's ACKs.
// req: U-15
func TestCrossingProbes(t *testing.T) {
	s := established(t, Options{RcvBuf: 1000}, sackPeer)
	s.recv(". 1:1001(1000) ack 1 win 0").quiet().write(10).at(1199).quiet().at(1200).expect(". 1:2(1) ack 1001")
	s.recv(". 1001:1002(1) ack 1 win 0").expect(". 1:1(0) ack 1001").dropped(DropZeroWindow) // inside the peer's window
	s.recv(". 1002:1002(0) ack 2 win 0").dropped(DropNone)
	if s.tcb.snd.una != testISS.Add(2) {
		t.Error("the ACK behind a refused probe was not heard")
	}
}

// Of two ends whose probes crossed, each may send its ACKs from before an octet that the other has taken already. They
// are heard, or the two would answer each other for ever.
// req: U-15
func TestAckFromBeforeAnOctetTaken(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.write(10).quiet().recv(". 0:0(0) ack 11").expect(". 11:11(0) ack 1")
	if s.tcb.snd.una != testISS.Add(11) {
		t.Error("the ACK was not heard")
	}
	s.tcb.CloseWrite(s.now)
	s.flush()
	s.quiet().recv(". 0:0(0) ack 12").state(FinWait2)
}

// In a simultaneous open the ACK of our SYN may come before our SYN,ACK has gone. The peer's SYN is acknowledged all the
// same. Simulator seed 21495.
// req: U-15
func TestAckOvertakesOurSynAck(t *testing.T) {
	s := dialed(t, Options{}).quiet()
	for _, in := range []string{"S 0:0(0) mss 1000", ". 1:1(0) ack 1"} {
		seg := s.parse(in)
		s.tcb.Input(s.now, &seg)
	}
	s.flush()
	s.state(Established).expect(". 1:1(0) ack 1")
}

// What a SYN promises stands when the receive buffer is changed during the handshake. Simulator seed 23815.
// req: SHLD-14
func TestBufferChangesDuringHandshake(t *testing.T) {
	for _, c := range []struct{ before, after int }{{4380, 0}, {4380, 20000}, {20000, 4380}} {
		s := dialed(t, Options{RcvBuf: c.before}).quiet()
		check := func(when string) {
			t.Helper()
			if int(s.out.Window) != c.before {
				t.Errorf("%s with RcvBuf %d, then %d: window %d", when, c.before, c.after, s.out.Window)
			}
		}
		check("SYN")
		o := s.tcb.Options()
		o.RcvBuf = c.after
		s.tcb.Set(s.now, &o)
		s.at(s.now/ms + 1000).expect("S 0:0(0)")
		check("SYN again")
		s.recv("S 0:0(0) mss 1000").expect("S. 0:0(0) ack 1")
		check("SYN,ACK")
		s.recv(". 1:1(0) ack 1").recv(". 1:1001(1000) ack 1")
		s.at(s.now/ms + 40).expect(". 1:1(0) ack 1001")
		if edge := 1001 + int(s.out.Window)<<s.tcb.rcv.scale; edge < 1+c.before {
			t.Errorf("RcvBuf %d, then %d: the edge moves from %d to %d", c.before, c.after, 1+c.before, edge)
		}
	}
}

// req: MUST-10 U-07
func TestWindowAfterSimultaneousOpen(t *testing.T) {
	s := dialed(t, Options{}).quiet()
	s.recv("S 0:0(0) mss 1000 win 500").recv(". 1:1(0) ack 1 win 600").quiet()
	if s.tcb.snd.wnd != 600 {
		t.Errorf("window %d", s.tcb.snd.wnd)
	}
	s.recv(". 1:1(0) ack 1 win 700")
	if s.tcb.snd.wnd != 700 {
		t.Errorf("window %d", s.tcb.snd.wnd)
	}
}

// req: U-07
func TestWindowOfAnOldAck(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.write(5000).quiet().recv(". 1:1(0) ack 3001 win 2000").recv(". 1:1001(1000) ack 1001 win 9000")
	if s.tcb.snd.wnd != 2000 {
		t.Errorf("window %d taken from an ACK below una", s.tcb.snd.wnd)
	}
}

// req: 6298-08 6298-09
func TestTimerRestartsWithTheHead(t *testing.T) {
	s := established(t, Options{NoTLP: true}, sackPeer)
	s.write(9000).quiet().at(1150).recv(". 1:1(0) ack 1 sack 2001:8001").expect(". 1:1001(1000) ack 1", ". 1001:2001(1000) ack 1")
	due := (s.now + s.tcb.rtt.timeout()) / ms
	s.at(due - 1).quiet()
	if s.tcb.lossCounters().rtos != 0 {
		t.Error("the timer fired less than one RTO after the retransmission")
	}
	s.at(due + 1)
	if s.tcb.lossCounters().rtos != 1 {
		t.Errorf("%d time-outs", s.tcb.lossCounters().rtos)
	}
}

// req: MUST-27 MUST-29
func TestSetKeepsProbing(t *testing.T) {
	o := Options{KeepAlive: true, KeepAliveIdle: time.Second, KeepAliveInterval: time.Second, KeepAliveCount: 3}
	s := established(t, o, sackPeer).at(2000).expect(". 0:0(0) ack 1")
	for range 10 {
		s.tcb.Set(s.now, &o)
		s.at(s.now/ms + 10).expect()
	}
	s.state(Established)
}

// Keep-alive probes are answered however many come, and tell that the peer lives.
// req: MUST-26 5961-07
func TestPeersKeepAlive(t *testing.T) {
	s := established(t, Options{KeepAlive: true, KeepAliveIdle: time.Second, KeepAliveInterval: time.Second, KeepAliveCount: 2}, sackPeer)
	for i := range Time(100) {
		s.at(1000 + i*100).recv(". 0:0(0) ack 1").expect(". 1:1(0) ack 1")
	}
}

// Rounding the window field up must not let small segments push the edge along while nobody reads.
// req: U-19 7323-04 SHLD-14
func TestRoundingDoesNotCreep(t *testing.T) {
	s := established(t, Options{RcvBuf: 3000}, tcpseg.Options{MSS: 1000, SACKPermitted: true, HasScale: true, Scale: 7})
	s.tcb.rcv.scale = 7
	for i := range 5000 {
		s.recv(". " + span(1+i, 1) + " ack 1").quiet()
	}
	if got := s.tcb.Readable(); got > 3000+128 {
		t.Errorf("%d octets were taken into a buffer of 3000", got)
	}
}

// A window that seems to shrink because its field cannot say it exactly is no reason to stand before what the peer has
// taken: it would not hear us.
// req: 7323-04 7323-06
func TestSeqOfAnACKBehindARoundedEdge(t *testing.T) {
	s := established(t, Options{}, tcpseg.Options{MSS: 1000, SACKPermitted: true, HasScale: true, Scale: 7})
	s.recv(". 1:1(0) ack 1 win 9").write(1152).quiet() // up to the edge
	s.recv(". 1:1(0) ack 1001 win 1").quiet()          // 1129: the true edge is 1153
	s.recv(". 1:2001(2000) ack 1001 win 1 gso 1000").expect(". 1153:1153(0) ack 2001")
	s.recv(". 2001:4001(2000) ack 1101 win 0 gso 1000").expect(". 1101:1101(0) ack 4001") // that is not rounding
}
