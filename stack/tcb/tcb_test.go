package tcb

import (
	"fmt"
	"testing"
	"time"
	"unsafe"

	"ustack/stack/cc"
	"ustack/tcpseg"
)

var sackPeer = tcpseg.Options{SACKPermitted: true}

// req: 6298-01 MUST-14 7323-02 MUST-1 SHLD-5 MAY-3 1122-07 ST-CL4 ST-SS5 7323-19
func TestActiveOpen(t *testing.T) {
	s := dialed(t, Options{})
	s.expect("S 0:0(0)")
	if o := s.out.Options; o.MSS != 1460 || !o.HasScale || !o.SACKPermitted || !o.HasTimestamps {
		t.Fatalf("SYN options %+v", o)
	}
	s.at(1999).expect().at(2000).expect("S 0:0(0)").at(4000).expect("S 0:0(0)").at(8000).expect("S 0:0(0)")
	s.recv("S. 0:0(0) ack 1 win 65535 mss 1000 wscale 7 sackOK TS val 5 ecr 0").expect(". 1:1(0) ack 1").state(Established)
	if s.tcb.snd.wnd != 65535 {
		t.Errorf("window of SYN,ACK scaled: %d", s.tcb.snd.wnd)
	}
	if s.ev&EventConnected == 0 {
		t.Error("no connected event")
	}
}

// req: MUST-23 ST-SS13
func TestSynGivesUp(t *testing.T) {
	s := dialed(t, Options{})
	s.at(180_000).quiet().state(SynSent)
	s.at(400_000).state(Closed)
	if s.tcb.Err() != ErrTimeout {
		t.Errorf("error %v", s.tcb.Err())
	}
}

// req: ST-SS1 ST-SS2 ST-SS3 ST-SS4 ST-SS8 ST-SS9 5961-04
func TestSynSentSegments(t *testing.T) {
	everyVariant(t, func(t *testing.T, v pktVariant) {
		for _, c := range []struct{ in, out string }{
			{". 0:0(0) ack 0", "R 0:0(0)"},
			{". 0:0(0) ack 2", "R 2:2(0)"},
			{"R. 0:0(0) ack 2", ""},
			{"R 0:0(0)", ""},
			{". 0:0(0) ack 1", ""},
			{"F 0:0(0)", ""},
		} {
			s := v.dialed(t, Options{}).quiet()
			s.recv(c.in).state(SynSent)
			if c.out == "" {
				s.expect()
			} else {
				s.expect(c.out)
			}
		}
		s := v.dialed(t, Options{}).quiet().recv("R. 0:0(0) ack 1").expect().state(Closed)
		if s.tcb.Err() != ErrRefused {
			t.Errorf("error %v", s.tcb.Err())
		}
	})
}

// req: MUST-10 U-15 ST-SS7 ST-SR7
func TestSimultaneousOpen(t *testing.T) {
	everyVariant(t, func(t *testing.T, v pktVariant) {
		s := v.dialed(t, Options{}).expect("S 0:0(0)")
		s.recv("S 0:0(0) mss 1000 sackOK").expect("S. 0:0(0) ack 1").state(SynReceived)
		s.recv("S. 0:0(0) ack 1").expect(". 1:1(0) ack 1").state(Established)

		s = v.dialed(t, Options{}).quiet()
		s.recv("S 0:0(0) mss 1000").quiet().recv(". 1:1(0) ack 1").expect().state(Established)
	})
}

// req: SHLD-18 SHLD-19 MUST-40 MUST-58 MUST-59 5681-15 1122-03 ST-ES10
func TestDelayedAck(t *testing.T) {
	s := established(t, Options{NoQuickACK: true}, sackPeer)
	s.recv(". 1:1001(1000) ack 1").expect()
	s.at(1039).expect().at(1040).expect(". 1:1(0) ack 1001")
	s.recv(". 1001:2001(1000) ack 1").expect().recv(". 2001:3001(1000) ack 1").expect(". 1:1(0) ack 3001")
	s.read(3000).quiet() // and data carries it
	s.recv(". 3001:4001(1000) ack 1").expect().write(10).expect("P. 1:11(10) ack 4001").at(1200).expect()
	s.recv(". 4001:7001(3000) ack 11 gso 1000").expect(". 11:11(0) ack 7001") // a super-segment is several (TUN-R09)
}

