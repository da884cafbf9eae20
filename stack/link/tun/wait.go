package tun

import (
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// spinLimit is how long a reader looks for the next packet before it goes to sleep. It covers what a
// peer on a virtual machine needs to be woken by our answer, handle it and ask again: a shorter spin
// is in vain just then, and both ends pay for a wake-up in every round trip.
const spinLimit = 200 * time.Microsecond

// spinBelow is the average gap below which a spin is worth its while.
const spinBelow = spinLimit / 2

// wakeCost is about what waking a sleeping thread costs: a gap that was slept through seems longer by that.
const wakeCost = 50 * time.Microsecond

// maxPause is how many waits go without a spin at most after one in which the processor was taken away.
const maxPause = 4096

// waiter decides how to wait for a descriptor. While packets have been following each other
// closely it spins, yielding the processor to other goroutines at every turn; else, and when the
// spin was in vain, it sleeps in ppoll(2). That is an ordinary blocking system call: it gives up
// the P, unlike a raw one, and leaves the runtime's netpoller out.
//
// On a busy machine a spin does harm: the scheduler favours those who sleep over those who have
// used up their time. A turn of the spin that takes longer than the spin shall last tells so; the more
// often that is the case, the longer there is none.
type waiter struct {
	fds   [2]unix.PollFd
	gap   time.Duration // moving average of how long an empty queue stayed empty
	pause int           // waits to go without a spin
	crowd int           // length of the last pause, less what quiet spins have taken off

	polling atomic.Bool // holds the device's file open
}

// multiCPU: with a single processor a spin only keeps the sender from running.
var multiCPU = runtime.NumCPU() > 1

func (w *waiter) init(fd, wake int) {
	w.fds[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	w.fds[1] = unix.PollFd{Fd: int32(wake), Events: unix.POLLIN}
	w.gap = spinLimit // asleep at first
}

// wait returns true when the descriptor is readable, has an error to tell, or was woken.
func (w *waiter) wait() (bool, error) {
	start := time.Now()
	if w.maySpin() {
		if ready, err := w.spin(start); ready || err != nil {
			return ready, err
		}
	}
	if ready, err := w.letOthersRun(); ready || err != nil {
		w.note(time.Since(start))
		return ready, err
	}
	ready, err := w.sleep()
	w.note(time.Since(start) - wakeCost)
	return ready, err
}

// The first and the longest system call of a sleep, in milliseconds.
const (
	firstSleep   = 10
	longestSleep = 1000
)

// sleep waits for as long as it takes, in system calls that end by themselves. Go 1.26 looks for a stop of
// the world before it marks a goroutine as being in a system call, and not after: who stops it in
// between (the collector, a drop of privileges) waits until the call returns, and with him everybody else.
// Short sleeps come first because that is when it happens: something has just run.
func (w *waiter) sleep() (bool, error) {
	for ms := firstSleep; ; ms = min(2*ms, longestSleep) {
		before := time.Now()
		if ready, err := w.poll(ms); ready || err != nil {
			return ready, err
		}
		if time.Since(before) < time.Duration(ms)*time.Millisecond {
			ms = firstSleep / 2 // a signal has ended it
		}
	}
}

// emptyYield is how long a yield takes at most when nobody else was there to run.
const emptyYield = time.Microsecond

// letOthersRun yields until no other goroutine of this P is ready. A system call that sleeps takes the
// P along, and what is ready then waits until the runtime notices, for up to ten milliseconds. One
// yield is not enough: at every 61st turn the scheduler serves the yielding goroutine first.
func (w *waiter) letOthersRun() (bool, error) {
	for alone := 0; alone < 2; alone++ {
		before := time.Now()
		runtime.Gosched()
		if time.Since(before) < emptyYield {
			continue
		}
		if ready, err := w.poll(0); ready || err != nil {
			return ready, err
		}
		alone = -1
	}
	return false, nil
}

func (w *waiter) maySpin() bool {
	if w.pause > 0 {
		w.pause--
		return false
	}
	return multiCPU && w.gap < spinBelow
}

func (w *waiter) spin(start time.Time) (bool, error) {
	for last := start; ; {
		runtime.Gosched()
		ready, err := w.poll(0)
		now := time.Now()
		if now.Sub(last) > spinLimit {
			w.crowd = min(max(16, 2*w.crowd), maxPause)
			w.pause = w.crowd
		}
		if ready || err != nil {
			w.crowd -= w.crowd / 8
			w.note(now.Sub(start))
			return ready, err
		}
		if now.Sub(start) >= spinLimit {
			return false, nil
		}
		last = now
	}
}

// note averages the gap. A long silence counts as a few spins, so that some ten quick packets
// are enough to be awake again.
func (w *waiter) note(gap time.Duration) {
	w.gap += (min(gap, 2*spinLimit) - w.gap) / 8
}

// poll looks, or waits for timeout milliseconds at most, until there is something to read or a signal comes.
func (w *waiter) poll(timeout int) (bool, error) {
	w.polling.Store(true)
	n, err := unix.Poll(w.fds[:], timeout)
	w.polling.Store(false)
	if err == unix.EINTR {
		return false, nil
	}
	if n > 0 && w.fds[1].Revents != 0 {
		var b [8]byte
		unix.Read(int(w.fds[1].Fd), b[:])
	}
	return n > 0, err
}
