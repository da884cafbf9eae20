package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// piped is a server on pipes, for bubbles: it serves every connection that its Dial makes.
type piped struct {
	serve func(n int, c net.Conn, r *bufio.Reader)
	mu    sync.Mutex
	dials int
	seen  []string // method and path of the requests, in order
}

func (p *piped) Dial(context.Context, string, string) (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dials++
	n := p.dials
	near, far := net.Pipe()
	go func() {
		defer far.Close()
		p.serve(n, far, bufio.NewReader(far))
	}()
	return near, nil
}

// request reads one, with its content. False: none came.
func (p *piped) request(r *bufio.Reader) (*http.Request, bool) {
	req, err := http.ReadRequest(r)
	if err != nil {
		return nil, false
	}
	io.Copy(io.Discard, req.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, req.Method+" "+req.URL.Path)
	return req, true
}

// quiet reports whether no octet comes within a second.
func quiet(c net.Conn, r *bufio.Reader) bool {
	c.SetReadDeadline(time.Now().Add(time.Second))
	defer c.SetReadDeadline(time.Time{})
	_, err := r.Peek(1)
	return err != nil
}

const okEmpty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

func TestSerial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p piped
		p.serve = func(n int, c net.Conn, r *bufio.Reader) {
			req, _ := p.request(r)
			if !req.Close {
				t.Errorf("connection %d: the request does not ask for its close", n)
			}
			io.WriteString(c, okEmpty) // without saying close: the client closes anyway
			io.Copy(io.Discard, r)
		}
		for i, r := range fetch(t, &Client{Dial: p.Dial, Serial: true, Depth: 4}, urls("http://h", 5)) {
			if r.Failed() || r.Connection != i+1 || r.Request != 1 || r.Tries != 1 {
				t.Errorf("%d: %+v", i, r)
			}
		}
	})
}

// A connection dies in mid-pipeline: what was not answered goes again, the first of it alone.
func TestWaryAfterDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p piped
		p.serve = func(n int, c net.Conn, r *bufio.Reader) {
			for i := 0; ; i++ {
				if _, ok := p.request(r); !ok || n == 1 && i == 2 {
					return
				}
				if n == 1 && quiet(c, r) {
					t.Error("the first connection is not pipelined")
				}
				if n == 2 && i == 0 && !quiet(c, r) {
					t.Error("the second connection is pipelined before its first answer")
				}
				if n == 2 && i == 1 && quiet(c, r) {
					t.Error("the second connection is not pipelined after its first answer")
				}
				io.WriteString(c, okEmpty)
			}
		}
		for i, r := range fetch(t, &Client{Dial: p.Dial, Depth: 6}, urls("http://h", 6)) {
			conn, request := 1, i+1
			if i >= 2 {
				conn, request = 2, i-1
			}
			if r.Failed() || r.Connection != conn || r.Request != request || r.Tries != conn {
				t.Errorf("%d: %+v", i, r)
			}
		}
	})
}

// After an announced close the rest goes on a new connection, pipelined at once.
func TestAnnouncedCloseInPipeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p piped
		p.serve = func(n int, c net.Conn, r *bufio.Reader) {
			if _, ok := p.request(r); !ok {
				return
			}
			if n < 3 && quiet(c, r) {
				t.Errorf("connection %d is not pipelined", n)
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		}
		for i, r := range fetch(t, &Client{Dial: p.Dial, Depth: 6}, urls("http://h", 3)) {
			if r.Failed() || r.Connection != i+1 {
				t.Errorf("%d: %+v", i, r)
			}
		}
	})
}

// One request kills every connection that it comes on. It fails alone, after a bounded number of tries.
func TestPoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p piped
		p.serve = func(_ int, c net.Conn, r *bufio.Reader) {
			for {
				req, ok := p.request(r)
				if !ok || req.URL.Path == "/2" {
					return
				}
				io.WriteString(c, okEmpty)
			}
		}
		for i, r := range fetch(t, &Client{Dial: p.Dial, Depth: 4}, urls("http://h", 6)) {
			if (r.Err != nil) != (i == 2) || i == 2 && r.Tries > maxAttempts {
				t.Errorf("%d: %+v", i, r)
			}
		}
	})
}

// A POST is sent once, whatever happens, and never pipelined.
func TestUnknownOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p piped
		p.serve = func(n int, c net.Conn, r *bufio.Reader) {
			for i := 0; ; i++ {
				if _, ok := p.request(r); !ok || n == 1 && i == 1 {
					return
				}
				if !quiet(c, r) {
					t.Error("POST is pipelined")
				}
				io.WriteString(c, okEmpty)
			}
		}
		c := &Client{Dial: p.Dial, Depth: 4, Method: "POST", Content: "x=1"}
		for i, r := range fetch(t, c, urls("http://h", 4)) {
			if errors.Is(r.Err, ErrUnknown) != (i == 1) || r.Tries != 1 {
				t.Errorf("%d: %+v", i, r)
			}
		}
		if got := strings.Join(p.seen, " "); got != "POST /0 POST /1 POST /2 POST /3" {
			t.Errorf("the server saw %s", got)
		}
	})
}

// A server that closes after each answer gets every POST once.
func TestPostAfterClose(t *testing.T) {
	for range 20 { // the writer and the reader race
		synctest.Test(t, func(t *testing.T) {
			var p piped
			p.serve = func(_ int, c net.Conn, r *bufio.Reader) {
				if _, ok := p.request(r); ok {
					io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
				}
			}
			for i, r := range fetch(t, &Client{Dial: p.Dial, Method: "POST"}, urls("http://h", 5)) {
				if r.Failed() || r.Tries != 1 {
					t.Errorf("%d: %+v", i, r)
				}
			}
		})
	}
}

func TestHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p piped
		p.serve = func(_ int, c net.Conn, r *bufio.Reader) {
			for {
				if _, ok := p.request(r); !ok {
					return
				}
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
			}
		}
		for i, r := range fetch(t, &Client{Dial: p.Dial, Method: "HEAD", Depth: 3}, urls("http://h", 5)) {
			if r.Failed() || r.Connection != 1 || r.Bytes != 0 || r.Method != "HEAD" {
				t.Errorf("%d: %+v", i, r)
			}
		}
	})
}

// Octets behind the last answer are not taken for an answer to the next request.
func TestUnaskedOctets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p piped
		p.serve = func(n int, c net.Conn, r *bufio.Reader) {
			for {
				if _, ok := p.request(r); !ok {
					return
				}
				fmt.Fprintf(c, "%sHTTP/1.1 500 not yours\r\nContent-Length: 0\r\n\r\n", okEmpty)
			}
		}
		for i, r := range fetch(t, &Client{Dial: p.Dial, Method: "POST"}, urls("http://h", 2)) {
			if r.Status != 200 || r.Connection != i+1 {
				t.Errorf("%d: %+v", i, r)
			}
		}
	})
}
