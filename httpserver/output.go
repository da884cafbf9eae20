package httpserver

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	outputSize = 32 << 10         // answers are written when this much is gathered
	flushDelay = time.Millisecond // how long gathered bytes wait for a handler at most
)

var outputPool = sync.Pool{New: func() any { return new([outputSize]byte) }}

// An output gathers what goes to the client, so that the answers of a burst leave in one Write. Its buffer is pooled
// and held only while it holds bytes. The lock lets the flush timer in while a handler runs.
//
// It belongs to a turn and serves one connection after the other. A flush that the timer began for an earlier one sends
// the later one's bytes a little early, which they may always be.
type output struct {
	srv   *Server
	stall *stallGuard
	node  timeoutNode[output] // of the flush timer
	armed atomic.Bool         // the flush timer is to look
	bad   atomic.Bool         // err is not nil

	mu   sync.Mutex
	nc   net.Conn
	buf  []byte
	sent int64 // bytes the connection took, in this turn
	base int64 // and before it; -1: nobody has asked
	err  error // the connection's, for good; set by fail
}

// connect makes nc the connection that is written to. Nothing is gathered: the last one has been flushed or discarded.
func (o *output) connect(nc net.Conn) {
	o.mu.Lock()
	o.nc, o.sent, o.base = nc, 0, -1
	o.stall.paces[writing] = pace{}
	if o.err != nil {
		o.err = nil
		o.bad.Store(false)
	}
	o.mu.Unlock()
}

// retract takes back what has begun of w's answer and reports whether nothing of it has been sent.
func (o *output) retract(w *response) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case !w.begun:
	case o.sent > w.start:
		return false
	case o.buf != nil:
		o.buf = o.buf[:w.start-o.sent]
	}
	return true
}

func (o *output) empty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.buf) == 0
}

// failed reports whether the connection takes no more.
func (o *output) failed() bool { return o.bad.Load() }

func (o *output) fail(err error) {
	if err != nil {
		o.err = err
		o.bad.Store(true)
	}
}

// write appends p, sending whenever the buffer is full. Pieces larger than the buffer are sent without a copy.
func (o *output) write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.writeLocked(p)
}

// begin writes the final head of w's answer, fields and framing, what was staged of its content, and p, of which it
// returns how much was taken.
func (o *output) begin(w *response, fields, framing, staged, p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w.begun = true
	w.start = o.sent + int64(len(o.buf))
	if w.x.in > 0 {
		w.tellResponse(o)
	}
	if b := o.buf; b != nil && len(b)+len(fields)+len(framing)+len(staged)+len(p) < outputSize { // as most times in a burst
		o.buf = append(append(append(append(b, fields...), framing...), staged...), p...)
		return len(p), nil
	}
	o.writeLocked(fields)
	o.writeLocked(framing)
	o.writeLocked(staged)
	return o.writeLocked(p)
}

// interim writes and sends an informational answer to w's request, unless the final one has begun: the request's body,
// which asks for 100 Continue, may be read on another goroutine than the one that answers.
func (o *output) interim(w *response, status int, p []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if w.begun {
		return
	}
	if w.x.in > 0 {
		w.tellInterim(o, status, len(p))
	}
	o.writeLocked(p)
	o.flushLocked(false)
}

func (o *output) writeLocked(p []byte) (int, error) {
	total := len(p)
	for o.err == nil && len(p) > 0 {
		if len(o.buf) == 0 && len(p) >= outputSize {
			n, err := o.send(p[:min(len(p), writeSize)], false)
			if p = p[n:]; err != nil {
				break
			}
			continue
		}
		if o.buf == nil {
			o.buf = outputPool.Get().(*[outputSize]byte)[:0]
		}
		n := min(len(p), outputSize-len(o.buf))
		o.buf = append(o.buf, p[:n]...)
		p = p[n:]
		if len(o.buf) == outputSize {
			o.flushLocked(false)
		}
	}
	return total - len(p), o.err
}

// flush sends what is gathered.
func (o *output) flush() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.flushLocked(false)
}

// flushSoon is flush for who is about to return from the connection's callback.
func (o *output) flushSoon() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.flushLocked(true)
}

func (o *output) flushLocked(soon bool) error {
	if o.buf == nil {
		return o.err
	}
	if o.err == nil && len(o.buf) > 0 {
		o.send(o.buf, soon)
	}
	outputPool.Put((*[outputSize]byte)(o.buf[:outputSize]))
	o.buf = nil
	return o.err
}

