package httpserver

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// How much of an answer waits for those before it: bytes, and calls of its handler, which cost memory too.
const (
	laneBytes = 64 << 10
	laneCalls = 256
)

// States of a lane.
const (
	laneWaits = iota // the answers before it are not complete
	laneOpen         // its turn has come
	laneOver         // its turn is over, or will not come
)

// A lane is the http.ResponseWriter of a request that is served beside earlier ones. Until its turn comes it notes what
// its handler does, and makes it wait when that gets too much; then it passes everything on to the response.
//
// An error that the response would return for a call that was noted is lost, unless it lasts.
type lane struct {
	x        *exchange
	hdr      http.Header // what the handler works on
	wrote    bool        // the handler has settled the fields
	ended    chan struct{}
	returned bool // the handler has; set before ended is closed
	thrown   any  // what the handler panicked with; set before ended is closed

	mu      sync.Mutex
	changed sync.Cond
	state   int
	noted   []note
	size    int // bytes in noted
}

// A note is something that the handler has done: body bytes, or anything else.
type note struct {
	body []byte
	do   func(*response)
}

func newLane(x *exchange) *lane {
	l := &lane{x: x, hdr: x.w.Header(), ended: make(chan struct{})}
	l.changed.L = &l.mu
	x.w.beside = true
	return l
}

// run runs the handler.
func (l *lane) run(h http.Handler) {
	defer func() {
		l.x.ctx.finish()
		if !l.returned {
			l.thrown = recover()
			l.x.c.logPanic(l.thrown)
		}
		close(l.ended)
	}()
	h.ServeHTTP(l, &l.x.req)
	l.returned = true
}

// open does what was noted, in the connection's turn for it, and lets the handler through from now on.
func (l *lane) open() {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := &l.x.w
	for _, n := range l.noted {
		if n.do != nil {
			n.do(w)
		} else {
			w.Write(n.body)
		}
	}
	w.hdr = l.hdr
	l.noted = nil
	l.enter(laneOpen)
}

// abandon takes the ResponseWriter from a handler whose turn will not come. For any other it does nothing.
func (l *lane) abandon() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state != laneWaits {
		return
	}
	l.x.w.end()
	l.x.ctx.finish()
	l.enter(laneOver)
}

func (l *lane) enter(state int) {
	l.state = state
	l.changed.Broadcast()
}

// note notes what the handler does, if its turn has not come; n.body is copied. When there is no room it waits for the
// turn. It returns false if the caller shall do it itself.
func (l *lane) note(n note, size int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.state == laneWaits {
		if l.size+size <= laneBytes && len(l.noted) < laneCalls {
			l.add(n, size)
			return true
		}
		l.changed.Wait()
	}
	return false
}

// add puts n at the end of what is noted, bytes behind bytes.
func (l *lane) add(n note, size int) {
	l.size += size
	if k := len(l.noted) - 1; n.do == nil && k >= 0 && l.noted[k].do == nil {
		l.noted[k].body = append(l.noted[k].body, n.body...)
		return
	}
	if n.do == nil {
		n.body = append([]byte(nil), n.body...)
	}
	l.noted = append(l.noted, n)
}

// do is note for what is no body.
func (l *lane) do(f func(*response)) bool { return l.note(note{do: f}, 0) }

// await returns when the lane's turn has come, or will not.
func (l *lane) await() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.state == laneWaits {
		l.changed.Wait()
	}
}

func (l *lane) Header() http.Header { return l.hdr }

// WriteHeader settles the fields as they are now: what the handler does to them later is for trailers.
func (l *lane) WriteHeader(status int) {
	checkStatus(status)
	if status >= 200 || status == http.StatusSwitchingProtocols {
		l.wrote = true
	}
	settled := l.hdr.Clone()
	if !l.do(func(w *response) {
		w.hdr = settled
		w.WriteHeader(status)
	}) {
		l.x.w.WriteHeader(status)
	}
}

// begin is WriteHeader for a handler that does without.
func (l *lane) begin() {
	if !l.wrote {
		l.WriteHeader(http.StatusOK)
	}
}

func (l *lane) Write(p []byte) (int, error) {
	l.begin()
	if l.note(note{body: p}, len(p)) {
		return len(p), nil
	}
	return l.x.w.Write(p)
}

func (l *lane) WriteString(s string) (int, error) { return l.Write([]byte(s)) }

// WriteShared is described at response.
func (l *lane) WriteShared(p []byte) (int, error) {
	l.begin()
	if l.do(func(w *response) { w.WriteShared(p) }) {
		return len(p), nil
	}
	return l.x.w.WriteShared(p)
}

// ReadFrom reads src when the turn has come: a copy of it need not wait in memory.
func (l *lane) ReadFrom(src io.Reader) (int64, error) {
	l.await()
	return l.x.w.ReadFrom(src)
}

func (l *lane) Flush() { l.FlushError() }

func (l *lane) FlushError() error {
	l.begin()
	if l.do((*response).Flush) {
		return nil
	}
	return l.x.w.FlushError()
}

// SetReadDeadline limits nothing: the request has no body.
func (l *lane) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline holds from the lane's turn on.
func (l *lane) SetWriteDeadline(t time.Time) error {
	if l.do(func(w *response) { w.SetWriteDeadline(t) }) {
		return nil
	}
	return l.x.w.SetWriteDeadline(t)
}

func (l *lane) EnableFullDuplex() error { return nil }

func (l *lane) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, errBeside }
