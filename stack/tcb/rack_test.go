package tcb

import (
	"fmt"
	"testing"

	"ustack/stack/cc"
	"ustack/tcpseg"
)

// Two segments beyond a hole are not proof enough: the hole is lost when the reordering window is over.
// req: 8985-07 8985-09 8985-12 2018-09 8985-02
func TestReorderingTimer(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.write(3000).quiet().at(1010).recv(". 1:1(0) ack 1 sack 1001:2001").expect()
	if s.tcb.timers[early] != 1012*ms+ms/2 { // 10 ms after it was sent, and a quarter of the smallest round trip
		t.Errorf("reordering timer at %v", s.tcb.timers[early])
	}
	s.at(1012).expect().at(1013).expect(". 1:1001(1000) ack 1")
	if c := s.tcb.cc.Window(); c >= 10000 {
		t.Errorf("cwnd %d after a loss", c)
	}
}

// Three segments beyond a hole are.
// req: 8985-07 6675-03 5681-10
func TestDupThresh(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.write(5000).quiet().at(1010)
	s.recv(". 1:1(0) ack 1 sack 1001:2001").recv(". 1:1(0) ack 1 sack 1001:3001").expect()
	s.recv(". 1:1(0) ack 1 sack 1001:4001").expect(". 1:1001(1000) ack 1")
}

// A segment that is only late is not sent again, and from then on three segments beyond a hole are no proof.
// req: 8985-06 8985-07
func TestReorderingSeen(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.write(3000).quiet().at(1010).recv(". 1:1(0) ack 1 sack 1001:2001").at(1011).recv(". 1:1(0) ack 2001").expect()
	if !s.tcb.loss.rack.reordered {
		t.Fatal("reordering not noticed")
	}
	s.at(1012).recv(". 1:1(0) ack 3001").write(6000).quiet().at(1022)
	s.recv(". 1:1(0) ack 3001 sack 4001:8001").expect().at(1024).expect().at(1025).expect(". 3001:4001(1000) ack 1")
}

// A retransmission that is lost in turn is found without a time-out.
// req: 8985-03 8985-09 9937-03
func TestLostRetransmission(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.write(13000).quiet().at(1010)
	s.recv(". 1:1(0) ack 1 sack 1001:5001").expect(". 1:1001(1000) ack 1", ". 10001:11001(1000) ack 1")
	cwnd := s.tcb.cc.Window()
	s.at(1021).recv(". 1:1(0) ack 1 sack 1001:11001")
	if len(s.sent) == 0 || s.sent[0] != ". 1:1001(1000) ack 1" {
		t.Fatalf("sent %q", s.sent)
	}
	if s.tcb.lossCounters().rtos != 0 || s.tcb.cc.Window() != cwnd {
		t.Errorf("%d time-outs, cwnd %d, before %d", s.tcb.lossCounters().rtos, s.tcb.cc.Window(), cwnd)
	}
}

// A copy that cannot have arrived yet does not count as delivered: the first one was late.
// req: 8985-04
func TestEarlyAckOfARetransmission(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.write(10000).quiet().at(1010).recv(". 1:1(0) ack 1 sack 1001:4001").quiet()
	s.at(1011).recv(". 1:1(0) ack 1001 sack 1001:4001") // one millisecond after it was sent again
	if r := s.tcb.loss.rack; r.sent != 1000*ms {
		t.Errorf("RACK.xmit_ts %d ms", r.sent/ms)
	}
}

// D-SACKs teach patience: once in a round trip, and for sixteen recoveries.
// req: 8985-08
func TestPatience(t *testing.T) {
	r := rack{mult: 1}
	for range 3 {
		r.duplicated(100, 200)
	}
	if r.mult != 2 {
		t.Errorf("factor %d after three D-SACKs in a round trip", r.mult)
	}
	r.duplicated(200, 300)
	if r.mult != 3 {
		t.Errorf("factor %d in the next", r.mult)
	}
	for range reoPersist - 1 {
		r.recovered()
	}
	if r.mult != 3 {
		t.Error("forgotten too soon")
	}
	if r.recovered(); r.mult != 1 {
		t.Error("never forgotten")
	}
}

