package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"ustack/httpserver"

	"github.com/valyala/fasthttp"
)

const helloRequest = "GET /_/hello HTTP/1.1\r\nHost: 10.90.0.2\r\n\r\n"

// A tape is a client's end: it plays a burst of requests each time it is read from, and counts the answers.
type tape struct {
	burst    []byte
	left     int // bursts
	rest     []byte
	answered int
	ended    chan struct{}
}

func (t *tape) Read(p []byte) (int, error) {
	if len(t.rest) == 0 {
		if t.left == 0 {
			return 0, io.EOF
		}
		t.left--
		t.rest = t.burst
	}
	n := copy(p, t.rest)
	t.rest = t.rest[n:]
	return n, nil
}

var answerStart = []byte("HTTP/1.1 200 OK\r\n")

func (t *tape) Write(p []byte) (int, error) {
	t.answered += bytes.Count(p, answerStart)
	return len(p), nil
}

func (t *tape) Close() error {
	select {
	case <-t.ended:
	default:
		close(t.ended)
	}
	return nil
}
func (t *tape) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(10, 90, 0, 2), Port: 80} }
func (t *tape) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(10, 90, 0, 1), Port: 40000} }
func (t *tape) SetDeadline(time.Time) error      { return nil }
func (t *tape) SetReadDeadline(time.Time) error  { return nil }
func (t *tape) SetWriteDeadline(time.Time) error { return nil }

// A oneListener accepts one connection.
type oneListener struct{ c chan net.Conn }

func (l *oneListener) Accept() (net.Conn, error) {
	if c, ok := <-l.c; ok {
		return c, nil
	}
	return nil, errors.New("no more")
}
func (l *oneListener) Close() error   { return nil }
func (l *oneListener) Addr() net.Addr { return &net.TCPAddr{} }

// BenchmarkHTTP is a server on a connection in memory: parser, handler, answer, and no TCP. The told time is for one
// request, of bursts of 1 and of 16.
func BenchmarkHTTP(b *testing.B) {
	body, ctype := []byte("Hello, World!"), []string{"text/plain"}
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = ctype
		w.Write(body)
	})
	fast := &fasthttp.Server{Handler: func(c *fasthttp.RequestCtx) {
		c.SetContentType("text/plain")
		c.Write(body)
	}}
	serve := func(s interface{ Serve(net.Listener) error }) func(net.Conn) {
		return func(c net.Conn) {
			l := &oneListener{make(chan net.Conn, 1)}
			l.c <- c
			go s.Serve(l)
		}
	}
	for _, engine := range []struct {
		name  string
		serve func(net.Conn)
	}{
		{"httpserver", serve(&httpserver.Server{Handler: hello, ReuseRequests: true})},
		{"httpserver-fresh", serve(&httpserver.Server{Handler: hello})},
		{"fasthttp", func(c net.Conn) { fast.ServeConn(c); c.Close() }},
		{"net-http", serve(&http.Server{Handler: hello})},
	} {
		for _, depth := range []struct {
			name string
			n    int
		}{{"1", 1}, {"16", 16}} {
			b.Run(engine.name+"/"+depth.name, func(b *testing.B) {
				t := &tape{burst: bytes.Repeat([]byte(helloRequest), depth.n), left: b.N/depth.n + 1, ended: make(chan struct{})}
				want := t.left * depth.n
				b.ReportAllocs()
				b.ResetTimer()
				engine.serve(t)
				<-t.ended
				if t.answered != want {
					b.Fatalf("%d answers to %d requests", t.answered, want)
				}
			})
		}
	}
}

// BenchmarkFasthttpParse is fasthttp's parser alone; ours is BenchmarkParse in package httpserver.
func BenchmarkFasthttpParse(b *testing.B) {
	var h fasthttp.RequestHeader
	in := bytes.NewReader(nil)
	r := bufio.NewReader(in)
	b.ReportAllocs()
	for b.Loop() {
		in.Reset([]byte(helloRequest))
		r.Reset(in)
		if err := h.Read(r); err != nil {
			b.Fatal(err)
		}
	}
}
