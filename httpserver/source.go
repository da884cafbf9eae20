package httpserver

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
)

// An eventConn is a connection that tells when it is readable. It is served without a goroutine of its own.
type eventConn interface {
	net.Conn
	// SetReader registers r, whose Readable a worker then calls whenever there is news (data, FIN, error), never concurrently
	// with itself. It may block. Nil ends the calls.
	SetReader(r reader)
	source
	// Octets returns how many octets of what has arrived were read or discarded, and how many were written.
	Octets() (read, written int64)
	// Done is closed when the connection is dead: reset, or timed out.
	Done() <-chan struct{}
}

// A soonWriter is an eventConn that can wait with a write until the callback returns, and then sends it together with
// those of other connections; until then only Flush sends it.
type soonWriter interface {
	WriteSoon(p []byte) (int, error)
	Flush() error
}

// A reader is told of news. Touch is called when there soon will be some: it reads a word of each cache line that
// Readable needs, so that those of an idle connection come from memory at the same time.
type reader = interface {
	Readable()
	Touch() uint64
}

// An acceptNotifier is a listener that hands over connections on its own workers.
type acceptNotifier interface {
	OnAccept(func(net.Conn))
}

// A source is what the engine reads a connection through.
type source interface {
	// Peek returns what was received and not discarded, in order, in two pieces; it never blocks. The error is io.EOF
	// after the peer's FIN, or the connection's, once no data is left. Nothing at all: nothing yet.
	Peek() (a, b []byte, err error)
	Discard(n int) error
	// Read blocks until it can return at least one byte or an error.
	Read(p []byte) (int, error)
}

// A bufSource makes a source of any connection, with a buffer.
type bufSource struct {
	nc net.Conn

	mu       sync.Mutex
	buf      []byte
	r, w     int // buf[r:w] is received and not discarded
	received int64
	err      error
	watching bool     // a goroutine fills the empty buffer, so as to see a reset while a handler runs
	resets   []func() // to call then
	watched  sync.Cond

	sent int64 // bytes the connection took, in the turns before this one; the owner's
}

const sourceSize = 4 << 10

var sourcePool = sync.Pool{New: func() any { return new([sourceSize]byte) }}

func newBufSource(nc net.Conn) *bufSource {
	s := &bufSource{nc: nc, buf: sourcePool.Get().(*[sourceSize]byte)[:]}
	s.watched.L = &s.mu
	return s
}

// release gives the buffer back.
func (s *bufSource) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buf != nil && !s.watching {
		sourcePool.Put((*[sourceSize]byte)(s.buf))
		s.buf, s.r, s.w = nil, 0, 0
	}
}

func (s *bufSource) Peek() (a, b []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.r == s.w {
		return nil, nil, s.err
	}
	return s.buf[s.r:s.w], nil, nil
}

func (s *bufSource) Discard(n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.r = min(s.r+n, s.w)
	return nil
}

// taken returns how many octets were read or discarded.
func (s *bufSource) taken() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.received - int64(s.w-s.r)
}

// take empties the buffer and returns a copy of what was in it.
func (s *bufSource) take() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := bytes.Clone(s.buf[s.r:s.w])
	s.r = s.w
	return p
}

func (s *bufSource) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.await(p); err != nil {
		return 0, err
	}
	if s.r == s.w { // p is large: no detour through the buffer
		return s.receive(p)
	}
	n := copy(p, s.buf[s.r:s.w])
	s.r += n
	return n, nil
}

// fill blocks until the buffer, which is empty, holds at least one byte.
func (s *bufSource) fill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.await(nil)
}

// await blocks until the buffer holds something, or until it is clear that the caller's own p is the better place.
func (s *bufSource) await(p []byte) error {
	for s.watching {
		s.watched.Wait()
	}
	if s.r < s.w || len(p) >= len(s.buf) {
		return nil
	}
	n, err := s.receive(s.buf)
	s.r, s.w = 0, n
	return err
}

// receive reads from the connection at least one byte, or an error. Errors but a passed deadline are final. It lets go
// of the lock for that time; nobody else uses the buffer, which is empty.
func (s *bufSource) receive(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	s.mu.Unlock()
	n, err := s.nc.Read(p)
	s.mu.Lock()
	s.received += int64(n)
	if n == 0 && err == nil {
		err = io.ErrNoProgress
	}
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		s.err = err
	}
	if n > 0 {
		err = nil
	}
	return n, err
}

// watch fills the buffer, if it is empty, on a goroutine of its own, and calls reset if the connection turns out to be
// dead. A FIN or data ends the watch without a call.
func (s *bufSource) watch(reset func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watching {
		s.resets = append(s.resets, reset)
		return
	}
	if s.r < s.w || s.err != nil {
		return
	}
	s.watching, s.resets = true, []func(){reset}
	go func() {
		s.mu.Lock()
		n, err := s.receive(s.buf)
		s.r, s.w = 0, n
		resets := s.resets
		s.watching, s.resets = false, nil
		s.watched.Broadcast()
		s.mu.Unlock()
		if err != nil && err != io.EOF && !errors.Is(err, os.ErrDeadlineExceeded) {
			for _, reset := range resets {
				reset()
			}
		}
	}()
}

// unwatch ends a watch.
func (s *bufSource) unwatch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.watching {
		s.nc.SetReadDeadline(past)
		s.watched.Wait()
	}
}
