package main

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"ustack/httpserver"
)

// webServer serves one listener: httpserver's Server, or net/http's.
type webServer interface {
	Serve(net.Listener) error
	Shutdown(context.Context) error
	Close() error
}

// http2Server makes the server of a listener with http=h2c: net/http's own, which speaks HTTP/2 in clear text to
// who begins with its preface, and HTTP/1.1 to everybody else.
func (s *server) http2Server(l *listener, handler http.Handler) *http.Server {
	h := &numberedHandler{handler: handler}
	if s.log != nil {
		h.accessLog = s.log.add
	}
	connContext := h.connContext
	if l.serverTiming {
		connContext = func(ctx context.Context, c net.Conn) context.Context { return h.connContext(withStackConn(ctx, c), c) }
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           h,
		Protocols:         &protocols,
		IdleTimeout:       l.idleTimeout,
		ReadHeaderTimeout: httpserver.DefaultReadHeaderTimeout,
		// A connection with streams on it is never idle: ask a silent peer whether it is there.
		HTTP2:       &http.HTTP2Config{SendPingTimeout: httpserver.DefaultStallTimeout, WriteByteTimeout: httpserver.DefaultStallTimeout},
		ConnContext: connContext,
		ErrorLog:    s.console.logger(),
	}
}

// numberedHandler adds to net/http's server what httpserver has: numbers of connections and of the requests on them, for
// /_/wire, and an access log. Requests that net/http refuses by itself do not come here.
type numberedHandler struct {
	handler     http.Handler
	accessLog   func(*httpserver.Entry) // nil: none
	connections atomic.Uint64
}

// numbered is a connection with its number and the count of its requests.
type numbered struct {
	id       uint64
	requests atomic.Int64
}

type numberedKey struct{}

func (h *numberedHandler) connContext(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, numberedKey{}, &numbered{id: h.connections.Add(1)})
}

func (h *numberedHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	if c, ok := ctx.Value(numberedKey{}).(*numbered); ok {
		info := httpserver.ConnInfo{ID: c.id, Requests: int(c.requests.Add(1))}
		r = r.WithContext(context.WithValue(ctx, httpserver.ConnInfoKey, info))
	}
	if h.accessLog == nil {
		h.handler.ServeHTTP(w, r)
		return
	}
	a := &answer{ResponseWriter: w, start: time.Now()}
	defer func() { h.accessLog(a.entry(r)) }() // a handler may end by a panic
	h.handler.ServeHTTP(a, r)
	a.settle(http.StatusOK)
}

// answer is a ResponseWriter that remembers what went through it. Flush and its like are reached by Unwrap.
type answer struct {
	http.ResponseWriter
	start  time.Time
	status int
	octets int64
}

func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// settle notes the status, the first time that it is none of those that only announce.
func (a *answer) settle(status int) {
	if a.status < 200 {
		a.status = status
	}
}

func (a *answer) WriteHeader(status int) {
	a.settle(status)
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	a.settle(http.StatusOK)
	n, err := a.ResponseWriter.Write(p)
	a.octets += int64(n)
	return n, err
}

// entry is the line of the access log. What only the server knows, the octets of the head and why the connection ends, is
// missing from it; neither is there a place in a burst.
func (a *answer) entry(r *http.Request) *httpserver.Entry {
	e := &httpserver.Entry{
		Place: 1, RemoteAddr: r.RemoteAddr, Method: r.Method, Target: r.RequestURI, Proto: r.Proto, Host: r.Host,
		Referer: r.Referer(), UserAgent: r.UserAgent(), Status: a.status, BodyBytes: a.octets,
		Start: a.start, Duration: time.Since(a.start),
	}
	if info, ok := r.Context().Value(httpserver.ConnInfoKey).(httpserver.ConnInfo); ok {
		e.Conn, e.Number = info.ID, info.Requests
	}
	if r.Method == http.MethodHead {
		e.BodyBytes = 0
	}
	return e
}