// req: MUST-59
func TestOneAckForABatch(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	for i := range 20 {
		s.in(". " + span(1+i*1000, 1000) + " ack 1")
	}
	s.flush()
	s.expect(". 1:1(0) ack 20001")
}

// req: SHLD-31 5681-13 5681-14 2018-04 2018-05 2018-06 MAY-13 ST-ES11
func TestOutOfOrder(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.recv(". 1001:2001(1000) ack 1").expect(". 1:1(0) ack 1 sack 1001:2001")
	s.recv(". 3001:4001(1000) ack 1").expect(". 1:1(0) ack 1 sack 3001:4001 1001:2001")
	s.recv(". 2001:2501(500) ack 1").expect(". 1:1(0) ack 1 sack 1001:2501 3001:4001")
	s.recv(". 1:1001(1000) ack 1").expect(". 1:1(0) ack 2501 sack 3001:4001")
	s.recv(". 2501:3001(500) ack 1").expect(". 1:1(0) ack 4001")
	got := make([]byte, 4000)
	if n := s.tcb.Read(s.now, got); n != 4000 || string(got) != string(pattern(1, 4000)) {
		t.Fatalf("read %d octets, or wrong ones", n)
	}
}

// TestBytesInOnce: an octet counts as received when nothing before it is missing, however often it has come.
func TestBytesInOnce(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	received := func(want uint64) {
		t.Helper()
		var snap Snapshot
		s.quiet().tcb.Snapshot(&snap)
		if snap.BytesIn != want {
			t.Errorf("%d octets received, want %d", snap.BytesIn, want)
		}
	}
	s.recv(". 1001:2001(1000) ack 1")
	received(0)
	s.recv(". 1001:2001(1000) ack 1")
	s.recv(". 1:1501(1500) ack 1")
	received(2000)
	s.recv(". 1501:2501(1000) ack 1")
	received(2500)
}

// req: 5681-10 6675-03 6675-06 SHLD-28
func TestFastRetransmitSACK(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.write(10000).quiet()
	s.at(1010).recv(". 1:1(0) ack 1 sack 1001:2001").expect()
	s.recv(". 1:1(0) ack 1 sack 1001:3001").expect()
	s.recv(". 1:1(0) ack 1 sack 1001:4001").expect(". 1:1001(1000) ack 1")
	s.recv(". 1:1(0) ack 10001").expect()
	if s.tcb.rec.phase != open || s.tcb.lossCounters().recoveries != 1 {
		t.Errorf("phase %v, recoveries %d", s.tcb.rec.phase, s.tcb.lossCounters().recoveries)
	}
}

// req: 6582-02
func TestNewReno(t *testing.T) {
	s := established(t, Options{}, tcpseg.Options{})
	s.write(10000).quiet()
	for range 3 {
		s.expect().recv(". 1:1(0) ack 1")
	}
	s.expect(". 1:1001(1000) ack 1")
	s.recv(". 1:1(0) ack 1").recv(". 1:1(0) ack 1").quiet()
	s.recv(". 1:1(0) ack 4001").expect(". 4001:5001(1000) ack 1") // partial ACK: next hole
	s.recv(". 1:1(0) ack 10001").expect()
}

// req: 6298-10 6298-11 5681-08 5681-07 MUST-19 ST-ES21 MX-iES
func TestRTO(t *testing.T) {
	s := established(t, Options{NoTLP: true}, sackPeer)
	s.write(5000).quiet()
	s.at(1199).expect().at(1200).expect(". 1:1001(1000) ack 1")
	half := s.tcb.cc.SSThresh()
	s.at(1600).expect(". 1:1001(1000) ack 1")
	if s.tcb.cc.SSThresh() != half {
		t.Errorf("ssthresh cut twice for one segment")
	}
	s.recv(". 1:1(0) ack 1001").expect(". 1001:2001(1000) ack 1", ". 2001:3001(1000) ack 1")
	if got := s.tcb.rtt.backoff; got != 2 {
		t.Errorf("backoff %d forgotten by the ACK of a retransmission", got)
	}
}

