package httpserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// serveKernel serves h on the kernel's loopback and returns the address.
func serveKernel(t testing.TB, s *Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if s.ErrorLog == nil {
		s.ErrorLog = log.New(io.Discard, "", 0)
	}
	end := make(chan error, 1)
	go func() { end <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-end; err != ErrServerClosed {
			t.Errorf("Serve returned %v", err)
		}
	})
	return l.Addr().String()
}

func TestNetHTTPClient(t *testing.T) {
	addr := serveKernel(t, &Server{Handler: http.HandlerFunc(demo)})
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	body := bytes.Repeat([]byte("x"), 1<<20)
	reused := 0
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		if i.Reused {
			reused++
		}
	}})
	for i := range 20 {
		var r io.Reader = bytes.NewReader(body)
		if i%2 == 1 {
			r = io.MultiReader(r) // of unknown length: chunked
		}
		req, _ := http.NewRequestWithContext(ctx, "POST", "http://"+addr+"/echo", r)
		if i%3 == 0 {
			req.Header.Set("Expect", "100-continue")
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !bytes.Equal(got, body) {
			t.Fatalf("request %d: %d bytes, %v", i, len(got), err)
		}
	}
	if reused < 15 {
		t.Errorf("%d of 20 requests used the connection again", reused)
	}
}

func TestParallelClients(t *testing.T) {
	addr := serveKernel(t, &Server{Handler: http.HandlerFunc(demo)})
	tr := &http.Transport{MaxIdleConnsPerHost: 16}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 50 {
				path := fmt.Sprintf("/%d/%d", i, j)
				resp, err := client.Get("http://" + addr + path)
				if err != nil {
					t.Error(err)
					return
				}
				b, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if string(b) != "GET "+path {
					t.Errorf("%s: got %q", path, b)
				}
			}
		})
	}
	wg.Wait()
}

// TestFileServer: net/http's file handler works, ranges and all, and a file of declared length goes out whole.
// TestReadBesideWrite: a handler that says so reads on while its answer waits for a client that reads nothing before it
// has sent everything.
func TestReadBesideWrite(t *testing.T) {
	const size = 24 << 20 // more than the kernel's buffers hold, both ways
	addr := serveKernel(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		pieces := make(chan []byte, size/1024) // never full: the kernel gives more at a time
		go func() {
			defer close(pieces)
			for {
				p := make([]byte, 32<<10)
				n, err := r.Body.Read(p)
				pieces <- p[:n]
				if err != nil {
					return
				}
			}
		}()
		for p := range pieces {
			w.Write(p)
		}
	})})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(c, "PUT / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", size)
	if n, err := c.Write(make([]byte, size)); err != nil {
		t.Fatalf("after %d octets: %v", n, err)
	}
	if n, err := io.Copy(io.Discard, c); n < size || err != nil {
		t.Errorf("%d octets came back: %v", n, err)
	}
}

func TestFileServer(t *testing.T) {
	dir := t.TempDir()
	data := bytes.Repeat([]byte("0123456789"), 300_000)
	if err := os.WriteFile(filepath.Join(dir, "f"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	addr := serveKernel(t, &Server{Handler: http.FileServer(http.Dir(dir))})
	resp, err := http.Get("http://" + addr + "/f")
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	if err != nil || sha256.Sum256(got) != sha256.Sum256(data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	req, _ := http.NewRequest("GET", "http://"+addr+"/f", nil)
	req.Header.Set("Range", "bytes=10-19")
	resp, err = http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	got, _ = io.ReadAll(resp.Body)
	if resp.StatusCode != 206 || string(got) != "0123456789" {
		t.Errorf("%s %q", resp.Status, got)
	}
}

// TestResponseBeforeReset: over real TCP the answer to a bad request survives what the client still sends.
func TestResponseBeforeReset(t *testing.T) { // req: 9112-9.6d
	addr := serveKernel(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(413)
		w.Write(make([]byte, 1<<20))
	})})
	for _, raw := range []string{"bad\r\n\r\n", "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 8388608\r\n\r\n"} {
		for range 10 {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(c, raw)
			if _, err := c.Write(make([]byte, 1<<20)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
			if _, err := c.Write(make([]byte, 1<<20)); err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(c)
			if err != nil || strings.HasPrefix(raw, "PUT") && len(b) < 1<<20 || !bytes.HasPrefix(b, []byte("HTTP/1.1 4")) {
				t.Fatalf("%d bytes, %v", len(b), err)
			}
			c.Close()
		}
	}
}

func TestCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("no curl")
	}
	addr := serveKernel(t, &Server{Handler: http.HandlerFunc(demo)})
	run := func(args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		out, err := exec.CommandContext(ctx, curl, append([]string{"-sS", "--noproxy", "*"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("curl %v: %v: %s", args, err, out)
		}
		return string(out)
	}
	url := "http://" + addr
	if got := run("-w", " %{num_connects}\n", url+"/1", url+"/2"); got != "GET /1 1\nGET /2 0\n" {
		t.Errorf("persistent: %q", got)
	}
	if got := run("--http1.0", "-w", " %{num_connects}\n", url+"/1", url+"/2"); got != "GET /1 1\nGET /2 1\n" {
		t.Errorf("HTTP/1.0: %q", got)
	}
	if got := run("--http1.0", "-H", "Connection: keep-alive", url+"/1", url+"/2"); got != "GET /1GET /2" {
		t.Errorf("HTTP/1.0 keep-alive: %q", got)
	}
	if got := run("-I", url+"/big"); !strings.Contains(got, "chunked") {
		t.Errorf("HEAD: %q", got)
	}
	file := filepath.Join(t.TempDir(), "up")
	data := bytes.Repeat([]byte("upload"), 500_000)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := run("-T", file, url+"/echo"); got != string(data) {
		t.Errorf("PUT: %d bytes", len(got))
	}
	if got := run("-T", file, "-H", "Expect: 100-continue", "-H", "Transfer-Encoding: chunked", url+"/read"); got != "3000000 <nil>" {
		t.Errorf("chunked PUT: %q", got)
	}
	if got := run("-v", "--path-as-is", "-H", "Expect: 100-continue", "-T", file, url+"/read"); !strings.Contains(got, "100 Continue") {
		t.Errorf("no 100 Continue: %q", got)
	}
}

// TestPlainReset: over the kernel's TCP too a reset ends the context of a request whose handler waits for that.
func TestPlainReset(t *testing.T) { // req: 9112-9.6c
	done := make(chan error, 1)
	addr := serveKernel(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
			done <- nil
		case <-time.After(10 * time.Second):
			done <- fmt.Errorf("context goes on")
		}
	})})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, get("/"))
	time.Sleep(20 * time.Millisecond)
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestGracefulOverTCP(t *testing.T) {
	s := &Server{Handler: http.HandlerFunc(demo)}
	addr := serveKernel(t, s)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, get("/slow"))
	time.Sleep(20 * time.Millisecond)
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(context.Background()) }()
	b, err := io.ReadAll(c)
	if err != nil || !bytes.HasSuffix(b, []byte("\r\nConnection: close\r\n\r\nslow")) {
		t.Errorf("%q, %v", b, err)
	}
	c.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("still accepting")
	}
}
