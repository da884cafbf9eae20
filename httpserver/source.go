package httpserver

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
)

// An eventConn is a connection that tells when it is readable. It is served without a goroutine of its own.
type eventConn interface {
	net.Conn
	// OnReadable registers f, which a worker then calls whenever there is news (data, FIN, error), never concurrently
	// with itself. f may block.
	OnReadable(f func())
	source
	// Done is closed when the connection is dead: reset, or timed out.
	Done() <-chan struct{}
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
	nc   net.Conn
	buf  []byte
	r, w int // buf[r:w] is received and not discarded
	err  error
}

const sourceSize = 4 << 10

var sourcePool = sync.Pool{New: func() any { return new([sourceSize]byte) }}

func newBufSource(nc net.Conn) *bufSource {
	return &bufSource{nc: nc, buf: sourcePool.Get().(*[sourceSize]byte)[:]}
}

// release gives the buffer back.
func (s *bufSource) release() {
	if s.buf != nil {
		sourcePool.Put((*[sourceSize]byte)(s.buf))
		s.buf, s.r, s.w = nil, 0, 0
	}
}

func (s *bufSource) Peek() (a, b []byte, err error) {
	if s.r == s.w {
		return nil, nil, s.err
	}
	return s.buf[s.r:s.w], nil, nil
}

func (s *bufSource) Discard(n int) error {
	s.r = min(s.r+n, s.w)
	return nil
}

func (s *bufSource) Read(p []byte) (int, error) {
	if s.r == s.w {
		if len(p) >= len(s.buf) {
			n, err := s.receive(p)
			if n > 0 {
				err = nil
			}
			return n, err
		}
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.buf[s.r:s.w])
	s.r += n
	return n, nil
}

// fill blocks until the buffer, which is empty, holds at least one byte.
func (s *bufSource) fill() error {
	n, err := s.receive(s.buf)
	s.r, s.w = 0, n
	if n > 0 {
		return nil
	}
	return err
}

// receive reads from the connection. Errors but a passed deadline are final.
func (s *bufSource) receive(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.nc.Read(p)
	if n == 0 && err == nil {
		err = io.ErrNoProgress
	}
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		s.err = err
	}
	return n, err
}
