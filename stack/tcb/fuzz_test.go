package tcb

import (
	"encoding/binary"
	"testing"

	"ustack/tcpseg"
)

// FuzzInput throws segments at a live connection and checks the laws after each: no panic, una ≤ nxt, the
// promised edge never moves left, no busy loop, counters that fit.
func FuzzInput(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23})
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) == 0 || len(in) > 4096 {
			return
		}
		o := Options{RcvBuf: 1000 << (in[0] & 7), Nagle: Nagle(in[0]>>3) % 3, KeepAlive: in[0]&64 != 0}
		s := established(t, o, tcpseg.Options{SACKPermitted: in[0]&128 != 0})
		for in = in[1:]; len(in) >= 10; in = in[10:] {
			adv := s.tcb.rcv.adv
			s.now += Time(in[8]) * ms
			if s.tcb.Deadline() != 0 && s.tcb.Deadline() <= s.now {
				s.tcb.Expire(s.now)
				s.flush()
			}
			fuzzStep(s, in)
			s.flush()
			s.quiet()
			if s.tcb.State() != Closed && s.tcb.rcv.adv.Less(adv) {
				t.Fatal("promised edge moved left")
			}
			if s.tcb.snd.nxt.Less(s.tcb.snd.una) || s.tcb.runs.sacked < 0 || s.tcb.runs.lost < 0 {
				t.Fatal("send state is impossible")
			}
			if s.tcb.State() != Closed && s.tcb.inFlight() > 0 && s.tcb.State() != TimeWaiting && s.tcb.Deadline() == 0 {
				t.Fatal("data in flight and no timer")
			}
		}
	})
}

// fuzzStep turns ten octets into a call of the application or a segment near the interesting edges.
func fuzzStep(s *script, in []byte) {
	switch in[0] & 15 {
	case 0:
		s.tcb.Write(s.now, make([]byte, int(in[1])*64))
	case 1:
		s.tcb.Read(s.now, make([]byte, int(in[1])*64))
	case 2:
		s.tcb.CloseWrite(s.now)
	case 3:
		if in[1] == 7 {
			s.tcb.Close(s.now)
		}
	default:
		seg := tcpseg.Segment{Payload: make([]byte, int(in[1])*8)}
		seg.Flags = tcpseg.Flags(in[2])
		if in[0]&16 != 0 {
			seg.Flags = tcpseg.ACK
		}
		seg.Seq = s.tcb.rcv.nxt.Add(int(int8(in[3])) * int(in[4]&63))
		seg.Ack = s.tcb.snd.una.Add(int(int8(in[5])) * int(in[6]))
		if in[4]&64 != 0 {
			seg.Ack = s.tcb.snd.nxt
		}
		seg.Window = binary.BigEndian.Uint16(in[6:])
		for i := range int(in[7] & 3) {
			l := s.tcb.snd.una.Add(int(in[9]) * 16 * i)
			seg.Options.SACK[i] = tcpseg.SACKBlock{Left: l, Right: l.Add(int(in[5]) * 16)}
			seg.Options.SACKCount++
		}
		s.tcb.Input(s.now, &seg)
	}
}
