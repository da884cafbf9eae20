package netsim

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// established makes a watch that has seen a handshake and ten segments each way: 1000 octets are in
// flight, 5000 had come and are acknowledged up to 5001.
func established(broken *string) (*watch, *tcb.Out, *tcb.Snapshot) {
	w := &watch{mtu: 1500, iss: 100, fail: func(law, _ string, _ ...any) {
		if *broken == "" {
			*broken = law
		}
	}}
	syn := &tcb.Out{Header: tcpseg.Header{Seq: 100, Flags: tcpseg.SYN, Window: 65535}, Cause: tcb.CauseSYN}
	syn.Options = tcpseg.Options{MSS: 1460, HasScale: true, Scale: 2, SACKPermitted: true, HasTimestamps: true}
	w.sent(Second, syn, &tcb.Snapshot{State: tcb.SynSent, Cwnd: 14600, MSS: 1460})
	answer := &tcpseg.Segment{Header: tcpseg.Header{Seq: 5000, Ack: 101, Flags: tcpseg.SYN | tcpseg.ACK, Window: 3000, Options: syn.Options}}
	w.received(Second, answer)
	for i := range 10 {
		w.received(Second, &tcpseg.Segment{Header: tcpseg.Header{Seq: 5001, Ack: 101, Flags: tcpseg.ACK, Window: uint16(2000 + i)}})
	}
	s := &tcb.Snapshot{State: tcb.Established, Una: 101, Nxt: 1101, InFlight: 1000, SndWnd: 8000, RcvNxt: 5001, RcvAdv: 70_000,
		Cwnd: 14600, MSS: 1448, RTO: 200 * Millisecond, SACK: true, Deadline: 2 * Second, RexmitAt: 2 * Second}
	o := &tcb.Out{Header: tcpseg.Header{Seq: 101, Ack: 5001, Flags: tcpseg.ACK, Window: 16000}, Cause: tcb.CauseData}
	o.Options = tcpseg.Options{HasTimestamps: true}
	o.Payload[0] = make([]byte, 1000)
	w.sent(Second, o, s)
	w.settled(Second, s, tcb.HeldIdle, s.Deadline)
	next := *o
	next.Seq = 1101
	after := *s
	after.Nxt, after.InFlight = 2101, 2000
	return w, &next, &after
}

