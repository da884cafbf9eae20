package link

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/bits"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func mustSpec(t testing.TB, text string) Spec {
	t.Helper()
	s, err := ParseSpec(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// numbered is a packet that carries its number at the end.
func numbered(i, size int) []byte {
	b := make([]byte, size)
	binary.BigEndian.PutUint32(b[size-4:], uint32(i))
	return b
}

func numberOf(b []byte) int { return int(binary.BigEndian.Uint32(b[len(b)-4:])) }

// drain returns the packets that are ready.
func drain(t testing.TB, q Queue) [][]byte {
	t.Helper()
	f := NewFrame()
	var all [][]byte
	for {
		ok, err := q.Read(f)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return all
		}
		all = append(all, bytes.Clone(f.Packet))
	}
}

// arrival is a packet and when, after start, it came.
type arrival struct {
	number int
	at     time.Duration
}

// through sends n numbered packets of the given size through an impaired pair, a gap apart, and
// returns how they arrive, after a second of silence. It runs in a bubble.
func through(t *testing.T, spec string, dir Direction, n, size int, gap time.Duration) (got []arrival, fs FaultStats) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a, b := Pair(PairConfig{QueueLen: n + 1})
		m := Impair(a, mustSpec(t, spec))
		from, to := m.Queues()[0], b.Queues()[0]
		if dir == In {
			from, to = b.Queues()[0], m.Queues()[0]
		}
		start := time.Now()
		done := make(chan struct{})
		go func() {
			defer close(done)
			f := NewFrame()
			for {
				ok, err := to.Read(f)
				if err == nil && !ok {
					err = to.Wait()
				}
				if err != nil {
					return
				}
				if ok {
					got = append(got, arrival{numberOf(f.Packet), time.Since(start)})
				}
			}
		}()
		for i := range n {
			if err := from.Write(Offload{}, numbered(i, size), [4][]byte{}); err != nil {
				t.Error(err)
			}
			time.Sleep(gap)
		}
		time.Sleep(time.Second)
		in, out := m.Faults()
		if fs = out; dir == In {
			fs = in
		}
		m.Close()
		b.Close()
		<-done
	})
	return got, fs
}

func directions(t *testing.T, run func(t *testing.T, d Direction)) {
	for _, d := range []Direction{In, Out} {
		t.Run(d.String(), func(t *testing.T) { run(t, d) })
	}
}

func TestImpairLoss(t *testing.T) {
	directions(t, func(t *testing.T, d Direction) {
		const n = 20000
		got, fs := through(t, "loss=5%,seed=1", d, n, 100, time.Microsecond)
		if lost := n - len(got); lost < 900 || lost > 1100 || fs.Lost != uint64(lost) || fs.Packets != n {
			t.Errorf("lost %d of %d; %+v", lost, n, fs)
		}
		again, _ := through(t, "loss=5%,seed=1", d, n, 100, time.Microsecond)
		if !equalNumbers(got, again) {
			t.Error("the same seed loses other packets")
		}
		other, _ := through(t, "loss=5%,seed=2", d, n, 100, time.Microsecond)
		if equalNumbers(got, other) {
			t.Error("another seed loses the same packets")
		}
	})
}

func equalNumbers(a, b []arrival) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].number != b[i].number {
			return false
		}
	}
	return true
}

// A prefix limits a fault to one direction.
func TestImpairDirection(t *testing.T) {
	if got, _ := through(t, "in:loss=100%", Out, 10, 100, 0); len(got) != 10 {
		t.Errorf("out: %d of 10", len(got))
	}
	if got, _ := through(t, "in:loss=100%", In, 10, 100, 0); len(got) != 0 {
		t.Errorf("in: %d came", len(got))
	}
	if got, _ := through(t, "out:loss=100%", In, 10, 100, 0); len(got) != 10 {
		t.Errorf("in: %d of 10", len(got))
	}
}

func TestImpairDelay(t *testing.T) {
	directions(t, func(t *testing.T, d Direction) {
		got, _ := through(t, "delay=20ms", d, 50, 100, time.Millisecond)
		if len(got) != 50 {
			t.Fatalf("%d of 50", len(got))
		}
		for i, a := range got {
			if want := time.Duration(i+20) * time.Millisecond; a.number != i || a.at != want {
				t.Errorf("packet %d at %v, want %d at %v", a.number, a.at, i, want)
			}
		}
	})
}

