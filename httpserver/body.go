package httpserver

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

const (
	maxDrain  = 256 << 10   // bytes of an unread body that are read off to keep the connection
	drainTime = time.Second // and how long that may take
)

// A body is a request's body. It reads no byte beyond its end.
type body struct {
	c       *conn
	x       *exchange
	mu      sync.Mutex
	chunked bool
	left    int64 // of a body with Content-Length
	dec     chunkDecoder
	expect  bool      // the client waits for 100 Continue
	touched bool      // the handler has read
	closed  bool      // by the handler
	lent    bool      // WriteTo shows the received bytes to its Writer
	lender  sync.Cond // told when lent ends
	over    bool      // the handler has returned
	err     error     // final; io.EOF at the body's end
}

// Read reads the body. Before it would wait it sends the answers that are ready, and 100 Continue to a client that
// waits for it.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(); err != nil {
		return 0, err
	}
	b.touched = true
	if b.err != nil || len(p) == 0 {
		return 0, asReadError(b.err)
	}
	n, err := b.read(p)
	return n, asReadError(err)
}

func (b *body) usable() error {
	switch {
	case b.closed || b.over:
		return http.ErrBodyReadAfterClose
	case b.lent:
		return errConcurrent
	}
	return nil
}

// WriteTo writes the rest of the body to w, the bytes that are received from where they lie.
func (b *body) WriteTo(w io.Writer) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	buf := outputPool.Get().(*[outputSize]byte)
	defer outputPool.Put(buf)
	var n int64
	for {
		if err := b.usable(); err != nil {
			return n, err
		}
		b.touched = true
		p, inPlace, err := b.view(buf[:])
		if len(p) > 0 {
			m, werr := b.lend(w, p, inPlace)
			n += int64(m)
			if werr != nil {
				return n, werr
			}
			err = b.err
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, asReadError(err)
		}
	}
}

// view returns the next bytes of the body: in place if they are received, else read into buf.
func (b *body) view(buf []byte) (p []byte, inPlace bool, err error) {
	if b.err != nil {
		return nil, false, b.err
	}
	if b.chunked {
		if err := b.nextChunk(true); err != nil {
			return nil, false, err
		}
	}
	if a, _, _ := b.c.peek(); len(a) > 0 {
		b.expect = false
		return a[:min(int64(len(a)), b.due())], true, nil
	}
	if b.c.buffer() == nil {
		buf = buf[:firstRead]
	}
	n, err := b.read(buf)
	return buf[:n], false, err
}

// firstRead is how much is copied of what a wait for the body has brought; the rest can be seen in place.
const firstRead = 512

// lend calls w.Write without the lock, for w may be this request's own answer, which looks at the body. What w took is
// then taken off the source, if it lies there.
func (b *body) lend(w io.Writer, p []byte, inPlace bool) (n int, err error) {
	b.lent = true
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		if inPlace {
			b.c.src.Discard(n)
			b.take(int64(n))
		}
		b.lent = false
		b.lender.Broadcast()
	}()
	n, err = w.Write(p)
	n = max(0, min(n, len(p)))
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return n, err
}