// req: MUST-36 SHLD-29 SHLD-30 MUST-37 1122-06
func TestZeroWindow(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.recv(". 1:1(0) ack 1 win 0").write(5000).expect()
	s.at(1199).expect().at(1200).expect(". 1:2(1) ack 1")
	s.recv(". 1:1(0) ack 1 win 0").at(1600).expect(". 1:2(1) ack 1")
	for i := 0; i < 500; i++ {
		s.at(s.tcb.Deadline() / ms).quiet().recv(". 1:1(0) ack 1 win 0")
	}
	s.state(Established)
	s.recv(". 1:1(0) ack 1 win 5000").expect(". 1:2(1) ack 1", ". 2:1002(1000) ack 1", ". 1002:2002(1000) ack 1",
		". 2002:3002(1000) ack 1", ". 3002:4002(1000) ack 1", "P. 4002:5001(999) ack 1")
}

// req: MUST-38 MUST-60
func TestSenderSWS(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.recv(". 1:1(0) ack 1 win 10").write(5000).expect()
	s.at(1200).expect(". 1:11(10) ack 1") // the override
	if s.out.Cause != CauseOverride {
		t.Errorf("cause %v", s.out.Cause)
	}
	s.recv(". 1:1(0) ack 11 win 0").quiet().at(1400).expect(". 11:12(1) ack 1")
	if s.out.Cause != CauseProbe {
		t.Errorf("cause %v", s.out.Cause)
	}
}

// A peer that keeps talking must not put the override off for ever.
// req: SWS-01
func TestOverrideAmongAcks(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.recv(". 1:1(0) ack 1 win 10").write(5000).expect()
	for i := range Time(199) {
		s.at(1000 + i).recv(". 1:1(0) ack 1 win 10").expect()
	}
	s.at(1200).expect(". 1:11(10) ack 1")
}

// req: MUST-39 SWS-02 SWS-03 ST-ES16
func TestReceiverSWS(t *testing.T) {
	s := established(t, Options{RcvBuf: 4000}, sackPeer)
	s.recv(". 1:4001(4000) ack 1").expect(". 1:1(0) ack 4001")
	if s.out.Window != 0 {
		t.Fatalf("window %d, want 0", s.out.Window)
	}
	s.read(100).expect().read(1000).expect().read(1000).expect(". 1:1(0) ack 4001")
	if s.out.Window != 2100 {
		t.Errorf("window %d, want 2100", s.out.Window)
	}
}

// req: MUST-17 896-01 896-04 SHLD-7 SHLD-27 MAY-16 MUST-61 896-02
func TestNagle(t *testing.T) {
	s := established(t, Options{Nagle: NagleClassic}, sackPeer)
	s.write(10).expect("P. 1:11(10) ack 1").write(10).expect().write(1000).expect(". 11:1011(1000) ack 1")
	s.recv(". 1:1(0) ack 1011").expect("P. 1011:1021(10) ack 1")

	s = established(t, Options{Nagle: NagleMinshall}, sackPeer)
	s.write(1500).expect(". 1:1001(1000) ack 1", "P. 1001:1501(500) ack 1")
	s.write(500).expect().recv(". 1:1(0) ack 1501").expect("P. 1501:2001(500) ack 1")

	s = established(t, Options{}, sackPeer)
	s.write(1).expect("P. 1:2(1) ack 1").write(1).expect("P. 2:3(1) ack 1")
}

// req: ST-ES17 ST-F11 ST-F23 ST-TW3 ST-TW6 MUST-13 U-12 U-16
func TestActiveClose(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.tcb.Write(s.now, pattern(1, 1500))
	s.tcb.CloseWrite(s.now)
	s.flush()
	s.expect(". 1:1001(1000) ack 1", "FP. 1001:1501(500) ack 1").state(FinWait1)
	s.recv(". 1:1(0) ack 1502").state(FinWait2)
	s.recv("F. 1:1(0) ack 1502").expect(". 1502:1502(0) ack 2").state(TimeWaiting)
	s.at(50_000).recv("F. 1:1(0) ack 1502").expect(". 1502:1502(0) ack 2")
	s.at(109_999).state(TimeWaiting).at(110_000).state(Closed)
}

