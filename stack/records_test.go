package stack

import (
	"hash/maphash"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"ustack/ippkt"
	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// keyOf returns the i-th of many flows.
func keyOf(i int) flowKey {
	a := netip.AddrFrom4([4]byte{10, 91, byte(i >> 24), byte(i >> 16)})
	return flowKey{local: us4, remote: ippkt.FromNetip(a), lport: 80, rport: uint16(i)}
}

// finAgain is the peer's FIN of a flow whose record came from closeOne, sent again.
func finAgain(key *flowKey) []byte {
	h := header(false, ippkt.ProtoTCP)
	h.Src = key.remote
	return tcpPacket(h, tcpseg.Header{SrcPort: key.rport, DstPort: key.lport, Seq: 0xffffff01, Ack: 1,
		Flags: tcpseg.FIN | tcpseg.ACK, Window: 65535}, "")
}

// closeOne opens and closes a connection to a listener with that MSL and takes its record out of the table.
func closeOne(w *wire, port uint16, msl time.Duration) tcb.TimeWait {
	w.t.Helper()
	l, err := (&ListenConfig{Stack: w.s, Options: &tcb.Options{MSL: msl}}).Listen(w.t.Context(), "tcp", addrB4+":"+strconv.Itoa(int(port)))
	if err != nil {
		w.t.Fatal(err)
	}
	defer l.Close()
	p := w.peer(false, port, 4000)
	p.open()
	c, err := l.AcceptConn()
	if err != nil {
		w.t.Fatal(err)
	}
	c.Close()
	w.recv()
	p.ack++
	p.send(tcpseg.FIN|tcpseg.ACK, "")
	w.recv()
	sh, hash := w.s.table.place(&c.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	ref := sh.record(&c.key, hash)
	if ref.kind() != kindTimeWait {
		w.t.Fatal("the connection is not in TIME-WAIT")
	}
	tw := sh.timeWaits.at(ref.at()).tw
	w.s.removeTimeWait(sh, hash, ref)
	return tw
}

// hold makes a flow one in TIME-WAIT.
func (s *Stack) hold(key flowKey, tw *tcb.TimeWait) {
	sh, hash := s.table.place(&key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.records.insert(hash, s.holdTimeWait(sh, &key, tw), fullOfRecords)
}

// forget ends a TIME-WAIT that is there.
func (s *Stack) forget(key flowKey) {
	sh, hash := s.table.place(&key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s.removeTimeWait(sh, hash, sh.record(&key, hash))
}

// TIME-WAIT against a model: flows of listeners with different MSLs come, get the peer's FIN again, and go, each
// at its time to the nanosecond. req: MUST-13 U-16 ST-TW3 ST-TW6 P-7
func TestTimeWaitModel(t *testing.T) {
	for seed := range uint64(less(10)) {
		synctest.Test(t, func(t *testing.T) {
			w := newWire(t)
			rnd := rand.New(rand.NewPCG(seed, 5))
			var kinds []tcb.TimeWait
			for i, msl := range []time.Duration{time.Second, 2500 * time.Millisecond, 30 * time.Second} {
				kinds = append(kinds, closeOne(w, uint16(1000+i), msl))
			}
			fin := tcpseg.Segment{Header: tcpseg.Header{Seq: 0xffffff01, Ack: 1, Flags: tcpseg.FIN | tcpseg.ACK}}
			type record struct{ deadline, length tcb.Time }
			model := map[flowKey]record{}
			for range 1000 {
				key := keyOf(rnd.IntN(300))
				r, there := model[key]
				switch n := rnd.IntN(8); {
				case n == 0: // to the first deadline, or not quite
					next := w.s.now() + tcb.Time(rnd.Int64N(int64(time.Second)))
					for _, r := range model {
						next = min(next, r.deadline)
					}
					time.Sleep(time.Duration(next - w.s.now() - tcb.Time(rnd.IntN(2))))
					synctest.Wait()
				case !there:
					tw := kinds[rnd.IntN(len(kinds))]
					tw.Input(w.s.now(), &fin) // its time begins now
					w.s.hold(key, &tw)
					model[key] = record{w.s.now() + tw.Length(), tw.Length()}
				case n == 1:
					w.s.forget(key)
					delete(model, key)
				default:
					w.send(finAgain(&key))
					w.answer()
					model[key] = record{w.s.now() + r.length, r.length}
				}
				now := w.s.now()
				for k, r := range model {
					if want := r.deadline > now; want != (w.s.table.kind(&k) == kindTimeWait) {
						t.Fatalf("seed %d, at %d: a record until %d is there: %v", seed, now, r.deadline, !want)
					} else if !want {
						delete(model, k)
					}
				}
				if _, _, n := w.s.table.count(); n != len(model) {
					t.Fatalf("seed %d: %d records, want %d", seed, n, len(model))
				}
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			expectFlows(t, "the host", w.s, 0, 0, 0)
			if n := w.s.timers.nodes.live; n != 0 {
				t.Errorf("%d timers are left", n)
			}
		})
	}
}

// Records that end in the same moment do not keep a shard from others.
func TestTimeWaitEndsInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		tw := closeOne(w, 1000, time.Second)
		sh := &w.s.table.shards[0]
		n := 0
		for i := 0; n < 3*maxExpired; i++ {
			key := keyOf(i)
			if at, _ := w.s.table.place(&key); at == sh {
				w.s.hold(key, &tw)
				n++
			}
		}
		w.s.timers.close() // nobody else ends them
		time.Sleep(time.Minute)
		for left := 2 * maxExpired; left >= 0; left -= maxExpired {
			more := w.s.expireSomeTimeWaits(sh)
			if sh.timeWaits.live != left || !more {
				t.Fatalf("%d records are left, want %d; more: %v", sh.timeWaits.live, left, more)
			}
		}
		if w.s.expireSomeTimeWaits(sh) {
			t.Error("there is no end")
		}
	})
}

// Connections that come and go take no memory each, nor do their records, be there others or not.
func TestRecordAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		tw := closeOne(w, 1000, 30*time.Second)
		c := &Conn{s: w.s, key: keyOf(1)}
		for others := range 3 {
			if n := testing.AllocsPerRun(1000, func() {
				w.s.table.addConn(c)
				w.s.table.retire(c, &tw)
				w.s.forget(c.key)
			}); n != 0 {
				t.Errorf("%v allocations for a flow beside %d others", n, others)
			}
			w.s.hold(keyOf(1<<16+others), &tw)
		}
	})
}

