package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var dialer net.Dialer

func urls(base string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%s/%d", base, i)
	}
	return list
}

func fetch(t *testing.T, c *Client, list []string) []Result {
	t.Helper()
	if c.Dial == nil {
		c.Dial = dialer.DialContext
	}
	report, err := c.Do(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	return report.Results
}

// bodies keeps what each response brought.
type bodies struct {
	mu   sync.Mutex
	list map[int]*bytes.Buffer
}

func (b *bodies) writer(i int) io.Writer {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.list == nil {
		b.list = make(map[int]*bytes.Buffer)
	}
	b.list[i] = new(bytes.Buffer)
	return b.list[i]
}

func TestPersistent(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.URL.Path, r.UserAgent(), r.Header.Get("X-Test"))
	}))
	defer s.Close()
	var got bodies
	for i, r := range fetch(t, &Client{Body: got.writer, Header: http.Header{"X-Test": {"!"}}}, urls(s.URL, 5)) {
		want := fmt.Sprintf("/%dustack!", i)
		if r.Err != nil || r.Status != 200 || r.Proto != "HTTP/1.1" || got.list[i].String() != want || r.Bytes != int64(len(want)) {
			t.Errorf("%d: %+v, body %q", i, r, got.list[i])
		}
		if r.Connection != 1 || r.Request != i+1 {
			t.Errorf("%d: request %d on connection %d", i, r.Request, r.Connection)
		}
		if (r.Connect > 0) != (i == 0) || r.FirstByte <= 0 || r.Total < r.FirstByte {
			t.Errorf("%d: times %v %v %v", i, r.Connect, r.FirstByte, r.Total)
		}
	}
}

func TestParallel(t *testing.T) {
	var running, most atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := running.Add(1); n > most.Load() {
			most.Store(n)
		}
		time.Sleep(20 * time.Millisecond)
		running.Add(-1)
	}))
	defer s.Close()
	connections := make(map[int]bool)
	for i, r := range fetch(t, &Client{Parallel: 4}, urls(s.URL, 20)) {
		if r.Failed() {
			t.Errorf("%d: %+v", i, r)
		}
		connections[r.Connection] = true
	}
	if len(connections) != 4 || most.Load() != 4 {
		t.Errorf("%d connections, %d requests at a time", len(connections), most.Load())
	}
}

// script is a server that answers raw bytes: serve is called for each connection.
func script(t *testing.T, serve func(n int, c net.Conn, r *bufio.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(n, c, bufio.NewReader(c))
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func TestPipelined(t *testing.T) {
	const depth = 8
	// Answers only when depth requests are there: a client that does not pipeline stands still.
	base := script(t, func(_ int, c net.Conn, r *bufio.Reader) {
		for {
			var out bytes.Buffer
			for range depth {
				req, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				fmt.Fprintf(&out, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(req.URL.Path), req.URL.Path)
			}
			if r.Buffered() > 0 {
				fmt.Fprint(c, "HTTP/1.1 500 deeper than asked for\r\n\r\n")
				return
			}
			c.Write(out.Bytes())
		}
	})
	var got bodies
	for i, r := range fetch(t, &Client{Depth: depth, Body: got.writer, Timeout: 10 * time.Second}, urls(base, 4*depth)) {
		if r.Failed() || r.Connection != 1 || r.Request != i+1 || got.list[i].String() != fmt.Sprintf("/%d", i) {
			t.Errorf("%d: %+v, body %q", i, r, got.list[i])
		}
	}
}

// The server takes a few requests a connection; what was pipelined behind them is sent again.
func TestPipelineCutShort(t *testing.T) {
	for _, polite := range []bool{true, false} {
		base := script(t, func(_ int, c net.Conn, r *bufio.Reader) {
			for i := range 3 {
				if _, err := http.ReadRequest(r); err != nil {
					return
				}
				last := ""
				if i == 2 && polite {
					last = "Connection: close\r\n"
				}
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\n%sContent-Length: 0\r\n\r\n", last)
			}
			c.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, r)
		})
		for i, r := range fetch(t, &Client{Depth: 10}, urls(base, 20)) {
			if r.Failed() || r.Connection != i/3+1 || r.Request != i%3+1 {
				t.Errorf("polite=%v %d: %+v", polite, i, r)
			}
		}
	}
}

func TestBodiesOfAllKinds(t *testing.T) {
	answers := []string{
		"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\nTrailer: x\r\n\r\n",
		"HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n",
		"HTTP/1.1 301 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.0 200 OK\r\n\r\nab",
	}
	base := script(t, func(_ int, c net.Conn, r *bufio.Reader) {
		for _, a := range answers {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			io.WriteString(c, a)
		}
	})
	want := []struct {
		status int
		bytes  int64
	}{{200, 2}, {200, 2}, {204, 0}, {304, 0}, {301, 0}, {200, 2}}
	for i, r := range fetch(t, &Client{}, urls(base, len(answers))) {
		if r.Failed() || r.Status != want[i].status || r.Bytes != want[i].bytes || r.Connection != 1 {
			t.Errorf("%d: %+v", i, r)
		}
	}
}

func TestFailures(t *testing.T) {
	tests := []struct {
		name, answer string
		want         string // in the error
	}{
		{"nothing", "", "no response"},
		{"rubbish", "SSH-2.0-x\r\n\r\n", "response header"},
		{"truncated header", "HTTP/1.1 200 OK\r\nContent-", "response header"},
		{"truncated body", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "after 3 octets of body"},
		{"truncated chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc", "octets of body"},
		{"endless header", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("y", 2*maxHeader), "1 MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			base := script(t, func(_ int, c net.Conn, r *bufio.Reader) {
				http.ReadRequest(r)
				io.WriteString(c, tt.answer)
				c.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, r)
			})
			r := fetch(t, &Client{}, urls(base, 1))[0]
			if !r.Failed() || r.Err == nil || !strings.Contains(r.Err.Error(), tt.want) {
				t.Errorf("error %v, want %q", r.Err, tt.want)
			}
		})
	}
}

