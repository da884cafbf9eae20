package tcb

import (
	"encoding/binary"
	"testing"

	"ustack/stack/cc"
	"ustack/tcpseg"
)

// fuzzStates are where FuzzInput begins.
var fuzzStates = [...]State{Established, SynSent, SynReceived, FinWait1, FinWait2, CloseWait, Closing, LastAck, TimeWaiting}

// FuzzInput throws segments at a connection in any state and checks the laws after each: no panic, una ≤ nxt, the
// promised edge never moves left, no busy loop, counters that fit.
func FuzzInput(f *testing.F) {
	for i := range fuzzStates {
		f.Add(append([]byte{byte(i), byte(i), byte(i)}, noise(uint64(i), 4, 40)...))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) < 3 || len(in) > 4096 {
			return
		}
		st, o, peer := fuzzStates[int(in[1])%len(fuzzStates)], fuzzOptions(in[0], in[1]), fuzzPeer(in[0], in[1])
		o.NoQuickACK, o.Pacing, o.NoMTUProbe = in[2]&1 != 0, in[2]&2 != 0, in[2]&4 != 0
		var s *script
		if st == SynReceived && in[2]&8 != 0 {
			s = fastOpened(t, o, peer)
		} else {
			s = reachAs(t, st, o, peer)
		}
		for in = in[3:]; len(in) >= 10; in = in[10:] {
			before, adv := s.tcb.State(), s.tcb.rcv.adv
			s.now += Time(in[8]) * ms
			if s.tcb.Deadline() != 0 && s.tcb.Deadline() <= s.now {
				s.tcb.Expire(s.now)
				s.flush()
			}
			fuzzStep(s, in)
			s.flush()
			s.quiet()
			if before >= SynReceived && s.tcb.State() != Closed && s.tcb.rcv.adv.Less(adv) {
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

// fastOpened returns a connection that a SYN with data and a good cookie has made.
func fastOpened(t *testing.T, o Options, peer tcpseg.Options) *script {
	s := testVariant.script(t)
	syn := tcpseg.Segment{Header: tcpseg.Header{Seq: testIRS, Flags: tcpseg.SYN, Window: 65535, Options: peer}, Payload: pattern(1, 300)}
	h := Passive(s.now, &Config{Options: o, LinkMSS: 1460, DefaultMSS: 536}, &syn, testISS, 0)
	hand := h.Handshake()
	s.tcb = new(TCB)
	s.tcb.AcceptFast(s.now, h.c, nil, &hand, &syn)
	s.flush()
	return s.quiet()
}

func fuzzOptions(a, b byte) Options {
	return Options{RcvBuf: 1000 << (a & 7), Nagle: Nagle(a>>3) % 3, KeepAlive: a&64 != 0, ECN: b&16 != 0, NoRACK: b&32 != 0,
		NoPRR: b&64 != 0, UserTimeoutOption: b&128 != 0}
}

func fuzzPeer(a, b byte) tcpseg.Options {
	return tcpseg.Options{SACKPermitted: a&128 != 0, HasTimestamps: b&64 != 0, HasScale: a&32 != 0, Scale: b & 15}
}

// FuzzHalfOpen does the same to SYN-RECEIVED before there is a TCB.
func FuzzHalfOpen(f *testing.F) {
	f.Add(noise(1, 5, 60))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) < 2 || len(in) > 4096 {
			return
		}
		s := testVariant.script(t)
		peer := fuzzPeer(in[0], in[1])
		syn := tcpseg.Segment{Header: tcpseg.Header{Seq: testIRS, Flags: tcpseg.SYN, Window: 65535, Options: peer}}
		h := Passive(s.now, &Config{Options: fuzzOptions(in[0], in[1]), LinkMSS: 1460, DefaultMSS: 536}, &syn, testISS, 0)
		for in = in[2:]; len(in) >= 8; in = in[8:] {
			for i := 0; h.Output(s.now, &s.out); i++ {
				if i > 1 {
					t.Fatal("Output does not end")
				}
			}
			s.now += Time(in[0]) * ms * 16
			if !h.Expire(s.now) {
				return
			}
			seg := tcpseg.Segment{Payload: make([]byte, int(in[1])*8)}
			seg.Flags, seg.Window = tcpseg.Flags(in[2]), binary.BigEndian.Uint16(in[3:])
			seg.Seq = testIRS.Add(1 + int(int8(in[5]))*int(in[6]))
			seg.Ack = testISS.Add(1 + int(int8(in[7]))/16)
			seg.Options.HasTimestamps, seg.Options.TSVal = in[7]&1 != 0, uint32(in[4])
			if r, _ := h.Input(s.now, &seg); r == HalfOpenDead {
				return
			} else if r == HalfOpenComplete {
				hand := h.Handshake()
				s.tcb = Accept(s.now, h.c, nil, &hand)
				s.tcb.Input(s.now, &seg)
				s.flush()
				return
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
		switch in[1] {
		case 7:
			s.tcb.Close(s.now)
		case 8:
			s.tcb.LimitMSS(s.now, int(in[2])*8)
		case 9:
			s.tcb.SetController(cc.NewReno)
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
		if s.tcb.stamped || in[0]&32 != 0 {
			seg.Options.HasTimestamps = in[9]&15 != 0
			seg.Options.TSVal, seg.Options.TSEcr = s.tcb.ts.recent+uint32(int8(in[9]))/8, s.tcb.tsval(s.now)-uint32(in[3])
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