// send writes p to the connection, at once or, where it can do that, soon.
func (o *output) send(p []byte, soon bool) (n int, err error) {
	if err := o.stall.enter(writing); err != nil {
		o.fail(err)
		return 0, err
	}
	if s, ok := o.nc.(soonWriter); ok && soon {
		n, err = s.WriteSoon(p)
	} else {
		n, err = o.nc.Write(p)
	}
	o.stall.leave(writing, int64(n))
	o.sent += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	o.fail(err)
	return n, err
}

// writeShared sends p, whose bytes never change, by reference if the connection can, together with what is gathered: the
// head of an answer and its body share their first segment.
func (o *output) writeShared(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	gw, ok := o.nc.(gatherWriter)
	if !ok || len(p) < outputSize/2 {
		return o.writeLocked(p)
	}
	if o.err != nil {
		return 0, o.err
	}
	taken := -len(o.buf)
	for head := o.buf; len(p) > 0 && o.err == nil; head = nil {
		if err := o.stall.enter(writing); err != nil {
			o.fail(err)
			break
		}
		piece := p[:min(len(p), sharedSize)]
		n, err := gw.WriteGather(head, piece)
		o.stall.leave(writing, int64(n))
		o.sent += int64(n)
		o.fail(err)
		taken, p = taken+n, p[len(piece):]
	}
	o.buf = o.buf[:0]
	err := o.err
	o.flushLocked(false) // gives the buffer back
	return max(taken, 0), err
}

// readFrom sends what src yields, n bytes at most, through the connection's own ReadFrom. Nobody else writes meanwhile:
// the lock is not held, since src may be the request's body, which flushes before it waits.
func (o *output) readFrom(rf io.ReaderFrom, src io.Reader, n int64) (int64, error) {
	if err := o.flush(); err != nil {
		return 0, err
	}
	lr := &io.LimitedReader{R: src, N: min(n, sharedSize)}
	_, stamped := o.nc.(eventConn)
	if stamped {
		lr.R, lr.N = &stampingReader{r: src, g: o.stall}, n
	}
	if err := o.stall.enter(writing); err != nil {
		return 0, err
	}
	sent, err := rf.ReadFrom(lr)
	if stamped {
		o.stall.leave(writing, 0) // the reader has counted
	} else {
		o.stall.leave(writing, sent)
	}
	o.mu.Lock()
	o.sent += sent
	o.mu.Unlock()
	return sent, err
}

// How much the connection is asked to send at once: no progress is seen meanwhile, and a client that takes this much too
// slowly counts as one that takes nothing.
const (
	writeSize  = 256 << 10
	sharedSize = 1 << 20 // by reference, or from a file
)

// A stampingReader tells a connection's wait for its source from the one for its peer.
type stampingReader struct {
	r io.Reader
	g *stallGuard
}

func (s *stampingReader) Read(p []byte) (int, error) {
	s.g.end(writing)
	defer s.g.begin(writing)
	if err := s.g.tooSlow(writing); err != nil {
		return 0, err
	}
	n, err := s.r.Read(p)
	s.g.move(writing, int64(n))
	return n, err
}

// arm sees to it that what is gathered now is sent within flushDelay, whatever the handler does.
func (o *output) arm() {
	if !o.armed.Load() && o.armed.CompareAndSwap(false, true) {
		o.srv.flushes.push(&o.node, o.srv.clock())
	}
}

// armIfNotEmpty arms the timer if something waits to be sent.
func (o *output) armIfNotEmpty() {
	if !o.empty() {
		o.arm()
	}
}

// expire is the flush timer's call. The write may block: not on the timer's goroutine.
func (o *output) expire() {
	o.armed.Store(false)
	if !o.mu.TryLock() {
		o.skip()
		return
	}
	waiting := len(o.buf) > 0
	o.mu.Unlock()
	if waiting {
		go o.flushLate()
	}
}

// flushLate is flush, for the timer.
func (o *output) flushLate() {
	if !o.mu.TryLock() {
		o.skip()
		return
	}
	o.flushLocked(false)
	o.mu.Unlock()
}

// skip is called when the timer finds the lock taken. It does not wait, for the client may be slow, and the timer is
// everybody's: who sends, sends all that the timer was to look after, and arms it again for what comes then. Anybody
// else lets go in a moment.
func (o *output) skip() {
	if !o.stall.writing() {
		o.arm()
	}
}