func TestSilence(t *testing.T) {
	base := script(t, func(_ int, c net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r) })
	r := fetch(t, &Client{Timeout: 50 * time.Millisecond}, urls(base, 1))[0]
	if !errors.Is(r.Err, os.ErrDeadlineExceeded) {
		t.Errorf("silent server: %v", r.Err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	report, err := (&Client{Dial: dialer.DialContext}).Do(ctx, urls(base, 3))
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range report.Results {
		if !errors.Is(r.Err, context.DeadlineExceeded) {
			t.Errorf("%d, cancelled: %v", i, r.Err)
		}
	}
}

func TestRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + l.Addr().String()
	l.Close()
	var dials atomic.Int64
	c := &Client{Parallel: 2, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Add(1)
		return dialer.DialContext(ctx, network, addr)
	}}
	for i, r := range fetch(t, c, urls(base, 100)) {
		if !errors.Is(r.Err, syscall.ECONNREFUSED) {
			t.Errorf("%d: %v", i, r.Err)
		}
	}
	if dials.Load() > 2 {
		t.Errorf("%d attempts to connect", dials.Load())
	}
}

func TestBadURLs(t *testing.T) {
	c := &Client{Dial: func(context.Context, string, string) (net.Conn, error) {
		t.Error("dialled")
		return nil, io.EOF
	}}
	for _, u := range []string{"https://example.com/", "ftp://example.com/", "http://", "http://[::1", "http://a b/", "http:///x"} {
		if _, err := c.Do(t.Context(), []string{u}); err == nil {
			t.Errorf("%q: no error", u)
		}
	}
}

func TestHostsAndDefaults(t *testing.T) {
	var mu sync.Mutex
	dialled := make(map[string]int)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) }))
	defer s.Close()
	c := &Client{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		mu.Lock()
		dialled[addr]++
		mu.Unlock()
		return dialer.DialContext(ctx, network, s.Listener.Addr().String())
	}}
	var got bodies
	c.Body = got.writer
	for i, r := range fetch(t, c, []string{"a.example/", "http://b.example:81", "http://a.example/x?y#z", "http://[fd90::2]/"}) {
		if r.Failed() {
			t.Errorf("%d: %+v", i, r)
		}
	}
	if fmt.Sprint(dialled) != "map[[fd90::2]:80:1 a.example:80:1 b.example:81:1]" {
		t.Errorf("dialled %v", dialled)
	}
	if got.list[0].String() != "a.example" || got.list[1].String() != "b.example:81" || got.list[3].String() != "[fd90::2]" {
		t.Errorf("Host %v %v %v", got.list[0], got.list[1], got.list[3])
	}
}

func TestReports(t *testing.T) {
	results := make([]Result, 100)
	for i := range results {
		results[i] = Result{URL: "http://h/", Status: 200, Proto: "HTTP/1.1", Bytes: 10, Connection: 1 + i%2, Request: i/2 + 1,
			FirstByte: 300 * time.Microsecond, Total: 2500 * time.Microsecond}
	}
	results[0].Connect = time.Millisecond
	results[90] = Result{URL: "http://h/bad", Err: io.ErrUnexpectedEOF}
	results[91].Status = 503
	var table strings.Builder
	WriteTable(&table, &Report{Results: results, Elapsed: time.Second, Connections: 2})
	for _, want := range []string{"300 µs", "2.5 ms", "1.0 ms", "… and 38 more that went well", "no. 91: unexpected EOF", "503",
		"100 requests, 2 failed, over 2 connections; 990 octets in 1000 ms: 100 requests/s, 0.01 Mbit/s"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, table.String())
		}
	}
	var out bytes.Buffer
	if err := WriteJSON(&out, results); err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(&out)
	for i := range results {
		var j jsonResult
		if err := dec.Decode(&j); err != nil {
			t.Fatal(err)
		}
		if j.Status != results[i].Status || j.TotalUS != results[i].Total.Microseconds() || (j.Error != "") != (results[i].Err != nil) {
			t.Errorf("%d: %+v", i, j)
		}
	}
}
