package httpserver

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

// stageSize is how much of a body of unknown length is held back: an answer that ends within it gets a Content-Length,
// a longer one is chunked, in chunks of this size or of the handler's larger writes.
const stageSize = 8 << 10

// stageRoom leaves room beside the body for the head of most answers.
const stageRoom = stageSize + 1<<10

// A gatherWriter sends a copy of head and, by reference, shared, whose bytes never change, as one Write. It returns
// how much of the two it took.
type gatherWriter interface {
	WriteGather(head, shared []byte) (int, error)
}

// A response is the http.ResponseWriter of one request. Beside the usual optional methods (Flush, Hijack, ReadFrom,
// WriteString, those of http.ResponseController) it offers
//
//	WriteShared(p []byte) (int, error)
//
// which writes bytes that the caller promises never to change: a connection that can sends them by reference, without a
// copy; for any other it is Write.
type response struct {
	c   *conn
	x   *exchange
	out *output // the connection's
	hdr http.Header

	status    int
	wrote     bool // WriteHeader was called: the fields are settled
	committed bool // the head stands in the output
	hijacked  bool
	finished  bool
	head      bool // no content: the request is HEAD
	noBody    bool // no content: the status allows none
	chunked   bool
	close     bool // the connection closes after this answer
	duplex    bool // EnableFullDuplex was called
	beside    bool // other requests of the connection are served at the same time
	deadlines bool // the handler set a deadline, which ends with the request
	begun     bool // the final head is in the output; guarded by the output's lock

	fields   fieldSet // what the handler's fields say about framing
	length   int64    // declared or found length of the body; -1 unknown
	written  int64    // bytes the handler wrote
	start    int64    // where in the output the answer begins; guarded by the output's lock
	headSize int64
	stage    []byte // the turn's: status line and settled fields, until they are committed; then body bytes
	settled  int    // how much of stage is not body
}

func (w *response) Header() http.Header {
	if w.hdr == nil {
		w.hdr = make(http.Header)
	}
	return w.hdr
}

// WriteHeader settles status and fields. 1xx but 101 are sent at once, any number of times before the final one.
func (w *response) WriteHeader(status int) {
	switch {
	case w.hijacked:
		w.c.srv.logf("httpserver: WriteHeader on a hijacked connection")
		return
	case w.wrote:
		w.c.srv.logf("httpserver: superfluous WriteHeader(%d) for %s %s", status, w.x.head.method, w.x.head.target)
		return
	case w.finished:
		return
	}
	checkStatus(status)
	if status < 200 && status != http.StatusSwitchingProtocols {
		w.inform(status)
		return
	}
	w.wrote = true
	w.status = status
	w.noBody = status < 200 || status == http.StatusNoContent || status == http.StatusResetContent || status == http.StatusNotModified
	w.settle()
}

func checkStatus(status int) {
	if status < 100 || status > 999 {
		panic("httpserver: invalid status code " + strconv.Itoa(status))
	}
}

func (w *response) Write(p []byte) (int, error) { return w.accept(p, false) }

// WriteString is Write without a conversion on the caller's side.
func (w *response) WriteString(s string) (int, error) {
	if !w.wrote && !w.finished && !w.hijacked {
		w.WriteHeader(http.StatusOK)
	}
	if w.stages(len(s)) {
		w.stage = append(w.stage, s...)
		w.written += int64(len(s))
		return len(s), nil
	}
	return w.accept([]byte(s), false)
}

// stages reports whether n more bytes of the body may wait in the stage: for the handler to end, or for a chunk to
// fill.
func (w *response) stages(n int) bool {
	if !w.wrote || w.finished || w.hijacked || w.noBody || w.length >= 0 || w.committed && (w.head || !w.chunked) {
		return false
	}
	return len(w.stage)-w.settled+n <= stageSize
}

// WriteShared is Write for bytes that never change.
func (w *response) WriteShared(p []byte) (int, error) { return w.accept(p, true) }