// Jitter varies the delay over its whole range and reorders nothing.
func TestImpairJitter(t *testing.T) {
	got, _ := through(t, "delay=20ms,jitter=5ms,seed=3", Out, 2000, 100, 20*time.Millisecond)
	least, most := time.Hour, time.Duration(0)
	for i, a := range got {
		delay := a.at - time.Duration(i)*20*time.Millisecond
		least, most = min(least, delay), max(most, delay)
	}
	if len(got) != 2000 || least < 15*time.Millisecond || least > 15200*time.Microsecond ||
		most > 25*time.Millisecond || most < 24800*time.Microsecond {
		t.Errorf("%d packets, delays from %v to %v", len(got), least, most)
	}
	got, _ = through(t, "delay=20ms,jitter=5ms,seed=3", Out, 2000, 100, 10*time.Microsecond)
	for i, a := range got {
		if a.number != i {
			t.Fatalf("packet %d came as %d", a.number, i)
		}
	}
}

// 1250 octets at 1 Mbit/s take 10 ms; of a burst, the queue holds 5 packets.
func TestImpairRate(t *testing.T) {
	directions(t, func(t *testing.T, d Direction) {
		got, fs := through(t, "rate=1mbit,queue=6250", d, 8, 1250, 0)
		if len(got) != 5 || fs.Overflow != 3 {
			t.Fatalf("%d came, %+v", len(got), fs)
		}
		for i, a := range got {
			if want := time.Duration(i+1) * 10 * time.Millisecond; a.number != i || a.at != want {
				t.Errorf("packet %d at %v, want %d at %v", a.number, a.at, i, want)
			}
		}
		got, fs = through(t, "rate=1mbit,queue=6250,delay=5ms", d, 50, 1250, 10*time.Millisecond)
		if len(got) != 50 || fs.Overflow != 0 {
			t.Errorf("at the rate: %d of 50, %+v", len(got), fs)
		}
		for i, a := range got {
			if want := time.Duration(i+1)*10*time.Millisecond + 5*time.Millisecond; a.at != want {
				t.Errorf("packet %d at %v, want %v", i, a.at, want)
			}
		}
	})
}

// A reordered packet is overtaken by one to five others, and by those that were held with it; a
// lone one comes late.
func TestImpairReorder(t *testing.T) {
	directions(t, func(t *testing.T, d Direction) {
		for _, spec := range []string{"reorder=5%,seed=9", "reorder=5%,delay=3ms,seed=9"} {
			got, fs := through(t, spec, d, 5000, 100, 10*time.Microsecond)
			if len(got) != 5000 {
				t.Fatalf("%s: %d of 5000", spec, len(got))
			}
			most, late := 0, 0
			for i, a := range got {
				if late = i - a.number; late > 0 {
					most = max(most, late)
				}
			}
			if fs.Reordered < 200 || fs.Reordered > 300 || most < 5 || most > 8 {
				t.Errorf("%s: %d reordered, by %d at most", spec, fs.Reordered, most)
			}
		}
		got, _ := through(t, "reorder=100%", d, 1, 100, 0)
		if len(got) != 1 || got[0].at != reorderPatience {
			t.Errorf("lone packet: %v", got)
		}
	})
}

func TestImpairDuplicate(t *testing.T) {
	got, fs := through(t, "duplicate=10%,seed=4", In, 5000, 100, time.Microsecond)
	if extra := len(got) - 5000; extra < 400 || extra > 600 || fs.Duplicated != uint64(extra) {
		t.Errorf("%d duplicates, %+v", extra, fs)
	}
}

