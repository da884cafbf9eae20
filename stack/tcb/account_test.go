package tcb

import (
	"testing"

	"ustack/tcpseg"
)

// TestSendBufferLimited: the time counts in which everything queued is in flight and a Write has come up short.
func TestSendBufferLimited(t *testing.T) {
	s := reachAs(t, Established, Options{SndBuf: 4000, NoTLP: true}, tcpseg.Options{SACKPermitted: true})
	s.quiet()
	start := s.now
	if n := s.tcb.Write(s.now, make([]byte, 5000)); n != 4000 {
		t.Fatalf("Write took %d octets", n)
	}
	s.flush()
	var a Account
	s.now += 10 * ms
	if s.tcb.Account(s.now, &a); a.SendBufferLimited != s.now-start || a.CwndLimited != 0 {
		t.Errorf("%+v", a)
	}
}

// TestBusyWhileWaiting: between the ACK of everything in flight and the flush that follows it, data waits.
func TestBusyWhileWaiting(t *testing.T) {
	s := reachAs(t, Established, Options{NoTLP: true}, tcpseg.Options{SACKPermitted: true})
	s.quiet()
	start := s.now
	s.tcb.Write(s.now, make([]byte, 100_000))
	s.flush()
	s.now += 10 * ms
	s.tcb.Input(s.now, &tcpseg.Segment{Header: tcpseg.Header{Seq: s.tcb.rcv.nxt, Ack: s.tcb.snd.nxt, Flags: tcpseg.ACK, Window: 60_000}})
	s.now += ms
	s.flush()
	var a Account
	if s.tcb.Account(s.now, &a); a.Busy != s.now-start || a.CwndLimited != a.Busy {
		t.Errorf("busy %v and held by cwnd %v of %v", a.Busy, a.CwndLimited, s.now-start)
	}
}