// req: 8985-05
func TestMinRTTWindow(t *testing.T) {
	var r rtt
	now := Time(0)
	for range 300 {
		now += 1000 * ms
		r.sample(now, 10*ms, 1, 0)
	}
	if r.min != 10*ms {
		t.Fatalf("minimum %v", r.min)
	}
	for range 239 {
		now += 1000 * ms
		r.sample(now, 50*ms, 1, 0)
	}
	for range 2 * minWindow * 18 {
		now += 1000 * ms
		r.sample(now, 50*ms, 1, 0)
	}
	if r.min < 50*ms || r.min > 52*ms {
		t.Errorf("minimum %d µs on a path that has become longer", r.min/1000)
	}
}

// At a time-out only what is old is held for lost.
// req: 8985-10
func TestTimeOutSparesTheFresh(t *testing.T) {
	s := established(t, Options{NoTLP: true}, sackPeer)
	s.write(3000).quiet().at(1195).write(1000).quiet().at(1200)
	if l := s.tcb.runs.lost; l != 2000 { // one of three has been sent again
		t.Errorf("%d octets held for lost", l)
	}
}

// Without SACK there is no RACK.
// req: 8985-01
func TestNoRackWithoutSACK(t *testing.T) {
	s := established(t, Options{}, tcpseg.Options{})
	s.write(5000).quiet().at(1010).recv(". 1:1(0) ack 1").recv(". 1:1(0) ack 1").expect().at(1199).expect()
	s.at(1200).expect(". 1:1001(1000) ack 1")
}

// With RACK switched off, RFC 6675 finds the loss and sends the last segment again, and no probe goes.
// req: 6675-01
func TestNoRack(t *testing.T) {
	s := established(t, Options{NoRACK: true}, sackPeer)
	s.write(5000).quiet().at(1010).recv(". 1:1(0) ack 1 sack 1001:2001").expect().at(1199).expect()
	s.recv(". 1:1(0) ack 1 sack 1001:4001").expect(". 1:1001(1000) ack 1", "P. 4001:5001(1000) ack 1")
}

// req: 8985-13 8985-14 8985-16 8985-18
func TestTailProbe(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.write(10000).quiet() // cwnd is full
	s.at(1019).expect().at(1020).expect("P. 9001:10001(1000) ack 1")
	if s.out.Cause != CauseTailProbe || s.tcb.pipe() != 10000 {
		t.Errorf("cause %v, pipe %d", s.out.Cause, s.tcb.pipe())
	}
	s.at(1219).expect().at(1220).expect(". 1:1001(1000) ack 1") // an RTO after the probe, no second one
	if s.tcb.lossCounters().rtos != 1 {
		t.Errorf("%d time-outs", s.tcb.lossCounters().rtos)
	}
}

// A lone segment may wait for a delayed ACK; the probe is never later than the time-out, and takes its place.
// req: 8985-14 5681-02
func TestTailProbeOfOneSegment(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.write(100).quiet().at(1199).expect().at(1200).expect("P. 1:101(100) ack 1")
	if s.tcb.lossCounters().rtos != 0 || s.tcb.cc.Window() != 10000 {
		t.Errorf("%d time-outs, cwnd %d", s.tcb.lossCounters().rtos, s.tcb.cc.Window())
	}
}

// New data is the better probe.
// req: 8985-15 8985-18
func TestTailProbeOfNewData(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.write(10500).quiet().at(1020).expect("P. 10001:10501(500) ack 1")
	if s.out.Cause != CauseTailNew || s.out.Cause.Resends() {
		t.Errorf("cause %v", s.out.Cause)
	}
	s.at(1025).recv(". 1:1(0) ack 10501").expect()
	if s.tcb.cc.Window() < 10000 {
		t.Errorf("cwnd %d", s.tcb.cc.Window())
	}
}

// req: 8985-13
func TestNoTailProbeWithSACK(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.write(4000).quiet().at(1010).recv(". 1:1(0) ack 1001 sack 2001:3001")
	if !s.tcb.rec.reordering {
		t.Error("no reordering timer beside a hole")
	}
}

