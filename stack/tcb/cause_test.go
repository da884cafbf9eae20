package tcb

import (
	"testing"

	"ustack/tcpseg"
)

// TestCausesOfReplies: what may be forged is challenged (RFC 5961), what has only come late or too far is answered.
func TestCausesOfReplies(t *testing.T) {
	for _, c := range []struct {
		seg  string
		want Cause
	}{
		{". 0:0(0) ack 1", CauseReply},             // a keep-alive probe
		{". -99:1(100) ack 1", CauseReply},         // data that was here
		{". 900000:900100(100) ack 1", CauseReply}, // and far beyond the window
		{"S 1:1(0)", CauseChallenge},
		{"S 900000:900000(0)", CauseChallenge},
		{"R 5:5(0)", CauseChallenge},
		{". 1:1(0) ack 900000", CauseChallenge},
		{". 101:201(100) ack 1", CauseDupACK},
	} {
		everyVariant(t, func(t *testing.T, v pktVariant) {
			s := v.established(t, Options{}, sackPeer)
			if s.recv(c.seg).quiet(); s.out.Cause != c.want || c.want.Resends() {
				t.Errorf("%s: cause %v, want %v", c.seg, s.out.Cause, c.want)
			}
		})
	}
}

// TestCausesOfSYNs: a SYN, and a SYN,ACK, says that it was sent before.
func TestCausesOfSYNs(t *testing.T) {
	s := dialed(t, Options{})
	if s.quiet(); s.out.Cause != CauseSYN || s.out.Cause.Resends() {
		t.Errorf("cause %v", s.out.Cause)
	}
	if s.at(1000 + 1000).quiet(); s.out.Cause != CauseSYNAgain || !s.out.Cause.Resends() {
		t.Errorf("a second later: cause %v", s.out.Cause)
	}
	c := Config{}
	syn := tcpseg.Segment{Header: tcpseg.Header{Seq: 7, Flags: tcpseg.SYN}}
	h := Passive(5, &c, &syn, 1, 0)
	var o Out
	for _, want := range []Cause{CauseSYN, CauseSYNAgain} {
		if !h.Output(5, &o) || o.Cause != want {
			t.Errorf("cause %v, want %v", o.Cause, want)
		}
		h.Input(6, &syn)
	}
}