// req: ST-F13 ST-F14 ST-CG1
func TestSimultaneousClose(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.tcb.CloseWrite(s.now)
	s.flush()
	s.expect("F. 1:1(0) ack 1")
	s.recv("F. 1:1(0) ack 1").expect(". 2:2(0) ack 2").state(Closing)
	s.recv(". 2:2(0) ack 2").state(TimeWaiting)
}

// req: ST-ES14 ST-CW5 ST-LA1 ST-CW3
func TestPassiveClose(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.recv("F. 1:11(10) ack 1").expect(". 1:1(0) ack 12").state(CloseWait)
	s.write(10).expect("P. 1:11(10) ack 12")
	s.tcb.Read(s.now, make([]byte, 10))
	s.tcb.Close(s.now)
	s.flush()
	s.expect("F. 11:11(0) ack 12").state(LastAck)
	s.recv(". 12:12(0) ack 12").state(Closed)
	if s.tcb.Err() != nil {
		t.Error(s.tcb.Err())
	}
}

// req: 5961-01 5961-02 5961-03 5961-05 7323-15
func TestBlindAttacks(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.recv("R 100000:100000(0)").expect().dropped(DropResetOutside)
	s.recv("R 2:2(0)").expect(". 1:1(0) ack 1").dropped(DropResetChallenge)
	s.recv("S 1:1(0)").expect(". 1:1(0) ack 1").dropped(DropSYN)
	s.recv(". 1:1(0) ack 1000").expect(". 1:1(0) ack 1").dropped(DropBadACK)
	s.state(Established).recv("R 1:1(0)").expect().state(Closed)
	if s.tcb.Err() != ErrReset {
		t.Error(s.tcb.Err())
	}
}

// req: 5961-07 U-18
func TestChallengeRate(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	for range 100 {
		s.recv("S 1:1(0)")
	}
	if len(s.sent) != challengeMost {
		t.Errorf("%d challenge ACKs to 100 SYNs", len(s.sent))
	}
}

// req: SHLD-3 ST-ES18 ST-F15 MX-rF2
func TestCloseWithUnreadData(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.recv(". 1:11(10) ack 1")
	s.tcb.Close(s.now)
	s.flush()
	s.expect("R. 1:1(0) ack 11").state(Closed)

	s = established(t, Options{}, sackPeer)
	s.tcb.Close(s.now)
	s.flush()
	s.expect("F. 1:1(0) ack 1").recv(". 1:1(0) ack 2").state(FinWait2)
	s.recv(". 1:11(10) ack 2").expect("R. 2:2(0) ack 1").state(Closed)
}

// req: ST-F25
func TestOrphanInFinWait2(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.tcb.Close(s.now)
	s.flush()
	s.recv(". 1:1(0) ack 2").state(FinWait2).at(61_000).state(Closed)
}

// req: 7323-14 7323-09 7323-12
func TestPAWS(t *testing.T) {
	s := established(t, Options{}, tcpseg.Options{HasTimestamps: true, TSVal: 100})
	s.recv(". 1:11(10) ack 1 TS val 200 ecr 0").dropped(DropNone)
	s.recv(". 11:21(10) ack 1 TS val 201 ecr 0").dropped(DropNone)
	s.recv(". 21:31(10) ack 1").dropped(DropNoTimestamp)
	s.recv(". 21:31(10) ack 1 TS val 199 ecr 0").dropped(DropPAWS)
	if s.tcb.ts.recent != 200 {
		t.Errorf("TS.Recent %d: a delayed ACK echoes the oldest", s.tcb.ts.recent)
	}
}

// req: MUST-24 MUST-25 MUST-26 MUST-29 SHLD-12 MAY-5
func TestKeepAlive(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.at(24 * 3600 * 1000).expect()
	s = established(t, Options{KeepAlive: true, KeepAliveIdle: 10 * time.Second, KeepAliveInterval: time.Second, KeepAliveCount: 3}, sackPeer)
	s.at(10_999).expect().at(11_000).expect(". 0:0(0) ack 1").at(12_000).expect(". 0:0(0) ack 1")
	s.recv(". 1:1(0) ack 1").at(21_999).expect().at(24_999).quiet().state(Established).at(25_000).state(Closed)
}