// Each law catches what breaks it, and nothing is caught where none is broken.
func TestLawsCatch(t *testing.T) {
	sent := func(change func(o *tcb.Out, s *tcb.Snapshot)) func(*watch, *tcb.Out, *tcb.Snapshot) {
		return func(w *watch, o *tcb.Out, s *tcb.Snapshot) { change(o, s); w.sent(Second, o, s) }
	}
	settled := func(change func(s *tcb.Snapshot)) func(*watch, *tcb.Out, *tcb.Snapshot) {
		return func(w *watch, o *tcb.Out, s *tcb.Snapshot) {
			w.sent(Second, o, s)
			change(s)
			w.settled(Second, s, tcb.HeldIdle, s.Deadline)
		}
	}
	for _, tt := range []struct {
		law string // "": none is broken
		do  func(*watch, *tcb.Out, *tcb.Snapshot)
	}{
		{"", sent(func(*tcb.Out, *tcb.Snapshot) {})},
		{"", settled(func(*tcb.Snapshot) {})},
		{"every segment of a connection has ACK", sent(func(o *tcb.Out, _ *tcb.Snapshot) { o.Flags = tcpseg.PSH })},
		{"these options stand on a SYN only", sent(func(o *tcb.Out, _ *tcb.Snapshot) { o.Options.MSS = 1460 })},
		{"timestamps stand on every segment, once agreed on", sent(func(o *tcb.Out, _ *tcb.Snapshot) { o.Options.HasTimestamps = false })},
		{"a SACK block tells of data that came", sent(func(o *tcb.Out, _ *tcb.Snapshot) {
			o.Options.SACKCount, o.Options.SACK[0] = 1, tcpseg.SACKBlock{Left: 6000, Right: 7000}
		})},
		{"SACK goes with every segment while data waits out of order", sent(func(_ *tcb.Out, s *tcb.Snapshot) { s.RcvOutOfOrder = 10 })},
		{"ACKs never go back, nor beyond what came", sent(func(o *tcb.Out, _ *tcb.Snapshot) { o.Ack = 5000 })},
		{"ACKs never go back, nor beyond what came", sent(func(o *tcb.Out, _ *tcb.Snapshot) { o.Ack = 5002 })},
		{"the promised right edge never moves left", sent(func(o *tcb.Out, _ *tcb.Snapshot) { o.Window -= 1 })},
		{"no more is promised than RCV.ADV", sent(func(o *tcb.Out, s *tcb.Snapshot) { s.RcvAdv = 69_000 })},
		{"a window update moves the edge", sent(func(o *tcb.Out, _ *tcb.Snapshot) { o.Cause, o.Payload[0] = tcb.CauseWindowUpdate, nil })},
		{"nothing beyond nxt is sent", sent(func(_ *tcb.Out, s *tcb.Snapshot) { s.Nxt = 2100 })},
		{"nothing is sent beyond the peer's window", sent(func(o *tcb.Out, s *tcb.Snapshot) {
			o.Payload[0], o.GSOSize, o.Limit, s.Nxt = make([]byte, 8000), 1448, 65_000, 9101
		})},
		{"no octet is skipped", sent(func(o *tcb.Out, s *tcb.Snapshot) { o.Seq, s.Nxt = 1102, 2102 })},
		{"in flight ≤ cwnd", sent(func(_ *tcb.Out, s *tcb.Snapshot) { s.InFlight, s.Cwnd = 20_000, 14_600 })},
		{"the MSS is respected", sent(func(o *tcb.Out, s *tcb.Snapshot) { o.Payload[0] = make([]byte, 1449); s.Nxt = 2550 })},
		{"no super-segment exceeds Out.Limit", sent(func(o *tcb.Out, s *tcb.Snapshot) {
			o.Payload[0], o.GSOSize, o.Limit, s.Nxt = make([]byte, 3000), 1448, 2000, 4101
		})},
		{"the cause fits the segment", sent(func(o *tcb.Out, _ *tcb.Snapshot) { o.Cause = tcb.CauseFIN })},
		{"the cause fits the segment", sent(func(o *tcb.Out, _ *tcb.Snapshot) { o.Cause = tcb.CauseSYN })},
		{"the cause says whether a segment is sent again", sent(func(o *tcb.Out, _ *tcb.Snapshot) { o.Cause = tcb.CauseTailProbe })},
		{"the cause says whether a segment is sent again", func(w *watch, o *tcb.Out, s *tcb.Snapshot) {
			w.sent(Second, o, s)
			o.Cause = tcb.CauseTailNew
			w.sent(2*Second, o, s)
		}},
		{"at most one ACK for each segment", func(w *watch, o *tcb.Out, s *tcb.Snapshot) {
			o.Payload[0], o.Cause = nil, tcb.CauseACK
			for range 12 {
				w.sent(Second, o, s)
			}
		}},
		{"no busy loop", func(w *watch, o *tcb.Out, s *tcb.Snapshot) {
			o.Seq, o.Cause = 101, tcb.CauseRTO
			for range 200 {
				w.sent(Second+2*Millisecond, o, s)
			}
		}},
		{"a SYN keeps its options", func(w *watch, o *tcb.Out, s *tcb.Snapshot) {
			o.Seq, o.Flags, o.Options, o.Cause, o.Payload[0] = 100, tcpseg.SYN, tcpseg.Options{MSS: 1460}, tcb.CauseSYNAgain, nil
			w.sent(Second, o, s)
		}},
		{"the deadline is in the future", settled(func(s *tcb.Snapshot) { s.Deadline = Second })},
		{"Snapshot tells the truth", func(w *watch, _ *tcb.Out, s *tcb.Snapshot) { w.settled(Second, s, tcb.HeldIdle, 3*Second) }},
		{"Snapshot tells the truth", settled(func(s *tcb.Snapshot) { s.InFlight = 1 })},
		{"una ≤ nxt", settled(func(s *tcb.Snapshot) { s.Una = s.Nxt + 1 })},
		{"una never goes back", settled(func(s *tcb.Snapshot) { s.Una, s.InFlight = 100, 2001 })},
		{"the promised right edge never moves left", settled(func(s *tcb.Snapshot) { s.RcvAdv = 69_999 })},
		{"RCV.NXT never goes back", settled(func(s *tcb.Snapshot) { s.RcvNxt = 5000 })},
		{"sacked and lost are parts of what is in flight", settled(func(s *tcb.Snapshot) { s.Sacked, s.Lost = 1500, 600 })},
		{"cwnd is positive", settled(func(s *tcb.Snapshot) { s.Cwnd = 0 })},
		{"data in flight has a timer", settled(func(s *tcb.Snapshot) { s.Deadline, s.RexmitAt = 0, 0 })},
		{"data in flight has a timer", settled(func(s *tcb.Snapshot) { s.RexmitAt = 0 })},
		{"queued data has a timer", settled(func(s *tcb.Snapshot) {
			s.Una, s.InFlight, s.SndQueued, s.Deadline, s.RexmitAt = s.Nxt, 0, 10, 0, 0
		})},
		{"a timer is armed only if something waits for it", settled(func(s *tcb.Snapshot) { s.Una, s.InFlight = s.Nxt, 0 })},
		{"a timer is armed only if something waits for it", settled(func(s *tcb.Snapshot) {
			s.Una, s.InFlight, s.RexmitAt, s.PersistAt = s.Nxt, 0, 0, s.Deadline
		})},
		{"a timer is armed only if something waits for it", settled(func(s *tcb.Snapshot) { s.State = tcb.Closed })},
		{"a timer is armed only if something waits for it", settled(func(s *tcb.Snapshot) { s.AckAt = s.Deadline })},
		{"what came is acknowledged in time", settled(func(s *tcb.Snapshot) { s.RcvNxt++ })},
		{"an ACK is delayed by less than half a second", settled(func(s *tcb.Snapshot) { s.RcvNxt++; s.AckAt = 2 * Second })},
		{"nothing is sent again sooner than one RTO after its last sending", func(w *watch, _ *tcb.Out, s *tcb.Snapshot) {
			s.RTOs++
			w.expired(Second+199*Millisecond, s)
		}},
		{"in flight ≤ cwnd", func(w *watch, o *tcb.Out, s *tcb.Snapshot) {
			w.sent(Second, o, s)
			o.Seq, o.Cause, s.InFlight, s.Cwnd = 101, tcb.CauseFastRetransmit, 20_000, 14_600
			w.sent(Second, o, s) // the first may go
			if w.before(s); w.forced != 0 {
				w.fail("a flush begins anew", "")
			}
			w.sent(Second, o, s)
			w.sent(Second, o, s)
		}},
		{"Output tells why it holds data back", settled(func(s *tcb.Snapshot) { s.SndQueued = 2001 })},
		{"the RTO doubles", func(w *watch, _ *tcb.Out, s *tcb.Snapshot) {
			for _, at := range []Time{300, 700, 1300} { // 400, then 600 ms
				s.RTOs++
				w.expired(Second+at*Millisecond, s)
				w.last.RTOs++
			}
		}},
		{"", func(w *watch, _ *tcb.Out, s *tcb.Snapshot) {
			for _, at := range []Time{300, 700, 1500, 3100} {
				s.RTOs++
				w.expired(Second+at*Millisecond, s)
				w.last.RTOs++
			}
		}},
	} {
		var broken string
		w, o, s := established(&broken)
		if broken != "" {
			t.Fatalf("the ordinary beginning breaks %q", broken)
		}
		if tt.do(w, o, s); broken != tt.law {
			t.Errorf("%q is broken, want %q", broken, tt.law)
		}
	}
}