// A burst of SYNs costs little each and nothing for good, and so do connections that are over. req: 4987-01
func TestRecordSize(t *testing.T) {
	if n := unsafe.Sizeof(tcb.HalfOpen{}); n > 72 {
		t.Errorf("a TCB's half-open connection takes %d octets", n)
	}
	if n := unsafe.Sizeof(tcb.TimeWait{}); n > 32 {
		t.Errorf("a TCB's TIME-WAIT takes %d octets", n)
	}
	if n := unsafe.Sizeof(timeWait{}); n > 76 {
		t.Errorf("a TIME-WAIT record takes %d octets, its key and its place in a list included", n)
	}
}

// What the heap holds for each record, all counted: key, index, timer, lists, and what slabs and indexes have to
// spare, at any size: just after an index has grown it is largest for its records, and a chunk is when one is in it.
func TestTimeWaitHeap(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		tw := closeOne(w, 1000, time.Hour)
		before := heapOf()
		most, at := 0.0, 0
		for n := 0; n < 100_000; {
			for to := max(10_000, n+n/32); n < to; n++ {
				w.s.hold(keyOf(n), &tw)
			}
			if each := (heapOf() - before) / float64(n); each > most {
				most, at = each, n
			}
		}
		t.Logf("at most %.1f octets each, with %d", most, at)
		if most > 96 {
			t.Errorf("a TIME-WAIT record takes %.1f octets of %d, want at most 96", most, at)
		}
	})
}

// As TestTimeWaitHeap, for connections whose handshake is never completed. req: 4987-01
func TestHalfOpenHeap(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, func(c *Config) { c.Backlog = 1 << 20 })
		if _, err := w.s.Listen("tcp", ":80"); err != nil {
			t.Fatal(err)
		}
		before := heapOf()
		const n = 20_000
		for i := range n {
			key := keyOf(i)
			h := header(false, ippkt.ProtoTCP)
			h.Src = key.remote
			w.send(tcpPacket(h, tcpseg.Header{SrcPort: key.rport, DstPort: 80, Flags: tcpseg.SYN, Window: 65535}, ""))
			if i%100 == 99 {
				w.recv()
			}
		}
		expectFlows(t, "the host", w.s, 0, n, 0)
		each := (heapOf() - before) / n
		t.Logf("%.1f octets each", each)
		if each > 256 {
			t.Errorf("a SYN-RECEIVED record takes %.1f octets, want at most 256", each)
		}
	})
}

// heapOf returns what the heap holds.
func heapOf() float64 {
	runtime.GC()
	runtime.GC() // the second one frees what pools had held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// benchFind looks for flows in a table of n at random.
func benchFind(b *testing.B, enter func(s *Stack, n int)) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			s := standingTimers().s
			s.table.init(maphash.MakeSeed())
			enter(s, n)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				key := keyOf(i * 40503 % n)
				if s.table.kind(&key) == kindNone {
					b.Fatal("a flow is lost")
				}
			}
		})
	}
}

func BenchmarkTableFindConn(b *testing.B) {
	benchFind(b, func(s *Stack, n int) {
		conns := make([]Conn, n)
		for i := range conns {
			conns[i].key = keyOf(i)
			s.table.addConn(&conns[i])
		}
	})
}

func BenchmarkTableFindTimeWait(b *testing.B) {
	benchFind(b, func(s *Stack, n int) {
		var tw tcb.TimeWait
		for i := range n {
			s.hold(keyOf(i), &tw)
		}
	})
}