// req: 1337-01 1337-03 6191-01 6191-02 6191-04 ST-TW2 ST-TW9 SHLD-4 P-2 P-9
func TestTimeWaitRecord(t *testing.T) {
	everyVariant(t, func(t *testing.T, v pktVariant) {
		s := v.established(t, Options{}, tcpseg.Options{HasTimestamps: true, TSVal: 100})
		s.tcb.CloseWrite(s.now)
		s.flush()
		s.recv("F. 1:1(0) ack 2 TS val 100 ecr 0").quiet().state(TimeWaiting)
		w, ok := s.tcb.TimeWait()
		if !ok {
			t.Fatal("no record")
		}
		for _, c := range []struct {
			seg   string
			reply Cause
			reuse bool
		}{
			{"R 2:2(0)", CauseNone, false},
			{". 2:2(0) ack 2 TS val 100 ecr 0", CauseNone, false},
			{"S 1:1(0) TS val 101 ecr 0", CauseNone, true},
			{"S 1:1(0) TS val 100 ecr 0", CauseChallenge, false},
			{"S 9:9(0) TS val 100 ecr 0", CauseNone, true},
			{"S 9:9(0)", CauseNone, true},
			{"S 9:9(0) TS val 99 ecr 0", CauseChallenge, false},
			{". 2:12(10) ack 2 TS val 100 ecr 0", CauseReply, false},
			{"F. 1:1(0) ack 2 TS val 100 ecr 0", CauseReply, false},
		} {
			seg := s.parse(c.seg)
			if r := w.Input(s.now, &seg); r.Reply != c.reply || r.Reuse != c.reuse {
				t.Errorf("%s: %+v", c.seg, r)
			}
		}
	})
}

// Old connection without timestamps, new SYN with one.
// req: 6191-03
func TestTimeWaitWithoutTimestamps(t *testing.T) {
	everyVariant(t, func(t *testing.T, v pktVariant) {
		s := v.established(t, Options{}, sackPeer)
		s.tcb.CloseWrite(s.now)
		s.flush()
		s.recv("F. 1:1(0) ack 2").quiet().state(TimeWaiting)
		w, _ := s.tcb.TimeWait()
		for seg, reuse := range map[string]bool{"S 1:1(0) TS val 5 ecr 0": true, "S 1:1(0)": false, "S 2:2(0)": true} {
			seg := s.parse(seg)
			if r := w.Input(s.now, &seg); r.Reuse != reuse {
				t.Errorf("%+v: %+v", seg.Header, r)
			}
		}
	})
}

// Our window is not shut in SYN-RECEIVED: text for which there is no room begins at its edge.
// req: MX-oSR
func TestHalfOpenBehindTheWindow(t *testing.T) {
	everyVariant(t, func(t *testing.T, v pktVariant) {
		s, c := v.script(t), v.config(Options{})
		syn := s.parse("S 0:0(0) mss 1000")
		h := Passive(s.now, &c, &syn, v.iss, 0)
		h.Output(s.now, &s.out)
		text := s.parse(". " + span(1+int(s.out.Window), 1) + " ack 1")
		if r, d := h.Input(s.now, &text); r != HalfOpenReply || d != DropSequence {
			t.Errorf("text at the edge: %v, %v", r, d)
		}
		if !h.Output(s.now, &s.out) || s.format() != ". 1:1(0) ack 1" {
			t.Errorf("it is answered by %s", s.format())
		}
	})
}

// A connection that is gone does not exist for its user.
// req: ST-CL5
func TestCallsOnClosed(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.tcb.Abort(s.now)
	s.flush()
	s.expect("R. 1:1(0) ack 1").state(Closed)
	if s.tcb.WriteErr() == nil || s.tcb.ReadErr() == nil || s.tcb.Err() == nil {
		t.Errorf("SEND %v, RECEIVE %v, STATUS %v", s.tcb.WriteErr(), s.tcb.ReadErr(), s.tcb.Err())
	}
	if n := s.tcb.Write(s.now, []byte("x")); n != 0 {
		t.Errorf("%d octets were taken", n)
	}
	s.tcb.Close(s.now)
	s.tcb.Abort(s.now)
	s.flush()
	s.expect().state(Closed)
}

