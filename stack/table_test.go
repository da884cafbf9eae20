package stack

import (
	"hash/maphash"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"ustack/stack/link"
	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// The index against a map, with hashes that collide.
func TestTableModel(t *testing.T) {
	if n := unsafe.Sizeof(flowKey{}); n != 36 {
		t.Errorf("a key has %d octets, want 36", n)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	var sh shard
	conns, records := map[flowKey]*Conn{}, map[flowKey]recordRef{}
	hash := func(k *flowKey) uint32 { return uint32(k.lport) % 499 * 0x830001 }
	enter := func(k flowKey) {
		if rnd.IntN(2) == 0 {
			at := sh.halfOpens.take()
			sh.halfOpens.at(at).key = k
			records[k] = makeRef(kindHalfOpen, at)
		} else {
			at := sh.timeWaits.take()
			sh.timeWaits.at(at).key = k
			records[k] = makeRef(kindTimeWait, at)
		}
		sh.records.insert(hash(&k), records[k], fullOfRecords)
	}
	forget := func(k flowKey, ref recordRef) {
		sh.records.remove(hash(&k), ref)
		if ref.kind() == kindHalfOpen {
			sh.halfOpens.give(ref.at())
		} else {
			sh.timeWaits.give(ref.at())
		}
		delete(records, k)
	}
	for step := range less(100_000) {
		k := flowKey{lport: uint16(rnd.IntN(2000)), rport: uint16(rnd.IntN(2))}
		c, ref := sh.conn(&k, hash(&k)), sh.record(&k, hash(&k))
		if c != conns[k] || ref != records[k] {
			t.Fatalf("step %d: %p and %x, want %p and %x", step, c, ref, conns[k], records[k])
		}
		switch {
		case c != nil:
			sh.conns.remove(hash(&k), c)
			delete(conns, k)
		case ref != 0 && rnd.IntN(2) == 0: // the handshake is over
			forget(k, ref)
			conns[k] = &Conn{key: k}
			sh.conns.insert(hash(&k), conns[k], fullOfConns)
		case ref != 0:
			forget(k, ref)
		case step%25_000 < 20_000 || rnd.IntN(10) == 0: // grows, then shrinks
			enter(k)
		}
		slabs := sh.halfOpens.live + sh.timeWaits.live
		if sh.conns.live != len(conns) || sh.records.live != len(records) || slabs != len(records) {
			t.Fatalf("step %d: %d connections, %d records and %d in the slabs, want %d and %d", step,
				sh.conns.live, sh.records.live, slabs, len(conns), len(records))
		}
	}
	for k, c := range conns {
		if sh.conn(&k, hash(&k)) != c {
			t.Fatalf("%v is lost", k)
		}
		sh.conns.remove(hash(&k), c)
	}
	for k, ref := range records {
		if sh.record(&k, hash(&k)) != ref {
			t.Fatalf("%v is lost", k)
		}
		sh.records.remove(hash(&k), ref)
	}
	if len(sh.conns.slots) > minIndex || len(sh.records.slots) > minIndex {
		t.Error("an empty shard holds a large index")
	}
}

func TestTablePlaces(t *testing.T) {
	var tb table
	tb.init(maphash.MakeSeed())
	used := map[*shard]int{}
	for i := range 6400 {
		k := flowKey{local: us4, remote: them4, lport: 80, rport: uint16(i)}
		sh, _ := tb.place(&k)
		used[sh]++
	}
	if len(used) != numShards {
		t.Errorf("%d of %d shards are used", len(used), numShards)
	}
	for _, n := range used {
		if n > 200 {
			t.Errorf("%d of 6400 flows in one shard of %d", n, numShards)
		}
	}
}

// The reference vectors of SipHash-2-4: key 00 01 … 0f, messages 00 01 02 …
func TestSipHash(t *testing.T) {
	k := sipKey{0x0706050403020100, 0x0f0e0d0c0b0a0908}
	var msg []byte
	for i := range 16 {
		msg = append(msg, byte(i))
	}
	for n, want := range map[int]uint64{0: 0x726fdb47dd0e0e31, 1: 0x74f839c593dc67fd, 8: 0x93f5f5799a932462, 15: 0xa129ca6149be45e5} {
		if got := k.sum(msg[:n]); got != want {
			t.Errorf("hash of %d octets is %#x, want %#x", n, got, want)
		}
	}
}

// req: MUST-8 MUST-9 SHLD-1 6528-01 6528-02 7323-17
func TestISN(t *testing.T) {
	secret := func() *secrets {
		s, err := New(Config{Links: firstEnd(), Addrs: prefixes("10.0.0.1/8")})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		return &s.secret
	}
	s := secret()
	key := flowKey{us4, them4, 80, 4000}
	iss, offset := s.isn(&key, 1e9)
	later, sameOffset := s.isn(&key, 2e9)
	if d := later.Sub(iss); d != 250_000 || offset != sameOffset {
		t.Errorf("after a second the ISN is %d higher, the offset %d, was %d", d, sameOffset, offset)
	}
	if other, _ := secret().isn(&key, 1e9); other == iss {
		t.Error("two boots have the same ISN")
	}
	// Any bit of the flow changes half of the bits.
	flip := func(change func(*flowKey)) {
		k := key
		change(&k)
		i, o := s.isn(&k, 1e9)
		h, g := s.isnKey.flow(&key), s.isnKey.flow(&k)
		n := popcount(h ^ g)
		if i == iss || o == offset || n < 12 || n > 52 {
			t.Errorf("%v differs in %d of 64 bits", k, n)
		}
	}
	for b := range 128 {
		flip(func(k *flowKey) { k.local[b/8] ^= 1 << (b % 8) })
		flip(func(k *flowKey) { k.remote[b/8] ^= 1 << (b % 8) })
	}
	for b := range 16 {
		flip(func(k *flowKey) { k.lport ^= 1 << b })
		flip(func(k *flowKey) { k.rport ^= 1 << b })
	}
}

func popcount(x uint64) (n int) {
	for ; x != 0; x &= x - 1 {
		n++
	}
	return n
}

// req: 4987-02 MEM-01
func TestBudget(t *testing.T) {
	var p pool
	p.init(4 * tcb.LargeBlock)
	p.conns.Store(1)
	a, b, c := &lender{p: &p}, &lender{p: &p}, &lender{p: &p}
	var large [][]byte
	for p.level() == 0 {
		large = append(large, a.Get(tcb.LargeBlock))
	}
	if len(large) != 3 {
		t.Errorf("memory is short after %d of 4 blocks, want 3", len(large))
	}
	if got, want := p.share(), tcb.LargeBlock*3/2; got != want {
		t.Errorf("each queue may hold %d octets, want %d", got, want)
	}
	if a.Get(tcb.LargeBlock) != nil {
		t.Error("who has had its share gets a large block")
	}
	last := b.Get(tcb.LargeBlock)
	if last == nil || !p.spent() || c.Get(tcb.LargeBlock) != nil {
		t.Fatal("the budget is not spent")
	}
	if s := a.Get(tcb.SmallBlock); len(s) != tcb.SmallBlock {
		t.Error("a small block to send from was refused")
	} else {
		a.Put(s[:17])
	}
	a.input, c.input, c.slow = true, true, true
	if a.Get(tcb.SmallBlock) != nil {
		t.Error("who holds much may take in more")
	}
	var few [][]byte
	for s := c.Get(tcb.SmallBlock); s != nil; s = c.Get(tcb.SmallBlock) {
		few = append(few, s)
	}
	if got := len(few) * tcb.SmallBlock; got != lentAlways {
		t.Errorf("a slow reader who holds nothing may take in %d octets, want %d", got, lentAlways)
	}
	c.slow = false
	for s := c.Get(tcb.SmallBlock); s != nil; s = c.Get(tcb.SmallBlock) {
		few = append(few, s)
	}
	if got := len(few) * tcb.SmallBlock; got != p.share() {
		t.Errorf("a quick reader may take in %d octets, want its share, %d", got, p.share())
	}
	for _, s := range few {
		c.Put(s)
	}
	for _, s := range large {
		a.Put(s)
	}
	b.Put(last)
	if p.used.Load() != 0 || p.level() != 0 || a.held+b.held+c.held != 0 {
		t.Errorf("%d octets are used, %d, %d and %d held", p.used.Load(), a.held, b.held, c.held)
	}
}

// Readers that do not read hold no more than the budget, and others move on. req: MEM-01
func TestSlowReadersShareTheBudget(t *testing.T) {
	const budget, readers = 8 << 20, 40
	synctest.Test(t, func(t *testing.T) {
		h := newHosts(t, link.PairConfig{}, func(c *Config) { c.MemoryBudget = budget })
		l, err := h.b.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		var slow, writers []*Conn
		for range readers {
			writers = append(writers, dialOrFail(t, h.a, addrB4+":80"))
			s, err := l.AcceptConn()
			if err != nil {
				t.Fatal(err)
			}
			slow = append(slow, s)
		}
		for _, c := range writers {
			go c.Write(make([]byte, 8<<20))
		}
		time.Sleep(5 * time.Second)
		for name, s := range map[string]*Stack{"writers": h.a, "readers": h.b} {
			if n := s.Stats().MemoryUsed; n > budget*5/4 || n < budget/8 {
				t.Errorf("the %s hold %d octets of a budget of %d", name, n, budget)
			}
		}
		// They all move when they are read.
		var wg sync.WaitGroup
		for i, s := range slow {
			wg.Go(func() {
				s.SetReadDeadline(time.Now().Add(4 * time.Minute))
				if n, err := io.CopyN(io.Discard, s, 1<<20); err != nil {
					t.Errorf("reader %d after %d octets: %v", i, n, err)
				}
			})
		}
		wg.Wait()
	})
}

// Nor do senders that leave a hole at the front, whatever they send behind it; and the octet that
// fills the hole finds room. req: MEM-01 U-19
func TestHolesShareTheBudget(t *testing.T) {
	const budget, senders = 1 << 20, 50
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, func(c *Config) { c.MemoryBudget = budget })
		l, err := w.s.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		chunk := strings.Repeat("x", 1000)
		var peers []*peer
		var conns []*Conn
		for port := range uint16(senders) {
			p := w.peer(false, 80, 1000+port)
			p.open()
			w.recv()
			c, err := l.AcceptConn()
			if err != nil {
				t.Fatal(err)
			}
			peers, conns = append(peers, p), append(conns, c)
		}
		for _, p := range peers {
			p.seq++
			for range 60 {
				p.send(tcpseg.ACK, chunk)
			}
			w.recv()
		}
		if n := w.s.Stats().MemoryUsed; n > budget+senders*lentAlways || n < budget/2 {
			t.Errorf("%d senders hold %d octets of a budget of %d", senders, n, budget)
		}
		for i, p := range peers {
			p.seq = p.seq.Add(-60*len(chunk) - 1)
			p.send(tcpseg.ACK, "!")
			w.recv()
			if n, err := conns[i].Read(make([]byte, 1)); n != 1 || err != nil {
				t.Errorf("the octet in the hole: %d, %v", n, err)
			}
		}
	})
}

// When memory is spent, new connections are not taken. req: 4987-02
func TestNoMemoryNoConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, func(c *Config) { c.MemoryBudget = 1 << 20 })
		if _, err := w.s.Listen("tcp", ":80"); err != nil {
			t.Fatal(err)
		}
		w.s.mem.used.Add(1 << 20)
		p := w.peer(false, 80, 4000)
		p.send(tcpseg.SYN, "")
		w.silence()
		if n := w.drops("listen-memory-spent"); n != 1 {
			t.Errorf("%d SYNs dropped, want 1", n)
		}
		w.s.mem.used.Add(-1 << 20)
		p.seq--
		p.send(tcpseg.SYN, "")
		w.answer()
	})
}
