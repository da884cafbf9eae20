package httpserver

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestTracerKernel: offsets hold over the kernel's TCP, whose ReadFrom sends files without a copy.
func TestTracerKernel(t *testing.T) {
	x := new(watcher)
	over := make(chan net.Conn, 1)
	s := &Server{Handler: http.HandlerFunc(ways), ConnState: func(c net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			over <- c
		}
	}}
	s.SetTracer(x.trace)
	c, err := net.Dial("tcp", serveKernel(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	body := strings.Repeat("x", 300_000)
	parts := []sent{
		plainGet("/file"), {before: "\r\n", head: fmt.Sprintf("PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", len(body)), body: body},
		plainGet("/shared"), plainGet("/file"), plainGet("/chunks"), {head: "GET /last HTTP/1.0\r\n\r\n"},
	}
	go io.WriteString(c, raw(parts))
	back, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	<-over
	x.check(t, parts, string(back))
}