// Exactly one bit is turned over, in the payload of TCP, and an unfinished checksum is finished
// first so that the damage can be noticed.
func TestImpairCorrupt(t *testing.T) {
	a, b := Pair(PairConfig{GSO: true})
	m := Impair(a, mustSpec(t, "out:corrupt=100%,seed=5"))
	defer m.Close()
	data := bytes.Repeat([]byte{0xa5}, 333)
	places := map[int]bool{}
	for range 200 {
		p := tcpPacket(true, 1000, 80, 1, ack, data)
		pseudo := onesSum(protoTCP+20+uint16(len(data)), p[12:20])
		binary.BigEndian.PutUint16(p[36:], pseudo)
		o := Offload{NeedsCsum: true, CsumStart: 20, CsumOffset: 16}
		if err := m.Queues()[0].Write(o, p, [4][]byte{}); err != nil {
			t.Fatal(err)
		}
		f := NewFrame()
		got := next(t, b.Queues()[0], f)
		if f.Offload != (Offload{}) {
			t.Fatalf("offload %+v", f.Offload)
		}
		finishChecksum(&o, p)
		if sum := onesSum(onesSum(protoTCP+20+uint16(len(data)), p[12:20]), p[20:]); sum != 0xffff {
			t.Fatalf("finished checksum adds up to %#x", sum)
		}
		turned := 0
		for i := range p {
			if x := p[i] ^ got[i]; x != 0 {
				turned += bits.OnesCount8(x)
				places[i] = true
			}
		}
		if turned != 1 {
			t.Fatalf("%d bits turned over", turned)
		}
	}
	for i := range places {
		if i < 40 {
			t.Errorf("octet %d is a header", i)
		}
	}
	if len(places) < 100 {
		t.Errorf("only %d places", len(places))
	}
}

// connection sends a SYN and n data segments and returns what comes through, in order.
func connection(t *testing.T, q, peer Queue, port, n int) (out [][]byte) {
	t.Helper()
	write(t, q, tcpPacket(true, port, 80, 99, syn, nil))
	write(t, q, tcpPacket(true, port, 80, 100, ack, nil)) // a pure ACK does not count
	for i := range n {
		write(t, q, tcpPacket(true, port, 80, uint32(100+i), ack, []byte{byte(i + 1)}))
	}
	for _, p := range drain(t, peer) {
		if len(p) > 40 {
			out = append(out, p[40:])
		}
	}
	return out
}

// Exact faults count from each connection's SYN on; a SYN with the same number is a copy.
func TestImpairExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pair(PairConfig{})
		m := Impair(a, mustSpec(t, "drop=3,7 dup=5 hold=4:50ms corrupt=9"))
		defer m.Close()
		q, peer := m.Queues()[0], b.Queues()[0]
		for _, c := range []struct {
			port int
			want []byte // 9 is the corrupted one
		}{
			{1000, []byte{1, 2, 5, 5, 6, 8, 9, 10}},
			{1001, []byte{1, 2, 5, 5, 6, 8, 9, 10}},
			{1000, []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}}, // segments 11 to 20
		} {
			got := bytes.Join(connection(t, q, peer, c.port, 10), nil)
			if i := len(c.want) - 2; len(c.want) == 8 && len(got) == 8 && bits.OnesCount8(got[i]^9) == 1 {
				got[i] = 9
			}
			if !bytes.Equal(got, c.want) {
				t.Errorf("port %d: got %v, want %v", c.port, got, c.want)
			}
		}
		later := func(d time.Duration, want ...byte) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			var got []byte
			for _, p := range drain(t, peer) {
				got = append(got, p[40])
			}
			if !bytes.Equal(got, want) {
				t.Errorf("after %v: %v, want %v", d, got, want)
			}
		}
		later(49 * time.Millisecond)
		later(time.Millisecond, 4, 4)
		if _, out := m.Faults(); out.Corrupted != 2 || out.Lost != 4 || out.Duplicated != 2 || out.Reordered != 2 {
			t.Errorf("%+v", out)
		}
	})
}

func TestImpairDropsSYN(t *testing.T) {
	a, b := Pair(PairConfig{})
	m := Impair(a, mustSpec(t, "drop-syn=1"))
	defer m.Close()
	q, peer := m.Queues()[0], b.Queues()[0]
	for i, c := range []struct {
		port int
		isn  uint32
		want int
	}{
		{1, 5, 0}, // lost
		{1, 5, 1}, // its retransmission
		{2, 5, 0}, // another connection
		{1, 6, 0}, // the same port again
		{1, 6, 1},
	} {
		write(t, q, tcpPacket(true, c.port, 80, c.isn, syn, nil))
		if got := drain(t, peer); len(got) != c.want {
			t.Errorf("step %d: %d packets, want %d", i, len(got), c.want)
		}
	}
	write(t, b.Queues()[0], tcpPacket(false, 1, 80, 77, syn|ack, nil))
	time.Sleep(time.Millisecond)
	if got := drain(t, q); len(got) != 0 {
		t.Errorf("the SYN,ACK of the other direction came")
	}
}

