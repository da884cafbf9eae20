package stack

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"ustack/stack/tcb"
)

// nobody owns the timers of these tests: being called does nothing, but a timer that has fired says so.
var nobody = timerOwner{kind: ownerHalfOpen, slot: 1 << 30}

// Timers against a model: each fires at its time, to the nanosecond, however often it has been moved, and none
// fires that was taken back or dropped. It makes no difference how long the stack has been up.
func TestTimersModel(t *testing.T) {
	for seed := range uint64(less(60)) {
		synctest.Test(t, func(t *testing.T) {
			s := newWire(t).s
			if seed%3 == 0 {
				s.start = s.start.Add(-time.Duration(seed) * 100 * 24 * time.Hour)
			}
			rnd := rand.New(rand.NewPCG(seed, 4))
			type owner struct {
				t    *timer
				when tcb.Time
			}
			var owners []*owner
			moment := func() tcb.Time { return s.now() + 1 + tcb.Time(rnd.IntN(1<<(20+rnd.IntN(23)))) }
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
			if n := s.timers.nodes.live; n != 0 {
				t.Errorf("seed %d: %d timers are left", seed, n)
			}
		})
	}
}

// The last of many timers takes their memory with it.
func TestTimersLetGo(t *testing.T) {
	s := newWire(t).s
	var list []*timer
	for range 3 * timerChunkSize {
		x := s.timers.add(nobody)
		s.timers.set(x, s.now()+1000*second)
		list = append(list, x)
	}
	for _, x := range list {
		s.timers.drop(x)
	}
	if ts := &s.timers; ts.nodes.chunks != nil || ts.near != nil || ts.calendar.first() != 0 || ts.calendar.spare != nil {
		t.Errorf("%d chunks are left, %d deadlines, and a look at %d", len(ts.nodes.chunks), len(ts.near), ts.calendar.first())
	}
}

// The first deadline after a long silence is looked at when its tick begins: nobody catches up with the ticks
// that have passed.
func TestTimersAfterSilence(t *testing.T) {
	for _, silence := range []time.Duration{5 * time.Second, time.Hour, 1000 * 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			s := newWire(t).s
			time.Sleep(silence)
			x := s.timers.add(nobody)
			when := s.now() + second/5
			s.timers.set(x, when)
			if at := s.timers.at; at != tickStart(tickOf(when)) {
				t.Errorf("after %v, what is due at %d is looked at at %d", silence, when, at)
			}
		})
	}
}

// However often a timer is set and taken back, it is listed once, be it in a bucket or in the heap. When it
// is moved to earlier times it is listed again, and what it leaves behind is not.
func TestTimersListedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWire(t).s
		x := s.timers.add(nobody)
		for _, ahead := range []tcb.Time{second / 1000, second / 5} {
			time.Sleep(time.Second)
			s.timers.set(x, s.now()+tcb.Time(time.Microsecond)) // so that the present tick has begun
			time.Sleep(2 * time.Microsecond)
			synctest.Wait()
			when := s.now() + ahead
			for i := range tcb.Time(1000) {
				s.timers.set(x, when+i*1000)
				s.timers.set(x, when+i*1000) // the same again
				s.timers.set(x, 0)
			}
			if n := listedNumbers(&s.timers); n != 1 {
				t.Errorf("%v ahead: a timer is listed %d times", time.Duration(ahead), n)
			}
		}
		begin := tickStart(tickOf(s.now() + second))
		s.timers.set(x, begin)
		time.Sleep(time.Duration(begin - s.now()))
		synctest.Wait()
		when := begin + second/1000
		for i := range tcb.Time(50) {
			s.timers.set(x, when-i*10_000)
		}
		time.Sleep(time.Duration(when - 49*10_000 - s.now()))
		synctest.Wait()
		if at := x.when.Load(); at != 0 {
			t.Errorf("a timer that was moved to earlier times is still due at %d", at)
		}
		s.timers.set(x, s.now()+10*second)
		time.Sleep(time.Millisecond) // the other 49 come up
		synctest.Wait()
		if n := listedNumbers(&s.timers); n != 1 {
			t.Errorf("a timer that has left 49 numbers behind is listed %d times", n)
		}
	})
}

