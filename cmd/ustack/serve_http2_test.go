package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ustack/cmd/ustack/internal/site"
	"ustack/stack"
)

const http2Base = "http://10.90.0.2:82/_/"

// http2Client is a client that speaks nothing but HTTP/2, in clear text.
func http2Client(t *testing.T, s *stack.Stack) *http.Client {
	t.Helper()
	transport := &http.Transport{DialContext: s.DialContext, Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

// TestHTTP2 serves HTTP/2 on our listener, many streams on one connection, and HTTP/1.1 beside it.
func TestHTTP2(t *testing.T) {
	access := filepath.Join(t.TempDir(), "access.log")
	for _, engine := range []string{"ustack", "gvisor"} {
		t.Run(engine, func(t *testing.T) {
			s, plain, far := memoryServer(t, "--engine", engine, "--access-log", access, "--listen", ":82?http=h2c")
			c := http2Client(t, far)
			wires(t, c)
			overtaken(t, c)
			contents(t, c)
			var facts site.Facts
			if err := json.Unmarshal([]byte(fetchText(t, plain, http2Base+"wire")), &facts); err != nil || facts.Proto != "HTTP/1.1" || facts.Connection != 2 || facts.Request != 1 {
				t.Errorf("HTTP/1.1 on the same port: %+v, %v", facts, err)
			}
			plain.CloseIdleConnections()
			if err := s.shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	log, err := os.ReadFile(access)
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]int{
		`"GET /_/wire HTTP/2.0" 200 `:         2 * 50,
		`"HEAD /_/bytes/1000 HTTP/2.0" 200 -`: 2,
		`"GET /_/status/418 HTTP/2.0" 418 17`: 2,
		`"POST /_/echo HTTP/2.0" 200 `:        2 * 2,
		`"GET /_/wire HTTP/1.1" 200 `:         2,
	} {
		if got := bytes.Count(log, []byte(line)); got != want {
			t.Errorf("%d lines %s in the access log, want %d:\n%s", got, line, want, log)
		}
	}
}

// wires sends fifty requests at once, and expects all of them to have travelled on one connection.
func wires(t *testing.T, c *http.Client) {
	t.Helper()
	fetchText(t, c, http2Base+"hello") // the connection is there: nobody dials a second one
	var mu sync.Mutex
	var requests sync.WaitGroup
	numbers := map[int]bool{}
	for range 50 {
		requests.Go(func() {
			var facts site.Facts
			resp, err := c.Get(http2Base + "wire")
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if err := json.NewDecoder(resp.Body).Decode(&facts); err != nil || facts.Proto != "HTTP/2.0" || facts.Connection != 1 || facts.Server != "10.90.0.2:82" {
				t.Errorf("%+v, %v", facts, err)
			}
			mu.Lock()
			numbers[facts.Request] = true
			mu.Unlock()
		})
	}
	requests.Wait()
	if len(numbers) != 50 {
		t.Errorf("fifty requests have %d numbers", len(numbers))
	}
}

// overtaken expects an answer to pass another that is still being written, flush by flush, on the same connection.
func overtaken(t *testing.T, c *http.Client) {
	t.Helper()
	body, say := io.Pipe()
	go say.Write([]byte("first"))
	slow, err := c.Post(http2Base+"echo", "text/plain", body)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Body.Close()
	head, err := strconv.Atoi(slow.Header.Get("Echo-Body-Offset"))
	if err != nil {
		t.Fatal(err)
	}
	begin := make([]byte, head+len("first"))
	if _, err := io.ReadFull(slow.Body, begin); err != nil || string(begin[head:]) != "first" {
		t.Fatalf("the answer begins with %q, %v", begin, err)
	}
	if got := fetchText(t, c, http2Base+"hello"); got != "Hello, World!" {
		t.Errorf("beside a slow answer: %q", got)
	}
	go func() {
		say.Write([]byte(", then"))
		say.Close()
	}()
	if rest, err := io.ReadAll(slow.Body); err != nil || string(rest) != ", then" {
		t.Errorf("and ends with %q, %v", rest, err)
	}
}

// contents asks for what an endpoint does with the optional methods of its ResponseWriter.
func contents(t *testing.T, c *http.Client) {
	t.Helper()
	resp, err := c.Get(http2Base + "bytes/3000000")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(new(site.Verifier), resp.Body); err != nil || n != 3_000_000 {
		t.Errorf("%d octets, %v", n, err)
	}
	resp.Body.Close()
	if resp, err = c.Head(http2Base + "bytes/1000"); err != nil || resp.ContentLength != 1000 {
		t.Errorf("HEAD: %+v, %v", resp, err)
	}
	if got := fetchText(t, c, http2Base+"status/418"); got != "418 I'm a teapot\n" {
		t.Errorf("status: %q", got)
	}
	body := strings.Repeat("0123456789", 60_000)
	resp, err = c.Post(http2Base+"echo", "text/plain", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	head, back, _ := strings.Cut(string(all), "\r\n\r\n")
	if err != nil || back != body || !strings.HasPrefix(head, "POST /_/echo HTTP/2.0\r\n") {
		t.Errorf("echo: %d octets, %v; head %q", len(back), err, head)
	}
}

// TestHTTP2Close expects close=1 to end a connection of HTTP/2 once its streams have ended.
func TestHTTP2Close(t *testing.T) {
	s, _, far := memoryServer(t, "--listen", ":82?http=h2c")
	defer s.shutdown(context.Background())
	c := http2Client(t, far)
	for i := 1; i <= 2; i++ {
		resp, err := c.Get(http2Base + "objects/2/0?close=1")
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if got := resp.Header.Get("Wire-Connection"); got != fmt.Sprint(i) {
			t.Errorf("request %d came over connection %q", i, got)
		}
	}
}

// TestHTTP2Finishes shuts down in the middle of an answer, and expects all of it.
func TestHTTP2Finishes(t *testing.T) {
	s, _, far := memoryServer(t, "--listen", ":82?http=h2c")
	resp, err := http2Client(t, far).Get(http2Base + "writes/20x1000?gap=20ms")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	done := make(chan error, 1)
	go func() { done <- s.shutdown(context.Background()) }()
	if n, err := io.Copy(new(site.Verifier), bufio.NewReader(resp.Body)); err != nil || n != 20_000 {
		t.Errorf("%d octets, %v", n, err)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the server does not end")
	}
}
