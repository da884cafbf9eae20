package tun

import (
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// spinLimit is how long a reader looks for the next packet before it goes to sleep: about what
// waking a sleeping thread costs.
const spinLimit = 50 * time.Microsecond

// spinPause is how many waits go without a spin after one in which the processor was taken away.
const spinPause = 4096

// waiter decides how to wait for a descriptor. While packets have been following each other
// closely it spins, yielding the processor to other goroutines at every turn; else, and when the
// spin was in vain, it sleeps in ppoll(2). That is an ordinary blocking system call: it gives up
// the P, unlike a raw one, and leaves the runtime's netpoller out.
//
// On a busy machine a spin does harm: the scheduler favours those who sleep over those who have
// used up their time. A turn of the spin that takes longer than the spin shall last tells so.
type waiter struct {
	fds   [2]unix.PollFd
	gap   time.Duration // moving average of how long an empty queue stayed empty
	pause int           // waits to go without a spin

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
	ready, err := w.poll(-1)
	w.note(time.Since(start))
	return ready, err
}

func (w *waiter) maySpin() bool {
	if w.pause > 0 {
		w.pause--
		return false
	}
	return multiCPU && w.gap < spinLimit
}

func (w *waiter) spin(start time.Time) (bool, error) {
	for last := start; ; {
		runtime.Gosched()
		ready, err := w.poll(0)
		now := time.Now()
		if now.Sub(last) > spinLimit {
			w.pause = spinPause
		}
		if ready || err != nil {
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
	w.gap += (min(gap, 4*spinLimit) - w.gap) / 8
}

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
