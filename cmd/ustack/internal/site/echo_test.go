package site

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// echoed splits what /_/echo answered.
func echoed(t *testing.T, resp *http.Response, b []byte) (head string, body []byte) {
	t.Helper()
	off, err := strconv.Atoi(resp.Header.Get("Echo-Body-Offset"))
	if err != nil || off > len(b) {
		t.Fatalf("Echo-Body-Offset %q with %d octets", resp.Header.Get("Echo-Body-Offset"), len(b))
	}
	if i := bytes.Index(b, []byte("\r\n\r\n")); i+4 != off {
		t.Errorf("the first empty line ends at %d, Echo-Body-Offset is %d", i+4, off)
	}
	return string(b[:off]), b[off:]
}

func TestEcho(t *testing.T) {
	s := newSite(t, Config{Builtin: true})
	big := make([]byte, 5<<20)
	Bytes(7, big)
	for _, body := range [][]byte{nil, []byte("hi there"), make([]byte, copyBufferSize), big} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d/chunked=%v", len(body), chunked), func(t *testing.T) {
				var r io.Reader = bytes.NewReader(body)
				if chunked {
					r = iotest.HalfReader(r)
				}
				resp, b := do(t, "PATCH", s.URL+"/_/echo?a=b%20c", http.Header{"X-Two": {"1", "2"}}, r)
				head, got := echoed(t, resp, b)
				if !bytes.Equal(got, body) {
					t.Errorf("%d octets came back, not the %d sent", len(got), len(body))
				}
				for _, want := range []string{"PATCH /_/echo?a=b%20c HTTP/1.1\r\nHost: ", "\r\nX-Two: 1\r\nX-Two: 2\r\n"} {
					if !strings.Contains(head, want) {
						t.Errorf("head %q lacks %q", head, want)
					}
				}
				if resp.Header.Get("Content-Type") != "application/octet-stream" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
					t.Errorf("header %v", resp.Header)
				}
			})
		}
	}
}

// A client that reads nothing before it has sent everything must not stand still.
func TestEchoOfSelfishClient(t *testing.T) {
	s := newSite(t, Config{Builtin: true})
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.(*net.TCPConn).SetReadBuffer(64 << 10)
	c.SetDeadline(time.Now().Add(time.Minute))
	body := make([]byte, 40<<20)
	Bytes(0, body)
	fmt.Fprintf(c, "PUT /_/echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(body))
	if _, err := c.Write(body); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if _, got := echoed(t, resp, b); !bytes.Equal(got, body) {
		t.Errorf("%d octets came back, not the %d sent", len(got), len(body))
	}
	if n := aheadUsed.Load(); n != 0 {
		t.Errorf("%d octets still counted as read ahead", n)
	}
}

// What was sent comes back while the rest is still to come: each piece is sent only when the
// one before has returned.
func TestEchoFlowsBack(t *testing.T) {
	s := newSite(t, Config{Builtin: true})
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(c, "POST /_/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nping\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	off, _ := strconv.Atoi(resp.Header.Get("Echo-Body-Offset"))
	io.CopyN(io.Discard, resp.Body, int64(off))
	got := make([]byte, 4)
	for range 20 {
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != "ping" {
			t.Fatalf("%q, %v", got, err)
		}
		fmt.Fprintf(c, "4\r\nping\r\n")
	}
}

// A body that breaks off breaks the answer off, and everything is given back.
func TestEchoBrokenOff(t *testing.T) {
	s := newSite(t, Config{Builtin: true})
	for _, length := range []int{100, 50 << 20} {
		c, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(time.Minute))
		fmt.Fprintf(c, "PUT /_/echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", length)
		c.Write(make([]byte, length/2))
		c.(*net.TCPConn).CloseWrite()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err == nil {
			if _, err := io.ReadAll(resp.Body); err == nil {
				t.Error("a truncated body was answered in full")
			}
		}
		c.Close()
	}
	for end := time.Now().Add(5 * time.Second); aheadUsed.Load() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d octets still counted as read ahead", aheadUsed.Load())
		}
	}
}
