package httpserver

import (
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A reception is a request as a server understood it.
type reception struct {
	method, target, url, host, proto, header string

	length     int64
	close      bool
	body       string
	err        error // of the body
	trailer    http.Header
	start, end int // where in the input it lies; known of our server, if the body was read
}

// How much of a body the handler reads.
const (
	readAll = iota
	readNone
	readSome
	bodyModes
)

// A transcript is what a handler saw on one connection.
type transcript struct {
	mode     int
	received []reception
	position func(w http.ResponseWriter) (end, headSize int)
}

// ServeHTTP notes the request and answers 200.
func (tr *transcript) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g := reception{
		method: r.Method, target: r.RequestURI, url: r.URL.String(), host: r.Host, proto: r.Proto,
		header: flatten(r.Header), length: r.ContentLength, close: r.Close,
	}
	if tr.position != nil {
		end, size := tr.position(w)
		g.start = end - size
	}
	switch tr.mode {
	case readAll:
		b, err := io.ReadAll(r.Body)
		g.body, g.err, g.trailer = string(b), err, r.Trailer
	case readSome:
		b := make([]byte, 2)
		n, _ := io.ReadFull(r.Body, b)
		g.body = string(b[:n])
	}
	if tr.position != nil {
		g.end, _ = tr.position(w)
	}
	tr.received = append(tr.received, g)
	io.WriteString(w, "ok")
}

// flatten writes a header as text, without what net/http adds on its own.
func flatten(h http.Header) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(h)) {
		if key != "Cache-Control" || h.Get("Pragma") == "" {
			fmt.Fprintf(&b, "%s: %q\n", key, h[key])
		}
	}
	return b.String()
}

// readOurs serves raw, with a FIN behind it, and returns the requests that were answered 200, and whether another was
// refused.
func readOurs(t *testing.T, raw string, mode, split int) (all []reception, refused bool) {
	c := &replay{split: split}
	c.in = []byte(raw)
	tr := &transcript{mode: mode}
	tr.position = func(w http.ResponseWriter) (int, int) {
		r := w.(*response)
		return len(raw) - len(c.in) + r.c.turn.eaten, len(r.x.text)
	}
	s := &Server{Handler: tr, ErrorLog: log.New(io.Discard, "", 0), DisableGeneralOptionsHandler: true}
	s.once.Do(s.init)
	defer s.Close()
	s.serveConn(t.Context(), c)
	c.reader.Readable()
	if !c.over {
		t.Fatalf("%q: the connection is open after the FIN", raw)
	}
	out := c.got.String()
	served := strings.Count(out, "HTTP/1.1 200 OK\r\n")
	if served > len(tr.received) {
		t.Fatalf("%q: %d answers to %d requests", raw, served, len(tr.received))
	}
	return tr.received[:served], strings.Contains(out, "nosniff")
}

// A fed connection is readOurs' replay for net/http: all input has arrived, with a FIN behind it.
type fed struct {
	scripted
	mu   sync.Mutex
	tr   *transcript
	once sync.Once
	over chan struct{}
}

func (c *fed) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.in)
	c.in = c.in[n:]
	return n, nil
}

func (c *fed) Write(p []byte) (int, error) { return len(p), nil }
func (c *fed) CloseWrite() error           { return c.Close() } // the server only waits after it
func (c *fed) Close() error {
	c.once.Do(func() { close(c.over) })
	return nil
}

// A netHTTP is net/http's server, which takes one connection after the other.
type netHTTP struct{ conns chan net.Conn }

func (l *netHTTP) Close() error   { return nil }
func (l *netHTTP) Addr() net.Addr { return &net.TCPAddr{} }
func (l *netHTTP) Accept() (net.Conn, error) {
	if c, ok := <-l.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

type fedKey struct{}

func newNetHTTP(tb testing.TB) *netHTTP {
	l := &netHTTP{make(chan net.Conn)}
	s := &http.Server{
		DisableGeneralOptionsHandler: true, ErrorLog: log.New(io.Discard, "", 0),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, fedKey{}, c) },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Context().Value(fedKey{}).(*fed).tr.ServeHTTP(w, r)
		}),
	}
	go s.Serve(l)
	tb.Cleanup(func() { close(l.conns) })
	return l
}

func (l *netHTTP) read(raw string, mode int) []reception {
	c := &fed{tr: &transcript{mode: mode}, over: make(chan struct{})}
	c.in = []byte(raw)
	l.conns <- c
	<-c.over
	return c.tr.received
}

// A difference is how two servers disagree about the same bytes.
type difference struct {
	kind   string // "", stricter or looser: ours than net/http
	detail string
}

// compare finds the first difference between ours, after which another request was refused or not, and theirs.
func compare(mode int, ours []reception, refused bool, theirs []reception) difference {
	for i, a := range ours {
		if i >= len(theirs) {
			return difference{"looser", fmt.Sprintf("request %d, %s %s, is served", i+1, a.method, a.target)}
		}
		if d := compareReceptions(mode, a, theirs[i]); d != "" {
			return difference{"looser", fmt.Sprintf("request %d is read otherwise: %s", i+1, d)}
		}
	}
	switch n := len(ours); {
	case len(theirs) == n:
		return difference{}
	case mode == readAll && len(theirs) == n+1 && theirs[n].err != nil:
		return difference{} // the handler is told instead of the client
	case refused:
		return difference{"stricter", fmt.Sprintf("request %d is refused", n+1)}
	case n > 0 && ours[n-1].close: // as the request has asked
		return difference{"stricter", fmt.Sprintf("request %d ends the connection", n)}
	default:
		return difference{"looser", fmt.Sprintf("request %d, %s %s, is not seen", n+1, theirs[n].method, theirs[n].target)}
	}
}

func compareReceptions(mode int, a, b reception) string {
	for _, f := range []struct{ name, a, b string }{
		{"method", a.method, b.method}, {"target", a.target, b.target}, {"URL", a.url, b.url}, {"Host", a.host, b.host},
		{"version", a.proto, b.proto}, {"header", a.header, b.header}, {"body", a.body, b.body},
	} {
		if f.a != f.b {
			return fmt.Sprintf("%s %q, net/http %q", f.name, f.a, f.b)
		}
	}
	switch {
	case a.length != b.length:
		return fmt.Sprintf("length %d, net/http %d", a.length, b.length)
	case a.err != nil:
		return fmt.Sprintf("answered in spite of %v", a.err)
	case b.err != nil:
		return fmt.Sprintf("net/http has %v", b.err)
	case b.close && !a.close:
		return "net/http closes"
	}
	for key, values := range a.trailer {
		if len(values) > 0 && !slices.Equal(values, b.trailer[key]) {
			return fmt.Sprintf("trailer %s is %q, net/http %q", key, values, b.trailer[key])
		}
	}
	return ""
}
