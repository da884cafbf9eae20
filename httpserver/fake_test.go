package httpserver

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A pipeEnd is one end of a connection in memory with TCP's manners: half close, reset on Close with input unread or
// when data arrives after Close, deadlines, a bounded send queue. Waits are on a sync.Cond, so that it lives in a
// synctest bubble.
type pipeEnd struct {
	p    *pipe
	peer *pipeEnd

	in      []byte
	read    int64 // octets taken from in
	sent    int64 // octets that the peer was given
	fin     bool  // the peer's FIN is in
	err     error
	closed  bool
	shut    bool // our FIN is out
	linger0 bool
	rd, wd  deadlineTimer
	done    chan struct{}
	dead    bool

	addr    netip.Addr // of the peer; zero: 10.90.0.1
	port    uint16     // of the peer, from 40000
	writes  int        // calls of Write
	shared  int        // calls of WriteGather
	pulled  int        // calls of ReadFrom
	split   int        // Peek's first piece ends here, if it is longer
	limit   int        // of the peer's in, beyond which Write waits; 0: none
	onRead  reader
	running bool
	again   bool
}

type pipe struct {
	mu   sync.Mutex
	cond sync.Cond
}

type deadlineTimer struct {
	at    time.Time
	timer *time.Timer
}

func newPipe() (a, b *pipeEnd) {
	p := new(pipe)
	p.cond.L = &p.mu
	a, b = &pipeEnd{p: p}, &pipeEnd{p: p}
	a.peer, b.peer = b, a
	a.done, b.done = make(chan struct{}), make(chan struct{})
	return a, b
}

func (e *pipeEnd) news() {
	e.p.cond.Broadcast()
	if e.onRead == nil || e.closed {
		return
	}
	if e.running {
		e.again = true
		return
	}
	e.running = true
	go e.run()
}

// run is a worker's turn.
func (e *pipeEnd) run() {
	e.p.mu.Lock()
	f := e.onRead
	e.p.mu.Unlock()
	defer func() {
		e.p.mu.Lock()
		defer e.p.mu.Unlock()
		e.running = false
		if e.again && !e.closed && e.onRead != nil {
			e.again = false
			e.running = true
			go e.run()
		}
	}()
	if f != nil {
		f.Readable()
	}
}

func (e *pipeEnd) SetReader(f reader) {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	e.onRead = f
	if f != nil && (len(e.in) > 0 || e.fin || e.err != nil) {
		e.news()
	}
}

func (e *pipeEnd) Peek() (a, b []byte, err error) {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	switch {
	case e.closed:
		return nil, nil, net.ErrClosed
	case len(e.in) > 0:
		if e.split > 0 && len(e.in) > e.split {
			return e.in[:e.split:e.split], e.in[e.split:len(e.in):len(e.in)], nil
		}
		return e.in[:len(e.in):len(e.in)], nil, nil
	case e.err != nil:
		return nil, nil, e.err
	case e.fin:
		return nil, nil, io.EOF
	}
	return nil, nil, nil
}

func (e *pipeEnd) Discard(n int) error {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	if n < 0 || n > len(e.in) {
		return errors.New("discard of more than there is")
	}
	clear(e.in[:n]) // who keeps a view will see it
	e.in = e.in[n:]
	e.read += int64(n)
	e.p.cond.Broadcast()
	return nil
}

func (e *pipeEnd) Octets() (read, written int64) {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	return e.read, e.sent
}

func (e *pipeEnd) Done() <-chan struct{} { return e.done }

func (d *deadlineTimer) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (e *pipeEnd) setDeadline(d *deadlineTimer, t time.Time) {
	if d.timer != nil {
		d.timer.Stop()
	}
	d.at = t
	if !t.IsZero() {
		d.timer = time.AfterFunc(time.Until(t), func() {
			e.p.mu.Lock()
			e.p.cond.Broadcast()
			e.p.mu.Unlock()
		})
	}
	e.p.cond.Broadcast()
}

func (e *pipeEnd) SetDeadline(t time.Time) error {
	e.SetReadDeadline(t)
	return e.SetWriteDeadline(t)
}

func (e *pipeEnd) SetReadDeadline(t time.Time) error {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	e.setDeadline(&e.rd, t)
	return nil
}

func (e *pipeEnd) SetWriteDeadline(t time.Time) error {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	e.setDeadline(&e.wd, t)
	return nil
}

func (e *pipeEnd) Read(p []byte) (int, error) {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	for {
		switch {
		case e.closed:
			return 0, net.ErrClosed
		case e.rd.passed():
			return 0, os.ErrDeadlineExceeded
		case len(e.in) > 0:
			n := copy(p, e.in)
			e.in = e.in[n:]
			e.read += int64(n)
			e.p.cond.Broadcast()
			return n, nil
		case e.err != nil:
			return 0, e.err
		case e.fin:
			return 0, io.EOF
		}
		e.p.cond.Wait()
	}
}

func (e *pipeEnd) Write(p []byte) (int, error) {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	e.writes++
	return e.write(p)
}

