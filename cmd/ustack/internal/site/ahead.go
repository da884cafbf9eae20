package site

import (
	"io"
	"sync"
	"sync/atomic"
)

const (
	// maxAhead is how much of one body may wait in memory, in octets; maxAheadAll of all bodies.
	maxAhead    = 64 << 20
	maxAheadAll = 256 << 20
)

// aheadUsed is what all queues hold now, in octets.
var aheadUsed atomic.Int64

// ahead is a queue of octets between one goroutine that reads a body and one that writes it. The
// reader waits when the queue is full, but its first chunk is always allowed.
type ahead struct {
	mu      sync.Mutex
	changed sync.Cond
	chunks  []*chunk // the last one may still grow
	taken   int      // octets that the last next handed out
	end     error    // why the reader ended; io.EOF: all read
	stopped bool     // the writer is gone
}

// chunk holds the octets buf[r:w]. Beyond w it belongs to the reader, without the lock.
type chunk struct {
	buf     *[copyBufferSize]byte
	r, w    int
	charged bool // counted in aheadUsed
}

func newAhead() *ahead {
	q := new(ahead)
	q.changed.L = &q.mu
	return q
}

// fill reads body into the queue until its end, an error, or stop.
func (q *ahead) fill(body io.Reader) {
	for {
		c := q.tail()
		if c == nil {
			return
		}
		n, err := body.Read(c.buf[c.w:])
		q.mu.Lock()
		c.w += n
		if err != nil {
			q.end = err
		}
		q.changed.Broadcast()
		q.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// tail returns the chunk to read into, after waiting for room; nil after stop.
func (q *ahead) tail() *chunk {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.stopped {
		if n := len(q.chunks); n > 0 && q.chunks[n-1].w < copyBufferSize {
			return q.chunks[n-1]
		}
		if c := q.grow(); c != nil {
			q.chunks = append(q.chunks, c)
			return c
		}
		q.changed.Wait()
	}
	return nil
}

// grow makes a chunk if the limits allow it.
func (q *ahead) grow() *chunk {
	charged := len(q.chunks) > 0
	if charged {
		if len(q.chunks) >= maxAhead/copyBufferSize {
			return nil
		}
		if aheadUsed.Add(copyBufferSize) > maxAheadAll {
			aheadUsed.Add(-copyBufferSize)
			return nil
		}
	}
	return &chunk{buf: copyBuffers.Get().(*[copyBufferSize]byte), charged: charged}
}

// next returns the octets that follow, true until the call after; it waits for some. When all is
// handed out it returns what ended the reader.
func (q *ahead) next() ([]byte, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.consume()
	for {
		if len(q.chunks) > 0 {
			if c := q.chunks[0]; c.r < c.w {
				q.taken = c.w - c.r
				return c.buf[c.r:c.w], nil
			}
		}
		if q.end != nil {
			return nil, q.end
		}
		q.changed.Wait()
	}
}

// consume drops what the last next handed out, and its chunk when that is used up.
func (q *ahead) consume() {
	if q.taken == 0 {
		return
	}
	c := q.chunks[0]
	c.r += q.taken
	q.taken = 0
	if c.r == copyBufferSize {
		c.free()
		q.chunks = q.chunks[1:]
		q.changed.Broadcast()
	}
}

// idle reports whether next would wait.
func (q *ahead) idle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.end == nil && len(q.chunks) == 1 && q.chunks[0].w == q.chunks[0].r+q.taken
}

// stop ends a reader that waits for room.
func (q *ahead) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped = true
	q.changed.Broadcast()
}

// release gives the memory back. Neither side may be at work any more.
func (q *ahead) release() {
	for _, c := range q.chunks {
		c.free()
	}
	q.chunks = nil
}

func (c *chunk) free() {
	copyBuffers.Put(c.buf)
	if c.charged {
		aheadUsed.Add(-copyBufferSize)
	}
}