// accept takes body bytes: it counts them against the declared length and puts them where they belong.
func (w *response) accept(p []byte, shared bool) (int, error) {
	switch {
	case w.hijacked:
		return 0, http.ErrHijacked
	case w.finished:
		return 0, errFinished
	case !w.wrote:
		w.WriteHeader(http.StatusOK)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if w.noBody {
		return 0, http.ErrBodyNotAllowed
	}
	var excess error
	if w.length >= 0 && int64(len(p)) > w.length-w.written {
		p, excess = p[:w.length-w.written], http.ErrContentLength
	}
	n, err := w.put(p, shared)
	w.written += int64(n)
	if err == nil {
		err = excess
	}
	return n, err
}

func (w *response) put(p []byte, shared bool) (n int, err error) {
	if w.stages(len(p)) {
		w.stage = append(w.stage, p...)
		return len(p), nil
	}
	if !w.committed {
		n, err = w.commit(p, false)
	}
	switch {
	case n > 0 || err != nil:
	case w.head:
		return len(p), nil
	case w.chunked:
		return w.putChunked(p, shared)
	default:
		n, err = w.send(p, shared)
	}
	if w.length < 0 || w.written+int64(n) < w.length {
		w.out.armIfNotEmpty()
	}
	return n, err
}

func (w *response) send(p []byte, shared bool) (int, error) {
	w.relieve(int64(len(p)))
	if shared {
		return w.out.writeShared(p)
	}
	return w.out.write(p)
}

// relieve sees to it that a large answer reaches a client that sends its whole body before it reads: while n more bytes
// are sent, a body that the connection will not outlive, and that the handler has not begun to read, is discarded.
func (w *response) relieve(n int64) {
	if w.close && !w.duplex && w.written+n > outputSize && w.x.body != nil && w.x.body.abandon() {
		w.c.startDiscard()
	}
}

// putChunked writes p, which the stage has no room for: as a chunk of its own unless it is small.
func (w *response) putChunked(p []byte, shared bool) (int, error) {
	if err := w.sendStage(); err != nil {
		return 0, err
	}
	if len(p) <= stageSize/2 {
		w.stage = append(w.stage, p...)
		return len(p), nil
	}
	return w.sendChunk(p, shared)
}

// sendStage sends what is staged as a chunk.
func (w *response) sendStage() error {
	if len(w.stage) == 0 {
		return nil
	}
	_, err := w.sendChunk(w.stage, false)
	w.stage = w.stage[:0]
	return err
}

func (w *response) sendChunk(p []byte, shared bool) (int, error) {
	var size [18]byte
	w.out.write(append(strconv.AppendUint(size[:0], uint64(len(p)), 16), '\r', '\n'))
	n, err := w.send(p, shared)
	if err == nil {
		_, err = w.out.write(crlf)
		w.out.armIfNotEmpty()
	}
	return n, err
}

var crlf = []byte("\r\n")

// Flush sends what the handler has written so far.
func (w *response) Flush() { w.FlushError() }

// FlushError is Flush for http.ResponseController.
func (w *response) FlushError() error {
	switch {
	case w.hijacked:
		return http.ErrHijacked
	case w.finished:
		return errFinished
	case !w.wrote:
		w.WriteHeader(http.StatusOK)
	}
	if !w.committed {
		w.commit(nil, false)
	}
	if w.chunked && !w.head {
		if err := w.sendStage(); err != nil {
			return err
		}
	}
	return w.out.flush()
}

// ReadFrom writes what src yields. A body of declared length goes through the connection's own ReadFrom, which may
// send a file without copying it.
func (w *response) ReadFrom(src io.Reader) (int64, error) {
	var n int64
	buf := outputPool.Get().(*[outputSize]byte)
	defer outputPool.Put(buf)
	for {
		if rf := w.direct(src); rf != nil {
			m, err := w.sendFrom(rf, src)
			n += m
			if err != nil || m == 0 {
				return n, err
			}
			continue
		}
		p := buf[:]
		if n == 0 {
			p = buf[:512] // enough to tell the type of the content
		}
		m, rerr := src.Read(p)
		if m > 0 {
			k, err := w.Write(p[:m])
			n += int64(k)
			if err != nil {
				return n, err
			}
		}
		switch {
		case rerr == io.EOF:
			return n, nil
		case rerr != nil:
			return n, rerr
		}
	}
}

// direct returns the connection's ReadFrom if what follows of src may go through it: the length is declared and large,
// and the connection is one that pulls, or the source is a file.
func (w *response) direct(src io.Reader) io.ReaderFrom {
	if !w.committed || w.hijacked || w.finished || w.head || w.noBody || w.chunked || w.length-w.written < outputSize {
		return nil
	}
	if lr, ok := src.(*io.LimitedReader); ok {
		src = lr.R
	}
	if _, file := src.(*os.File); !file && w.c.buffer() != nil {
		return nil
	}
	rf, _ := w.c.nc.(io.ReaderFrom)
	return rf
}

// sendFrom lets rf read a part of the body from src. A kernel's sendfile sees through one LimitedReader, not two.
func (w *response) sendFrom(rf io.ReaderFrom, src io.Reader) (int64, error) {
	left := w.length - w.written
	lr, limited := src.(*io.LimitedReader)
	if limited {
		src, left = lr.R, min(left, lr.N)
	}
	w.relieve(left)
	n, err := w.out.readFrom(rf, src, left)
	if limited {
		lr.N -= n
	}
	w.written += n
	return n, err
}

// SetReadDeadline limits the reading of this request's body; for http.ResponseController.
func (w *response) SetReadDeadline(t time.Time) error {
	if w.finished {
		return errFinished
	}
	w.deadlines = true
	return w.c.nc.SetReadDeadline(t)
}

// SetWriteDeadline limits the writing of this answer; for http.ResponseController.
func (w *response) SetWriteDeadline(t time.Time) error {
	if w.finished {
		return errFinished
	}
	w.deadlines = true
	return w.c.nc.SetWriteDeadline(t)
}

// EnableFullDuplex tells that the handler reads the body beside writing its answer, which it always may. The
// connection is then kept in expectation that the body will be read to its end.
func (w *response) EnableFullDuplex() error {
	w.duplex = true
	return nil
}

// Hijack hands the connection to the handler. Answers to earlier requests have been sent; the Reader holds what was
// received beyond this request.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	switch {
	case w.hijacked:
		return nil, nil, http.ErrHijacked
	case w.finished:
		return nil, nil, errFinished
	case w.beside:
		return nil, nil, errBeside
	case w.wrote && !w.committed:
		w.commit(nil, false)
	}
	if err := w.out.flush(); err != nil {
		return nil, nil, err
	}
	w.hijacked = true
	nc, rw, err := w.c.hijack()
	w.c.log(w.x)
	return nc, rw, err
}

// finish completes the answer after the handler has returned.
func (w *response) finish() {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	if !w.committed {
		w.commit(nil, true)
	}
	switch {
	case w.head || w.noBody:
	case w.chunked:
		w.sendStage()
		w.sendTrailers()
	case w.length >= 0 && w.written < w.length:
		w.c.srv.logf("httpserver: handler wrote %d of %d declared bytes for %s %s", w.written, w.length, w.x.head.method, w.x.head.target)
		w.close = true // RFC 9112, 8: the client must see that something is missing
	}
	w.end()
}

// end takes the ResponseWriter from the handler.
func (w *response) end() {
	w.finished = true
	w.stage = nil
	if w.deadlines {
		w.c.nc.SetDeadline(time.Time{})
	}
}
