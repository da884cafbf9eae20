package httpserver

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// A scripted connection answers Peek from memory and drops what is written: the engine alone is measured.
type scripted struct {
	in  []byte
	out int
	f   func()
}

func (c *scripted) OnReadable(f func())                { c.f = f }
func (c *scripted) Peek() ([]byte, []byte, error)      { return c.in, nil, nil }
func (c *scripted) Discard(n int) error                { c.in = c.in[n:]; return nil }
func (c *scripted) Done() <-chan struct{}              { return nil }
func (c *scripted) Read(p []byte) (int, error)         { return 0, io.EOF }
func (c *scripted) Write(p []byte) (int, error)        { c.out += len(p); return len(p), nil }
func (c *scripted) Close() error                       { return nil }
func (c *scripted) LocalAddr() net.Addr                { return &net.TCPAddr{} }
func (c *scripted) RemoteAddr() net.Addr               { return &net.TCPAddr{} }
func (c *scripted) SetDeadline(t time.Time) error      { return nil }
func (c *scripted) SetReadDeadline(t time.Time) error  { return nil }
func (c *scripted) SetWriteDeadline(t time.Time) error { return nil }

func newScripted(tb testing.TB) *scripted {
	body, ctype := []byte("Hello, World!"), []string{"text/plain"}
	s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = ctype
		w.Write(body)
	})}
	s.once.Do(s.init)
	c := new(scripted)
	s.serveConn(tb.Context(), c)
	tb.Cleanup(func() { s.Close() })
	return c
}

func (c *scripted) turn(in []byte) int {
	c.in, c.out = in, 0
	c.f()
	return c.out
}

var simpleGet = []byte("GET /_/hello HTTP/1.1\r\nHost: 10.90.0.2\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n")

// TestAllocs: a simple GET costs the objects that its handler may keep and nothing else: the head's string, the
// exchange, the Request, two Headers of two allocations each and the values' slice.
func TestAllocs(t *testing.T) {
	c := newScripted(t)
	if c.turn(simpleGet) == 0 {
		t.Fatal("no answer")
	}
	if n := testing.AllocsPerRun(1000, func() { c.turn(simpleGet) }); n > 8 {
		t.Errorf("%v allocations per request", n)
	}
}

// TestIdleOwnsNothing: between requests a connection holds no buffer.
func TestIdleOwnsNothing(t *testing.T) {
	s := &Server{Handler: http.HandlerFunc(demo)}
	s.once.Do(s.init)
	c := new(scripted)
	s.serveConn(t.Context(), c)
	defer s.Close()
	c.turn(simpleGet)
	for k := range s.conns {
		if k.out.buf != nil || k.partial != nil || k.busy {
			t.Errorf("output %d, partial head %d, busy %v", len(k.out.buf), len(k.partial), k.busy)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	c := newScripted(b)
	b.ReportAllocs()
	for b.Loop() {
		c.turn(simpleGet)
	}
}

func BenchmarkPipeline16(b *testing.B) {
	c := newScripted(b)
	var burst []byte
	for range 16 {
		burst = append(burst, simpleGet...)
	}
	b.ReportAllocs()
	for b.Loop() {
		c.turn(burst)
	}
}
