package stack

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// Listeners tell what waits for them, and how much may.
func TestListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		if l := w.s.Listeners(); len(l) != 0 {
			t.Errorf("without any: %+v", l)
		}
		for _, lc := range []struct {
			network, address string
			config           ListenConfig
		}{
			{"tcp", ":80", ListenConfig{Backlog: 2, SynCookies: SynCookiesOff}},
			{"tcp6", ":81", ListenConfig{}},
			{"tcp4", ":81", ListenConfig{}},
			{"tcp", addrB4 + ":79", ListenConfig{SynCookies: SynCookiesAlways}},
		} {
			lc.config.Stack = w.s
			if _, err := lc.config.Listen(t.Context(), lc.network, lc.address); err != nil {
				t.Fatal(err)
			}
		}
		for port := range uint16(3) { // the third finds the queue full
			w.peer(false, 80, 1000+port).open()
			w.recv()
		}
		w.peer(true, 80, 1).send(tcpseg.SYN, "")
		w.recv()
		deep := w.s.cfg.Backlog
		want := []ListenerInfo{
			{Addr: netip.MustParseAddrPort(addrB4 + ":79"), Backlog: deep, SynCookies: SynCookiesAlways},
			{Addr: netip.MustParseAddrPort("[::]:80"), BothFamilies: true, Waiting: 2, HalfOpen: 2, Backlog: 2, SynCookies: SynCookiesOff},
			{Addr: netip.MustParseAddrPort("0.0.0.0:81"), Backlog: deep},
			{Addr: netip.MustParseAddrPort("[::]:81"), Backlog: deep},
		}
		if got := w.s.Listeners(); !slices.Equal(got, want) {
			t.Errorf("%+v\nwant\n%+v", got, want)
		}
	})
}

// Connections in SYN-RECEIVED tell how often they were answered, and when that is due again.
func TestHalfOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		if _, err := w.s.Listen("tcp", ":80"); err != nil {
			t.Fatal(err)
		}
		w.peer(false, 80, 1000).send(tcpseg.SYN, "")
		time.Sleep(1500 * time.Millisecond) // the SYN,ACK has gone again after 1 s; then it waits for 2
		w.peer(true, 80, 2000).send(tcpseg.SYN, "")
		w.recv()
		want := []HalfOpenInfo{
			{netip.MustParseAddrPort(addrB4 + ":80"), netip.MustParseAddrPort(addrA4 + ":1000"), 1, 1500 * time.Millisecond},
			{netip.MustParseAddrPort("[" + addrB6 + "]:80"), netip.MustParseAddrPort("[" + addrA6 + "]:2000"), 0, time.Second},
		}
		got := slices.SortedFunc(w.s.HalfOpens(), func(a, b HalfOpenInfo) int { return a.Remote.Compare(b.Remote) })
		if !slices.Equal(got, want) {
			t.Errorf("%+v\nwant\n%+v", got, want)
		}
		for range w.s.TimeWaits() {
			t.Error("nothing is in TIME-WAIT")
		}
		time.Sleep(2 * time.Minute)
		if got := slices.Collect(w.s.HalfOpens()); len(got) != 0 {
			t.Errorf("after they were given up: %+v", got)
		}
	})
}

// A connection that we have closed is listed for as long as its record lives.
func TestTimeWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		l, err := w.s.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		w.timeWait(l)
		time.Sleep(10 * time.Second)
		want := TimeWaitInfo{netip.MustParseAddrPort(addrB4 + ":80"), netip.MustParseAddrPort(addrA4 + ":1000"), 50 * time.Second}
		if got := slices.Collect(w.s.TimeWaits()); len(got) != 1 || got[0] != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		time.Sleep(time.Minute)
		if got := slices.Collect(w.s.TimeWaits()); len(got) != 0 {
			t.Errorf("after its time: %+v", got)
		}
	})
}

// Tens of thousands of records are listed just once each, the gaps that others have left between them not at all.
func TestTimeWaitsMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		tw := closeOne(w, 1000, time.Minute)
		n := less(60_000)
		for i := range n {
			w.s.hold(keyOf(i), &tw)
		}
		for i := 0; i < n; i += 3 {
			w.s.forget(keyOf(i))
		}
		seen := make([]bool, n)
		for r := range w.s.TimeWaits() {
			i := int(r.Remote.Addr().As4()[3])<<16 + int(r.Remote.Port())
			if seen[i] || i%3 == 0 || r.Local.Port() != 80 || r.Remaining != 2*time.Minute {
				t.Fatalf("%+v", r)
			}
			seen[i] = true
		}
		for i := range n {
			if seen[i] != (i%3 != 0) {
				t.Fatalf("record %d is listed: %v", i, seen[i])
			}
		}
	})
}

// While a list is made, the stack goes on: who reads it holds no lock, and what has been copied ahead is little.
func TestTimeWaitsInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		tw := closeOne(w, 1000, time.Minute)
		sh := &w.s.table.shards[5]
		var keys []flowKey
		for i := 0; len(keys) < 3*maxListed; i++ {
			key := keyOf(i)
			if at, _ := w.s.table.place(&key); at == sh {
				w.s.hold(key, &tw)
				keys = append(keys, key)
			}
		}
		n := 0
		for range w.s.TimeWaits() {
			if n++; n > 1 {
				continue
			}
			for _, key := range keys { // all of them end
				w.s.forget(key)
			}
		}
		if n > maxListed {
			t.Errorf("%d records were copied at a time, want at most %d", n, maxListed)
		}
		for range w.s.TimeWaits() {
			t.Error("a record is left")
		}
	})
}

// Records come and go on other goroutines while lists are made; those that stay are in each.
func TestListsWhileBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		tw := closeOne(w, 1000, time.Minute)
		const stay = 500
		for i := range stay {
			w.s.hold(keyOf(i), &tw)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range less(20_000) {
				key := keyOf(stay + i%1000)
				w.s.hold(key, &tw)
				w.s.forget(key)
			}
		}()
		for over := false; !over; {
			select {
			case <-done:
				over = true
			default:
			}
			n := 0
			for r := range w.s.TimeWaits() {
				if r.Remote.Port() < stay {
					n++
				}
			}
			if n != stay {
				t.Fatalf("%d of %d records are listed", n, stay)
			}
		}
	})
}

// Listing costs what one copy of some records takes, however many there are.
func TestListAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := standingTimers().s
	s.table.init(maphash.MakeSeed())
	var tw tcb.TimeWait
	for i := range 10_000 {
		s.hold(keyOf(i), &tw)
	}
	if n := testing.AllocsPerRun(10, func() {
		for range s.TimeWaits() {
		}
	}); n > 2 {
		t.Errorf("%v allocations for 10,000 records", n)
	}
}

// A list of sixty thousand records.
func BenchmarkTimeWaits(b *testing.B) {
	s := standingTimers().s
	s.table.init(maphash.MakeSeed())
	var tw tcb.TimeWait
	for i := range 60_000 {
		s.hold(keyOf(i), &tw)
	}
	b.ReportAllocs()
	for b.Loop() {
		for range s.TimeWaits() {
		}
	}
}