// What the ACK of a probe tells of the tail.
// req: 8985-17
func TestFateOfATailProbe(t *testing.T) {
	for _, c := range []struct {
		name string
		acks []string
		cut  bool
	}{
		{"both came, D-SACK", []string{". 1:1(0) ack 3001", ". 1:1(0) ack 3001 sack 2001:3001", ". 1:1(0) ack 4001"}, false},
		{"both came, duplicate ACK", []string{". 1:1(0) ack 3001", ". 1:1(0) ack 3001", ". 1:1(0) ack 4001"}, false},
		{"the probe filled the hole", []string{". 1:1(0) ack 3001", ". 1:1(0) ack 4001"}, true},
	} {
		s := established(t, Options{}, sackPeer)
		s.write(3000).quiet().at(1020).expect("P. 2001:3001(1000) ack 1")
		cwnd := s.tcb.cc.Window()
		for i, ack := range c.acks {
			if i == len(c.acks)-1 {
				s.write(1000)
			}
			s.at(s.now/ms + 5).recv(ack)
		}
		if cut := s.tcb.cc.Window() < cwnd; cut != c.cut {
			t.Errorf("%s: cwnd %d after %d", c.name, s.tcb.cc.Window(), cwnd)
		}
	}
}

// The recovery sends what each ACK lets out, so that cwnd halves evenly.
// req: 9937-01 9937-02 9937-03 9937-06 9937-08 6675-05
func TestProportionalRate(t *testing.T) {
	s := established(t, Options{InitialWindow: 100, CC: cc.NewReno},
		tcpseg.Options{SACKPermitted: true, HasScale: true, Scale: 4})
	s.recv(". 1:1(0) ack 1 win 65535").write(60_000).quiet().at(1010)
	s.recv(". 1:1(0) ack 1 sack 1001:4001").expect(". 1:1001(1000) ack 1") // 3 of 60 delivered: 2 may go at a half, one has room
	s.write(40_000).quiet()
	sent := 0
	for i := range 56 {
		s.at(1011).recv(fmt.Sprintf(". 1:1(0) ack 1 sack 1001:%d", 5001+i*1000))
		sent += len(s.sent)
		if i == 9 {
			s.recv(". 1:1(0) ack 1 win 60000") // a window update delivers nothing
			s.recv(". 1:1(0) ack 1 win 65535")
		}
		s.quiet()
	}
	if w := s.tcb.cc.Window(); w != 30_000 {
		t.Fatalf("ssthresh %d", w)
	}
	if sent < 26 || sent > 31 {
		t.Errorf("%d segments sent for 56 delivered", sent)
	}
}

// An ECN-less spurious recovery is taken back: by the timestamp that the ACK echoes.
// req: 9438-10 OPT-1 7323-19
func TestEifel(t *testing.T) {
	s := established(t, Options{}, tcpseg.Options{SACKPermitted: true, HasTimestamps: true, TSVal: 1})
	s.write(9880).quiet()
	stamp := int(s.out.Options.TSVal)
	cwnd := s.tcb.cc.Window()
	s.at(1010).recv(fmt.Sprintf(". 1:1(0) ack 1 sack 989:3953 TS val 2 ecr %d", stamp)).quiet()
	if s.tcb.rec.phase != fastPhase || s.tcb.cc.Window() >= cwnd {
		t.Fatalf("phase %v, cwnd %d", s.tcb.rec.phase, s.tcb.cc.Window())
	}
	s.at(1012).recv(fmt.Sprintf(". 1:1(0) ack 3953 TS val 3 ecr %d", stamp)) // the late original filled the hole
	if s.tcb.rec.phase != open || s.tcb.cc.Window() < cwnd || s.tcb.lossCounters().undos != 1 {
		t.Errorf("phase %v, cwnd %d, before %d", s.tcb.rec.phase, s.tcb.cc.Window(), cwnd)
	}
}

