package tcb

import (
	"strings"
	"testing"
	"time"

	"ustack/tcpseg"
)

const (
	testISS = tcpseg.Seq(0xffffff00) // wraps early, so that every test crosses zero
	testIRS = tcpseg.Seq(0xfffffff0)
	ms      = Time(time.Millisecond)
)

// testVariant has the numbers of a script that asks for no others.
var testVariant = pktVariant{iss: testISS, irs: testIRS}

// script drives one TCB by hand against a virtual clock. Segments are written as in packet scripts
// (docs/scripts.md), with sequence numbers relative to the initial ones.
type script struct {
	*testing.T
	v    pktVariant
	tcb  *TCB
	now  Time
	out  Out
	sent []string // segments not yet expected
	text [][]byte // their payloads
	ev   Events
	drop Drop
}

// established returns a script whose TCB came through a passive handshake: MSS 1000, no timestamps
// unless asked for, peer window 65535 without scale.
func established(t *testing.T, o Options, peer tcpseg.Options) *script {
	t.Helper()
	return testVariant.established(t, o, peer)
}

func (v pktVariant) established(t *testing.T, o Options, peer tcpseg.Options) *script {
	t.Helper()
	if peer.MSS == 0 {
		peer.MSS = 1000
	}
	if o.MinRTO == 0 {
		o.MinRTO = 190 * time.Millisecond // an RTO of 200 ms with the round trip of 10 ms below
	}
	s, c := v.script(t), v.config(o)
	s.tcb = Accept(s.now, &c, nil, &Handshake{ISS: v.iss, IRS: v.irs, Peer: peer, PeerWindow: 65535, RTT: 10 * ms})
	s.flush()
	return s
}

// dialed returns a script whose TCB is about to send its SYN.
func dialed(t *testing.T, o Options) *script { return testVariant.dialed(t, o) }

func (v pktVariant) dialed(t *testing.T, o Options) *script {
	s, c := v.script(t), v.config(o)
	s.tcb = Dial(s.now, &c, nil, &DialInfo{ISS: v.iss})
	s.flush()
	return s
}

// script returns one without a TCB yet.
func (v pktVariant) script(t *testing.T) *script { return &script{T: t, v: v, now: 1000 * ms} }

// flush collects what the TCB has to send now.
func (s *script) flush() {
	s.Helper()
	for i := 0; s.tcb.Output(s.now, &s.out); i++ {
		if i > 1000 {
			s.Fatal("Output does not end")
		}
		s.sent = append(s.sent, s.format())
		var p []byte
		for _, b := range s.out.Payload {
			p = append(p, b...)
		}
		s.text = append(s.text, p)
	}
	if d := s.tcb.Deadline(); d != 0 && d <= s.now {
		s.Fatalf("deadline %v is not after now %v (law 3)", d, s.now)
	}
	s.checkAccount()
}

// checkAccount holds the octets that count as acknowledged against una.
func (s *script) checkAccount() {
	s.Helper()
	if s.tcb.state == Closed {
		return
	}
	want := max(s.tcb.snd.una.Sub(s.tcb.snd.iss)-1, 0)
	if s.tcb.finAcked() {
		want--
	}
	if got := s.tcb.bytesAcked(); got != uint64(want) {
		s.Fatalf("%d octets count as acknowledged, %d are", got, want)
	}
}

// format writes what was sent last down.
func (s *script) format() string { return s.v.format(&s.out, nil) }

// at moves the clock to an absolute time in ms and runs every timer on the way at its moment.
func (s *script) at(t Time) *script {
	s.Helper()
	t *= ms
	for d := s.tcb.Deadline(); d != 0 && d <= t; d = s.tcb.Deadline() {
		s.now = d
		s.ev |= s.tcb.Expire(s.now)
		s.flush()
	}
	s.now = t
	return s
}

// in gives the TCB a segment without flushing.
func (s *script) in(text string) *script {
	s.Helper()
	seg := s.parse(text)
	r := s.tcb.Input(s.now, &seg)
	s.ev |= r.Events
	s.drop = r.Drop
	return s
}

// recv gives the TCB a segment and flushes.
func (s *script) recv(text string) *script {
	s.Helper()
	s.in(text)
	s.flush()
	return s
}

// parse reads a segment.
func (s *script) parse(text string) tcpseg.Segment {
	s.Helper()
	seg, err := s.v.parseSegment(pktFields(text))
	if err != nil {
		s.Fatalf("bad segment %q: %v", text, err)
	}
	return seg
}

// pattern is the text that stands at offset from of a stream.
func pattern(from, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte((from + i) * 131 >> 3)
	}
	return b
}

// expect compares everything sent since the last call.
func (s *script) expect(want ...string) *script {
	s.Helper()
	if len(want) != len(s.sent) {
		s.Fatalf("at %v (%v): sent %d segments, want %d:\n%s\nwant:\n%s", s.now, s.out.Cause, len(s.sent), len(want),
			strings.Join(s.sent, "\n"), strings.Join(want, "\n"))
	}
	for i := range want {
		if s.sent[i] != want[i] {
			s.Fatalf("at %v: segment %d is %q, want %q", s.now, i, s.sent[i], want[i])
		}
	}
	s.sent, s.text = nil, nil
	return s
}

// quiet forgets what was sent.
func (s *script) quiet() *script {
	s.sent, s.text = nil, nil
	return s
}

func (s *script) write(n int) *script {
	s.Helper()
	off := s.tcb.snd.queue.end().Sub(s.v.iss)
	if got := s.tcb.Write(s.now, pattern(off, n)); got != n {
		s.Fatalf("Write took %d of %d", got, n)
	}
	s.flush()
	return s
}

func (s *script) read(n int) *script {
	s.Helper()
	if got := s.tcb.Read(s.now, make([]byte, n)); got != n {
		s.Fatalf("Read gave %d, want %d", got, n)
	}
	s.flush()
	return s
}

func (s *script) state(want State) *script {
	s.Helper()
	if s.tcb.State() != want {
		s.Fatalf("state %v, want %v", s.tcb.State(), want)
	}
	return s
}

func (s *script) dropped(want Drop) *script {
	s.Helper()
	if s.drop != want {
		s.Fatalf("drop reason %v, want %v", s.drop, want)
	}
	return s
}
