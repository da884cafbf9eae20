package link

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func write(t testing.TB, q Queue, p []byte) {
	t.Helper()
	if err := q.Write(Offload{}, p, [4][]byte{}); err != nil {
		t.Fatal(err)
	}
}

// next waits for a packet and returns a copy.
func next(t testing.TB, q Queue, f *Frame) []byte {
	t.Helper()
	for {
		ok, err := q.Read(f)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			return bytes.Clone(f.Packet)
		}
		if err := q.Wait(); err != nil {
			t.Fatal(err)
		}
	}
}

func empty(t testing.TB, q Queue, f *Frame) {
	t.Helper()
	if ok, err := q.Read(f); ok || err != nil {
		t.Fatalf("Read = %v, %v; want nothing", ok, err)
	}
}

func TestPairCarriesPackets(t *testing.T) {
	a, b := Pair(PairConfig{})
	qa, qb, f := a.Queues()[0], b.Queues()[0], NewFrame()
	p := []byte("in four pieces and a header")
	err := qa.Write(Offload{}, p[:3], [4][]byte{p[3:5], nil, p[5:20], p[20:]})
	if err != nil {
		t.Fatal(err)
	}
	write(t, qa, []byte{2})
	p2 := bytes.Clone(p)
	clear(p) // nothing may be kept of it
	if got := next(t, qb, f); !bytes.Equal(got, p2) {
		t.Errorf("got %q", got)
	}
	if got := next(t, qb, f); !bytes.Equal(got, []byte{2}) {
		t.Errorf("got %q", got)
	}
	empty(t, qb, f)
	empty(t, qa, f)
	if s, want := a.Stats(), (Stats{TxPackets: 2, TxBytes: uint64(len(p)) + 1}); s != want {
		t.Errorf("a: %+v", s)
	}
	if s, want := b.Stats(), (Stats{RxPackets: 2, RxBytes: uint64(len(p)) + 1}); s != want {
		t.Errorf("b: %+v", s)
	}
}

func TestPairDropsWhenFull(t *testing.T) {
	a, b := Pair(PairConfig{QueueLen: 3})
	for i := range 5 {
		write(t, a.Queues()[0], []byte{byte(i)})
	}
	f := NewFrame()
	for i := range 3 {
		if got := next(t, b.Queues()[0], f); got[0] != byte(i) {
			t.Errorf("packet %d is %d", i, got[0])
		}
	}
	empty(t, b.Queues()[0], f)
	if d := b.Stats().QueueDrops; d != 2 {
		t.Errorf("QueueDrops = %d, want 2", d)
	}
	write(t, a.Queues()[0], []byte{9})
	next(t, b.Queues()[0], f)
}

func TestPairRefuses(t *testing.T) {
	partial := Offload{NeedsCsum: true, CsumStart: 20, CsumOffset: 16}
	super := Offload{NeedsCsum: true, CsumStart: 20, CsumOffset: 16, HdrLen: 40, GSO: GSOTCPv4, GSOSize: 1460}
	tooWide, noCsum, beyond := super, super, partial
	tooWide.GSOSize++
	noCsum.NeedsCsum = false
	beyond.CsumStart = 100
	for _, c := range []struct {
		name string
		gso  bool
		o    Offload
		size int
		want error
	}{
		{"fits", false, Offload{}, 1500, nil},
		{"over the MTU", false, Offload{}, 1501, ErrPacketSize},
		{"empty", false, Offload{}, 0, ErrPacketSize},
		{"partial checksum, wire-sized link", false, partial, 100, ErrOffload},
		{"super-segment, wire-sized link", false, super, 5000, ErrOffload},
		{"partial checksum", true, partial, 100, nil},
		{"checksum beyond the packet", true, beyond, 100, ErrOffload},
		{"super-segment", true, super, 65535, nil},
		{"over a frame", true, super, MaxPacket + 1, ErrPacketSize},
		{"segments over the MTU", true, tooWide, 5000, ErrPacketSize},
		{"super-segment without partial checksum", true, noCsum, 5000, ErrOffload},
		{"plain over the MTU on a GSO link", true, Offload{}, 1501, ErrPacketSize},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := Pair(PairConfig{GSO: c.gso})
			err := a.Queues()[0].Write(c.o, make([]byte, c.size), [4][]byte{})
			if !errors.Is(err, c.want) {
				t.Fatalf("err = %v, want %v", err, c.want)
			}
			f := NewFrame()
			ok, _ := b.Queues()[0].Read(f)
			if ok != (c.want == nil) || ok && (f.Offload != c.o || len(f.Packet) != c.size) {
				t.Errorf("Read = %v, %+v, %d octets", ok, f.Offload, len(f.Packet))
			}
			if n := a.Stats().WriteErrors; n != 1 == (c.want != nil) {
				t.Errorf("WriteErrors = %d", n)
			}
		})
	}
}

