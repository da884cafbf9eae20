package httpserver

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// A scripted connection answers Peek from memory and drops what is written: the engine alone is measured.
type scripted struct {
	in       []byte
	discards int
	reader   reader
	read     int64

	mu      sync.Mutex // an answer may be flushed late, by a timer
	out     int        // bytes written in the turn
	writes  int        // in the turn
	last    []byte
	written int64
}

func (c *scripted) SetReader(r reader)            { c.reader = r }
func (c *scripted) Peek() ([]byte, []byte, error) { return c.in, nil, nil }
func (c *scripted) Discard(n int) error {
	c.in = c.in[n:]
	c.discards++
	c.read += int64(n)
	return nil
}
func (c *scripted) Done() <-chan struct{}              { return nil }
func (c *scripted) Read(p []byte) (int, error)         { return 0, io.EOF }
func (c *scripted) Close() error                       { return nil }
func (c *scripted) LocalAddr() net.Addr                { return &net.TCPAddr{} }
func (c *scripted) RemoteAddr() net.Addr               { return &net.TCPAddr{} }
func (c *scripted) SetDeadline(t time.Time) error      { return nil }
func (c *scripted) SetReadDeadline(t time.Time) error  { return nil }
func (c *scripted) SetWriteDeadline(t time.Time) error { return nil }

// newScripted returns a connection to a server whose handler answers hello, in a few fields of its own.
func newScripted(tb testing.TB, tune func(*Server)) *scripted {
	body, ctype := []byte("Hello, World!"), []string{"text/plain"}
	s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = ctype
		w.Write(body)
	})}
	if tune != nil {
		tune(s)
	}
	s.once.Do(s.init)
	c := new(scripted)
	s.serveConn(tb.Context(), c)
	tb.Cleanup(func() { s.Close() })
	return c
}

func reuse(s *Server) { s.ReuseRequests = true }

func traced(s *Server) {
	s.ReuseRequests = true
	s.SetTracer(func(*Event) {})
}

func (c *scripted) Octets() (read, written int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read, c.written
}

func (c *scripted) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out += len(p)
	c.written += int64(len(p))
	c.writes++
	c.last = append(c.last[:0], p...)
	return len(p), nil
}

func (c *scripted) turn(in []byte) int {
	c.mu.Lock()
	c.in, c.out, c.writes = in, 0, 0
	c.mu.Unlock()
	c.reader.Readable()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out
}

// answered returns what was written last, and in how many writes the turn went.
func (c *scripted) answered() (last []byte, writes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.last), c.writes
}

var (
	simpleGet = []byte("GET /_/hello HTTP/1.1\r\nHost: 10.90.0.2\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n")
	wrkGet    = []byte("GET /_/hello HTTP/1.1\r\nHost: 10.90.0.2\r\n\r\n")
	browseGet = []byte("GET /_/hello?a=b HTTP/1.1\r\nHost: 10.90.0.2\r\nConnection: keep-alive\r\nCache-Control: max-age=0\r\n" +
		"Upgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/html,*/*;q=0.8\r\n" +
		"Accept-Encoding: gzip, deflate\r\nAccept-Language: en\r\nCookie: a=1\r\n\r\n")
)

func pipelined(get []byte) []byte { return bytes.Repeat(get, 16) }

// TestAllocs: a simple GET costs the objects that its handler may keep and nothing else: the head's string, the
// exchange and two Headers of two allocations each (one, when there is no field); for more than
// a few fields, the values' slice and a larger map.
// With reused requests it costs nothing, nor does the access log, nor a tracer.
func TestAllocs(t *testing.T) {
	logged := func(s *Server) { s.ReuseRequests, s.AccessLog = true, func(*Entry) {} }
	tracedNoMore := func(s *Server) {
		traced(s)
		s.SetTracer(nil)
	}
	for _, tt := range []struct {
		name  string
		tune  func(*Server)
		in    []byte
		times int
		most  float64
	}{
		{"fresh", nil, simpleGet, 1, 6},
		{"fresh, Host only", nil, wrkGet, 1, 5},
		{"fresh, browser", nil, browseGet, 1, 9},
		{"fresh, pipelined", nil, pipelined(simpleGet), 16, 16 * 6},
		{"reused", reuse, simpleGet, 1, 0},
		{"reused, Host only", reuse, wrkGet, 1, 0},
		{"reused, browser", reuse, browseGet, 1, 0},
		{"reused, pipelined", reuse, pipelined(simpleGet), 16, 0},
		{"reused, logged", logged, simpleGet, 1, 0},
		{"reused, traced", traced, simpleGet, 1, 0},
		{"reused, pipelined, traced", traced, pipelined(simpleGet), 16, 0},
		{"reused, traced no more", tracedNoMore, simpleGet, 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newScripted(t, tt.tune)
			var last []byte
			writes := 0
			for try := 0; try < 100 && writes != 1; try++ { // a turn may take longer than finished answers wait
				c.turn(tt.in)
				last, writes = c.answered()
			}
			if got := bytes.Count(last, []byte("Hello, World!")); (got != tt.times || writes != 1) && !raceEnabled {
				t.Fatalf("%d answers in %d writes: %q", got, writes, last)
			}
			if n := testing.AllocsPerRun(1000, func() { c.turn(tt.in) }); n > tt.most && !raceEnabled {
				t.Errorf("%v allocations per turn", n)
			}
		})
	}
}

// TestIdleOwnsNothing: between requests a connection holds no buffer.
func TestIdleOwnsNothing(t *testing.T) {
	s := &Server{Handler: http.HandlerFunc(demo), ReuseRequests: true}
	s.once.Do(s.init)
	c := new(scripted)
	s.serveConn(t.Context(), c)
	defer s.Close()
	c.turn(simpleGet)
	if k := s.conns; k.turn != nil || k.residue != nil || k.busy {
		t.Errorf("turn %v, residue %v, busy %v", k.turn != nil, k.residue != nil, k.busy)
	}
}
