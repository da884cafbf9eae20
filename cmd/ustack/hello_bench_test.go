package main

import (
	"context"
	"io"
	"testing"
)

// BenchmarkHello is a request for /_/hello and its answer, whole server and TCP of both ends, over the memory link.
func BenchmarkHello(b *testing.B) {
	s, _, client := memoryServer(b)
	c, err := client.DialContext(b.Context(), "tcp", "10.90.0.2:80")
	if err != nil {
		b.Fatal(err)
	}
	request := []byte("GET /_/hello HTTP/1.1\r\nHost: ustack\r\n\r\n")
	answer := make([]byte, 4096)
	c.Write(request)
	n, err := c.Read(answer)
	if err != nil {
		b.Fatal(err)
	}
	answer = answer[:n] // all are as long
	b.ReportAllocs()
	for b.Loop() {
		c.Write(request)
		if _, err := io.ReadFull(c, answer); err != nil {
			b.Fatal(err)
		}
	}
	c.Close()
	if err := s.shutdown(context.Background()); err != nil {
		b.Error(err)
	}
}