// A deadline that moves later, or is taken back and set again, takes no lock.
func TestTimersMoveWithoutLock(t *testing.T) {
	ts := standingTimers()
	for _, ahead := range []tcb.Time{second / 1000, second / 5, 100 * second} {
		x := ts.add(nobody)
		when := ts.s.now() + ahead
		ts.set(x, when)
		ts.mu.Lock() // whoever wants it now waits for ever
		ts.set(x, when)
		ts.set(x, when+second/100)
		ts.set(x, 0)
		ts.set(x, when+second/100)
		ts.mu.Unlock()
	}
}

// listedNumbers counts the numbers in buckets and heap.
func listedNumbers(ts *timers) int {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	n := len(ts.near)
	for _, r := range []*ring{&ts.calendar.ticks, &ts.calendar.spans} {
		for _, p := range r.buckets {
			for ; p != nil; p = p.next {
				n += p.n
			}
		}
	}
	return n
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
			if x.listed() {
				t.Fatal("a timer that is not set is listed")
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

// Timers that are set, moved, taken back and looked at for ever take no memory each time, nor does one that comes
// and goes when there is no other.
func TestTimersAllocs(t *testing.T) {
	ts := standingTimers()
	x, now := ts.add(nobody), tcb.Time(second)
	if n := testing.AllocsPerRun(1000, func() {
		now += second / 100
		ts.set(x, now+second/20)
		ts.set(x, now+second/5)
		ts.set(x, 0)
		ts.lookUntil(now)
	}); n != 0 {
		t.Errorf("%v allocations for a deadline", n)
	}
	ts.drop(x)
	if n := testing.AllocsPerRun(1000, func() {
		now += second / 100
		x := ts.add(nobody)
		ts.set(x, now+second/5)
		ts.drop(x)
		ts.lookUntil(now)
	}); n != 0 {
		t.Errorf("%v allocations for a timer", n)
	}
}

// standingTimers are timers without a time.Timer: what is listed stays until lookUntil.
func standingTimers() *timers {
	s := &Stack{start: time.Now()}
	s.timers.init(s)
	s.timers.firing = true
	return &s.timers
}

// lookUntil does what fire does, for a clock that stands at now; it returns how many timers were due.
func (ts *timers) lookUntil(now tcb.Time) (due int) {
	for {
		id, at, ok := ts.next(now)
		if !ok {
			return due
		}
		if t := ts.nodes.at(id); moment(t.look.Load()) == momentOf(at) && ts.take(t, now) {
			due++
		}
	}
}

// benchTimers runs f for one of many timers after the other, 10 µs apart.
func benchTimers(b *testing.B, f func(ts *timers, x *timer, now tcb.Time)) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			ts := standingTimers()
			list := make([]*timer, n)
			for i := range list {
				list[i] = ts.add(nobody)
			}
			now := tcb.Time(second)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				now += 10_000
				f(ts, list[i*40503%n], now)
				if i%64 == 0 {
					ts.lookUntil(now)
				}
			}
		})
	}
}

// The common life of a retransmission timer: started, moved, stopped, and looked at once when that is over.
func BenchmarkTimersSetAndStop(b *testing.B) {
	benchTimers(b, func(ts *timers, x *timer, now tcb.Time) {
		ts.set(x, now+second/25)
		ts.set(x, now+second/5)
		ts.set(x, 0)
	})
}

// The rare one: it fires.
func BenchmarkTimersExpire(b *testing.B) {
	benchTimers(b, func(ts *timers, x *timer, now tcb.Time) { ts.set(x, now+second/5) })
}

// A connection that comes and goes.
func BenchmarkTimersAddAndDrop(b *testing.B) {
	benchTimers(b, func(ts *timers, _ *timer, now tcb.Time) {
		x := ts.add(nobody)
		ts.set(x, now+second/5)
		ts.drop(x)
	})
}
