package httpserver

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestUnreadBody: what the handler leaves of a body is read off if it is little, else the connection ends, and the
// answer says so.
func TestUnreadBody(t *testing.T) { // req: 9112-9.3a, 9112-9.6b
	body := func(n int) string { return strings.Repeat("x", n) }
	tests := []struct {
		name, raw string
		rest      string // sent after the answer
		keep      bool
		announced bool
	}{
		{"small, there", fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", 1000, body(1000)), "", true, false},
		{"small, coming", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n", body(1000), true, false},
		{"small, never", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n", "", false, false},
		{"large", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + body(5000), "", false, true},
		{"chunked, coming", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "", false, true},
		{"chunked, there", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "", true, false},
	}
	inWorld(t, demo, nil, func(w *world) {
		for _, tt := range tests {
			c, server := w.l.dial()
			io.WriteString(c, tt.raw)
			a := w.answers(arrived(c), "POST")[0]
			if a.body != "POST /" || a.Close != tt.announced {
				w.t.Errorf("%s: %q, close %v", tt.name, a.body, a.Close)
			}
			io.WriteString(c, tt.rest)
			if !tt.keep && !tt.announced {
				time.Sleep(drainTime)
			}
			if synctest.Wait(); c.hasFIN() == tt.keep {
				w.t.Errorf("%s: fin %v", tt.name, c.hasFIN())
			}
			if tt.keep {
				io.WriteString(c, get("/next"))
				if a := w.answers(arrived(c), "GET")[0]; a.body != "GET /next" {
					w.t.Errorf("%s: next %q", tt.name, a.body)
				}
			}
			c.Close()
			if synctest.Wait(); !server.isClosed() {
				w.t.Errorf("%s: not closed", tt.name)
			}
		}
	})
}

// TestUnreadBodyLimits: 256 KiB of an unread body are read off, and waited for 1 s, and no more.
func TestUnreadBodyLimits(t *testing.T) { // req: 9112-9.3a
	const limit = 256 << 10
	inWorld(t, demo, nil, func(w *world) {
		for more, keep := range []bool{true, false} {
			for _, here := range []int{0, 1000, limit} {
				if !keep && here > 0 {
					continue // what is here already is taken off first
				}
				c, _ := w.l.dial()
				fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", limit+more)
				body := make([]byte, limit+more)
				c.Write(body[:here])
				a := w.answers(arrived(c), "POST")[0]
				c.Write(body[here:])
				if arrived(c); a.Close == keep || c.hasFIN() == keep {
					w.t.Errorf("%d octets, %d of them here: close %v, FIN %v", limit+more, here, a.Close, c.hasFIN())
				}
				c.Close()
			}
		}
		c, _ := w.l.dial()
		defer c.Close()
		start := time.Now()
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell")
		w.readAll(c)
		if d := time.Since(start); d != time.Second {
			w.t.Errorf("a body that does not come was waited for %v", d)
		}
	})
}

// TestEarlyError: a large answer to a large upload that nobody reads arrives whole, even if the client reads nothing
// before it has sent everything and the buffers between are small.
func TestEarlyError(t *testing.T) { // req: 9112-9.3a, 9112-9.6d
	h := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(413)
		w.Write(make([]byte, 1<<20))
	}
	inWorld(t, h, nil, func(w *world) {
		for _, limit := range []int{0, 64 << 10} {
			c, server := w.l.dial()
			c.p.mu.Lock()
			c.limit, server.limit = limit, limit
			c.p.mu.Unlock()
			io.WriteString(c, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 104857600\r\n\r\n")
			for range 100 {
				if _, err := c.Write(make([]byte, 1<<20)); err != nil {
					w.t.Fatal(err)
				}
			}
			a := w.answers(w.readAll(c), "PUT")[0]
			if a.StatusCode != 413 || len(a.body) != 1<<20 || !a.Close {
				w.t.Errorf("%s, %d bytes, close %v", a.Status, len(a.body), a.Close)
			}
			c.Close()
		}
	})
}

// TestEarlyErrorInSegments: how much of an unread body is discarded for the sake of the answer is counted in bytes, not in
// reads, which may bring no more than a segment each.
func TestEarlyErrorInSegments(t *testing.T) { // req: 9112-9.3a, 9112-9.6d
	const segment, segments = 1460, 2 * lingerBytes / outputSize
	h := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(413)
		w.Write(make([]byte, 1<<20))
	}
	inWorld(t, h, nil, func(w *world) {
		c, server := w.l.dial()
		c.p.mu.Lock()
		c.limit, server.limit = 64<<10, segment
		c.p.mu.Unlock()
		fmt.Fprintf(c, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", segments*segment)
		for i := range segments {
			if _, err := c.Write(make([]byte, segment)); err != nil {
				w.t.Fatalf("segment %d of %d: %v", i, segments, err)
			}
		}
		if a := w.answers(w.readAll(c), "PUT")[0]; a.StatusCode != 413 || len(a.body) != 1<<20 {
			w.t.Errorf("%s, %d bytes", a.Status, len(a.body))
		}
		c.Close()
	})
}

// TestBodyOnAnotherGoroutine: a goroutine that the handler has left behind with the body, as proxies may, is neither
// waited for while it waits for the client nor fed with what belongs to the next request.
func TestBodyOnAnotherGoroutine(t *testing.T) {
	type result struct {
		b   []byte
		err error
	}
	results := make(chan result, 1)
	var w1 slowWriter
	h := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/read":
			go func() {
				b, err := io.ReadAll(struct{ io.Reader }{r.Body})
				results <- result{b, err}
			}()
			time.Sleep(time.Second)
		case "/copy":
			w1 = slowWriter{}
			go func() {
				_, err := io.Copy(&w1, r.Body)
				results <- result{w1.b, err}
			}()
			time.Sleep(time.Second)
		}
		io.WriteString(w, r.URL.Path)
	}
	inWorld(t, h, nil, func(w *world) {
		results = make(chan result, 1)
		c, _ := w.l.dial()
		start := time.Now()
		io.WriteString(c, "POST /read HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n")
		synctest.Wait()
		io.WriteString(c, "hello")
		got := w.readAll(c)
		if !strings.HasPrefix(got, "HTTP/1.1 100 ") || !strings.HasSuffix(got, "/read") || time.Since(start) > time.Second+drainTime {
			w.t.Errorf("after %v: %q", time.Since(start), got)
		}
		if r := <-results; string(r.b) != "hello" || r.err == nil {
			w.t.Errorf("the reader got %q, %v", r.b, r.err)
		}
		c.Close()

		c, _ = w.l.dial()
		io.WriteString(c, "POST /copy HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"+get("/next"))
		time.Sleep(time.Minute)
		got = arrived(c)
		if r := <-results; string(r.b) != "hello" || r.err != nil {
			w.t.Errorf("the writer got %q, %v", r.b, r.err)
		}
		if all := w.answers(got, "POST", "GET"); all[0].body != "/copy" || all[1].body != "/next" {
			w.t.Errorf("got %q", got)
		}
		c.Close()
	})
}

// A slowWriter looks at what it was given only after a while.
type slowWriter struct{ b []byte }

func (w *slowWriter) Write(p []byte) (int, error) {
	time.Sleep(10 * time.Second)
	w.b = append(w.b, p...)
	return len(p), nil
}

// TestEcho reads and writes at once, a body of known and one of unknown length.
func TestEcho(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for _, chunked := range []bool{false, true} {
		inWorld(t, demo, nil, func(w *world) {
			c, server := w.l.dial()
			server.p.mu.Lock()
			server.split = 1000
			server.p.mu.Unlock()
			defer c.Close()
			go func() {
				io.WriteString(c, "POST /echo HTTP/1.1\r\nHost: a\r\n")
				if !chunked {
					fmt.Fprintf(c, "Content-Length: %d\r\n\r\n", len(body))
				} else {
					io.WriteString(c, "Transfer-Encoding: chunked\r\n\r\n")
				}
				for p := body; len(p) > 0; p = p[min(len(p), 7777):] {
					part := p[:min(len(p), 7777)]
					if chunked {
						fmt.Fprintf(c, "%x;e=x\r\n%s\r\n", len(part), part)
					} else {
						c.Write(part)
					}
					time.Sleep(time.Millisecond)
				}
				if chunked {
					io.WriteString(c, "0\r\n\r\n")
				}
				io.WriteString(c, get("/next"))
			}()
			time.Sleep(time.Second)
			all := w.answers(arrived(c), "POST", "GET")
			if all[0].body != string(body) || all[1].body != "GET /next" {
				w.t.Errorf("chunked %v: %d bytes, then %q", chunked, len(all[0].body), all[1].body)
			}
		})
	}
}
