package stack

import (
	"fmt"
	"net"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"ustack/stack/tcb"
)

// serveState is where a connection with a callback stands. Conn.mu guards it.
type serveState uint8

const (
	serveIdle    serveState = iota
	serveQueued             // on the ready list
	serveRunning            // its callback runs
	serveAgain              // and there was more news meanwhile
)

// answerTime is how long the ACK of what a callback was given may wait for its answer: what the
// TCB would have let it wait by itself, or less.
const answerTime = tcb.Time(40 * time.Millisecond)

// Reader is what SetReader takes: Readable is called as the f of OnReadable. Touch is called, under the
// connection's lock, when a segment has come for it: it may read a word of each cache line that Readable will
// need, none of them written after SetReader, so that they come from memory together with the connection's own
// (see tcb.TCB.Touch); else it returns 0.
type Reader = interface {
	Readable()
	Touch() uint64
}

// callback makes a Reader of a function.
type callback func()

func (f callback) Readable()     { f() }
func (f callback) Touch() uint64 { return 0 }

// OnReadable asks for f to be called, on a worker goroutine and with no lock held, whenever
// there is news for a reader: data, the peer's FIN or an error. f takes what Peek shows and
// returns; it may block, and it is never called twice at the same time, so no idle connection
// needs a goroutine. News that comes while f runs makes it run once more, and so does a rest,
// be it only the FIN, that f leaves after it has taken something. What f does not touch is no news.
//
// If data is there already, f is queued at once. f that panics resets the connection. Nil ends
// the calls, a running one excepted.
func (c *Conn) OnReadable(f func()) {
	if f == nil {
		c.SetReader(nil)
		return
	}
	c.SetReader(callback(f))
}

// SetReader is OnReadable for whoever has a place for its state and needs no closure.
func (c *Conn) SetReader(r Reader) {
	sc := getScratch()
	defer putScratch(sc)
	c.lock()
	defer c.unlock()
	c.reader = r
	if !c.closed && (c.t.Readable() > 0 || c.readErr() != nil) {
		c.post(sc, tcb.EventReadable)
	}
}

// post hands news for the reader to the callback; it reports whether the connection was put on
// the ready list by that. c.mu is held.
func (c *Conn) post(sc *scratch, news tcb.Events) bool {
	if news&(tcb.EventReadable|tcb.EventClosed) == 0 || c.reader == nil || c.closed {
		return false
	}
	switch c.serve {
	case serveIdle:
		c.serve = serveQueued
		c.q.workers.push(sc, job{c: c})
		return true
	case serveRunning:
		c.serve = serveAgain
	}
	return false
}

// runReadable is a worker's turn with c.
func (c *Conn) runReadable(sc *scratch) {
	c.lock()
	r := c.reader
	if c.closed || r == nil {
		c.serve = serveIdle
		c.flush(sc)
		c.release()
		c.unlock()
		return
	}
	c.serve, c.took = serveRunning, false
	c.unlock()
	defer c.ranReadable(sc) // also after runtime.Goexit
	defer c.recovered()
	r.Readable()
}

// ranReadable sees to it that what the callback has left to be sent is: what WriteSoon took, ACKs that no answer
// carried. It queues c again if there is news.
func (c *Conn) ranReadable(sc *scratch) {
	c.lock()
	defer c.unlock()
	if !c.q.workers.flushLater(c) {
		c.flush(sc)
	}
	again := c.serve == serveAgain || c.took && (c.t.Readable() > 0 || c.readErr() != nil)
	if again && !c.closed && c.reader != nil {
		c.serve = serveQueued
		c.q.workers.requeue(job{c: c})
		return
	}
	c.serve = serveIdle
	c.release()
}

// accepted hands c to its listener's callback.
func (c *Conn) accepted(f func(net.Conn)) {
	defer c.recovered()
	f(c)
}