// Laws about why data is held back.
func TestHeldLaws(t *testing.T) {
	for _, tt := range []struct {
		held    tcb.Held
		closing bool
		change  func(*tcb.Snapshot)
		law     string
	}{
		{tcb.HeldNagle, false, func(s *tcb.Snapshot) {}, ""},
		{tcb.HeldNagle, true, func(s *tcb.Snapshot) {}, "Nagle holds nothing back that a FIN follows"},
		{tcb.HeldPeerWindow, false, func(s *tcb.Snapshot) { s.SndWnd = 2000 }, ""},
		{tcb.HeldPeerWindow, false, func(s *tcb.Snapshot) { s.SndWnd = 4000 }, "Output tells why it holds data back"},
		{tcb.HeldCwnd, false, func(s *tcb.Snapshot) { s.Cwnd = 2000 }, ""},
		{tcb.HeldCwnd, false, func(s *tcb.Snapshot) { s.Cwnd = 4000 }, "Output tells why it holds data back"},
	} {
		var broken string
		w, o, s := established(&broken)
		w.sent(Second, o, s)
		tt.change(s)
		w.closing = tt.closing
		if w.settled(Second, s, tt.held, s.Deadline); broken != tt.law {
			t.Errorf("held %v: %q is broken, want %q", tt.held, broken, tt.law)
		}
	}
}