func (e *pipeEnd) write(p []byte) (n int, err error) {
	for {
		switch {
		case e.closed:
			return n, net.ErrClosed
		case e.wd.passed():
			return n, os.ErrDeadlineExceeded
		case e.err != nil:
			return n, e.err
		case e.shut:
			return n, syscall.EPIPE
		case e.peer.closed: // data for a closed end is answered with a reset
			e.reset()
			return n, e.err
		}
		m := len(p)
		if l := e.peer.limit; l > 0 {
			m = min(m, l-len(e.peer.in))
		}
		if m > 0 {
			e.peer.in = append(e.peer.in, p[:m]...)
			e.sent += int64(m)
			n += m
			p = p[m:]
			e.peer.news()
		}
		if len(p) == 0 {
			return n, nil
		}
		e.p.cond.Wait()
	}
}

func (e *pipeEnd) WriteGather(head, shared []byte) (int, error) {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	e.shared++
	return e.write(append(bytes.Clone(head), shared...))
}

func (e *pipeEnd) ReadFrom(r io.Reader) (int64, error) {
	e.p.mu.Lock()
	e.pulled++
	e.p.mu.Unlock()
	return io.Copy(struct{ io.Writer }{e}, r)
}

func (e *pipeEnd) CloseWrite() error {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	e.sendFIN()
	return nil
}

func (e *pipeEnd) sendFIN() {
	if e.shut || e.closed || e.err != nil {
		return
	}
	e.shut = true
	e.peer.fin = true
	e.peer.news()
}

func (e *pipeEnd) SetLinger(sec int) error {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	e.linger0 = sec == 0
	return nil
}

func (e *pipeEnd) Close() error {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	if e.closed {
		return net.ErrClosed
	}
	if e.linger0 || len(e.in) > 0 {
		e.peer.reset()
	} else {
		e.sendFIN()
	}
	e.closed = true
	e.end()
	e.p.cond.Broadcast()
	return nil
}

// reset is what a RST does to its receiver: what it has not read is gone.
func (e *pipeEnd) reset() {
	if e.closed || e.err != nil {
		return
	}
	e.err = syscall.ECONNRESET
	e.in = nil
	e.end()
	e.news()
}

// Reset sends a RST.
func (e *pipeEnd) Reset() {
	e.SetLinger(0)
	e.Close()
}

func (e *pipeEnd) end() {
	if !e.dead {
		e.dead = true
		close(e.done)
	}
}

func (e *pipeEnd) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(10, 90, 0, 2), Port: 80} }
func (e *pipeEnd) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(e.RemoteAddrPort()) }
func (e *pipeEnd) RemoteAddrPort() netip.AddrPort {
	addr := e.addr
	if !addr.IsValid() {
		addr = netip.AddrFrom4([4]byte{10, 90, 0, 1})
	}
	return netip.AddrPortFrom(addr, 40000+e.port)
}

// plain hides what an ordinary connection does not have.
type plain struct {
	net.Conn
	e *pipeEnd
}

func (p plain) CloseWrite() error       { return p.e.CloseWrite() }
func (p plain) SetLinger(sec int) error { return p.e.SetLinger(sec) }
func (p plain) String() string          { return "plain" }
func (e *pipeEnd) asPlain() net.Conn    { return plain{e, e} }
func (e *pipeEnd) counts() (w, s, rf int) {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	return e.writes, e.shared, e.pulled
}

// A pipeListener makes connections in memory.
type pipeListener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
	event  bool
	tune   func(server *pipeEnd)
	dialed atomic.Uint32
}

func newPipeListener(event bool) *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{}), event: event}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(10, 90, 0, 2), Port: 80} }

// dial returns both ends of a new connection that the server serves.
func (l *pipeListener) dial() (client, server *pipeEnd) {
	client, server = newPipe()
	server.port = uint16(l.dialed.Add(1)) - 1
	if l.tune != nil {
		l.tune(server)
	}
	var nc net.Conn = server
	if !l.event {
		nc = server.asPlain()
	}
	select {
	case l.conns <- nc:
	case <-l.closed:
		client.Close()
	}
	return client, server
}

// A notifyListener hands its connections over on a worker.
type notifyListener struct {
	*pipeListener
	mu sync.Mutex
	f  func(net.Conn)
}

func (l *notifyListener) OnAccept(f func(net.Conn)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.f = f
}

func (l *notifyListener) dial() *pipeEnd {
	client, server := newPipe()
	l.mu.Lock()
	f := l.f
	l.mu.Unlock()
	go f(server)
	return client
}

func (e *pipeEnd) hasFIN() bool   { e.p.mu.Lock(); defer e.p.mu.Unlock(); return e.fin }
func (e *pipeEnd) isClosed() bool { e.p.mu.Lock(); defer e.p.mu.Unlock(); return e.closed }
func (e *pipeEnd) gotErr() error  { e.p.mu.Lock(); defer e.p.mu.Unlock(); return e.err }
