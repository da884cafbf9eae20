package tcb

import (
	"fmt"
	"slices"
	"strings"
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
	if s.tcb.lossCounters().rtos+s.tcb.lossCounters().recoveries != 0 || s.tcb.rtt.backoff != 0 {
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
	s = established(t, Options{}, tcpseg.Options{MSS: 1400}) // a segment need not be full to be too large
	s.write(1100).quiet().at(1600).quiet().at(2400).expect(". 1:1025(1024) ack 1").recv(". 1:1(0) ack 1025").expect("P. 1025:1101(76) ack 1")
	s = established(t, Options{}, tcpseg.Options{MSS: 1400})
	s.write(300).quiet().at(60_000).quiet()
	if got := s.tcb.mss(); got != 1400 {
		t.Errorf("a small segment lost made the MSS %d", got)
	}
}

// narrowed returns a connection that may send 1400 octets in a segment and has been told that 1000 are the most, long
// ago.
func narrowed(t *testing.T) *script {
	s := established(t, Options{NoTLP: true, NoIdleRestart: true}, tcpseg.Options{MSS: 1400, SACKPermitted: true})
	s.tcb.LimitMSS(s.now, 1000)
	return s.at(601_010)
}

// A probe carries data, and more follows it. Lost alone, it is no sign of congestion, and its data goes again in pieces.
// req: PMTU-12
func TestLostProbe(t *testing.T) {
	// Too little to follow a probe: what is too large still, the network will say.
	narrowed(t).write(4399).expect(". 1:1401(1400) ack 1", ". 1401:2801(1400) ack 1", ". 2801:4201(1400) ack 1", "P. 4201:4400(199) ack 1")
	s := narrowed(t).write(4400).expect(". 1:1401(1400) ack 1", ". 1401:2401(1000) ack 1", ". 2401:3401(1000) ack 1", "P. 3401:4401(1000) ack 1")
	cwnd := s.tcb.cc.Window()
	s.at(601_020).recv(". 1:1(0) ack 1 sack 1401:4401")
	s.expect(". 1:1001(1000) ack 1", ". 1001:1401(400) ack 1")
	if w := s.tcb.cc.Window(); w != cwnd || s.tcb.lossCounters().recoveries != 0 || s.tcb.rec.phase != open {
		t.Errorf("cwnd %d after %d, %d recoveries", w, cwnd, s.tcb.lossCounters().recoveries)
	}
	// With other data lost beside it, there is congestion.
	s = narrowed(t).write(8400).quiet()
	s.at(601_020).recv(". 1:1(0) ack 1 sack 2401:8401").quiet()
	if s.tcb.lossCounters().recoveries != 1 {
		t.Errorf("%d recoveries for data that was lost", s.tcb.lossCounters().recoveries)
	}
	// While there are SACK blocks to send, none goes.
	s = narrowed(t).recv(". 101:201(100) ack 1").quiet().write(4400)
	s.expect(". 1:989(988) ack 1 sack 101:201", ". 989:1977(988) ack 1 sack 101:201", ". 1977:2965(988) ack 1 sack 101:201",
		". 2965:3953(988) ack 1 sack 101:201", "P. 3953:4401(448) ack 1 sack 101:201")
	// Without the switch there is none.
	s = established(t, Options{NoTLP: true, NoMTUProbe: true}, tcpseg.Options{MSS: 1400, SACKPermitted: true})
	s.tcb.LimitMSS(s.now, 1000)
	s.at(601_010).write(4400).expect(". 1:1401(1400) ack 1", ". 1401:2801(1400) ack 1", ". 2801:4201(1400) ack 1", "P. 4201:4401(200) ack 1")
}

// One probe at a time, three of a size, and from what failed and what came through to the middle between them.
// req: PMTU-13
func TestSearchOfTheMTU(t *testing.T) {
	for _, path := range []int{1000, 1001, 1100, 1250, 1399, 1400} {
		s := narrowed(t)
		var lost []int
		got := make([]bool, 2_100_000) // the octets that came through
		for range 100 {
			s.tcb.Write(s.now, make([]byte, 20_000))
			s.flush()
			for _, f := range s.sent {
				var from, to int
				fmt.Sscanf(f[strings.IndexByte(f, ' '):], "%d:%d", &from, &to)
				if to-from > path {
					lost = append(lost, to-from)
					continue
				}
				for i := from; i < to; i++ {
					got[i] = true
				}
			}
			s.sent, s.text = nil, nil
			ack := 1 + slices.Index(got[1:], false)
			text := fmt.Sprintf(". 1:1(0) ack %d", ack)
			if left := slices.Index(got[ack:], true); left > 0 {
				text += fmt.Sprintf(" sack %d:%d", ack+left, ack+left+slices.Index(got[ack+left:], false))
			}
			s.at(s.now/ms + 10).recv(text)
		}
		if mss := s.tcb.mss(); mss > path || mss < path-mtuResolution {
			t.Errorf("%d octets come through: found %d, lost %d", path, mss, lost)
		}
		if s.tcb.lossCounters().recoveries+s.tcb.lossCounters().rtos != 0 {
			t.Errorf("%d octets come through: blamed on congestion", path)
		}
		t.Logf("%d octets come through: lost probes of %d, found %d", path, lost, s.tcb.mss())
	}
}

// A router's answer to a probe tells what comes through; the next probe tries just that.
// req: PMTU-13 PMTU-02
func TestProbeTooBig(t *testing.T) {
	s := narrowed(t).write(20_000).quiet()
	if !s.tcb.LimitMSS(s.now, 1200) || s.tcb.LimitMSS(s.now, 1200) {
		t.Error("told once, it is news once")
	}
	s.flush()
	s.expect(". 1:1001(1000) ack 1", ". 1001:1401(400) ack 1")
	s.at(601_020).recv(". 1:1(0) ack 9401")
	if want := ". 9401:10601(1200) ack 1"; len(s.sent) == 0 || s.sent[0] != want {
		t.Errorf("sent %q, want first %q", s.sent, want)
	}
}