// pair makes two hosts on a wire, 100 KB one way.
func pair(seed uint64, w Wire) (*Sim, *Conn) {
	s := New(seed)
	a, b := s.AddHost("a", HostConfig{}), s.AddHost("b", HostConfig{})
	s.Connect(a, b, w)
	b.Listen(80, Endpoint{Orderly: true})
	return s, a.Dial(b, 4000, 80, Endpoint{Script: Script{Write: 100_000}, Orderly: true})
}

// law runs a simulation that must break a law and returns it.
func law(t *testing.T, s *Sim) *Violation {
	t.Helper()
	var v *Violation
	if err := s.Run(); !errors.As(err, &v) {
		t.Fatalf("Run returns %v, not a violation", err)
	}
	return v
}

// An octet that changes behind the checksum's back is noticed where it is read.
func TestCatchesWrongData(t *testing.T) {
	seen := 0
	s, _ := pair(7, Wire{Delay: Millisecond, Middlebox: func(b []byte) []byte {
		if len(b) > 1000 {
			if seen++; seen == 5 {
				b[len(b)-1] ^= 1
			}
		}
		return b
	}})
	v := law(t, s)
	if v.Law != "delivered octets are a prefix of those written" || v.Seed != 7 || !strings.HasPrefix(v.Who, "b:80") {
		t.Errorf("%+v", v)
	}
	text := v.Error()
	for _, want := range []string{"seed 7 at 1.00", "SYN-SENT → ESTABLISHED", "mss 1460", "[data]", "ack 1"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
}

// A segment over the wire's MTU is a broken law, not a loss.
func TestCatchesOversize(t *testing.T) {
	s, _ := pair(1, Wire{MTU: 1000})
	if v := law(t, s); v.Law != "no packet is larger than the MTU" {
		t.Error(v.Law)
	}
}

// What never ends is found out.
func TestCatchesWaiting(t *testing.T) {
	s := New(1)
	a, b := s.AddHost("a", HostConfig{}), s.AddHost("b", HostConfig{})
	s.Connect(a, b, Wire{})
	b.Listen(80, Endpoint{Script: Script{End: CloseLast}})
	a.Dial(b, 4000, 80, Endpoint{Script: Script{End: CloseLast}})
	if v := law(t, s); v.Law != "every connection ends or times out" {
		t.Error(v.Law)
	}
}

// Blocks that are kept, given back twice or of a wrong size are found out.
func TestCatchesBlocks(t *testing.T) {
	for law, misuse := range map[string]func(*blocks){
		"all blocks are given back":            func(m *blocks) { m.Get(tcb.SmallBlock) },
		"blocks are of two sizes":              func(m *blocks) { m.Put(m.Get(100)) },
		"blocks are given back once and whole": func(m *blocks) { b := m.Get(tcb.SmallBlock); m.Put(b); m.Put(b) },
		"":                                     func(m *blocks) { m.Put(m.Get(tcb.LargeBlock)[:10]) },
	} {
		s := New(1)
		misuse(s.AddHost("a", HostConfig{}).blocks)
		var v *Violation
		if err := s.Run(); errors.As(err, &v) != (law != "") || v != nil && v.Law != law {
			t.Errorf("%q: %v", law, err)
		}
	}
}

// What comes back is poisoned, so that a late reader finds garbage, and large blocks have a budget.
func TestBlocks(t *testing.T) {
	m := newBlocks(New(1).AddHost("a", HostConfig{}), 100_000)
	b := m.Get(tcb.LargeBlock)
	b[0], b[len(b)-1] = 1, 2
	if m.Get(tcb.LargeBlock) != nil {
		t.Error("the budget is not kept")
	}
	if m.Get(tcb.SmallBlock) == nil {
		t.Error("a small block was refused")
	}
	m.Put(b)
	if b[0] != poison || b[len(b)-1] != poison {
		t.Error("a block that was given back is not poisoned")
	}
	if m.out != tcb.SmallBlock {
		t.Errorf("%d octets lent", m.out)
	}
}

// docs/simulator.md names every law.
func TestLawsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/simulator.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	asserted := regexp.MustCompile(`fail\((?:nil, )?"([^"]+)"`)
	laws := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range asserted.FindAllSubmatch(source, -1) {
			laws++
			if !bytes.Contains(doc, []byte("*"+string(m[1])+"*")) {
				t.Errorf("%s asserts %q; docs/simulator.md does not name it", file, m[1])
			}
		}
	}
	if laws < 50 {
		t.Errorf("only %d laws found", laws)
	}
}