// req: ST-SR1 ST-SR3 ST-SR5 ST-SR8 ST-SR9 ST-SR10 4987-06 ST-SR2 ST-SR15 P-5 MX-bSR MX-cSR MX-dSR MX-eSR MX-fSR
// MX-hSR MX-iSR MX-kSR
func TestHalfOpen(t *testing.T) {
	everyVariant(t, func(t *testing.T, v pktVariant) {
		if n := unsafe.Sizeof(HalfOpen{}); n > 256 {
			t.Errorf("HalfOpen takes %d octets", n)
		}
		s, c := v.script(t), v.config(Options{})
		syn := s.parse("S 0:0(0) mss 1000 sackOK TS val 7 ecr 0 wscale 2")
		fresh := func() HalfOpen {
			h := Passive(s.now, &c, &syn, v.iss, 0)
			if !h.Output(s.now, &s.out) || s.format() != "S. 0:0(0) ack 1" || s.out.Options.TSEcr != 7 {
				t.Fatalf("%s %+v", s.format(), s.out.Options)
			}
			return h
		}
		for _, tc := range []struct {
			seg    string
			result HalfOpenResult
			out    string
		}{
			{"S 0:0(0) mss 1000 TS val 7 ecr 0", HalfOpenReply, "S. 0:0(0) ack 1"},
			{"R 1:1(0)", HalfOpenDead, ""},
			{"R 5:5(0)", HalfOpenReply, ". 1:1(0) ack 1"},
			{"R 100000:100000(0)", HalfOpenDrop, ""},
			{"S 5:5(0) TS val 8 ecr 0", HalfOpenReply, ". 1:1(0) ack 1"},
			{"F 1:1(0) TS val 8 ecr 0", HalfOpenDrop, ""},
			{". 1:1(0) ack 2 TS val 8 ecr 0", HalfOpenReply, "R 2:2(0)"},
			{". 1:1(0) ack 0 TS val 8 ecr 0", HalfOpenReply, "R 0:0(0)"},
			{". 1:1(0) ack 1", HalfOpenDrop, ""},
			{". 1:1(0) ack 1 TS val 8 ecr 0", HalfOpenComplete, ""},
			{"F. 1:11(10) ack 1 TS val 8 ecr 0", HalfOpenComplete, ""},
		} {
			h := fresh()
			seg := s.parse(tc.seg)
			r, _ := h.Input(s.now, &seg)
			out := ""
			if h.Output(s.now, &s.out) {
				out = s.format()
			}
			if r != tc.result || out != tc.out {
				t.Errorf("%s: result %d %q, want %d %q", tc.seg, r, out, tc.result, tc.out)
			}
		}
		h := fresh()
		n := 0
		for h.Expire(h.Deadline()) {
			if !h.Output(s.now, &s.out) {
				t.Fatal("nothing to resend")
			}
			n++
		}
		if n != maxSynAcks {
			t.Errorf("%d retransmissions of SYN,ACK", n)
		}
	})
}

// req: TSO-11 TSO-14 TSO-15 TSO-16 6928-04 P-6
func TestSuperSegments(t *testing.T) {
	s := established(t, Options{InitialWindow: 25}, sackPeer)
	s.out.Limit = 60000
	s.write(24500).expect("P. 1:24501(24500) ack 1 gso 1000")
	s.at(1010).recv(". 1:1(0) ack 1 sack 3001:7001").expect(". 1:2001(2000) ack 1 gso 1000") // the middle of it
	if got := s.tcb.runs.sacked; got != 4000 {
		t.Errorf("%d octets sacked", got)
	}
	s.recv(". 1:1(0) ack 3001 sack 3001:7001").expect().recv(". 1:1(0) ack 24501").expect()
}

// req: SHLD-11 U-13 MUST-21 ST-ES21
func TestUserTimeout(t *testing.T) {
	s := established(t, Options{UserTimeout: 10 * time.Second}, sackPeer)
	s.write(10).at(10_999).state(Established).at(11_000).state(Closed)
	if s.tcb.Err() != ErrTimeout {
		t.Error(s.tcb.Err())
	}
}

func span(from, n int) string { return fmt.Sprintf("%d:%d(%d)", from, from+n, n) }

