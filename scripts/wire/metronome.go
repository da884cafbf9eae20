package main

import (
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"ustack/stack/link"
)

// beat is how often the relay looks for packets and timers: about what one packet takes at 100 Mbit/s.
const beat = 100 * time.Microsecond

// metronome drives everything in this process from one thread, beat by beat.
//
// Go's runtime sleeps in whole milliseconds: a packet that link.Impair has to release leaves half a
// millisecond late on average, with seven others at once at 100 Mbit/s. And to wake a sleeping thread for
// each packet costs a virtual machine ten times what the packet itself does. So on the single P that
// the process has, one goroutine sleeps in the kernel without giving the P up, and between sleeps lets all others run
// until they have nothing left to do. Timers are then late by half a beat, and devices are read every beat.
//
// It also notes when the process was kept from its work: a measurement with such a gap says little about TCP.
type metronome struct {
	mu    sync.Mutex
	cond  sync.Cond
	count uint64 // beats
	gaps  []gap
}

// gap is a beat that came late.
type gap struct {
	at   time.Time
	late time.Duration
}

// smallGap is what is not worth a note.
const smallGap = 2 * time.Millisecond

// startMetronome starts what then goes on for ever.
func startMetronome() *metronome {
	runtime.GOMAXPROCS(1)
	m := new(metronome)
	m.cond.L = &m.mu
	go m.run()
	return m
}

func (m *metronome) run() {
	sleep := unix.NsecToTimespec(int64(beat))
	for last := time.Now(); ; {
		nap(&sleep)
		now := time.Now()
		m.strike(now, now.Sub(last)-beat)
		letOthersRun()
		last = now
	}
}

// strike wakes who waits for the beat.
func (m *metronome) strike(now time.Time, late time.Duration) {
	m.mu.Lock()
	m.count++
	if late > smallGap {
		m.note(now, late)
	}
	m.mu.Unlock()
	m.cond.Broadcast()
}

// letOthersRun yields until no other goroutine is ready. One yield is not enough: at every 61st turn
// the scheduler serves the yielding goroutine first.
func letOthersRun() {
	const empty = time.Microsecond // what a yield takes when nobody else is there
	for alone := 0; alone < 2; alone++ {
		before := time.Now()
		runtime.Gosched()
		if time.Since(before) > empty {
			alone = -1
		}
	}
}

// wait returns at the next beat.
func (m *metronome) wait() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for n := m.count; m.count == n; {
		m.cond.Wait()
	}
}

func (m *metronome) note(at time.Time, late time.Duration) {
	const most = 100_000
	if len(m.gaps) == most {
		m.gaps = append(m.gaps[:0], m.gaps[most/2:]...)
	}
	m.gaps = append(m.gaps, gap{at, late})
}

// worst returns the longest gap since a time.
func (m *metronome) worst(since time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	var w time.Duration
	for _, g := range m.gaps {
		if g.at.After(since) {
			w = max(w, g.late)
		}
	}
	return w
}

// timed is a link whose queues are looked at on every beat.
type timed struct {
	link.Link
	queues []link.Queue
}

func (m *metronome) time(l link.Link) *timed {
	t := &timed{Link: l}
	for _, q := range l.Queues() {
		t.queues = append(t.queues, timedQueue{q, m})
	}
	return t
}

// Queues returns the queues.
func (t *timed) Queues() []link.Queue { return t.queues }

type timedQueue struct {
	link.Queue
	m *metronome
}

// Wait returns at the next beat. That the queue was closed is then for Read to tell.
func (q timedQueue) Wait() error {
	q.m.wait()
	return nil
}