// The memory of exact faults is bounded: the oldest connection is forgotten.
func TestSegmentCountsAreBounded(t *testing.T) {
	c := newSegmentCounts()
	packet := func(i int) []byte {
		p := tcpPacket(true, i&0xffff, 80, 1, ack, []byte{1})
		p[12] = byte(i >> 16)
		return p
	}
	for i := range maxCountedFlows + 1000 {
		if data, _ := c.count(packet(i)); data != 1 {
			t.Fatalf("flow %d starts at %d", i, data)
		}
	}
	if len(c.flows) != maxCountedFlows {
		t.Errorf("%d flows", len(c.flows))
	}
	if data, _ := c.count(packet(maxCountedFlows)); data != 2 {
		t.Errorf("a recent flow is at %d", data)
	}
	if data, _ := c.count(packet(0)); data != 1 {
		t.Errorf("the oldest flow is at %d", data)
	}
}

// The router before a narrow path answers both sides with ICMP, and only once.
func TestImpairMTU(t *testing.T) {
	a, b := Pair(PairConfig{})
	m := Impair(a, mustSpec(t, "mtu=1000"))
	defer m.Close()
	stack, peer := m.Queues()[0], b.Queues()[0]
	fits, large := tcpPacket(true, 1, 2, 3, ack, make([]byte, 960)), tcpPacket(true, 1, 2, 3, ack, make([]byte, 961))
	write(t, stack, fits)
	write(t, stack, large)
	if got := drain(t, peer); len(got) != 1 || !bytes.Equal(got[0], fits) {
		t.Errorf("%d packets came", len(got))
	}
	icmp := next(t, stack, NewFrame())
	if onesSum(0, icmp[:20]) != 0xffff || onesSum(0, icmp[20:]) != 0xffff || len(icmp) != 576 ||
		icmp[20] != 3 || icmp[21] != 4 || binary.BigEndian.Uint16(icmp[26:]) != 1000 ||
		!bytes.Equal(icmp[16:20], large[12:16]) || !bytes.Equal(icmp[28:], large[:548]) {
		t.Errorf("answer %x", icmp)
	}
	write(t, peer, tcpPacket(false, 1, 2, 3, ack, make([]byte, 961)))
	icmp = next(t, peer, NewFrame())
	if icmp[20] != 3 || !bytes.Equal(icmp[16:20], server4[:]) {
		t.Errorf("answer to the peer %x", icmp)
	}
	write(t, stack, append(icmp, make([]byte, 1000)...)) // an error gets no answer
	time.Sleep(time.Millisecond)
	if got := drain(t, stack); len(got) != 0 {
		t.Errorf("answer to an ICMP error: %x", got)
	}
}

func TestPacketTooBig6(t *testing.T) {
	p := make([]byte, 1400)
	p[0], p[6], p[23], p[39] = 0x60, protoTCP, 1, 2
	got := packetTooBig(p, 1280)
	if len(got) != 1280 || got[40] != 2 || binary.BigEndian.Uint32(got[44:]) != 1280 || got[23] != 2 || got[39] != 1 {
		t.Fatalf("%x", got)
	}
	sum := onesSum(onesSum(onesSum(0, got[8:40]), []byte{0, 58, byte((1280 - 40) >> 8), (1280 - 40) & 0xff}), got[40:])
	if sum != 0xffff {
		t.Errorf("checksum adds up to %#x", sum)
	}
}

// Close in mid-delay ends timers, workers and readers; the bubble would tell of any left over.
func TestImpairClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pair(PairConfig{Queues: 2})
		m := Impair(a, mustSpec(t, "delay=20ms,reorder=10%"))
		for i := range 50 {
			write(t, m.Queues()[i%2], numbered(i, 100))
			write(t, b.Queues()[i%2], numbered(i, 100))
		}
		waited := make(chan error, 2)
		for _, q := range m.Queues() {
			go func() { waited <- q.Wait() }()
		}
		time.Sleep(10 * time.Millisecond)
		m.Close()
		m.Close()
		for range 2 {
			if err := <-waited; err != net.ErrClosed {
				t.Errorf("Wait = %v", err)
			}
		}
		q := m.Queues()[0]
		if _, err := q.Read(NewFrame()); err != net.ErrClosed {
			t.Errorf("Read = %v", err)
		}
		if err := q.Write(Offload{}, []byte{1}, [4][]byte{}); err != net.ErrClosed {
			t.Errorf("Write = %v", err)
		}
		time.Sleep(time.Minute)
		if got := drain(t, b.Queues()[0]); len(got) != 0 {
			t.Errorf("%d packets left after Close", len(got))
		}
	})
}

