package main

import (
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// beat is how often the metronome makes the runtime look at its timers: less than what one packet
// takes at 100 Mbit/s.
const beat = 50 * time.Microsecond

// metronome makes timers exact. Go's runtime sleeps in whole milliseconds: a packet that link.Impair
// has to release leaves up to a millisecond late, and eight at once at 100 Mbit/s. A thread that wakes up
// more often and passes through the scheduler brings that to a tenth. It also notes when this process
// was kept from its work: a measurement with such a gap says little about TCP.
type metronome struct {
	mu   sync.Mutex
	gaps []gap
}

// gap is a beat that came late.
type gap struct {
	at   time.Time
	late time.Duration
}

// smallGap is what is not worth a note.
const smallGap = 2 * time.Millisecond

func startMetronome() *metronome {
	m := new(metronome)
	go m.run()
	return m
}

func (m *metronome) run() {
	runtime.LockOSThread() // for good: the slack is the thread's
	unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	sleep := unix.NsecToTimespec(int64(beat))
	for last := time.Now(); ; {
		unix.Nanosleep(&sleep, nil)
		now := time.Now()
		if late := now.Sub(last) - beat; late > smallGap {
			m.note(now, late)
		}
		last = now
		runtime.Gosched()
	}
}

func (m *metronome) note(at time.Time, late time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
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
