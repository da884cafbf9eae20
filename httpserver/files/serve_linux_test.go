package files

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ustack/httpserver"
)

// TestPipe expects a named pipe to be neither served nor listed, and nobody to wait for its writer.
func TestPipe(t *testing.T) {
	root := newTree(t, map[string]string{"a": "a"})
	if err := syscall.Mkfifo(filepath.Join(root, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	h := newHandler(t, Config{Root: root})
	resp, _ := ask(t, h, "GET", "/pipe")
	expectStatus(t, "pipe", resp, 404)
	if _, page := ask(t, h, "GET", "/"); strings.Contains(page, "pipe") {
		t.Error("the pipe is listed")
	}
	// One that takes a file's place between the look and the opening.
	info, err := os.Stat(filepath.Join(root, "a"))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := h.load("pipe", info); err == nil {
		b.close()
		t.Error("a pipe was opened for a file")
	}
}

// TestShrinks cuts a file while it is sent: never more than Content-Length, and the connection closes where less came.
func TestShrinks(t *testing.T) { // req: 9112-8
	const size = 64 << 20
	root := newTree(t, map[string]string{"big": ""})
	big := filepath.Join(root, "big")
	for name, change := range map[string]int64{"shorter": 1 << 10, "longer": 2 * size} {
		t.Run(name, func(t *testing.T) {
			if err := os.Truncate(big, size); err != nil {
				t.Fatal(err)
			}
			c := dial(t, newHandler(t, Config{Root: root}))
			fmt.Fprint(c, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
			r := bufio.NewReader(c)
			resp, err := http.ReadResponse(r, nil)
			if err != nil || resp.ContentLength != size {
				t.Fatalf("%v, %v", resp, err)
			}
			if err := os.Truncate(big, change); err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(io.Discard, resp.Body)
			if change < size {
				if err == nil || n >= size {
					t.Errorf("%d octets of a shorter file, %v", n, err)
				}
				return
			}
			if n != size || err != nil {
				t.Fatalf("%d octets of a longer file, %v", n, err)
			}
			fmt.Fprint(c, "GET /none HTTP/1.1\r\nHost: x\r\n\r\n")
			if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 404 {
				t.Errorf("the next answer: %v, %v", resp, err)
			}
		})
	}
}

// dial serves h with our own server on loopback and connects to it.
func dial(t *testing.T, h http.Handler) net.Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &httpserver.Server{Handler: h}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}