func TestImpairWake(t *testing.T) {
	for _, spec := range []string{"out:loss=1%", "in:loss=1%"} {
		synctest.Test(t, func(t *testing.T) {
			a, _ := Pair(PairConfig{})
			m := Impair(a, mustSpec(t, spec))
			defer m.Close()
			q := m.Queues()[0]
			q.Wake()
			if err := q.Wait(); err != nil {
				t.Error(spec, err)
			}
			go q.Wake()
			if err := q.Wait(); err != nil {
				t.Error(spec, err)
			}
		})
	}
}

// failing is a queue whose device dies.
type failing struct{ Queue }

var errDevice = errors.New("device is gone")

func (failing) Read(*Frame) (bool, error) { return false, errDevice }

type failingLink struct{ Link }

func (failingLink) Queues() []Queue { return []Queue{failing{}} }
func (failingLink) Close() error    { return nil }

func TestImpairPassesErrorsOn(t *testing.T) {
	m := Impair(failingLink{}, mustSpec(t, "in:delay=1ms"))
	q := m.Queues()[0]
	for range 3 {
		q.Wait()
		if _, err := q.Read(NewFrame()); err == errDevice {
			m.Close()
			return
		}
	}
	t.Error("the error does not arrive")
}

// Faults need packets of wire size: the pair below is told, through a tap, too.
func TestImpairSwitchesGSOOff(t *testing.T) {
	a, b := Pair(PairConfig{GSO: true})
	m := Impair(Tap(a, func(Direction, time.Time, Offload, [][]byte) {}), Spec{})
	if m.GSO() || a.GSO() || b.GSO() {
		t.Errorf("GSO: %v %v %v", m.GSO(), a.GSO(), b.GSO())
	}
}

func TestImpairDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	a, b := Pair(PairConfig{})
	m := Impair(a, mustSpec(t, "out:loss=1%,out:rate=1000gbit,out:reorder=1%,out:drop=1,out:duplicate=1%"))
	defer m.Close()
	q, peer, f := m.Queues()[0], b.Queues()[0], NewFrame()
	p := tcpPacket(true, 1, 2, 3, ack, make([]byte, 1000))
	run := func() {
		for range 100 {
			q.Write(Offload{}, p, [4][]byte{})
		}
		for ok := true; ok; ok, _ = peer.Read(f) {
		}
	}
	for range 100 {
		run()
	}
	if n := testing.AllocsPerRun(100, run); n > 1 {
		t.Errorf("%v allocations per 100 packets", n)
	}
}

func TestImpairRefusesSizes(t *testing.T) {
	a, _ := Pair(PairConfig{})
	m := Impair(a, mustSpec(t, "corrupt=100%"))
	defer m.Close()
	for _, n := range []int{0, MaxPacket + 1} {
		if err := m.Queues()[0].Write(Offload{}, make([]byte, n), [4][]byte{}); err != ErrPacketSize {
			t.Errorf("%d octets: %v", n, err)
		}
	}
}

// Any bytes may come by: nothing panics, and what is not dropped keeps its length.
func FuzzImpair(f *testing.F) {
	f.Add(tcpPacket(true, 1, 2, 3, syn, nil), uint16(20), uint16(16))
	f.Add(tcpPacket(true, 1, 2, 3, ack, []byte("data")), uint16(0xffff), uint16(0xffff))
	f.Add(append([]byte{0x60, 6: protoTCP, 39: 0}, make([]byte, 30)...), uint16(40), uint16(16))
	s := mustSpec(f, "out:corrupt=50%,out:corrupt=1,out:duplicate=50%,out:mtu=200,out:drop-syn=1")
	f.Fuzz(func(t *testing.T, packet []byte, start, offset uint16) {
		a, b := Pair(PairConfig{GSO: true})
		m := Impair(a, s)
		defer m.Close()
		for range 3 {
			m.Queues()[0].Write(Offload{NeedsCsum: start != 0, CsumStart: start, CsumOffset: offset}, packet, [4][]byte{})
		}
		flowHash(packet)
		for _, got := range drain(t, b.Queues()[0]) {
			if len(got) != len(packet) {
				t.Fatalf("%d octets, sent %d", len(got), len(packet))
			}
		}
	})
}