// recovered, deferred before foreign code is called on behalf of c, resets c if that panics.
func (c *Conn) recovered() {
	if r := recover(); r != nil {
		c.s.log.Error("callback panicked", "remote", c.RemoteAddr(), "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
		c.Abort()
	}
}

// job is one thing for a worker to do: a connection's callback, or a listener's with a new
// connection.
type job struct {
	c *Conn
	f func(net.Conn) // nil: c's OnReadable
}

// maxParked is how many idle workers a queue keeps.
const maxParked = 8

// workers run callbacks: the ready list of a queue and the goroutines that serve it. There are
// never more of them than ready connections, and parked ones. Its lock comes last.
//
// Who may need to know that a callback blocks? While the list is not empty somebody must look
// at it again. Beside the queue's own reader, which does so at the end of its turn, that is a
// worker that has been woken and has not taken a job yet: orphan says that the reader will not.
type workers struct {
	s      *Stack
	mu     sync.Mutex
	list   fifo[job]
	parked []chan struct{} // last in, first out: the warm ones first
	waking int             // woken or started, without a job yet
	orphan bool
	closed bool

	later    [maxLater]*Conn // to be flushed
	numLater int
	waiting  atomic.Bool // the reader looks after neither list: it waits for packets, or is about to
}

// maxLater is how many connections are flushed together. A write to the device leaves little of the program in the
// processor's caches, and the next one finds the kernel there that the last one has left: so callbacks run
// one after the other, and then writes.
const maxLater = 16

// push appends a job. The list's own reader wakes a worker at the end of its turn (rouse), for
// others push does.
func (w *workers) push(sc *scratch, j job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list.push(j)
	sc.readied = true
	if sc.reader != nil && sc.reader.workers == w {
		return
	}
	w.orphan = true
	if w.waking == 0 {
		w.wake()
	}
}

// flushLater takes a connection whose callback has returned; false: it must be flushed now. While the reader does not wait,
// it flushes what is here at the end of its turn, should the worker not come to it because its next callback blocks.
func (w *workers) flushLater(c *Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting.Load() || w.closed || w.numLater == maxLater {
		return false
	}
	w.later[w.numLater] = c
	w.numLater++
	return true
}

// flush flushes those that were to be flushed later. Unless all is true it waits until there are enough, or no
// callback is left to run before.
func (w *workers) flush(sc *scratch, all bool) {
	w.mu.Lock()
	if w.numLater == 0 || !all && w.numLater < maxLater && w.list.len() > 0 {
		w.mu.Unlock()
		return
	}
	batch, n := w.later, w.numLater
	clear(w.later[:n])
	w.numLater = 0
	w.mu.Unlock()
	for _, c := range batch[:n] {
		c.lock()
		c.flush(sc)
		c.unlock()
	}
}

// requeue appends a job on behalf of a worker, who will look at the list next: nobody need be
// woken. If it blocks in a job before this one, the rule for orphans applies.
func (w *workers) requeue(j job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list.push(j)
	w.orphan = true
}

// rouse wakes a worker if there is work and none is on its way; it reports whether it did. The
// last time in a turn the reader looks, after it has let others run, work that is still there
// means that its worker blocks or is on another processor: from then on it is an orphan.
func (w *workers) rouse(last bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.list.len() == 0 {
		return false
	}
	w.orphan = w.orphan || last
	if w.waking > 0 {
		return false
	}
	w.wake()
	return true
}

func (w *workers) wake() {
	w.waking++
	if n := len(w.parked); n > 0 {
		w.parked[n-1] <- struct{}{}
		w.parked = w.parked[:n-1]
		return
	}
	go w.work()
}

// work is a worker: it takes jobs until there are none, parks, and ends when enough others are
// parked.
func (w *workers) work() {
	sc := getScratch()
	defer putScratch(sc)
	woken := true
	var bell chan struct{}
	for {
		w.flush(sc, false)
		j, ok := w.take(woken, &bell)
		woken = false
		if !ok {
			if bell == nil {
				return
			}
			<-bell
			woken = true
			continue
		}
		j.run(w, sc)
	}
}

// take returns the next job. Without one it puts the worker's bell among the parked, or sets it
// to nil: the worker is one too many.
func (w *workers) take(woken bool, bell *chan struct{}) (job, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if woken {
		w.waking--
	}
	if w.list.len() == 0 {
		w.orphan = false
		if w.closed || len(w.parked) >= maxParked {
			*bell = nil
			return job{}, false
		}
		if *bell == nil {
			*bell = make(chan struct{}, 1)
		}
		w.parked = append(w.parked, *bell)
		return job{}, false
	}
	j := w.list.pop()
	if w.list.len() > 0 && w.orphan && w.waking == 0 {
		w.wake() // this callback may block
	}
	return j, true
}

// run does a job. If foreign code ends the goroutine, a new worker takes its place.
func (j job) run(w *workers, sc *scratch) {
	ended := true
	defer func() {
		if ended {
			w.mu.Lock()
			w.wake()
			w.mu.Unlock()
		}
	}()
	if j.f != nil {
		j.c.accepted(j.f)
	} else {
		j.c.runReadable(sc)
	}
	ended = false
}

// close lets parked workers end; those that run a callback end after it.
func (w *workers) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, bell := range w.parked {
		close(bell)
	}
	w.waking += len(w.parked)
	w.parked = nil
}

// yield lets the goroutines that a turn has readied run on this processor, while the caches are
// warm and before the reader enters a system call, then looks after the ready list.
func (q *queue) yield() {
	q.sc.readied = false
	q.workers.rouse(false)
	runtime.Gosched()
	if q.workers.rouse(true) {
		runtime.Gosched()
	}
}

// fifo is a queue in a slice that is used again.
type fifo[T any] struct {
	items []T
	head  int
}

func (f *fifo[T]) len() int { return len(f.items) - f.head }

func (f *fifo[T]) push(v T) {
	if f.head > 0 && len(f.items) == cap(f.items) {
		n := copy(f.items, f.items[f.head:])
		clear(f.items[n:])
		f.items, f.head = f.items[:n], 0
	}
	f.items = append(f.items, v)
}

func (f *fifo[T]) pop() T {
	var zero T
	v := f.items[f.head]
	f.items[f.head] = zero
	if f.head++; f.head == len(f.items) {
		f.items, f.head = f.items[:0], 0
		if cap(f.items) > 1024 {
			f.items = nil
		}
	}
	return v
}
