package netsim

import (
	"bytes"
	"slices"
	"testing"

	"ustack/stack/tcb"
	"ustack/tcpseg"
)

func TestAgenda(t *testing.T) {
	var a agenda
	var got []int
	for i, at := range []Time{5, 3, 9, 3, 1, 5, 3} {
		a.add(at, func() { got = append(got, i) })
	}
	for _, do := a.next(); do != nil; _, do = a.next() {
		do()
	}
	if want := []int{4, 1, 3, 6, 0, 5, 2}; !slices.Equal(got, want) {
		t.Errorf("order %d, want %d", got, want)
	}
}

// The same seed gives the same run, to the event.
func TestRepeatable(t *testing.T) {
	for seed := range uint64(20) {
		var one, two bytes.Buffer
		for _, w := range []*bytes.Buffer{&one, &two} {
			s := Random(seed)
			s.Trace(w)
			s.Run()
		}
		if one.Len() == 0 || !bytes.Equal(one.Bytes(), two.Bytes()) {
			t.Fatalf("seed %d: two runs differ", seed)
		}
	}
}

// wired makes two hosts, the second of which only counts packets.
func wired(w Wire) (s *Sim, a *Host, l *link) {
	s = New(3)
	a, b := s.AddHost("a", HostConfig{}), s.AddHost("b", HostConfig{})
	s.ConnectOneWay(a, b, w)
	b.turning = true // packets stay in the inbox
	return s, a, a.links[b]
}

func sample(n int) *tcb.Out {
	o := &tcb.Out{Header: tcpseg.Header{SrcPort: 1, DstPort: 2, Seq: 0xffffff00, Ack: 9, Flags: tcpseg.ACK | tcpseg.PSH | tcpseg.FIN, Window: 7}}
	o.Options = tcpseg.Options{HasTimestamps: true, TSVal: 1, TSEcr: 2}
	o.Payload[0], o.Payload[2] = sequence[:n/3], sequence[n/3:n]
	return o
}

// Any one flipped bit is caught by the checksum.
// req: MUST-2 MUST-3
func TestChecksum(t *testing.T) {
	_, a, l := wired(Wire{})
	for n := range 20 {
		b := encode(a, l.to, sample(n))
		if checksum(a, l.to, b) != 0xffff {
			t.Fatalf("%d octets of payload: a good segment is refused", n)
		}
		for i := range len(b) * 8 {
			b[i/8] ^= 1 << (i % 8)
			if checksum(a, l.to, b) == 0xffff {
				t.Fatalf("%d octets of payload: bit %d flips unseen", n, i)
			}
			b[i/8] ^= 1 << (i % 8)
		}
	}
}

// Cutting a super-segment gives what its sender would have sent one by one.
func TestCut(t *testing.T) {
	_, a, l := wired(Wire{})
	o := sample(3500)
	var text []byte
	for i, p := range cut(packet{from: a, b: encode(a, l.to, o), gso: 1448}, l.to) {
		seg, err := tcpseg.Parse(p.b)
		if err != nil || checksum(a, l.to, p.b) != 0xffff {
			t.Fatalf("segment %d: %v", i, err)
		}
		last := i == 2
		if seg.Seq != o.Seq.Add(1448*i) || seg.Options != o.Options || seg.Ack != o.Ack || seg.Window != o.Window {
			t.Errorf("segment %d: %v", i, seg)
		}
		if seg.Flags.Has(tcpseg.FIN) != last || seg.Flags.Has(tcpseg.PSH) != last || !seg.Flags.Has(tcpseg.ACK) {
			t.Errorf("segment %d has flags %v", i, seg.Flags)
		}
		text = append(text, seg.Payload...)
	}
	if !bytes.Equal(text, sequence[:3500]) {
		t.Error("the cut segments carry other octets")
	}
}

// Each impairment does what it says.
func TestImpairments(t *testing.T) {
	const n = 20_000
	run := func(w Wire) []packet {
		s, a, l := wired(w)
		b := encode(a, l.to, sample(100))
		for i := range n {
			s.After(Time(i)*10*Microsecond, func() { l.send(packet{from: a, b: bytes.Clone(b)}) })
		}
		if err := s.Run(); err != nil {
			t.Fatal(err)
		}
		return l.to.inbox
	}
	near := func(what string, got, want int) {
		if got < want*9/10 || got > want*11/10 {
			t.Errorf("%s: %d of %d packets, want about %d", what, got, n, want)
		}
	}
	near("nothing", len(run(Wire{})), n)
	near("loss", len(run(Wire{Loss: 0.1})), n*9/10)
	near("duplicate", len(run(Wire{Duplicate: 0.1})), n*11/10)
	bad := 0
	for _, p := range run(Wire{Corrupt: 0.1}) {
		if sim := p.from.sim; checksum(p.from, sim.hosts[1], p.b) != 0xffff {
			bad++
		}
	}
	near("corrupt", bad, n/10)
	near("until", len(run(Wire{Until: Second + n/2*10*Microsecond})), n/2)
	// Packets of 152 octets come at 15.2 MB/s and leave at 7.6.
	near("rate", len(run(Wire{Rate: 7_600_000, Queue: 3000})), n/2)
	near("middlebox", len(run(Wire{Middlebox: func([]byte) []byte { return nil }})), 0)
}

// Packets keep their order under jitter and lose it by reordering, and the delay is kept.
func TestDelay(t *testing.T) {
	arrivals := func(w Wire) (at []Time, order []byte) {
		s, a, l := wired(w)
		l.to.turning = false
		b := encode(a, l.to, sample(0))
		for i := range 100 {
			s.After(Time(i)*Millisecond, func() {
				c := bytes.Clone(b)
				c[8] = byte(i)
				l.send(packet{from: a, b: c})
			})
		}
		l.to.Batch = 0
		for i := 1; ; i++ {
			when, do := s.agenda.next()
			if do == nil {
				return at, order
			}
			s.now = when
			l.to.turning = true
			do()
			for _, p := range l.to.inbox {
				at, order = append(at, when), append(order, p.b[8])
			}
			l.to.inbox = nil
		}
	}
	at, order := arrivals(Wire{Delay: 20 * Millisecond, Jitter: 5 * Millisecond})
	for i := range order {
		sent := Second + Time(i)*Millisecond
		if order[i] != byte(i) || at[i] < sent+20*Millisecond || at[i] > sent+25*Millisecond {
			t.Fatalf("packet %d is the %dth to come, after %s", order[i], i, clock(at[i]-sent))
		}
	}
	_, order = arrivals(Wire{Delay: Millisecond, Reorder: 0.2, ReorderBy: 10 * Millisecond})
	if len(order) != 100 || slices.IsSorted(order) {
		t.Errorf("%d packets in order %d", len(order), order)
	}
}

func TestPattern(t *testing.T) {
	s := stream{0xffffff00}
	long := append(bytes.Clone(s.at(period-5, 100)), s.at(period+95, 100)...)
	if got := s.check(period-5, long); got != len(long) {
		t.Errorf("its own octets differ at %d", got)
	}
	long[150] ^= 1
	if got := s.check(period-5, long); got != 150 {
		t.Errorf("a wrong octet at 150 is found at %d", got)
	}
	if got := (stream{1}).check(0, s.at(0, 1000)); got > 10 {
		t.Errorf("two streams begin with the same %d octets", got)
	}
	if !sequenceIntact() {
		t.Error("the sequence is not intact")
	}
}