// asReadError gives a connection that ended inside the body the name that readers know.
func asReadError(err error) error {
	if errors.Is(err, errTruncated) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Close ends the handler's reading. What is left of the body is the server's to deal with.
func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

func (b *body) read(p []byte) (int, error) {
	if b.chunked {
		if err := b.nextChunk(true); err != nil {
			return 0, err
		}
	}
	n, err := b.receive(p[:min(int64(len(p)), b.due())])
	b.take(int64(n))
	if err != nil {
		return n, b.fail(err)
	}
	return n, b.err
}

// due returns how many bytes of data may be taken now.
func (b *body) due() int64 {
	if b.chunked {
		return b.dec.remaining
	}
	return b.left
}

// take counts n bytes of data that were taken.
func (b *body) take(n int64) {
	b.c.turn.stall.move(reading, n)
	if b.chunked {
		b.dec.remaining -= n
		return
	}
	if b.left -= n; b.left == 0 && b.err == nil {
		b.end()
	}
}

// fail makes err the body's end.
func (b *body) fail(err error) error {
	if err == io.EOF {
		err = errTruncated
	}
	b.err = err
	return err
}

// nextChunk reads framing until data is due. It returns nil then, io.EOF at the end of the body, and with wait false
// errWouldWait if more must be received first.
func (b *body) nextChunk(wait bool) error {
	for b.dec.remaining == 0 && b.dec.state != chunkDone {
		a, _, err := b.c.peek()
		var one [1]byte
		if len(a) == 0 {
			if err != nil {
				return b.fail(err)
			}
			if !wait {
				return errWouldWait
			}
			if _, err := b.receive(one[:]); err != nil {
				return b.fail(err)
			}
			a = one[:]
		}
		n, perr := b.dec.feed(a)
		if &a[0] != &one[0] {
			b.c.src.Discard(n)
		}
		if perr != nil {
			return b.fail(perr)
		}
	}
	if b.dec.state != chunkDone {
		return nil
	}
	return b.endChunks()
}

var (
	errWouldWait  = errors.New("httpserver: nothing received yet")
	errConcurrent = errors.New("httpserver: request body read by two goroutines")
)

// endChunks hands the trailer to the request.
func (b *body) endChunks() error {
	fields, perr := b.dec.fields()
	if perr != nil {
		return b.fail(perr)
	}
	if fields != nil && !b.over {
		b.x.req.Trailer = fields
	}
	b.end()
	return io.EOF
}

func (b *body) end() {
	b.err = io.EOF
	if !b.over {
		b.x.ctx.bodyDone()
	}
}

// receive reads body bytes from the connection.
func (b *body) receive(p []byte) (int, error) {
	a, _, err := b.c.peek()
	if len(a) > 0 {
		b.expect = false // the client did not wait
	} else if err == nil {
		if err := b.sendContinue(); err != nil {
			return 0, err
		}
		if err := b.c.turn.stall.enter(reading); err != nil {
			return 0, err
		}
		defer b.c.turn.stall.end(reading)
	}
	return b.c.src.Read(p)
}

// sendContinue flushes what stands before the body's bytes, with 100 Continue if it is owed (RFC 9110, 10.1.1). Beside
// a writing handler it leaves the flush to the timer: the answer may wait for a client that reads nothing before its
// whole request is read.
func (b *body) sendContinue() error {
	if b.expect {
		b.expect = false
		b.c.turn.out.interim(&b.x.w, http.StatusContinue, []byte("HTTP/1.1 100 Continue\r\n\r\n"))
	}
	if b.x.w.duplex {
		b.c.turn.out.arm()
		return nil
	}
	return b.c.turn.out.flush()
}

// skip takes off what is received of the body already, at most limit bytes, and returns io.EOF if that was all of it,
// errWouldWait if not.
func (b *body) skip(limit int64) error {
	for b.err == nil {
		if b.chunked {
			if err := b.nextChunk(false); err != nil {
				return err
			}
		}
		a, _, err := b.c.peek()
		switch {
		case len(a) > 0:
		case err != nil:
			return b.fail(err)
		default:
			return errWouldWait
		}
		n := min(int64(len(a)), b.due())
		if limit -= n; limit < 0 {
			return errWouldWait
		}
		b.c.src.Discard(int(n))
		b.take(n)
	}
	return b.err
}

// drain reads the rest of the body off, within maxDrain and drainTime, after the answer has been sent, and reports
// whether the connection may be kept.
func (b *body) drain() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.skip(maxDrain); err != errWouldWait {
		return err == io.EOF
	}
	if b.expect || !b.chunked && b.left > maxDrain {
		return false
	}
	b.c.nc.SetReadDeadline(time.Now().Add(drainTime))
	defer b.c.nc.SetReadDeadline(time.Time{})
	scratch := sourcePool.Get().(*[sourceSize]byte)
	defer sourcePool.Put(scratch)
	for left := maxDrain; b.err == nil && left > 0; {
		n, _ := b.read(scratch[:min(left, sourceSize)])
		left -= n
	}
	return b.err == io.EOF
}

// abandon gives up a body that the handler has not begun to read, and reports whether it was unread.
func (b *body) abandon() bool {
	if !b.mu.TryLock() {
		return false
	}
	defer b.mu.Unlock()
	if b.touched || b.closed || b.err != nil || b.awaited() {
		return false
	}
	b.closed = true
	return true
}

// flaw returns what is wrong with the body as far as it is received: a malformed chunk, or its end before its time.
func (b *body) flaw() *protocolError {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.awaited() {
		b.skip(maxDrain)
	}
	var perr *protocolError
	errors.As(b.err, &perr)
	return perr
}

// awaited reports whether the client still waits for 100 Continue: it has sent nothing of the body.
func (b *body) awaited() bool {
	if b.expect {
		a, _, _ := b.c.peek()
		b.expect = len(a) == 0
	}
	return b.expect
}

// done reports whether the body was read to its end.
func (b *body) done() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err == io.EOF
}

// broken reports whether the connection failed under the reader.
func (b *body) broken() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	var perr *protocolError
	return b.err != nil && b.err != io.EOF && !errors.As(b.err, &perr) && !errors.Is(b.err, os.ErrDeadlineExceeded)
}

// answerExpectation notes that the handler has sent 100 Continue by itself.
func (b *body) answerExpectation() {
	b.mu.Lock()
	b.expect = false
	b.mu.Unlock()
}

// finish takes the body from the handler, which has returned. A goroutine that still reads it is interrupted, and one
// that looks at received bytes is waited for: they are the connection's.
func (b *body) finish() {
	if b == nil {
		return
	}
	if !b.mu.TryLock() {
		b.c.nc.SetReadDeadline(past)
		b.mu.Lock()
		b.c.nc.SetReadDeadline(time.Time{})
	}
	defer b.mu.Unlock()
	b.over = true
	for b.lent {
		b.lender.Wait()
	}
}