// The same for a time-out on a path that stood still for a while: nothing more is sent again.
// req: OPT-1 6298-11
func TestEifelAfterTimeOut(t *testing.T) {
	s := established(t, Options{NoTLP: true}, tcpseg.Options{SACKPermitted: true, HasTimestamps: true, TSVal: 1})
	s.write(9880).quiet()
	stamp := int(s.out.Options.TSVal)
	cwnd := s.tcb.cc.Window()
	s.at(1200).expect(". 1:989(988) ack 1")
	s.at(1300).recv(fmt.Sprintf(". 1:1(0) ack 989 TS val 3 ecr %d", stamp)).expect()
	if s.tcb.rec.phase != open || s.tcb.cc.Window() < cwnd || s.tcb.runs.lost != 0 {
		t.Errorf("phase %v, cwnd %d, before %d, lost %d", s.tcb.rec.phase, s.tcb.cc.Window(), cwnd, s.tcb.runs.lost)
	}
	if s.tcb.rtt.timeout() < 240*ms {
		t.Errorf("RTO %d ms: nothing learnt", s.tcb.rtt.timeout()/ms)
	}
}

// A copy that did fill the hole echoes its own time: the reduction stands.
func TestNoUndo(t *testing.T) {
	s := established(t, Options{}, tcpseg.Options{SACKPermitted: true, HasTimestamps: true, TSVal: 1})
	s.write(9880).quiet()
	stamp := int(s.out.Options.TSVal)
	s.at(1010).recv(fmt.Sprintf(". 1:1(0) ack 1 sack 989:3953 TS val 2 ecr %d", stamp)).quiet()
	s.at(1020).recv(fmt.Sprintf(". 1:1(0) ack 3953 TS val 3 ecr %d", stamp+10))
	if s.tcb.lossCounters().undos != 0 {
		t.Error("taken back")
	}
}

// Without timestamps, a D-SACK for everything that was sent again takes the reduction back.
// req: 2883-04 9438-10
func TestUndoByDSACK(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.write(10000).quiet()
	cwnd := s.tcb.cc.Window()
	s.at(1010).recv(". 1:1(0) ack 1 sack 1001:4001").quiet()
	s.at(1012).recv(". 1:1(0) ack 4001").quiet()
	sacked := s.tcb.runs.sacked
	s.at(1014).recv(". 1:1(0) ack 4001 sack 1:1001")
	if s.tcb.runs.sacked != sacked {
		t.Error("a D-SACK is no scoreboard data")
	}
	if s.tcb.cc.Window() < cwnd || s.tcb.lossCounters().undos != 1 {
		t.Errorf("cwnd %d, before %d", s.tcb.cc.Window(), cwnd)
	}
}

// F-RTO: after the first ACK new data goes, and a second ACK of old data proves that nothing was lost.
// req: OPT-1
func TestForwardRTO(t *testing.T) {
	s := established(t, Options{NoTLP: true}, sackPeer)
	s.write(13000).quiet()
	cwnd := s.tcb.cc.Window()
	s.at(1200).expect(". 1:1001(1000) ack 1")
	s.at(1250).recv(". 1:1(0) ack 1001").expect(". 10001:11001(1000) ack 1", ". 11001:12001(1000) ack 1")
	s.recv(". 1:1(0) ack 2001")
	if s.tcb.rec.phase != open || s.tcb.cc.Window() < cwnd || s.tcb.runs.lost != 0 {
		t.Errorf("phase %v, cwnd %d, before %d, lost %d", s.tcb.rec.phase, s.tcb.cc.Window(), cwnd, s.tcb.runs.lost)
	}

	s = established(t, Options{NoTLP: true}, sackPeer)
	s.write(13000).quiet().at(1200).quiet().at(1250).recv(". 1:1(0) ack 1001").quiet()
	s.at(1260).recv(". 1:1(0) ack 1001 sack 10001:11001") // the old data did not come
	if len(s.sent) == 0 || s.sent[0] != ". 1001:2001(1000) ack 1" {
		t.Errorf("sent %q", s.sent)
	}
}

// req: 2883-01 2883-02
func TestDuplicateData(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.recv(". 1:2001(2000) ack 1 gso 1000").quiet()
	s.recv(". 1:1001(1000) ack 1").expect(". 1:1(0) ack 2001 sack 1:1001").dropped(DropDuplicate)
	s.recv(". 2001:4001(2000) ack 1 gso 1000").expect(". 1:1(0) ack 4001")
	s.recv(". 3001:6001(3000) ack 1 gso 1000").expect(". 1:1(0) ack 6001 sack 3001:4001") // in part
}

