package httpserver

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults of a Server.
const (
	DefaultReadHeaderTimeout = 10 * time.Second
	DefaultIdleTimeout       = 60 * time.Second
	DefaultStallTimeout      = 60 * time.Second
	DefaultMaxHeaderBytes    = 64 << 10
)

// A CloseMode says how the server ends a connection after its last answer.
type CloseMode int

const (
	// CloseHalf half-closes the output, discards what the client still sends until its FIN, for 2 s of silence or 10 s
	// in all, and then closes. No answer is lost (RFC 9112, 9.6).
	CloseHalf CloseMode = iota
	// CloseFull closes at once, as most programs do. Input that is unread or still comes is answered with a reset,
	// which may destroy the answer.
	CloseFull
	// CloseAbort resets at once, where the connection has SetLinger.
	CloseAbort
)

// A Server serves HTTP/1.1 connections. Its fields are named as those of [http.Server] and must not change once it
// serves. A time-out of zero is the default, a negative one none. All methods may be called concurrently.
type Server struct {
	Handler http.Handler // http.DefaultServeMux if nil

	// ReadHeaderTimeout is how long a request's head may take from its first byte; then it is answered 408 [10s].
	ReadHeaderTimeout time.Duration
	// IdleTimeout is how long a connection may wait for a request; then it is closed by FIN [60s].
	IdleTimeout time.Duration
	// StallTimeout is how long the reading of a body or the writing of an answer may make no progress; then the
	// connection is closed, at the latest after twice the time [60s]. A large write makes progress in steps of 256 KiB,
	// one of shared bytes or a file in steps of 1 MiB.
	StallTimeout time.Duration
	// MinRate is how many bytes a second a client must send of a body, and take of an answer, in the time that the server
	// waits for it, after the first 10 s of that; then the connection is closed [no minimum].
	MinRate int
	// MaxHeaderBytes limits a request's head, request line included; longer ones are answered 431 [64 KiB].
	MaxHeaderBytes int
	// MaxRequests is how many requests a connection may carry; the last answer says so [no limit].
	MaxRequests int
	// MaxParallel is how many requests of a connection may be served at once. They have to be pipelined, with nothing
	// between them but others of their kind: safe methods (GET, HEAD, OPTIONS, TRACE) without content that ask for no
	// upgrade. Any other is served alone, after those before it. Answers leave in order; of each that has to wait, 64 KiB
	// are kept, then its handler waits. Such a handler cannot hijack the connection [1].
	MaxParallel int
	// MaxConnsPerClient is how many connections of one client, which is an IPv4 address or an IPv6 /64, are served at once.
	// Up to 64 more wait, unread, until one of those ends, for ReadHeaderTimeout at most; then, and beyond 64, they are
	// answered 503. While one waits, the client's others make room: with an answer that nothing follows, which says so, or
	// when they have been idle for 100 ms, 1 s without any request so far [no limit].
	MaxConnsPerClient int
	// CloseMode says how connections are ended [CloseHalf].
	CloseMode CloseMode

	// ReuseRequests makes a simple request cost no allocation. It is a promise: Handler and AccessLog keep nothing of a
	// request once they have returned, and no goroutine they started still uses it. The Request, its URL, Header, context
	// and strings and the answer's Header then serve the next request, of any client: strings that are to last must be
	// cloned. A handler that panics or hijacks may keep them.
	ReuseRequests bool

	// DisableGeneralOptionsHandler passes "OPTIONS *" to the Handler instead of answering it.
	DisableGeneralOptionsHandler bool

	// ErrorLog takes what handlers and the network do wrong; nil means the log package's standard logger.
	ErrorLog *log.Logger
	// AccessLog, if not nil, is called for every answer, refusals included, once it stands in the output, and when a
	// connection is hijacked. Calls for one connection do not overlap; those of different connections do. The Entry is
	// valid during the call.
	AccessLog func(*Entry)

	// BaseContext returns the root of all contexts of a listener's requests; nil means context.Background.
	BaseContext func(net.Listener) context.Context
	// ConnContext may derive a connection's context.
	ConnContext func(ctx context.Context, c net.Conn) context.Context
	// ConnState is told when a connection changes state.
	ConnState func(net.Conn, http.ConnState)

	once      sync.Once
	started   time.Time
	twin      *http.Server // stands under http.ServerContextKey
	closing   atomic.Bool  // Shutdown or Close was called
	done      chan struct{}
	lastID    atomic.Uint64
	lingering atomic.Int32 // plain connections that do
	stamp     atomic.Pointer[stamp]
	tracer    atomic.Pointer[func(*Event)]
	turns     sync.Pool // of *turn
	stats     statCounters

	timeouts sync.Mutex // of the lists
	heads    timeoutList[conn]
	idles    timeoutList[conn]
	lingers  timeoutList[conn]
	stalls   timeoutList[stallGuard]
	flushes  timeoutList[output]
	queued   timeoutList[conn] // of those that clients holds back

	clients clients

	mu        sync.Mutex
	listeners map[*onceListener]struct{}
	conns     *conn         // the head of the list of all
	drained   chan struct{} // closed when closing and no connection is left
}

