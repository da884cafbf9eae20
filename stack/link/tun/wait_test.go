package tun

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func testWaiter(t *testing.T) (w *waiter, ready func()) {
	t.Helper()
	var fds [2]int
	for i := range fds {
		fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		fds[i] = fd
	}
	w = new(waiter)
	w.init(fds[0], fds[1])
	return w, func() { unix.Write(fds[1], []byte{1, 0, 0, 0, 0, 0, 0, 0}) }
}

// An idle queue is not spun on; short gaps bring spinning, one long silence does not end it,
// several do.
func TestWaiterSpinsOnlyWhenBusy(t *testing.T) {
	defer func(old bool) { multiCPU = old }(multiCPU)
	multiCPU = true
	w, _ := testWaiter(t)
	if w.maySpin() {
		t.Error("spins at first")
	}
	w.note(time.Hour)
	for range 15 {
		w.note(5 * time.Microsecond)
	}
	if !w.maySpin() {
		t.Errorf("does not spin with an average gap of %v", w.gap)
	}
	w.note(time.Hour)
	if !w.maySpin() {
		t.Errorf("one long silence counts as %v", w.gap)
	}
	for range 3 {
		w.note(time.Hour)
	}
	if w.maySpin() {
		t.Errorf("spins on an idle queue, average gap %v", w.gap)
	}
	multiCPU = false
	for w.gap > time.Microsecond {
		w.note(0)
	}
	if w.maySpin() {
		t.Error("spins on a single processor")
	}
}

// A spin ends in time, ends with a packet, and pauses for a while when the processor was taken
// away meanwhile: for longer each time.
func TestWaiterSpin(t *testing.T) {
	w, wake := testWaiter(t)
	start := time.Now()
	if ready, err := w.spin(start); ready || err != nil || time.Since(start) < spinLimit {
		t.Errorf("spin = %v, %v after %v", ready, err, time.Since(start))
	}
	wake()
	if ready, err := w.spin(time.Now()); !ready || err != nil {
		t.Errorf("spin = %v, %v with a packet", ready, err)
	}
	w.crowd = 0 // somebody may have taken the processor away from these two
	for want := 16; want < 2*maxPause; want *= 2 {
		w.pause = 0
		w.spin(time.Now().Add(-2 * spinLimit))
		if w.pause != min(want, maxPause) || w.maySpin() || w.pause != min(want, maxPause)-1 {
			t.Errorf("pause = %d, want %d", w.pause, want)
		}
	}
}

// A reader does not sleep while a goroutine of its own P is ready: the P would sleep with it.
func TestWaiterLetsOthersRun(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	w, wake := testWaiter(t)
	for round := range 200 { // at every 61st turn the scheduler passes others over
		const others = 100
		var ran atomic.Int32
		for range others {
			go func() {
				for start := time.Now(); time.Since(start) < 2*emptyYield; {
				}
				if ran.Add(1) == others {
					wake()
				}
			}()
		}
		ready, err := w.letOthersRun()
		if n := ran.Load(); err != nil || n != others {
			t.Fatalf("round %d: %d of %d ran, %v", round, n, others, err)
		}
		if !ready { // the last one is still in the system call that wakes, without the P
			if ready, err := w.poll(10_000); err != nil || !ready {
				t.Fatalf("round %d: not woken, %v", round, err)
			}
		}
	}
}

// A stop of the world does not wait for a packet, whatever moment it hits the sleep at.
func TestWaiterLetsTheWorldStop(t *testing.T) {
	rounds := 300_000
	if testing.Short() {
		rounds = 10_000
	}
	defer func(old bool) { multiCPU = old }(multiCPU)
	multiCPU = false // no spins
	w, wake := testWaiter(t)
	var over atomic.Bool
	ended := make(chan error)
	go func() {
		for !over.Load() {
			if _, err := w.wait(); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	var stats runtime.MemStats
	var longest time.Duration
	for range rounds {
		wake()
		start := time.Now()
		runtime.ReadMemStats(&stats)
		longest = max(longest, time.Since(start))
	}
	over.Store(true)
	wake()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if longest > 10*longestSleep*time.Millisecond {
		t.Errorf("a stop took %v", longest)
	}
}