// req: 2883-03
func TestDuplicateBeyondAHole(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.recv(". 1001:3001(2000) ack 1").quiet()
	s.recv(". 2001:3001(1000) ack 1").expect(". 1:1(0) ack 1 sack 2001:3001 1001:3001")
	s.recv(". 4001:5001(1000) ack 1").expect(". 1:1(0) ack 1 sack 4001:5001 1001:3001")
}

// A D-SACK goes once: never with a super-segment, which repeats its options.
// req: 2883-01 TSO-06
func TestDuplicateIsToldOnce(t *testing.T) {
	s := established(t, Options{NoQuickACK: true}, sackPeer)
	s.out.Limit = 60000
	s.recv(". 1:1001(1000) ack 1").in(". 1:1001(1000) ack 1")
	s.write(5000).expect(". 1:989(988) ack 1001 sack 1:1001", "P. 989:5001(4012) ack 1001 gso 1000")
}

// Where nothing takes any time, as in a test, what is sent again is not held for lost again in the same moment.
func TestNoStormWithoutTime(t *testing.T) {
	s := established(t, Options{}, sackPeer)
	s.write(13_000).quiet()
	s.recv(". 1:1(0) ack 1 sack 1001:5001").at(1001).quiet()
	s.recv(". 1:1(0) ack 1 sack 1001:11001").quiet()
	for range 10 {
		s.recv(". 1:1(0) ack 1 sack 1001:11001").expect()
	}
}

// A recovery that the peer's window has run dry does not end with all of cwnd at once.
// req: 6582-05
func TestRampAfterRecovery(t *testing.T) {
	s := established(t, Options{NoTLP: true}, sackPeer)
	for now := Time(1010); s.tcb.cc.Window() < 50_000; now += 10 {
		s.write(s.tcb.cc.Window() + 5000).quiet().at(now)
		s.recv(fmt.Sprintf(". 1:1(0) ack %d", s.tcb.snd.nxt.Sub(testISS))).quiet()
	}
	s.write(100_000).quiet()
	una, nxt := s.tcb.snd.una.Sub(testISS), s.tcb.snd.nxt.Sub(testISS)
	s.at(s.now/ms + 10).recv(fmt.Sprintf(". 1:1(0) ack %d win %d sack %d:%d", una, nxt-una, una+1000, nxt))
	s.expect(fmt.Sprintf(". %s ack 1", span(una, 1000)))
	s.at(s.now/ms + 10).recv(fmt.Sprintf(". 1:1(0) ack %d", nxt))
	if n := len(s.sent); n != rampBurst || s.tcb.cc.Window() < 30_000 {
		t.Errorf("%d segments were sent at the end of recovery, with a cwnd of %d", n, s.tcb.cc.Window())
	}
	// From there it is slow start, up to cwnd.
	s.quiet().at(s.now/ms + 10).recv(fmt.Sprintf(". 1:1(0) ack %d", nxt+10_000))
	if n := len(s.sent); n != 2*rampBurst {
		t.Errorf("then %d", n)
	}
	s.quiet().at(s.now/ms + 10).recv(fmt.Sprintf(". 1:1(0) ack %d", nxt+30_000))
	if got, want := s.tcb.inFlight(), s.tcb.cc.Window()/1000*1000; got != want {
		t.Errorf("then %d octets are in flight, with a cwnd of %d", got, s.tcb.cc.Window())
	}
}

// Without SACK a partial ACK deflates by what it covers, less one segment if it covers one.
// req: 6582-02
func TestPartialACKDeflates(t *testing.T) {
	for _, c := range []struct{ acked, left int32 }{{500, 5500}, {1000, 6000}, {3000, 4000}} {
		s := established(t, Options{NoSACK: true}, tcpseg.Options{MSS: 1000})
		s.write(30_000).at(1010)
		for range 6 {
			s.recv(". 1:1(0) ack 1")
		}
		s.recv(fmt.Sprintf(". 1:1(0) ack %d", 1+c.acked))
		if s.tcb.rec.phase != fastPhase || s.tcb.rec.dupOctets != c.left {
			t.Errorf("%d octets acknowledged: %d count as gone, want %d", c.acked, s.tcb.rec.dupOctets, c.left)
		}
	}
}
