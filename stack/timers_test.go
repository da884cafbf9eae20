package stack

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ustack/stack/tcb"
)

// nobody owns the timers of these tests: being called does nothing, but a timer that has fired says so.
var nobody = timerOwner{kind: ownerHalfOpen, slot: 1 << 30}

// Timers against a model: each fires at its time, to the nanosecond, however often it has been moved, and none
// fires that was taken back or dropped.
func TestTimersModel(t *testing.T) {
	for seed := range uint64(less(40)) {
		synctest.Test(t, func(t *testing.T) {
			s := newWire(t).s
			rnd := rand.New(rand.NewPCG(seed, 4))
			type owner struct {
				t    *timer
				when tcb.Time
			}
			var owners []*owner
			moment := func() tcb.Time { return s.now() + 1 + tcb.Time(rnd.IntN(1<<(20+rnd.IntN(20)))) }
			for range 300 {
				switch rnd.IntN(6) {
				case 0, 1:
					o := &owner{s.timers.add(nobody), moment()}
					s.timers.set(o.t, o.when)
					owners = append(owners, o)
				case 2, 3:
					if len(owners) > 0 {
						o := owners[rnd.IntN(len(owners))]
						if o.when = moment(); rnd.IntN(3) == 0 {
							o.when = 0
						}
						s.timers.set(o.t, o.when)
					}
				case 4:
					if i := rnd.IntN(len(owners) + 1); i < len(owners) {
						s.timers.drop(owners[i].t)
						owners = slices.Delete(owners, i, i+1)
					}
				default: // to the next one, or not quite
					to := moment()
					for _, o := range owners {
						if o.when != 0 {
							to = min(to, o.when)
						}
					}
					time.Sleep(time.Duration(to - s.now() - tcb.Time(rnd.IntN(2))))
					synctest.Wait()
				}
				now := s.now()
				for _, o := range owners {
					if o.when != 0 && o.when <= now {
						o.when = 0
					}
					if got := tcb.Time(o.t.when.Load()); got != o.when {
						t.Fatalf("seed %d, at %d: a timer is due at %d, want %d", seed, now, got, o.when)
					}
				}
			}
			for _, o := range owners {
				s.timers.drop(o.t)
			}
			if s.timers.nodes.live != 0 || s.timers.nodes.chunks != nil || s.timers.near != nil {
				t.Errorf("seed %d: %d timers are left", seed, s.timers.nodes.live)
			}
		})
	}
}

// What nobody waits for any more wakes nobody, but for one look at the numbers that are left.
func TestTimersSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWire(t).s
		var list []*timer
		for i := range 1000 {
			x := s.timers.add(nobody)
			s.timers.set(x, s.now()+tcb.Time(i+1)*tcb.Time(time.Millisecond))
			s.timers.set(x, 0)
			list = append(list, x)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		s.timers.mu.Lock()
		defer s.timers.mu.Unlock()
		if s.timers.at != 0 || s.timers.calendar.first() != 0 || len(s.timers.near) != 0 {
			t.Errorf("an idle stack looks again at %d", s.timers.at)
		}
		for _, x := range list {
			if l := x.listed.Load(); l != notListed {
				t.Fatalf("a timer that is not set is listed at %d", l)
			}
		}
	})
}

// Owners that move their timers while others fire: each that is left with a deadline is called.
func TestTimersRace(t *testing.T) {
	s := newWire(t).s
	const n = 64
	var list [n]*timer
	done := make(chan bool)
	for i := range list {
		list[i] = s.timers.add(nobody)
		go func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 1))
			for range less(2000) {
				s.timers.set(list[i], s.now()+tcb.Time(rnd.IntN(100_000)))
				if rnd.IntN(10) == 0 {
					s.timers.set(list[i], 0)
				}
			}
			s.timers.set(list[i], s.now()+tcb.Time(time.Millisecond))
			done <- true
		}()
	}
	for range list {
		<-done
	}
	for _, x := range list {
		for end := time.Now().Add(5 * time.Second); x.when.Load() != 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("a timer for %d has not fired, it is %d", x.when.Load(), s.now())
			}
		}
	}
}

// Timers that are set, moved and taken back for ever take no memory each time.
func TestTimersAllocs(t *testing.T) {
	var s Stack
	s.start = time.Now()
	s.timers.init(&s)
	s.timers.closed = true // what is listed stays
	x := s.timers.add(nobody)
	now := tcb.Time(second)
	if n := testing.AllocsPerRun(1000, func() {
		now += second / 100
		s.timers.set(x, now+second/20)
		s.timers.set(x, now+second/5)
		s.timers.set(x, 0)
		for {
			id, tick, ok := s.timers.calendar.take(tickOf(now))
			if !ok {
				break
			}
			if y := s.timers.nodes.at(id); y.listed.Load() == tick {
				s.timers.take(y, now)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations each time", n)
	}
}

// The common life of a retransmission timer: started, moved, stopped.
func BenchmarkTimers(b *testing.B) {
	var s Stack
	s.start = time.Now()
	s.timers.init(&s)
	defer s.timers.close()
	list := make([]*timer, 1<<16)
	for i := range list {
		list[i] = s.timers.add(nobody)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		x, now := list[i*40503%len(list)], s.now()
		s.timers.set(x, now+second/25)
		s.timers.set(x, now+second/5)
		s.timers.set(x, 0)
	}
}