// req: SHLD-14 SWS-03
func TestWindowUpdateMovesTheEdge(t *testing.T) {
	s := established(t, Options{}, sackPeer) // no window scale: the field ends at 65535
	s.recv(". 1:4001(4000) ack 1").expect(". 1:1(0) ack 4001").read(4000).expect()
}

// req: 6298-06 MUST-18
func TestKarn(t *testing.T) {
	s := established(t, Options{}, tcpseg.Options{})
	s.write(3000).quiet().at(1200).expect(". 1:1001(1000) ack 1").at(1250)
	srtt := s.tcb.rtt.srtt
	s.recv(". 1:1(0) ack 3001") // what waited behind the hole was sent once, 250 ms ago
	if s.tcb.rtt.srtt != srtt {
		t.Errorf("sample taken from an ACK of a retransmission: srtt %v", s.tcb.rtt.srtt)
	}
}

// A steady round trip longer than the floor still leaves room for a delayed ACK.
// req: 6298-04 6298-14
func TestSteadyRoundTrip(t *testing.T) {
	r := rtt{rto: initialRTO}
	for i := range Time(1000) {
		r.sample(i*300*ms, 300*ms, 1, defaultMinRTO)
	}
	if got := r.timeout(); got < 480*ms {
		t.Errorf("RTO %v on a round trip of 300 ms", time.Duration(got))
	}
}

// With timestamps the copy is known: the RTO comes down from its backoff while losses go on.
// req: 6298-06 7323-13
func TestTimestampsTellCopiesApart(t *testing.T) {
	s := established(t, Options{}, tcpseg.Options{HasTimestamps: true, TSVal: 1})
	s.write(900).quiet().at(5000).quiet()
	if s.tcb.rtt.backoff < 3 {
		t.Fatalf("backoff %d", s.tcb.rtt.backoff)
	}
	s.now = s.tcb.Deadline()
	s.tcb.Expire(s.now)
	s.flush()
	echo := int(s.out.Options.TSVal)
	s.now += 20 * ms
	s.recv(fmt.Sprintf(". 1:1(0) ack 901 TS val 2 ecr %d", echo-1)) // a late answer to an earlier copy
	if s.tcb.rtt.backoff == 0 {
		t.Error("an earlier copy gave a sample")
	}
	s.write(900).quiet()
	s.now = s.tcb.Deadline()
	s.tcb.Expire(s.now)
	s.flush()
	echo = int(s.out.Options.TSVal)
	s.now += 20 * ms
	s.recv(fmt.Sprintf(". 1:1(0) ack 1801 TS val 3 ecr %d", echo))
	if s.tcb.rtt.backoff != 0 {
		t.Error("the echo of the last copy gave no sample")
	}
}

// Another controller goes on from the window of the one before, in the midst of a recovery as well.
// req: MAY-18
func TestSetController(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.write(30_000).quiet().at(1010).recv(". 1:1(0) ack 10001").quiet()
	s.at(1020).recv(". 1:1(0) ack 10001 sack 11001:20001").quiet()
	cwnd, ssthresh := s.tcb.cc.Window(), s.tcb.cc.SSThresh()
	s.tcb.SetController(cc.NewReno)
	var snap Snapshot
	s.tcb.Snapshot(&snap)
	if snap.CC != "reno" || snap.Phase != FastRecovery || s.tcb.cc.Window() != cwnd || snap.SSThresh != ssthresh {
		t.Errorf("%s with a window of %d and threshold %d, after %d and %d", snap.CC, s.tcb.cc.Window(), snap.SSThresh, cwnd, ssthresh)
	}
	s.at(1030).recv(". 1:1(0) ack 30001").quiet()
	s.tcb.SetController(nil)
	if s.tcb.Snapshot(&snap); snap.CC != "cubic" || snap.Phase != CongestionAvoidance || s.tcb.cc.Window() != cwnd {
		t.Errorf("%s in %v with a window of %d, after %d", snap.CC, snap.Phase, s.tcb.cc.Window(), cwnd)
	}
	if s.write(30_000).quiet(); s.tcb.inFlight() != s.tcb.window()/1000*1000 {
		t.Errorf("%d in flight with a window of %d", s.tcb.inFlight(), cwnd)
	}
}