// Wait is durably blocked in a bubble, and Wake, Close and packets end it. A Wake with nobody
// waiting ends the next Wait.
func TestPairWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pair(PairConfig{})
		q, start := b.Queues()[0], time.Now()
		for _, c := range []struct {
			name string
			end  func()
			want error
		}{
			{"packet", func() { write(t, a.Queues()[0], []byte{1}) }, nil},
			{"wake", q.Wake, nil},
			{"close", func() { q.Close() }, net.ErrClosed},
		} {
			if c.name == "wake" {
				q.Wake()
				if err := q.Wait(); err != nil {
					t.Fatal("Wait after Wake:", err)
				}
			}
			go func() {
				time.Sleep(time.Second)
				c.end()
			}()
			if err := q.Wait(); err != c.want {
				t.Fatalf("%s: %v, want %v", c.name, err, c.want)
			}
			synctest.Wait()
			if c.want == nil {
				q.Read(NewFrame())
			}
		}
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("took %v", d)
		}
		if ok, err := q.Read(NewFrame()); ok || err != net.ErrClosed {
			t.Errorf("Read after Close = %v, %v", ok, err)
		}
		if err := q.Write(Offload{}, []byte{1}, [4][]byte{}); err != net.ErrClosed {
			t.Errorf("Write after Close = %v", err)
		}
		write(t, a.Queues()[0], []byte{1}) // into the void
		a.Close()
	})
}

// Both directions of a flow keep to one queue, and flows spread over all.
func TestPairHashesFlows(t *testing.T) {
	const queues = 4
	a, b := Pair(PairConfig{Queues: queues})
	f := NewFrame()
	find := func(l Link, want []byte) int {
		for i, q := range l.Queues() {
			if ok, _ := q.Read(f); ok {
				if !bytes.Equal(f.Packet, want) {
					t.Errorf("got %x", f.Packet)
				}
				return i
			}
		}
		t.Fatal("lost")
		return -1
	}
	used := [queues]int{}
	for port := range 64 {
		there := tcpPacket(true, 40000+port, 80, 0, 0, nil)
		back := tcpPacket(false, 40000+port, 80, 0, 0, nil)
		write(t, a.Queues()[port%queues], there)
		write(t, b.Queues()[port%queues], back)
		i, j := find(b, there), find(a, back)
		if i != j {
			t.Fatalf("port %d: queue %d there, %d back", port, i, j)
		}
		used[i]++
	}
	for i, n := range used {
		if n < 4 {
			t.Errorf("queue %d got %d of 64 flows: %v", i, n, used)
		}
	}
}

func TestPairDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	a, b := Pair(PairConfig{GSO: true})
	f := NewFrame()
	o := Offload{NeedsCsum: true, CsumStart: 20, CsumOffset: 16, HdrLen: 40, GSO: GSOTCPv4, GSOSize: 1460}
	hdr, body := make([]byte, 40), make([]byte, 60000)
	qa, qb := a.Queues()[0], b.Queues()[0]
	n := testing.AllocsPerRun(1000, func() {
		qa.Write(o, hdr, [4][]byte{body[:30000], body[30000:]})
		qa.Write(Offload{}, hdr, [4][]byte{body[:1000]})
		for {
			if ok, _ := qb.Read(f); !ok {
				break
			}
		}
	})
	if n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
}

// Many writers, one reader: nothing is lost, mixed up or torn.
func TestPairConcurrentWriters(t *testing.T) {
	const writers, each = 4, 5000
	a, b := Pair(PairConfig{QueueLen: writers * each})
	q, f := b.Queues()[0], NewFrame()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				p := bytes.Repeat([]byte{byte(w)}, 2+i%1400)
				p[0], p[1] = byte(i>>8), byte(i)
				a.Queues()[0].Write(Offload{}, []byte{byte(w)}, [4][]byte{p})
			}
		})
	}
	var seen [writers]int
	for range writers * each {
		p := next(t, q, f)
		w, i := p[0], int(p[1])<<8|int(p[2])
		if i != seen[w] || len(p) != 3+i%1400 {
			t.Fatalf("writer %d: packet %d of %d octets, want %d", w, i, len(p), seen[w])
		}
		if bytes.ContainsFunc(p[3:], func(r rune) bool { return r != rune(w) }) {
			t.Fatal("torn packet")
		}
		seen[w]++
	}
	wg.Wait()
}

func BenchmarkPair(b *testing.B) {
	x, y := Pair(PairConfig{})
	f, p := NewFrame(), make([]byte, 1500)
	for b.Loop() {
		x.Queues()[0].Write(Offload{}, p, [4][]byte{})
		y.Queues()[0].Read(f)
	}
}