func (s *Server) init() {
	s.started = time.Now()
	s.done = make(chan struct{})
	s.drained = make(chan struct{})
	s.listeners = make(map[*onceListener]struct{})
	s.twin = &http.Server{
		Handler: s.Handler, ReadHeaderTimeout: s.ReadHeaderTimeout, IdleTimeout: s.IdleTimeout,
		MaxHeaderBytes: s.MaxHeaderBytes, ErrorLog: s.ErrorLog,
	}
	s.heads = newTimeoutList(s, s.ReadHeaderTimeout, DefaultReadHeaderTimeout, func(c *conn) { c.expire(wakeHead) })
	s.idles = newTimeoutList(s, s.IdleTimeout, DefaultIdleTimeout, func(c *conn) { c.expire(wakeIdle) })
	s.lingers = newTimeoutList(s, 0, lingerIdle, func(c *conn) { c.expire(wakeLinger) })
	s.stalls = newTimeoutList(s, s.StallTimeout, DefaultStallTimeout, (*stallGuard).expire)
	s.flushes = newTimeoutList(s, 0, flushDelay, (*output).expire)
	s.queued = newTimeoutList(s, s.ReadHeaderTimeout, DefaultReadHeaderTimeout, (*conn).dismiss)
	s.clients = clients{limit: s.MaxConnsPerClient, clock: s.clock, all: make(map[netip.Prefix]*client)}
}

// list returns the list of those who wait for kind.
func (s *Server) list(kind uint8) *timeoutList[conn] {
	switch kind {
	case wakeHead:
		return &s.heads
	case wakeLinger:
		return &s.lingers
	}
	return &s.idles
}

// clock returns the time since the server started. It costs half of time.Now.
func (s *Server) clock() time.Duration { return time.Since(s.started) }

func (s *Server) maxHeader() int {
	if s.MaxHeaderBytes > 0 {
		return s.MaxHeaderBytes
	}
	return DefaultMaxHeaderBytes
}

// Serve accepts connections from l and serves them until l fails or the server is shut down or closed. It closes l.
// A listener with a method OnAccept(func(net.Conn)) hands its connections over on its own workers. The error is never
// nil; it is [ErrServerClosed] after Shutdown or Close.
func (s *Server) Serve(l net.Listener) error {
	s.once.Do(s.init)
	once := &onceListener{Listener: l}
	defer once.Close()
	if !s.trackListener(once, true) {
		return ErrServerClosed
	}
	defer s.trackListener(once, false)

	ctx := context.Background()
	if s.BaseContext != nil {
		if ctx = s.BaseContext(l); ctx == nil {
			return errors.New("httpserver: BaseContext returned nil")
		}
	}
	ctx = context.WithValue(ctx, http.ServerContextKey, s.twin)
	if n, ok := l.(acceptNotifier); ok {
		n.OnAccept(func(nc net.Conn) { s.serveConn(ctx, nc) })
	}
	return s.accept(ctx, l)
}

// accept is the loop for listeners that do not notify; with one that does, it waits for the listener's end.
func (s *Server) accept(ctx context.Context, l net.Listener) error {
	var delay time.Duration
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			delay = 0
			s.serveConn(ctx, nc)
		case s.closing.Load():
			return ErrServerClosed
		case !isTemporary(err):
			return err
		default:
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			s.logf("httpserver: accept: %v; trying again in %v", err, delay)
			select {
			case <-time.After(delay):
			case <-s.done:
			}
		}
	}
}

// isTemporary tells the errors after which accepting goes on, such as running out of file descriptors.
func isTemporary(err error) bool {
	t, ok := err.(interface{ Temporary() bool })
	return ok && t.Temporary()
}

// Shutdown stops accepting, lets running requests finish, whose answers announce the close, closes idle connections by
// FIN and waits until all connections have ended or ctx is done; its error is ctx's then. Hijacked connections are not
// its business.
func (s *Server) Shutdown(ctx context.Context) error {
	for _, c := range s.stop() {
		c.wake(wakeShutdown)
		c.dismiss()
	}
	select {
	case <-s.drained:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close closes all listeners and connections at once, whatever they are doing.
func (s *Server) Close() error {
	for _, c := range s.stop() {
		c.wake(wakeClose)
		c.dismiss()
	}
	for _, l := range []interface{ stop() }{&s.heads, &s.idles, &s.lingers, &s.stalls, &s.flushes, &s.queued} {
		l.stop()
	}
	return nil
}

// stop closes the listeners and returns the connections that are left.
func (s *Server) stop() []*conn {
	s.once.Do(s.init)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing.Swap(true) {
		close(s.done)
		s.checkDrained()
	}
	for l := range s.listeners {
		l.Close()
	}
	var all []*conn
	for c := s.conns; c != nil; c = c.next {
		all = append(all, c)
	}
	return all
}

// A onceListener is closed once: a second Close may hit what has taken its place, a file of the same number or name.
type onceListener struct {
	net.Listener
	once sync.Once
	err  error
}

func (l *onceListener) Close() error {
	l.once.Do(func() { l.err = l.Listener.Close() })
	return l.err
}

func (s *Server) trackListener(l *onceListener, add bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !add {
		delete(s.listeners, l)
		return true
	}
	if s.closing.Load() {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

// track enters a connection, unless the server has been stopped.
func (s *Server) track(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		return false
	}
	c.tracked, c.next = true, s.conns
	if c.next != nil {
		c.next.prev = c
	}
	s.conns = c
	return true
}

func (s *Server) untrack(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.tracked {
		return
	}
	c.tracked = false
	if c.next != nil {
		c.next.prev = c.prev
	}
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		s.conns = c.next
	}
	c.prev, c.next = nil, nil
	s.checkDrained()
}

func (s *Server) checkDrained() {
	if s.closing.Load() && s.conns == nil {
		select {
		case <-s.drained:
		default:
			close(s.drained)
		}
	}
}

func (s *Server) handler() http.Handler {
	if s.Handler != nil {
		return s.Handler
	}
	return http.DefaultServeMux
}

func (s *Server) logf(format string, args ...any) {
	if s.ErrorLog != nil {
		s.ErrorLog.Printf(format, args...)
		return
	}
	log.Printf(format, args...)
}

func (s *Server) state(c *conn, state http.ConnState) {
	if s.ConnState != nil {
		s.ConnState(c.nc, state)
	}
}
